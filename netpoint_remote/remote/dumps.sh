# shellcheck shell=sh
# Read a dump, and put the database back from it: what the undo of an upgrade and a way back share (the design, promise 6).
: "${RUN:?}" "${BUNDLE:?}"

# Put the database back as it was dumped, with the rights of NetPoint's own role, in one transaction: all of it or nothing.
# Before it is committed the rows are counted, and objects and rights compared with what was listed at the dump. Whoever
# holds a table is waited for, but not for ever.
restore_database() {
    list=$(what_comes_back "$1") || return 1
    case $list in
        *' TABLE DATA '*"; whole") ;;
        *) return 1 ;; # one that was cut off would bring back a part
    esac
    folder=$(dirname -- "$1")
    answers=$({
        end_other_sessions
        say "$without_limits"
        say 'BEGIN;'
        say "SET LOCAL lock_timeout = '5min';"
        say 'SET LOCAL standard_conforming_strings = on;'
        note_objects saved "'$(sed "s/'/''/g" "$folder/objects" 2>/dev/null || :)'"
        note_objects before "$(list_of_objects)"
        cat "${BUNDLE:?}/defaults.sql" "$BUNDLE/clean.sql"
        { say "$list" | read_dump "$1" -f - || not_whole 'the dump'; } | without_new_settings
        say 'RESET search_path;' # a dump empties it
        # shellcheck disable=SC2016 # quotes of PostgreSQL
        say 'DO $defaults$ BEGIN EXECUTE current_setting($$netpoint_remote.defaults$$); END $defaults$;'
        note_objects after "$(list_of_objects)"
        cat "$BUNDLE/compare.sql"
        whole_as_in "$folder/manifest" || not_whole 'the manifest'
        say "SELECT pg_catalog.concat('lost: ', current_setting('netpoint_remote.lost'));"
        say 'COMMIT;'
        say '\echo restored'
    } | sql_script) || return 1
    [ "$(say "$answers" | tail -n 1)" = restored ] || return 1
    lost=$(say "$answers" | sed -n 's/^lost: //p' | tail -n 1)
    if [ -n "$lost" ]; then
        journal warning "what others had built on NetPoint's objects is lost; its definition is in $1: $lost"
    fi
}

# Keep what a piece of SQL gives, for compare.sql, until the transaction ends.
note_objects() {
    say "SELECT pg_catalog.set_config('netpoint_remote.$1', $2, true) \\g /dev/null"
}

list_of_objects() {
    say "(SELECT string_agg(line, chr(10)) FROM ("
    cat "${BUNDLE:?}/objects.sql"
    say ') AS listed)'
}

# What is still connected as NetPoint's role is what a server left that lost its power, or its way to the database: it
# would hold tables for as long as nobody tells it that its other end is gone.
end_other_sessions() {
    say "BEGIN; SET LOCAL ROLE NONE; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid() AND application_name NOT LIKE 'netpoint-remote %'; COMMIT;"
}

# List what a restore makes anew, which is what clean.sql removes: what belongs to NetPoint's role. Extensions, schemas,
# publications, large objects, and what other roles keep in the database, stay as they are: the role may not be able to
# make them, and a migration does not remove them. No file holds the list: a way back must need no room on a disk.
what_comes_back() {
    roles=$(sql "SELECT rolname FROM pg_roles WHERE pg_has_role(current_user, rolname, 'USAGE')") || return 1
    left_out=$(sql "$not_made_again") || return 1
    { read_dump "$1" -l && say '; whole'; } | kinds=$kinds_made_again left_out=$left_out roles=$roles awk '
        BEGIN { count = split(ENVIRON["roles"], role, "\n"); entry = "^[0-9]+; [0-9]+ [0-9]+ " }
        function is_left_out(text) { return index("\n" ENVIRON["left_out"] "\n", "\n" text "\n") > 0 }
        $0 ~ entry "(OPERATOR (CLASS|FAMILY)|EVENT TRIGGER) " && is_left_out("OPERATOR CLASS") { next }
        $0 ~ entry "(" ENVIRON["kinds"] ")" && $0 !~ entry "DEFAULT ACL " {
            for (i = 1; i <= count; i++) if (substr($0, length($0) - length(role[i])) == " " role[i]) { print; next }
        }
        # A cast has no owner.
        $0 ~ entry "CAST - CAST " {
            cast = $0; sub(/^.* - CAST/, "CAST", cast); sub(/ $/, "", cast)
            if (!is_left_out(cast)) { print; next }
        }
        { last = $0 }
        END { if (last == "; whole") print last }'
}

