# shellcheck shell=sh
# Copy media, scripts and reports to the new release while the old one serves (the upgrade document, step 3, option A).
# shellcheck source=../folders.sh
. "${BUNDLE:?}/folders.sh"

# Users go on uploading: whether the folders are alike is for sync_files to prove, when nobody writes any more.
check() {
    [ -f "$RUN/copied" ]
}

apply() {
    each_folder bring
    : >"$RUN/copied"
}

undo() {
    rm -f -- "$RUN/copied"
}
