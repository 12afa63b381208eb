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
    maker=$(who_may_create) || give_up "--verify full needs a scratch database, and NetPoint's role may not create one: ALTER ROLE ... CREATEDB, or leave --verify full out"
    : >"$RUN/scratch.begun"
    "create_as_$maker" || fail "the scratch database $scratch could not be created: $(last_line)"
    say 'SELECT 1' | as_role "$scratch" >/dev/null || give_up "--verify full restores as NetPoint's role, which cannot log in to the scratch database $scratch:" \
        "$(last_line). Allow it in pg_hba.conf and in the password file, or leave --verify full out"
    { say '\set ON_ERROR_STOP off' && sql "$schemas"; } | as_role "$scratch"
    read_dump "$making/database.dump" -l | grep -v -E "$surroundings" >"$RUN/restore.list"
    read_dump "$making/database.dump" -f - <"$RUN/restore.list" | as_role "$scratch" >/dev/null ||
        fail "the dump could not be restored into a scratch database: $(last_line)"
    count_rows | as_role "$scratch" | sort >"$RUN/counted.scratch"
    grep -E '^(rows\.|migrations=)' "$RUN/counted" | sort >"$RUN/counted.dumped"
    cmp -s -- "$RUN/counted.dumped" "$RUN/counted.scratch" ||
        fail "the restored dump has other rows than the database had: $(diff "$RUN/counted.dumped" "$RUN/counted.scratch" | sed -n 's/^[<>]/&/p' | tr '\n' ' ')"
    drop_scratch
    journal note "verified: restored into a scratch database, $(grep -c '^rows' "$RUN/counted") tables have the same rows"
    say full >"$RUN/verified"
}

# How to make what tables and types of the dump lie in or are made of: schemas, and extensions. What cannot be made is in
# the log, and keeps nothing else from being made.
schemas="SELECT format('CREATE SCHEMA IF NOT EXISTS %I;', nspname) FROM pg_namespace n
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = n.oid AND d.deptype = 'e')"
extensions="SELECT format('CREATE SCHEMA IF NOT EXISTS %I; CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I;',
        n.nspname, e.extname, n.nspname)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname <> 'plpgsql' ORDER BY e.oid"
as_this_one='ENCODING %L LC_COLLATE %L LC_CTYPE %L'

create_as_role() {
    statement=$(sql "SELECT format('CREATE DATABASE $scratch OWNER %I TEMPLATE template0 $as_this_one', current_user,
        pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = current_database()") || return 1
    say "$statement" | as_role || return 1
    { say '\set ON_ERROR_STOP off' && sql "$extensions"; } | as_role "$scratch"
}

# An administrator creates the database and its extensions while nobody else may connect, and gives it away. Nothing that a
# session of the role answers becomes a statement of an administrator's: names go as values, the rest is asked anew.
create_as_superuser() {
    role=$(sql 'SELECT current_user') && database=$(sql 'SELECT current_database()') || return 1
    as_superuser postgres -v database="$database" <<END || return 1
SELECT format('CREATE DATABASE $scratch TEMPLATE template0 CONNECTION LIMIT 0 $as_this_one',
    pg_encoding_to_char(encoding), datcollate, datctype) FROM pg_database WHERE datname = :'database' \gexec
END
    { say '\set ON_ERROR_STOP off' && say "$extensions;" | as_superuser "$database"; } | as_superuser "$scratch" || return 1
    as_superuser "$scratch" -v role="$role" <<END
SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, :'role') FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema') \gexec
SELECT format('ALTER DATABASE $scratch OWNER TO %I', :'role') \gexec
ALTER DATABASE $scratch CONNECTION LIMIT -1;
END
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

# The next two run what comes on standard input, in a database that may be named. Whatever lies in a dump runs as the role
# that has logged in: one that is only set could be given up by it (RESET ROLE).
as_role() {
    with_database psql -X -q -A -t -w -v ON_ERROR_STOP=1 ${1:+-d "dbname=$1"} -f -
}

# No setting of a database, and no object in it, decides what a name means here.
as_superuser() (
    port=$(sql "SELECT current_setting('port')" </dev/null)
    case $port in '' | *[!0-9]*) exit 1 ;; *) ;; esac
    named=$(say "${1:-postgres}" | sed "s/['\\\\]/\\\\&/g")
    [ $# -eq 0 ] || shift
    cd /
    exec runuser -u postgres -- env PGOPTIONS='-c search_path=pg_catalog' \
        psql -X -q -A -t -w -v ON_ERROR_STOP=1 -p "$port" -d "dbname='$named'" "$@" -f -
)

count_rows() {
    sed -n 's/^rows\.\([A-Za-z0-9_]*\)\.\([A-Za-z0-9_]*\)=.*/SELECT '\''rows.\1.\2='\'' || count(*) FROM "\1"."\2";/p' "$RUN/counted"
    # What a database says of the search path, it does not say of a copy.
    say "SELECT pg_catalog.set_config('search_path', '$(sql 'SHOW search_path' </dev/null | sed "s/'/''/g")', false) \\g /dev/null"
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
