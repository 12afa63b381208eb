# shellcheck shell=sh
# Save the database and read the dump back: only then it counts (the upgrade document: "Always be sure to save a backup").
: "${BACKUP_DIR:?}" "${RUN_ID:?}" "${RUN:?}"
dump=$BACKUP_DIR/$RUN_ID/database.dump

check() {
    [ -f "$dump" ] && (cd -- "$BACKUP_DIR/$RUN_ID" && sha256sum -c --status database.dump.sha256)
}

apply() {
    umask 077
    mkdir -p -- "$BACKUP_DIR/$RUN_ID"
    with_database pg_dump -w -Fc -f "$dump.partial" || fail "pg_dump failed"
    pg_restore -l "$dump.partial" >"$RUN/dump.list" || fail "the dump cannot be read back"
    grep -q 'TABLE DATA.*django_migrations' "$RUN/dump.list" || fail "the dump holds no django_migrations: it is not NetPoint's database"
    pg_restore -f /dev/null "$dump.partial" || fail "the dump cannot be read back to its end"
    mv -f -- "$dump.partial" "$dump"
    (cd -- "$BACKUP_DIR/$RUN_ID" && sha256sum database.dump) | write_file "$dump.sha256"
    say "${OLD_VERSION:?} ${VERSION:?}" | write_file "$BACKUP_DIR/$RUN_ID/about"
    sync -- "$dump" "$dump.sha256" "$BACKUP_DIR/$RUN_ID"
    journal note "dump: $dump ($(($(stat -c %s -- "$dump") / 1024)) KiB)"
}

undo() {
    rm -f -- "$dump.partial"
}
