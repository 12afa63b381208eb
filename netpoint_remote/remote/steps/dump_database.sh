# shellcheck shell=sh
# Save the database and read the dump back: only then it counts (the upgrade document: "Always be sure to save a backup").
: "${BACKUP_DIR:?}" "${RUN_ID:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
# shellcheck source=../dumps.sh
. "$BUNDLE/dumps.sh"

check() {
    [ -f "$RUN/dumped" ] && { [ -f "$making/database.dump" ] || [ -f "$made/manifest" ]; }
}

apply() {
    umask 077
    remove_tree "$making" "$RUN/dumped" "$RUN/dump.status"
    make_private "$BACKUP_DIR" || give_up "$BACKUP_DIR is not safe to write to: $weak"
    mkdir -- "$making"
    read_database 3>&1 >/dev/null | cat >"$making/database.dump" || fail "the dump could not be written: $(last_line)"
    [ "$(cat "$RUN/dump.status")" = 0 ] || fail "the database could not be read: $(last_line)"
    [ "$(fact_of pg_dump.status "$RUN/counted")" = 0 ] || fail "pg_dump failed: $(last_line)"
    # psql says nothing of what it had no room to write.
    grep -q '^migrations=.' "$RUN/counted" && [ -z "$(tail -c 1 -- "$RUN/counted")" ] || fail "what the dump holds could not be written down"
    list=$(read_dump "$making/database.dump" -l) || fail "the dump cannot be read back"
    # All of the list is read, for `say` would fail where its reader ends before.
    say "$list" | awk '/TABLE DATA.*django_migrations/ { found = 1 } END { exit !found }' || fail "the dump holds no django_migrations: it is not NetPoint's database"
    read_dump "$making/database.dump" -f /dev/null || fail "the dump cannot be read back completely"
    sed -n 's/^object=//p' "$RUN/counted" >"$making/objects" || fail "what the dump holds could not be written down"
    journal note "dumped: $(($(stat -c %s -- "$making/database.dump") / 1024)) KiB"
    : >"$RUN/dumped"
}

# The rows are counted in the snapshot that is dumped, so they are what the dump holds whatever is written during it.
# NetPoint's user gets pipes, not our files: a process of that user could go on writing after the dump was verified.
read_database() {
    { say '-- Dump the database' && say "$without_limits" && dump_and_count; } | {
        status=0
        sql_script || status=$?
        say "$status" >"$RUN/dump.status"
    } | cat >"$RUN/counted" 3>&-
}

# Objects and rights are listed first: where psql had no room to write them, what comes after them is missing too.
dump_and_count() {
    sed -n '1,/^BEGIN/p' "$BUNDLE/dump.sql"
    say "SELECT pg_catalog.concat('object=', line) FROM ("
    cat "$BUNDLE/objects.sql"
    say ') AS listed;'
    sed '1,/^BEGIN/d' "$BUNDLE/dump.sql"
}

# A backup that was sealed is for that step to undo.
undo() {
    remove_tree "$making" "$RUN/dumped"
}
