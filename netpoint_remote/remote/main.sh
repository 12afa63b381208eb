# shellcheck shell=sh
# Carry a plan to its end, or back to its start, with nobody watching (the design, "On the server").
#
# The run's folder is all the state there is:
#   bundle/    lib.sh, this file, the steps, the plan (name phase limit tries), vars.sh, environment.sh
#   journal    what happened, appended; the workstation follows it
#   log        all output, without secrets; what the present step prints is in `output` until it ends
#   changed    the steps that began to change something, oldest first; written before they do
#   before/    what undo needs to know, recorded before the first change
#   opened     users may be on the new release: what is cut off from here on is carried on, not undone
#   result     the end: "status reason", written by rename; a run without it and without the lock was interrupted
#   unsettled  an undo failed: what `changed` still names is to be undone, by the next run or by hand
: "${RUN:?}"
BUNDLE=$RUN/bundle
# No administrator's shell has what systemd gives to all services.
if [ -n "${INVOCATION_ID-}" ]; then exec env -i PATH="$PATH" RUN="$RUN" sh "$0" "$@"; fi
# shellcheck source=/dev/null
. "$BUNDLE/vars.sh"
# shellcheck source=lib.sh
. "$BUNDLE/lib.sh"
umask 077
# shellcheck source=ownership.sh
. "$BUNDLE/ownership.sh"
# shellcheck source=locks.sh
. "$BUNDLE/locks.sh"
# shellcheck source=as_unit.sh
. "$BUNDLE/as_unit.sh"
# As in an administrator's shell: systemd starts us without.
export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d : -f 6)}"
STEP=-
keep_time

# Run one verb of one step in a process group of its own, under its time limit (seconds).
step_verb() {
    verb=$1 limit=$2 ended=0
    log_output # of a step that was cut off
    catch_output
    timeout -k 20 "$limit" sh "$BUNDLE/step.sh" "$STEP" "$verb" </dev/null >"$output" 2>&1 5>&- 7>&- 8>&- 9>&- || ended=$?
    log_output
    return "$ended"
}

# A file in between, and no pipe: whoever a step leaves running may hold a pipe open for ever. What cannot be caught, on
# a full disk, is not worth a step that makes room.
catch_output() {
    output=$RUN/output
    ( : >"$output") 2>/dev/null || output=/dev/null
}

log_output() {
    [ -e "$RUN/output" ] || return 0
    if [ -s "$RUN/output" ]; then mask <"$RUN/output" >>"$RUN/log" || :; fi
    rm -f -- "$RUN/output" || :
}

pause_before() {
    awk -v n="$1" 'BEGIN { srand(); printf "%d", 2 ^ n + rand() * 3 }'
}

# A stop is asked for by a file with the name of who asks (stop.sh). What users have already is not taken from them.
stop_is_asked() {
    [ -e "$RUN/stop" ] && [ "$phase" != after ] && ! [ -e "$RUN/opened" ]
}

stopped_by() {
    who=$(head -c 200 -- "$RUN/stop" | head -n 1)
    say "stopped by ${who:-the operator}"
}

pause_unless_stopped() {
    left=$(pause_before "$1")
    while [ "$left" -gt 0 ] && ! stop_is_asked; do
        sleep 1
        left=$((left - 1))
    done
}

