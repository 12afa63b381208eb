# shellcheck shell=sh
# Receive a bundle (a tar on standard input) and start it detached from this connection; starting it twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}"
umask 077
run=$STATE_DIR/runs/$RUN_ID
make_private "$STATE_DIR/runs"
chmod 700 -- "$STATE_DIR/runs"
remove_tree "$run.partial"
mkdir -- "$run.partial"
# A line that is gone without a word would be waited for.
timeout 600 tar -xf - -C "$run.partial"
if [ -d "$run" ]; then
    remove_tree "$run.partial"
    say already started
    exit 0
fi
mv -T -- "$run.partial" "$run"
: >"$run/journal"
launch "$run" run
say started
