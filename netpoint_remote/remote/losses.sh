# shellcheck shell=sh
# What going back to a backup would lose: the changes that the change log has since (the design, promise 2).
: "${BACKUP_DIR:?}"

# Print how many changes the database has that a backup has not, or nothing where nobody can tell. They are told by number
# or by time: after a way back the numbers begin anew.
changes_since() {
    told=$(sed -n 's/^changes\.[a-z_]*=\([0-9]* [0-9T:.+-]*\)$/\1/p' "$BACKUP_DIR/$1/manifest" | tail -n 1)
    table=$(change_log) || return 0
    if [ -n "$told" ] && [ -n "$table" ]; then
        sql "SELECT count(*) FROM $table WHERE id > ${told%% *} OR time > '${told#* }'" || :
    fi
}

# Print the name of the table that has the change log, or nothing where there is none.
change_log() {
    sql "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema()
        AND c.relkind = 'r' AND c.relname IN ('core_objectchange', 'extras_objectchange') ORDER BY 1 LIMIT 1"
}

# Print the number of the newest change in the change log.
newest_change() {
    table=$(change_log) || return 1
    if [ -n "$table" ]; then sql "SELECT coalesce(max(id), 0) FROM $table"; else say 0; fi
}