# Check, apply (again, where the step is marked transient), check.
run_step() {
    STEP=$1 limit=$2 tries=$3
    rm -f -- "$RUN/reason"
    journal step ''
    say "== $STEP: check" >>"$RUN/log"
    if step_verb check "$limit"; then
        journal step-done unchanged
        return 0
    fi
    # Written down before it changes anything; what cannot be written down (a full disk) is not begun.
    if ! say "$STEP" >>"$RUN/changed"; then
        say "its beginning could not be written down in $RUN" >"$RUN/reason" || :
        journal step-failed "its beginning could not be written down"
        return 1
    fi
    sync -- "$RUN/changed" 2>/dev/null || :
    attempt=1
    while :; do
        say "== $STEP: apply" >>"$RUN/log"
        rm -f -- "$RUN/reason"
        status=0 begun=$(uptime_seconds)
        step_verb apply "$limit" || status=$?
        [ "$status" -ne 0 ] || break
        # 4: the step knows that trying again cannot help (give_up)
        if [ "$attempt" -ge "$tries" ] || [ "$status" -eq 4 ]; then
            explain "$status" "$limit"
            journal step-failed "$(because)"
            return 1
        fi
        attempt=$((attempt + 1))
        journal attempt "$attempt: $(cat "$RUN/reason" 2>/dev/null || say "ended with status $status")"
        pause_unless_stopped "$attempt"
        if stop_is_asked; then
            say "$(stopped_by) before it was tried again" >"$RUN/reason"
            journal step-failed "$(because)"
            return 1
        fi
    done
    say "== $STEP: check" >>"$RUN/log"
    if step_verb check "$limit"; then
        journal step-done "done"
        return 0
    fi
    [ -s "$RUN/reason" ] || say "the step succeeded, but its check still fails" >"$RUN/reason"
    journal step-failed "$(because)"
    return 1
}

# Give the reason of a failure that told none.
explain() {
    if [ "$1" -eq 137 ] && [ "$(($(uptime_seconds) - begun))" -lt "$2" ]; then
        say "it was killed; where memory is short, the kernel does that" >"$RUN/reason"
    elif [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        say "it took longer than its limit of $2 seconds" >"$RUN/reason"
    elif ! [ -s "$RUN/reason" ]; then
        say "it ended with status $1: $(sed '/^== /d' "$RUN/log" | tail -n 2 | without_rows | tr -s '\n' ' ')" >"$RUN/reason"
    fi
}

# Why it went wrong; on a full disk nobody could write that down.
because() {
    if [ -f "$RUN/reason" ] && [ -s "$RUN/reason" ]; then
        mask <"$RUN/reason"
    else
        say "it failed, and why could not be written down: there may be no room on the disk of $RUN"
    fi
}

limit_of() {
    awk -v name="$1" '$1 == name { print $3 }' "$BUNDLE/plan"
}

# Undo what changed, newest first, and forget what is undone. The first undo that fails ends the way back: what lies
# before it was built on by what could not be undone, and a half-known state is better left than stirred. Status 3: rows
# would be lost.
undo_changed() {
    # shellcheck disable=SC2013 # names of steps, one a line
    for STEP in $(newest_first); do
        rm -f -- "$RUN/reason"
        journal undo ''
        say "== $STEP: undo" >>"$RUN/log"
        status=0 begun=$(uptime_seconds) limit=$(limit_of "$STEP")
        step_verb undo "$limit" || status=$?
        if [ "$status" -ne 0 ]; then
            explain "$status" "$limit"
            journal undo-failed "$(because)"
            return "$status"
        fi
        journal undo-done ''
        # Undone once more after a power cut, a step may meet what users have written since.
        settle_disks "$RUN" "${ROOT:-$RUN}"
        # On a full disk it stays written down, and is undone once more by who comes next: that is harmless.
        sed '$d' "$RUN/changed" | write_file "$RUN/changed" || rm -f -- "$RUN/changed.partial"
        settle_disks "$RUN"
    done
}

newest_first() {
    if [ -f "$RUN/changed" ]; then awk '{ line[NR] = $0 } END { for (i = NR; i; i--) print line[i] }' "$RUN/changed"; fi
}

# What could not be undone stays written down, with what is needed for it: for the next run, which begins with it, and
# for a person, who is told each command.
leave_unsettled() {
    ( : >"$RUN/unsettled") || :
    stuck=$STEP
    journal by-hand "RUN=$(quoted "$RUN") sh $(quoted "$BUNDLE/main.sh") recover   # once the cause is fixed; or, in this order:"
    if grep -q -s -x guard_boot "$RUN/changed"; then journal by-hand "systemctl stop netpoint-remote-recover.service   # it would try the same at the same time"; fi
    for STEP in $(newest_first); do
        timeout -k 20 60 sh "$BUNDLE/step.sh" "$STEP" by_hand 2>/dev/null | while IFS= read -r line; do journal by-hand "$line"; done || :
    done
    STEP=$stuck
    finish failed "$1"
}

# Take back what was done and say how that ended. The reason of the failure comes first: it is what the operator looks for.
go_back() {
    why=$1
    status=0
    # It may be a full disk that ends the plan: what undo does not need makes room. Or the database, which may be back soon.
    remove_tree "$RUN/wheels" "$RUN/scratch" "$RUN/tree" || :
    if wait_for_database && ! hold_database; then
        case $answer in
            held*)
                leave_unsettled "$why. Nothing was undone, for another run is using this database: it is $answer"
                return 0
                ;;
            *) ;;
        esac
    fi
    undo_changed || status=$?
    case $status in
        0) finish reverted "$why" ;;
        3)
            why="$why. It was not undone: $(because)"
            carry_on_after "$(tail -n 1 "$RUN/changed")"
            finish failed "$why"
            ;;
        *) leave_unsettled "$why. Undoing $STEP failed: $(because). What was done before $STEP is left as it is; the log is $RUN/log" ;;
    esac
}

