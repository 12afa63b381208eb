# shellcheck shell=sh
# Let a run that was interrupted, or could not go back, be settled, detached from this connection; asking twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}"
run=$STATE_DIR/runs/$RUN_ID

# The unit of before may not have quite gone yet; whoever was quicker has the lock.
settle() {
    tries=0
    until launch "$run" recover; do
        flock -n -s "$STATE_DIR/lock" true || return 0
        [ "$tries" -lt 40 ] || { say "settling could not be started: $(tail -n 1 "$run/log")"; exit 1; }
        tries=$((tries + 1))
        sleep 0.5
    done
}

# Whoever follows would take how it ended the last time for how it ends now. Who holds the lock
# is at it already, or has just written how it ended.
# shellcheck disable=SC2016 # it expands in the shell that holds the lock
flock -w 3 "$STATE_DIR/lock" sh -c 'if [ -e "$1/unsettled" ]; then rm -f -- "$1/result"; fi' sh "$run" || :
if ! [ -f "$run/result" ] || [ -e "$run/unsettled" ]; then settle; fi
say recovering
