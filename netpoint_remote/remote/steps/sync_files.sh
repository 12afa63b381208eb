# shellcheck shell=sh
# Bring what was added, changed or removed in media, scripts and reports since they were copied; nobody writes any more.
# shellcheck source=../folders.sh
. "${BUNDLE:?}/folders.sh"

check() {
    each_folder has_all && each_folder has_only
}

apply() {
    each_folder bring
    each_folder drop
}

undo() {
    :
}