# What users have stays with them, so the steps that follow are due all the same; what fails is in the log.
carry_on_after() {
    while read -r name phase limit tries <&7; do
        if [ "$phase" = after ] && [ "$name" != "$1" ]; then run_step "$name" "$limit" "$tries" || :; fi
    done 7<"$BUNDLE/plan"
}

finish() {
    remove_tree "$RUN/wheels" "$RUN/scratch" "$RUN/tree" || :
    # What a step caught of others' output is in the log, without secrets.
    rm -f -- "$RUN/pip.log" "$RUN/last_words" "$RUN/reason" || :
    if [ "$1" = upgraded ] && is_own_note "$STATE_DIR/rolled-back/$TREE_VERSION"; then rm -f -- "$STATE_DIR/rolled-back/$TREE_VERSION"; fi
    STEP=-
    journal finished "$1 $2"
    # The result before what settling the run would need: cut off in between, it has nothing left to settle.
    say "$(one_line "$1 $2" 4000)" | write_file "$RUN/result"
    remove_units "$RUN" || :
    [ -e "$RUN/unsettled" ] || forget_secrets "$RUN"
}

forget_secrets() {
    rm -f -- "$1/database.env" "$1/upgrade.env" "$1/bundle/environment.sh" "$1/bundle/netrc" "$1/secrets"
}

# Carry out the steps in order; with the name of one, from there on.
run_plan() {
    from=${1-}
    journal started "$(wc -l <"$BUNDLE/plan") steps"
    while read -r name phase limit tries <&8; do
        [ "${from:-$name}" = "$name" ] || continue
        from=
        if stop_is_asked; then
            go_back "$(stopped_by) before $name"
            return 0
        fi
        if ! hold_database; then
            STEP=$name
            case $answer in
                held*) leave_unsettled "before $name the lock of the database was lost: it is $answer. Nothing was undone, because another run is in progress there" ;;
                *) go_back "before $name $answer" ;;
            esac
            return 0
        fi
        if ! run_step "$name" "$limit" "$tries"; then
            go_back "$name: $(because)"
            return 0
        fi
    done 8<"$BUNDLE/plan"
    finish "$GOAL" ''
}

# A run that was interrupted, or that could not go back, is brought to its end before anything else starts.
recover() {
    earlier=$STATE_DIR/runs/$(last_run)
    [ -d "$earlier/bundle" ] && [ "$earlier" != "$RUN" ] || return 0
    if ! [ -f "$earlier/result" ] || [ -e "$earlier/unsettled" ]; then
        if is_carried_out_elsewhere "$earlier"; then refuse "another run is in progress on this host: $(basename -- "$earlier"), whose lock was removed"; fi
        RUN=$earlier sh "$earlier/bundle/main.sh" undo 9>&-
        [ -f "$earlier/result" ] && ! [ -e "$earlier/unsettled" ]
    else
        # It may have been cut off before it did so itself.
        remove_units "$earlier" || :
        forget_secrets "$earlier"
    fi
}

