# shellcheck shell=sh
# Say what runs on this server, or how a run ended; change nothing. RUN_ID names the run, empty: the one at work, else the last.
: "${STATE_DIR:?}" "${RUN_ID?}"

# The beginning of a file's first line: what a damaged file holds is bounded, too.
first_line() {
    head -c 1000 -- "$1" 2>/dev/null | tr -d '\000' | head -n 1
}

is_name() {
    case $1 in '' | .* | *[!A-Za-z0-9_.-]*) return 1 ;; *) [ "${#1}" -le 100 ] ;; esac
}

# Tell whether some run is at work. A note in the lock's file says which; the lock itself is the kernel's.
is_locked() {
    [ -r "$STATE_DIR/lock" ] && have flock && ! flock -n -s "$STATE_DIR/lock" true
}

chosen_run() {
    if [ -n "$RUN_ID" ]; then
        printf '%s' "$RUN_ID"
    elif [ -n "$owner" ] && is_name "${owner%% *}" && [ -d "$STATE_DIR/runs/${owner%% *}" ]; then
        printf '%s' "${owner%% *}"
    else
        last_run
    fi
}

# A run is at work when it has signed the lock; where nobody signed, it is the one that got the lock last.
is_at_work() {
    is_locked || return 1
    owner=$(first_line "$STATE_DIR/lock")
    if is_name "${owner%% *}"; then [ "${owner%% *}" = "$id" ]; else [ "$(last_run)" = "$id" ]; fi
}

state() {
    if [ -f "$run/result" ] && ! [ -e "$run/unsettled" ]; then
        say "done"
    elif is_at_work; then
        say running
    elif [ -e "$run/unsettled" ]; then
        say unsettled
    elif [ -f "$run/result" ]; then # it ended while we looked
        say "done"
    elif is_at_work; then # it began while we looked
        say running
    elif is_carried_out "$run"; then # somebody removed the lock's file
        say running
    elif [ "$(last_run)" = "$id" ]; then
        say interrupted
    else
        say waiting # for the lock, where it is alive
    fi
}

tell_run() {
    fact run "$id"
    fact run.about "$(first_line "$run/about")"
    fact run.steps "$(wc -l <"$run/bundle/plan" 2>/dev/null || :)"
    fact run.after "$(awk '$2 == "after" { print NR; exit }' "$run/bundle/plan" 2>/dev/null || :)"
    for name in METHOD OLD_VERSION TREE_VERSION; do
        fact "run.$name" "$(sed -n "s/^$name=//p" "$run/bundle/vars.sh" 2>/dev/null | head -n 1 | head -c 100)"
    done
    fact run.began "$(head -c 100 -- "$run/journal" 2>/dev/null | head -n 1 | cut -d ' ' -f 1)"
    if [ -e "$run/stop" ]; then fact run.stop "$(first_line "$run/stop")"; fi
    # The steps and the window, not what was said in between.
    tail -c 100000 -- "$run/journal" 2>/dev/null | tr '\000-\010\013-\037\177' ' ' |
        awk '$2 ~ /^(step|step-done|step-failed|undo|undo-done|undo-failed|window-open|window-closed|by-hand)$/ { print "journal " substr($0, 1, 1200) }' |
        tail -n 300
    fact run.state "$(state)"
    fact run.cause "$(cause_of_interruption "$run")"
    # The result after the state: a run that was at work may have one by now.
    if [ -f "$run/result" ]; then
        fact run.result "$(first_line "$run/result")"
        fact run.ended "$(stat -c %Y -- "$run/result" 2>/dev/null || :)"
    fi
}

tell() {
    fact status 1
    fact time "$(date +%s)"
    owner=
    weak=$(weak_spot "$STATE_DIR")
    if [ -n "$weak" ]; then
        # What somebody else may have put there is not read.
        fact trouble "$STATE_DIR cannot be trusted: $weak"
        fact status.complete yes
        return 0
    fi
    if [ -e "$STATE_DIR" ] && ! { [ -r "$STATE_DIR" ] && [ -x "$STATE_DIR" ]; }; then
        fact trouble "$(id -un) may not look into $STATE_DIR"
    elif is_locked; then
        owner=$(first_line "$STATE_DIR/lock")
        fact owner "${owner:--}"
    fi
    id=$(chosen_run)
    run=$STATE_DIR/runs/$id
    if is_name "$id" && [ -d "$run" ]; then tell_run; fi
    fact status.complete yes
}

# One packet in place of one for each line.
tell | awk 1
