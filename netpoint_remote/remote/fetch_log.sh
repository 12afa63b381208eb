# shellcheck shell=sh
# Print the end of a run's log, bounded.
: "${STATE_DIR:?}" "${RUN_ID:?}"
tail -c 2000000 -- "$STATE_DIR/runs/$RUN_ID/log"
