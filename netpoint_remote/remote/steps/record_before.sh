# shellcheck shell=sh
# Write down all that undo needs, before the first change: units, users, link or branch, how to reach the database.
: "${RUN:?}" "${ROOT:?}" "${OLD:?}" "${PRODUCT:?}" "${SERVICES:?}" "${METHOD:?}"

check() {
    [ -f "$RUN/before/complete" ] && [ -f "$RUN/database.env" ]
}

apply() {
    umask 077
    mkdir -p -- "$RUN/before/units"
    : >"$RUN/unit.env"
    systemctl show -p Environment,EnvironmentFiles "${SERVICES%% *}" | ask "$OLD" unit | write_file "$RUN/unit.env"
    ask "$OLD" database "$OLD" "$PRODUCT" | write_file "$RUN/database.env"
    grep -q PGDATABASE "$RUN/database.env" || grep -q PGSERVICE "$RUN/database.env" || fail "the configuration names no database"
    record_units
    readlink -- "$ROOT" >"$RUN/before/link" || :
    if [ "$METHOD" = git ]; then
        checkout symbolic-ref -q --short HEAD >"$RUN/before/ref" || checkout rev-parse HEAD >"$RUN/before/ref"
    fi
    applied_migrations >"$RUN/before/migrations"
    : >"$RUN/before/complete"
    sync
}

record_units() {
    user=$(systemctl show -p User "${SERVICES%% *}" | sed -n 's/^User=//p')
    say "${user:-$(id -un)}" >"$RUN/before/user"
    : >"$RUN/before/active"
    for unit in $SERVICES "$PRODUCT-housekeeping.timer"; do
        if active "$unit"; then say "$unit" >>"$RUN/before/active"; fi
    done
}

undo() {
    :
}
