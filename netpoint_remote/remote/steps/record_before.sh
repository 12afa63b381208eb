# shellcheck shell=sh
# Write down all that undo needs, before the first change: units, link or branch, what the database has, whether a page answers.
: "${RUN:?}" "${ROOT:?}" "${PRODUCT:?}" "${SERVICES:?}" "${METHOD:?}" "${HEALTH_URL?}" "${CRON_DIR:?}"

check() {
    [ -f "$RUN/before/complete" ]
}

apply() {
    umask 077
    mkdir -p -- "$RUN/before/units"
    record_active
    { [ ! -L "$ROOT" ] || readlink -- "$ROOT"; } >"$RUN/before/link"
    if [ "$METHOD" = git ]; then
        checkout symbolic-ref -q --short HEAD >"$RUN/before/ref" || checkout rev-parse HEAD >"$RUN/before/ref"
    fi
    applied_migrations >"$RUN/before/migrations"
    views >"$RUN/before/views"
    # Whatever it answers, an error too: that is how it was.
    page_facts "$ROOT" "$HEALTH_URL" >"$RUN/before/page" || :
    tree_users processes >"$RUN/before/processes"
    : >"$RUN/before/complete"
    sync
}

record_active() {
    : >"$RUN/before/active"
    for unit in $(units_in_order) "$PRODUCT-housekeeping.timer"; do
        [ -n "$(systemctl is-active "$unit" || :)" ] || fail "systemd does not say whether $unit runs"
        if active "$unit"; then say "$unit" >>"$RUN/before/active"; fi
    done
}

undo() {
    :
}
