# shellcheck shell=sh
# Let an interrupted run be undone, detached from this connection; asking twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}"
run=$STATE_DIR/runs/$RUN_ID
if ! [ -f "$run/result" ]; then launch "$run" recover; fi
say recovering
