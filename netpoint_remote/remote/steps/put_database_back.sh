# shellcheck shell=sh
# Put the database of a backup in place of the present one, which was dumped just before (the upgrade document: "a backup").
: "${FROM:?}" "${RUN:?}" "${BUNDLE:?}" "${SERVICES:?}" "${BACKUP_DIR:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
# shellcheck source=../dumps.sh
. "$BUNDLE/dumps.sh"

check() {
    [ -f "$RUN/put_back" ] && holds_migrations_of "$BACKUP_DIR/$FROM"
}

apply() {
    : >"$RUN/putting"
    sync -- "$RUN/putting" 2>/dev/null || sync
    restore_database "$BACKUP_DIR/$FROM/database.dump" || fail "the dump could not be put back; the database is as it was: $(last_line)"
    holds_migrations_of "$BACKUP_DIR/$FROM" || fail "the dump was put back, and the database has other migrations than the backup"
    : >"$RUN/put_back"
}

undo() {
    if [ -f "$RUN/putting" ]; then
        # After a reboot in the window systemd may have started them.
        with_services systemctl stop
        restore_database "$made/database.dump" || fail "the dump $made/database.dump could not be put back, so NetPoint is left stopped: $(last_line)"
        holds_migrations_of "$made" || fail "$made/database.dump was put back and the database is not as it was"
        rm -f -- "$RUN/putting" "$RUN/put_back"
    fi
}

by_hand() {
    if [ -f "$RUN/putting" ]; then
        restore_by_hand "$made/database.dump"
        say "rm -f -- $(quoted "$RUN/putting") $(quoted "$RUN/put_back")   # only once it is back: else the next run puts it back"
    fi
}
