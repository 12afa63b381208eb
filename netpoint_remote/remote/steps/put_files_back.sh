# shellcheck shell=sh
# Put back the files of a backup that has some; what users added since stays (the upgrade document, step 3).
: "${FROM:?}" "${RUN:?}" "${BUNDLE:?}" "${BACKUP_DIR:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
files=$BACKUP_DIR/$FROM/files.tar

check() {
    ! [ -f "$files" ] || [ -f "$RUN/files.back" ]
}

# What is overwritten is kept beside this run's own dump.
apply() {
    umask 077
    by_descriptor put_back "$files" "$made/replaced.tar" "$RUN/before/absent" || fail "the files could not be put back: $(last_line)"
    : >"$RUN/files.back"
}

undo() {
    if [ -f "$RUN/before/absent" ]; then
        by_descriptor take_back "$made/replaced.tar" "$RUN/before/absent" || fail "the files could not be put back: $(last_line)"
        rm -f -- "$RUN/before/absent" "$RUN/files.back"
    fi
}

by_hand() {
    if [ -f "$RUN/before/absent" ]; then
        by_descriptor_by_hand take_back "$made/replaced.tar" "$RUN/before/absent"
        say "rm -f -- $(quoted "$RUN/before/absent") $(quoted "$RUN/files.back")"
    fi
}
