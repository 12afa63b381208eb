# shellcheck shell=sh
# Take away what guarded the window against a reboot; the units are again as their owner wrote them.
# shellcheck source=../guard.sh
. "${BUNDLE:?}/guard.sh"

check() {
    units=$(unit_folder)
    ! [ -e "$units/$recovery" ] && drop_ins | while IFS= read -r file; do ! [ -e "$file" ] || exit 1; done
}

apply() {
    lift
}

undo() {
    :
}
