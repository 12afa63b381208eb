# shellcheck shell=sh
# Start the new release; users have NetPoint again when its login page answers (the upgrade document, step 5).
: "${SERVICES:?}" "${RUN:?}" "${ROOT:?}" "${PRODUCT:?}" "${BUNDLE:?}"
# shellcheck source=../losses.sh
. "$BUNDLE/losses.sh"

check() {
    for unit in $SERVICES; do active "$unit" || return 1; done
    [ -f "$RUN/serving" ]
}

apply() {
    if ! [ -f "$RUN/rows" ]; then
        rows=$(rows_written)
        newest=$(newest_change)
        say "$rows $newest" | write_file "$RUN/rows"
    fi
    systemctl daemon-reload
    # What was carried on after a power cut must be all there: the release as well as the word that users have it.
    settle_disks "$ROOT" "$RUN"
    # From here on users may write: a run that is cut off now is carried on, not undone.
    : >"$RUN/opened"
    sync -- "$RUN/opened" "$RUN"
    rm -f -- "$RUN/window"
    with_services_in_order systemctl start || fail "systemctl could not start $SERVICES"
    start_timer "$PRODUCT-housekeeping.timer"
    wait_for_login "$ROOT" 90 || fail "the services were started and the login page does not answer: $(say "$answered" | sed 's/^[^=]*=//' | tr '\n' ' ')"
    journal window-closed ''
    : >"$RUN/serving"
}

# The timer of the old release may be a link to a file that the new one has no more (NetBox 4.4): that undoes no upgrade.
start_timer() {
    grep -q -x -F "$1" "$RUN/before/active" || return 0
    systemctl start "$1" || journal warning "$1 could not be started: see systemctl status $1"
}

# Print how much was written since the start, as the statistics and the change log have it: a session that a pooler keeps
# open may tell the statistics of its rows later.
written_since() {
    IFS=' ' read -r rows_before newest_before <"$RUN/rows"
    rows=$(rows_written) && newest=$(newest_change) || return 1
    written=$((rows - rows_before))
    if [ "$written" -ne 0 ]; then say "$written"; else say "$((newest - newest_before))"; fi
}

# Users could write since the start: what they wrote is not thrown away by a program (the design, promise 2).
undo() {
    if [ -f "$RUN/serving" ]; then journal window-open ''; fi
    : >"$RUN/window"
    with_services_in_order systemctl stop
    if [ -f "$RUN/opened" ]; then
        sleep 1
        written=$(written_since) || written=-1
        if [ "$written" -ne 0 ]; then
            rm -f -- "$RUN/window"
            with_services_in_order systemctl start || :
            if [ -f "$RUN/serving" ]; then journal window-closed ''; fi
            # PostgreSQL counts anew after a crash, and may not answer.
            case $written in -*) written="an unknown number of rows" ;; 1) written="1 row" ;; *) written="$written rows" ;; esac
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
