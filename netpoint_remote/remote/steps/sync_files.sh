# shellcheck shell=sh
# Bring what was added, changed or removed in media, scripts and reports since they were copied; nobody writes any more.
# shellcheck source=../folders.sh
. "${BUNDLE:?}/folders.sh"

check() {
    each_folder is_mirrored
}

apply() {
    each_folder mirror
}

undo() {
    :
}
