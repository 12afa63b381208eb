# shellcheck shell=sh
# Restore the dump into a scratch database and count its rows there, before the backup gets its name (the design, promise 6).
: "${RUN:?}" "${RUN_ID:?}" "${BUNDLE:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
scratch=netpoint_remote_$(printf '%s' "$RUN_ID" | tr 'A-Z-' 'a-z_' | tr -cd 'a-z0-9_' | cut -c -40)

check() {
    [ "$(cat "$RUN/verified" 2>/dev/null)" = full ]
}

apply() {
    drop_scratch
    statement=$(sql "SELECT format('CREATE DATABASE $scratch OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L', current_user,
        pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = current_database()")
    maker=$(who_may_create) || give_up "--verify full needs a scratch database, and NetPoint's role may not create one: ALTER ROLE ... CREATEDB, or leave --verify full out"
    say "$statement" | "as_$maker" || fail "the scratch database $scratch could not be created"
    sql "SELECT format('CREATE EXTENSION IF NOT EXISTS %I;', extname) FROM pg_extension WHERE extname <> 'plpgsql'" >"$RUN/extensions"
    "as_$maker" "$scratch" <"$RUN/extensions" || say "an extension is missing in the scratch database"
    pg_restore -l "$making/database.dump" | without_surroundings >"$RUN/restore.list"
    pg_restore -L "$RUN/restore.list" -f - "$making/database.dump" | in_scratch >/dev/null ||
        fail "the dump could not be restored into a scratch database: $(last_line)"
    count_rows | in_scratch | sort >"$RUN/counted.scratch"
    grep -E '^(rows\.|migrations=)' "$RUN/counted" | sort >"$RUN/counted.dumped"
    cmp -s -- "$RUN/counted.dumped" "$RUN/counted.scratch" ||
        fail "the restored dump has other rows than the database had: $(diff "$RUN/counted.dumped" "$RUN/counted.scratch" | sed -n 's/^[<>]/&/p' | tr '\n' ' ')"
    drop_scratch
    journal note "verified: restored into a scratch database, $(grep -c '^rows' "$RUN/counted") tables have the same rows"
    say full >"$RUN/verified"
}

# NetPoint's own role, where it may; else the superuser of this server, where the database is here.
who_may_create() {
    if [ "$(sql 'SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user')" = t ]; then
        say role
    elif [ "$(id -u)" = 0 ] && [ "$(say "$which_cluster;" | as_superuser 2>/dev/null)" = "$(sql "$which_cluster")" ]; then
        say superuser
    else
        return 1
    fi
}

which_cluster='SELECT system_identifier FROM pg_control_system()'

# The next two run what comes on standard input, in a database that may be named.
as_role() {
    with_database psql -X -q -A -t -w -v ON_ERROR_STOP=1 ${1:+-d "dbname=$1"} -f -
}

as_superuser() (
    port=$(sql "SELECT current_setting('port')" </dev/null)
    cd /
    runuser -u postgres -- psql -X -q -A -t -w -v ON_ERROR_STOP=1 -p "$port" -d "${1:-postgres}" -f -
)

# As NetPoint's role, also where its password is for its own database only.
in_scratch() {
    if [ "$maker" = role ]; then
        as_role "$scratch"
    else
        role=$(sql "SELECT format('%I', current_user)" </dev/null)
        { say "SET ROLE $role;" && cat; } | as_superuser "$scratch"
    fi
}

count_rows() {
    sed -n 's/^rows\.\([A-Za-z0-9_]*\)\.\([A-Za-z0-9_]*\)=.*/SELECT '\''rows.\1.\2='\'' || count(*) FROM "\1"."\2";/p' "$RUN/counted"
    say "SELECT 'migrations=' || count(*) || ' ' || md5(string_agg(app || '.' || name, ' ' ORDER BY app, name)) FROM django_migrations;"
}

without_surroundings() {
    grep -v -E '^[0-9]+; [0-9]+ [0-9]+ (EXTENSION|SCHEMA|COMMENT - (EXTENSION|SCHEMA)|ACL - (SCHEMA|EXTENSION))'
}

drop_scratch() {
    say "DROP DATABASE IF EXISTS $scratch" >"$RUN/drop.sql"
    as_role <"$RUN/drop.sql" >/dev/null 2>&1 || as_superuser <"$RUN/drop.sql" >/dev/null 2>&1 || :
}

undo() {
    rm -f -- "$RUN/verified"
    drop_scratch
}
