# shellcheck shell=sh
# Let an interrupted run be settled, detached from this connection; asking twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}"
run=$STATE_DIR/runs/$RUN_ID
if ! [ -f "$run/result" ]; then launch "$run" recover || say "it is being settled already"; fi
say recovering