kinds_made_again='TABLE|SEQUENCE|VIEW|MATERIALIZED VIEW|FOREIGN TABLE|FUNCTION|PROCEDURE|AGGREGATE|TYPE|SHELL TYPE|DOMAIN'
kinds_made_again="$kinds_made_again|COLLATION|INDEX|CONSTRAINT|FK CONSTRAINT|CHECK CONSTRAINT|DEFAULT|TRIGGER|RULE|POLICY|ROW SECURITY"
kinds_made_again="$kinds_made_again|STATISTICS|OPERATOR|TEXT SEARCH (CONFIGURATION|DICTIONARY)|CONVERSION|EVENT TRIGGER"
kinds_made_again="$kinds_made_again|PUBLICATION TABLE|(ACL|COMMENT) [^-]"

# What of these clean.sql leaves alone or only a superuser can make, by its name in a dump: casts, and operator classes.
not_made_again="SELECT pg_catalog.replace('CAST ' || (pg_identify_object('pg_cast'::regclass, c.oid, 0)).identity, 'pg_catalog.', '')
    FROM pg_cast c WHERE c.oid >= 16384 AND (castmethod = 'b' AND current_setting('is_superuser') = 'off' OR NOT EXISTS (
        SELECT FROM pg_depend d LEFT JOIN pg_type t ON d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid
            LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
        WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.refobjid >= 16384
            AND pg_has_role(current_user, coalesce(t.typowner, p.proowner), 'USAGE')
            AND NOT EXISTS (SELECT FROM pg_depend e
                WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')))
    UNION ALL SELECT 'OPERATOR CLASS' WHERE current_setting('is_superuser') = 'off'"

# Run pg_restore where it asks no database, as NetPoint itself: `read_dump FILE OPTION ...`. The dump was written by what
# a hostile role may have made, so root does not read it; it comes opened. A list of entries for `-f -` comes on standard
# input, by a pipe that its reader has made and so may open. Debian's wrapper chooses the version by where the environment
# leads, for pg_dump and for pg_restore alike: an older one cannot read what a newer one wrote.
read_dump() (
    load "${RUN:?}/database.env"
    dump=$1
    shift
    case "$*" in
        '-f -')
            # shellcheck disable=SC2016 # it expands in the shell of that user
            exec 3<&0 0<"$dump"
            as_user sh -c 'exec 4<&0; cat <&3 | { exec 3<&0 0<&4 4<&-; exec pg_restore -L /dev/fd/3 "$@"; }' sh "$@"
            ;;
        *) as_user pg_restore "$@" <"$dump" ;;
    esac
)

# A statement that fails, on a line of its own, wherever what went before was cut off.
not_whole() {
    printf '\n%s\n' "SELECT '$1 could not be read' / 0;"
}

# A pg_restore of 17 sets, before any row, what older servers do not know.
without_new_settings() {
    sed '1,60{/^SET transaction_timeout = 0;$/d}'
}

# Statements that fail where the database has not the migrations, or a large table not the rows, of a backup.
whole_as_in() {
    sed -n -e "s/^rows\.\([A-Za-z0-9_]*\)\.\([A-Za-z0-9_]*\)=\([0-9]*\)$/SELECT CASE WHEN count(*) = \3 THEN 1 ELSE ('\1.\2 has other rows than were saved: ' || count(*))::int END FROM \"\1\".\"\2\";/p" \
        -e "s/^migrations=\([0-9a-f ]*\)$/SELECT CASE WHEN $(migrations_told) = '\1' THEN 1 ELSE ('other migrations than were saved: ' || count(*))::int END FROM django_migrations;/p" "$1"
}

# What a person would type for restore_database.
restore_by_hand() {
    say "systemctl stop ${SERVICES:?}"
    say "RUN=$(quoted "${RUN:?}") BUNDLE=$(quoted "${BUNDLE:?}") sh -c '. \"\$BUNDLE/lib.sh\"; . \"\$BUNDLE/dumps.sh\"; restore_database \"\$1\"' sh $(quoted "$1")   # puts the dump back, all of it or nothing"
}

# Tell whether the database has the migrations that it had when a backup was made.
holds_migrations_of() {
    [ "$(sql "SELECT $(migrations_told) FROM django_migrations")" = "$(fact_of migrations "$1/manifest")" ]
}

# As dump.sql tells the migrations. Their order must not hang on the locale of a database: a scratch copy has another.
migrations_told() {
    say "count(*) || ' ' || md5(string_agg(app || '.' || name, ' ' ORDER BY app COLLATE \"C\", name COLLATE \"C\"))"
}