# Bring an interrupted run to an end: on, where users may have had the new release already, else back to where it began.
settle() {
    place=$(place_of_interruption "$RUN")
    if [ -e "$RUN/unsettled" ]; then
        interrupted="it failed, and could not be undone at first $place"
    else
        interrupted="it was interrupted $place: $(cause_of_interruption "$RUN")"
    fi
    note_boot "$RUN"
    end_left_over
    remove_units "$RUN" || :
    # The result first: a run without one is settled by whoever comes next, should this be cut off too.
    rm -f -- "$RUN/result"
    rm -f -- "$RUN/unsettled"
    reached=yes
    wait_for_database || reached=
    if [ -n "$reached" ] && ! lock_database; then
        leave_unsettled "$interrupted; what it did cannot be undone now: $answer"
    elif [ -f "$RUN/opened" ] && [ -z "$reached" ] && [ -f "$RUN/database.env" ]; then
        journal note "the database does not answer: the run stays interrupted until it does"
    elif [ -f "$RUN/opened" ]; then
        rm -f -- "$RUN/window"
        run_plan "$(tail -n 1 "$RUN/changed")"
    else
        go_back "$interrupted"
    fi
}

# A runner that was killed leaves the step it had begun: that must not go on while it is undone.
end_left_over() {
    for tries in 1 2 3 4 5 6 7 8 9 10; do
        left=$(processes_with "$BUNDLE/step.sh")
        [ -n "$left" ] || return 0
        for process in $left; do
            group=$(group_of "$process")
            [ -z "$group" ] || kill -KILL "-$group" 2>/dev/null || :
        done
        sleep 0.2
    done
    say "after $tries attempts a step of the interrupted run still goes on"
}

# After a boot the database may come up later than we do, and it may be restarted at any time.
wait_for_database() {
    [ -f "$RUN/database.env" ] || return 1
    if database_answers; then return 0; fi
    journal note 'waiting for the database, at most 300 s'
    waited=0 begun=$(uptime_seconds)
    until database_answers; do
        # A try may take its time, where packets vanish.
        [ "$waited" -lt 300 ] && [ "$(($(uptime_seconds) - begun))" -lt 300 ] || return 1
        waited=$((waited + 1))
        sleep 1
    done
}

# A host that vanished is silent, and no time limit of libpq ends that.
database_answers() {
    # shellcheck disable=SC2016 # it expands in the shell that has the limit
    BUNDLE=$BUNDLE timeout -k 5 30 sh -c '. "$BUNDLE/lib.sh"; sql "SELECT 1"' >/dev/null 2>&1 5>&- 8>&- 9>&-
}

# Nothing was done and nothing is left behind.
refuse() {
    finish refused "$1"
    exit 1
}

case ${1:-run} in
    run)
        lock_host || refuse "$why"
        note_boot "$RUN"
        recover || { finish failed "what the run $(basename -- "$earlier") left behind could not be undone: $(cut -d ' ' -f 2- "$earlier/result" 2>/dev/null || :)"; exit 1; }
        prepared=0
        timeout -k 20 300 sh "$BUNDLE/prepare.sh" >"$RUN/output" 2>&1 9>&- || prepared=$?
        [ "$prepared" -ne 124 ] || say "the configuration of NetPoint was not read within 300 seconds" >"$RUN/reason"
        log_output
        [ "$prepared" -eq 0 ] || refuse "$(mask <"$RUN/reason" 2>/dev/null || tail -n 1 "$RUN/log")"
        lock_database || case $answer in held*) refuse "another run is using this database: $answer" ;; *) refuse "$answer" ;; esac
        basename -- "$RUN" | write_file "$STATE_DIR/current"
        run_plan
        ;;
    recover)
        # Whoever holds the lock is at it already; only the one that gets it may write how it ended.
        lock_host && ! is_carried_out_elsewhere "$RUN" || exit 0
        if ! [ -f "$RUN/result" ] || [ -e "$RUN/unsettled" ]; then settle; fi
        # The unit that settles a run at boot tries it again.
        [ -f "$RUN/result" ] && ! [ -e "$RUN/unsettled" ]
        ;;
    undo) settle ;;
    *) exit 64 ;;
esac
