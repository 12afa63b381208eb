# shellcheck shell=sh
# Stop NetPoint and make sure that nobody of its own writes any more: from here on users are without it.
: "${SERVICES:?}" "${PRODUCT:?}" "${RUN:?}" "${OLD:?}" "${ROOT:?}" "${CRON_DIR:?}" "${BUNDLE:?}"

check() {
    [ -f "$RUN/window" ] && ! with_services systemctl is-active "$PRODUCT-housekeeping.timer" 2>/dev/null | grep -q -x -E "$up"
}

apply() {
    said=$(applied_migrations 2>&1) || fail "the database does not answer, so nothing was stopped: $said"
    left=$(who_is_left other) || fail "$unseen: $(last_line)"
    [ -z "$left" ] || fail "nothing was stopped, for something else runs out of the release: $left"
    wait_for_strangers
    : >"$RUN/window"
    sync -- "$RUN/window" "$RUN"
    journal window-open ''
    if active "$PRODUCT-housekeeping.timer"; then systemctl stop "$PRODUCT-housekeeping.timer"; fi
    with_services_in_order systemctl stop
    left=$(who_is_left any) || fail "$unseen: $(last_line)"
    [ -z "$left" ] || fail "the services were stopped, and something still runs out of the release: $left"
    wait_for_sessions
}

# Wait for the end of the services' sessions, which a pooler keeps open for its next client.
wait_for_sessions() {
    waited=0
    while left=$(sessions) || fail "$unlisted: $(last_line)"; [ "$left" -gt 0 ]; do
        if [ "$waited" -ge 5 ] && pooled=$(ask_of_sessions pooled) && [ -n "$pooled" ]; then
            watch_pooler
            return
        fi
        [ "$waited" -lt 30 ] || fail "$others_are_open: $(session_names)"
        waited=$((waited + 1))
        sleep 1
    done
}
others_are_open="other sessions are open on NetPoint's database"
unlisted='the sessions of the database could not be listed'

# End the idle sessions of a pooler, and see that for five seconds none is lent again: a client of the pooler reconnects.
# Sessions that the pooler opens in advance have run no statement.
watch_pooler() {
    watch_sessions | {
        quiet=0
        while [ "$quiet" -lt 5 ] && IFS= read -r left; do
            if [ "$left" = 0 ]; then quiet=$((quiet + 1)); else quiet=0; fi
        done
        [ "$quiet" -ge 5 ]
    } || fail "$others_are_open: $(session_names)"
    strange=$(ask_of_sessions strangers) || fail "$unlisted: $(last_line)"
    [ -z "$strange" ] || fail "$others_are_open: $strange"
}

# Print each second how many sessions have been used since those of the pooler were ended. One transaction prints all of it,
# so that the pooler lends us no second session.
watch_sessions() {
    {
        say '-- Watch the sessions'
        say "BEGIN; $as_ourselves"
        say "$without_limits"
        say "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $others AND state = 'idle' AND pid IN ($pooled) \\g /dev/null"
        seconds=0
        while [ "$seconds" -lt 25 ]; do
            say 'SELECT pg_sleep(1), pg_stat_clear_snapshot() \g /dev/null'
            say "SELECT count(*) FROM pg_stat_activity WHERE $others AND NOT (state = 'idle' AND query = '');"
            seconds=$((seconds + 1))
        done
    } | sql_script
}

# Wait for the end of the processes that run out of a release, of those of other units or of any, and tell who is left.
# What a timer or cron has begun ends by itself, mostly; what a unit leaves behind when it is stopped (KillMode=) may not.
who_is_left() {
    tree_users left "$1" 30
}
unseen="what runs out of the release could not be listed"

# Wait for the end of the sessions that stopping the services does not end: a job of cron is soon over.
wait_for_strangers() {
    waited=0
    while left=$(ask_of_sessions strangers) || fail "$unlisted: $(last_line)"; [ -n "$left" ]; do
        [ "$waited" -lt 30 ] || fail "nothing was stopped, for other sessions of NetPoint's role are open: $left"
        waited=$((waited + 1))
        sleep 1
    done
}

# Print those sessions that are `strangers` or `pooled` (tree_users.py).
ask_of_sessions() {
    listed=$(sql_script <"$BUNDLE/sessions.sql") || return 1
    own_addresses=$(hostname -I 2>/dev/null || :)
    say "$listed" | tree_users "$1" "$own_addresses"
}

# A role that acts as another one (ALTER ROLE ... SET role) does not see its own sessions. For one transaction.
as_ourselves='SET LOCAL ROLE NONE;'

# Not our own: this one, and the one that holds the lock.
others="datname = current_database() AND usename = session_user AND pid <> pg_backend_pid() AND application_name NOT LIKE 'netpoint-remote %'"

sessions() {
    sql "$as_ourselves SELECT count(*) FROM pg_stat_activity WHERE $others"
}

session_names() {
    sql "$as_ourselves SELECT coalesce(client_addr::text, 'this server') || ' (' || application_name || ')' FROM pg_stat_activity WHERE $others" | tr '\n' ' '
}

# Start what ran before, and give it time to answer. What did not answer before (health_url is wrong, or a broken
# installation was to be repaired) need not answer now: no undo would ever come to its end.
undo() {
    opened=
    [ ! -f "$RUN/window" ] || opened=yes
    rm -f -- "$RUN/window"
    failed=
    # shellcheck disable=SC2013 # names of units: one word a line
    for unit in $(cat "$RUN/before/active"); do systemctl start "$unit" || failed="$failed $unit"; done
    if answered_before; then
        [ -z "$failed" ] || fail "systemctl could not start$failed"
        if grep -q -v timer "$RUN/before/active"; then wait_for_login "$OLD" 90 || fail "the old release was started and does not answer"; fi
    elif grep -q -v timer "$RUN/before/active" && ! wait_for_login "$OLD" 10; then
        journal warning "the login page does not answer, as it did not before this run"
    fi
    if [ -n "$opened" ]; then journal window-closed ''; fi
    # shellcheck disable=SC2013 # as above
    for unit in $(cat "$RUN/before/active"); do
        state=$(systemctl is-active "$unit" || :)
        [ "$state" = active ] || journal warning "$unit was started again and is $state: journalctl -u $unit"
    done
}

# A run of before this was written down is judged as if it had.
answered_before() {
    ! [ -s "$RUN/before/page" ] || [ "$(fact_of page.login "$RUN/before/page")" = 200 ]
}

by_hand() {
    say "rm -f -- $(quoted "$RUN/window")   # NetPoint may start again"
    if [ -s "$RUN/before/active" ]; then say "systemctl start $(tr '\n' ' ' <"$RUN/before/active")"; fi
}
