# shellcheck shell=sh
# Copy media, scripts and reports to the new release while the old one serves (the upgrade document, step 3, option A).
# shellcheck source=../folders.sh
. "${BUNDLE:?}/folders.sh"

check() {
    each_folder has_all
}

apply() {
    each_folder bring
}

undo() {
    :
}
