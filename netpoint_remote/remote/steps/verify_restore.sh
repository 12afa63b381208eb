# shellcheck shell=sh
# Restore the dump into a scratch database and count its rows there, before the backup gets its name (the design, promise 6).
: "${RUN:?}" "${RUN_ID:?}" "${BUNDLE:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
# shellcheck source=../dumps.sh
. "$BUNDLE/dumps.sh"
scratch=netpoint_remote_$(printf '%s' "$RUN_ID" | tr 'A-Z-' 'a-z_' | tr -cd 'a-z0-9_' | cut -c -40)

check() {
    [ "$(cat "$RUN/verified" 2>/dev/null)" = full ]
}

apply() {
    drop_scratch
    statement=$(sql "SELECT format('CREATE DATABASE $scratch OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L', current_user,
        pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = current_database()")
    maker=$(who_may_create) || give_up "--verify full needs a scratch database, and NetPoint's role may not create one: ALTER ROLE ... CREATEDB, or leave --verify full out"
    : >"$RUN/scratch.begun"
    say "$statement" | "as_$maker" || fail "the scratch database $scratch could not be created"
    make_surroundings
    pg_restore -l "$making/database.dump" | grep -v -E "$surroundings" >"$RUN/restore.list"
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

# Make what tables and types of the dump lie in or are made of: schemas as NetPoint's role, which owns the scratch database,
# extensions as who may. What cannot be made is in the log, and keeps nothing else from being made.
make_surroundings() {
    sql "SELECT format('CREATE SCHEMA IF NOT EXISTS %I;', nspname) FROM pg_namespace n WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = n.oid AND d.deptype = 'e')" >"$RUN/schemas"
    sql "SELECT format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I;', extname, nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE extname <> 'plpgsql' ORDER BY e.oid" >"$RUN/extensions"
    { say '\set ON_ERROR_STOP off' && cat "$RUN/schemas"; } | in_scratch
    { say '\set ON_ERROR_STOP off' && cat "$RUN/extensions"; } | "as_$maker" "$scratch"
}

# Their entries in the list of a dump.
surroundings='^[0-9]+; [0-9]+ [0-9]+ (EXTENSION|SCHEMA|COMMENT - (EXTENSION|SCHEMA)|ACL - (SCHEMA|EXTENSION))'

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
    # What NetPoint's configuration says of the search path is not said to a superuser, nor what the database does.
    say "SET search_path = $(sql 'SHOW search_path' </dev/null);"
    say "SELECT 'migrations=' || $(migrations_told) FROM django_migrations;"
}

# It is a copy of all data, so it is not left without a word.
drop_scratch() {
    [ -f "$RUN/scratch.begun" ] || return 0
    force=
    if [ "$(sql "SELECT current_setting('server_version_num')" || :)" -ge 130000 ] 2>/dev/null; then force=' WITH (FORCE)'; fi
    say "DROP DATABASE IF EXISTS $scratch$force" >"$RUN/drop.sql"
    if as_role <"$RUN/drop.sql" >/dev/null || as_superuser <"$RUN/drop.sql" >/dev/null; then
        rm -f -- "$RUN/scratch.begun"
    else
        journal warning "the scratch database, a copy of all data, may be left; as a superuser of its server: psql -d postgres -c '$(cat "$RUN/drop.sql")'"
    fi
}

undo() {
    rm -f -- "$RUN/verified"
    drop_scratch
}
