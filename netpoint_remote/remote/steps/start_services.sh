# shellcheck shell=sh
# Start the new release; users have NetPoint again when its login page answers (the upgrade document, step 5).
: "${SERVICES:?}" "${RUN:?}" "${ROOT:?}" "${PRODUCT:?}"

check() {
    for unit in $SERVICES; do active "$unit" || return 1; done
    [ -f "$RUN/serving" ]
}

apply() {
    if ! [ -f "$RUN/rows" ]; then
        rows=$(rows_written)
        say "$rows" | write_file "$RUN/rows"
    fi
    systemctl daemon-reload
    # What was carried on after a power cut must be all there: the release as well as the word that users have it.
    settle_disks "$ROOT" "$RUN"
    # From here on users may write: a run that is cut off now is carried on, not undone.
    : >"$RUN/opened"
    sync -- "$RUN/opened" "$RUN"
    rm -f -- "$RUN/window"
    with_services_in_order systemctl start || fail "systemctl could not start $SERVICES"
    if grep -q -x -F "$PRODUCT-housekeeping.timer" "$RUN/before/active"; then systemctl start "$PRODUCT-housekeeping.timer"; fi
    wait_for_login "$ROOT" 90 || fail "the services were started and the login page does not answer: $(say "$answered" | sed 's/^[^=]*=//' | tr '\n' ' ')"
    journal window-closed ''
    : >"$RUN/serving"
}

# Users could write since the start: what they wrote is not thrown away by a program (the design, promise 2).
undo() {
    if [ -f "$RUN/serving" ]; then journal window-open ''; fi
    : >"$RUN/window"
    with_services_in_order systemctl stop
    if [ -f "$RUN/opened" ]; then
        sleep 1
        if rows=$(rows_written); then written=$((rows - $(cat "$RUN/rows"))); else written=-1; fi
        if [ "$written" -ne 0 ]; then
            rm -f -- "$RUN/window"
            with_services_in_order systemctl start || :
            if [ -f "$RUN/serving" ]; then journal window-closed ''; fi
            # PostgreSQL counts anew after a crash, and may not answer.
            if [ "$written" -gt 0 ]; then written="$written rows"; else written="an unknown number of rows"; fi
            say "undoing would discard $written written since the new release was started" >"$RUN/reason"
            exit 3
        fi
    fi
    rm -f -- "$RUN/opened" "$RUN/serving" "$RUN/rows"
}

by_hand() {
    say "systemctl stop ${SERVICES:?}"
    say "rm -f -- $(quoted "$RUN/opened") $(quoted "$RUN/serving") $(quoted "$RUN/rows")   # else the next run goes on from here"
}
