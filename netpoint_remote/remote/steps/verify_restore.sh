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
    "$maker" "$statement" || fail "the scratch database $scratch could not be created"
    sql "SELECT format('CREATE EXTENSION IF NOT EXISTS %I', extname) FROM pg_extension WHERE extname <> 'plpgsql'" |
        while IFS= read -r line; do "${maker}_in_scratch" "$line" || say "an extension is missing in the scratch database"; done
    pg_restore -l "$making/database.dump" | without_surroundings >"$RUN/restore.list"
    pg_restore -L "$RUN/restore.list" -f - "$making/database.dump" | own_in_scratch -f - >/dev/null ||
        fail "the dump could not be restored into a scratch database: $(last_line)"
    count_rows >"$RUN/counted.scratch"
    grep -E '^(rows\.|migrations=)' "$RUN/counted" | sort >"$RUN/counted.dumped"
    sort "$RUN/counted.scratch" | cmp -s -- "$RUN/counted.dumped" - ||
        fail "the restored dump has other rows than the database had: $(sort "$RUN/counted.scratch" | diff "$RUN/counted.dumped" - | sed -n 's/^[<>]/&/p' | tr '\n' ' ')"
    drop_scratch
    journal note "verified: restored into a scratch database, $(grep -c '^rows' "$RUN/counted") tables have the same rows"
    say full >"$RUN/verified"
}

# NetPoint's own role, where it may; else the superuser of this server, where the database is here.
who_may_create() {
    if [ "$(sql 'SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user')" = t ]; then
        say own
    elif [ "$(id -u)" = 0 ] && [ "$(super 'SELECT system_identifier FROM pg_control_system()' 2>/dev/null)" = "$(sql 'SELECT system_identifier FROM pg_control_system()')" ]; then
        say super
    else
        return 1
    fi
}

own() {
    sql "$1"
}

own_in_scratch() {
    if [ "$1" = -f ]; then set -- "$@"; else set -- -c "$1"; fi
    # A service file would name the database that is in use.
    with_database psql -X -q -w -v ON_ERROR_STOP=1 -d "dbname=$scratch" "$@"
}

super() (
    port=$(load "$RUN/database.env"; printf '%s' "${PGPORT:-5432}")
    cd /
    runuser -u postgres -- psql -X -q -A -t -w -v ON_ERROR_STOP=1 -p "$port" -d "${2:-postgres}" -c "$1"
)

super_in_scratch() {
    super "$1" "$scratch"
}

count_rows() {
    sed -n 's/^rows\.\([A-Za-z0-9_]*\)\.\([A-Za-z0-9_]*\)=.*/SELECT '\''rows.\1.\2='\'' || count(*) FROM "\1"."\2";/p' "$RUN/counted" | own_in_scratch -f - -A -t
    own_in_scratch -f - -A -t <<'END'
SELECT 'migrations=' || count(*) || ' ' || md5(string_agg(app || '.' || name, ' ' ORDER BY app, name)) FROM django_migrations;
END
}

drop_scratch() {
    sql "DROP DATABASE IF EXISTS $scratch" >/dev/null 2>&1 || super "DROP DATABASE IF EXISTS $scratch" >/dev/null 2>&1 || :
}

undo() {
    rm -f -- "$RUN/verified"
    drop_scratch
}
