# shellcheck shell=sh
# See that what we go back to is there and whole, while NetPoint still serves (the design, promise 6).
: "${FROM:?}" "${NEW:?}" "${METHOD:?}" "${TREE_VERSION:?}" "${COMMIT?}" "${ASIDE_BACK?}" "${RUN:?}" "${BUNDLE:?}" "${BACKUP_DIR:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
# shellcheck source=../dumps.sh
. "$BUNDLE/dumps.sh"

check() {
    [ -f "$RUN/backup.checked" ]
}

apply() {
    backup_is_whole "$BACKUP_DIR/$FROM" || give_up "the backup $BACKUP_DIR/$FROM does not match its manifest and cannot be used for a rollback"
    read_dump "$BACKUP_DIR/$FROM/database.dump" -f /dev/null || give_up "the dump in $BACKUP_DIR/$FROM cannot be read completely"
    if [ "$METHOD" = git ]; then
        checkout cat-file -e "$COMMIT^{tree}" || give_up "the checkout has no commit $COMMIT any more"
        [ "$(checkout rev-parse HEAD)" = "$COMMIT" ] || { is_of_the_commit && runs "$ASIDE_BACK"; }
    else
        [ "$(tree_version "$NEW")" = "$TREE_VERSION" ] || give_up "$NEW is not the release $TREE_VERSION any more"
        runs "$NEW"
    fi
    : >"$RUN/backup.checked"
}

# It lies there by its version, which several commits may share.
is_of_the_commit() {
    [ "$(cat "$ASIDE_BACK/commit" 2>/dev/null || say "$COMMIT")" = "$COMMIT" ] ||
        give_up "the virtual environment in $ASIDE_BACK is of another commit than $COMMIT"
}

# A virtual environment that was moved cannot run, but its Python can: the one that it leads to, without what others may
# have put into the environment. One that is somebody else's is not for root to start.
runs() {
    real=$(readlink -f -- "$1/venv/bin/python3") || real=''
    if ! [ -x "$real" ] || { [ -z "$(weak_spot "$real")" ] && ! "$real" -I -S -c ''; }; then
        give_up "the virtual environment in $1 does not run any more"
    fi
}

undo() {
    rm -f -- "$RUN/backup.checked"
}
