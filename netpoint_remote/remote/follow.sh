# shellcheck shell=sh
# Follow a run: print its journal from an offset (bytes) as it grows, a heartbeat when it is quiet, and how it stands at the end.
: "${STATE_DIR:?}" "${RUN_ID:?}" "${OFFSET:?}"
run=$STATE_DIR/runs/$RUN_ID

state() {
    if [ -f "$run/result" ]; then
        say "done"
    elif ! [ -d "$run" ]; then
        say absent
    elif [ "$turn" != 0 ]; then
        say "$now"
    elif flock -n -s "$STATE_DIR/lock" true && ! is_carried_out "$run"; then
        say interrupted
    else
        say running
    fi
}

print_new() {
    size=$(stat -c %s -- "$run/journal" 2>/dev/null || say 0)
    if [ "$size" -gt "$OFFSET" ]; then
        tail -c "+$((OFFSET + 1))" -- "$run/journal" | head -c "$((size - OFFSET))" | sed 's/^/journal /'
        OFFSET=$size
        quiet=0
    fi
}

# To ask who holds the lock costs most of a poll: every third poll does.
quiet=0 unlocked=0 turn=0 now=running
while :; do
    now=$(state)
    turn=$(((turn + 1) % 3))
    print_new
    case $now in
        running) unlocked=0 ;;
        # Just started, or just ended, or killed and about to be settled by systemd, which takes its time on a busy server.
        interrupted) unlocked=$((unlocked + 1)) ;;
        *) break ;;
    esac
    [ "$unlocked" -lt 60 ] || break
    quiet=$((quiet + 1))
    if [ "$quiet" -ge 20 ]; then
        say alive
        quiet=0
    fi
    sleep 0.3
done
if [ "$now" = interrupted ]; then say "result $(cause_of_interruption "$run")"; fi
say "state $now"
if [ "$now" = "done" ]; then say "result $(one_line "$(cat "$run/result")" 4000)"; fi
