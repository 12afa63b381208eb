# shellcheck shell=sh
# Let a run that was interrupted, or could not go back, be settled, detached from this connection; asking twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}"
run=$STATE_DIR/runs/$RUN_ID
# Whoever follows would take how it ended the last time for how it ends now. Who holds the lock is at it already.
# shellcheck disable=SC2016 # it expands in the shell that holds the lock
flock -n "$STATE_DIR/lock" sh -c 'if [ -e "$1/unsettled" ]; then rm -f -- "$1/result"; fi' sh "$run" || :
if ! [ -f "$run/result" ] || [ -e "$run/unsettled" ]; then launch "$run" recover || say "it is being settled already"; fi
say recovering
