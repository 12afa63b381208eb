# shellcheck shell=sh
# Receive a bundle (a tar on standard input) and start it detached from this connection; starting it twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}"
umask 077
run=$STATE_DIR/runs/$RUN_ID
mkdir -p -- "$STATE_DIR/runs"
chmod 700 -- "$STATE_DIR" "$STATE_DIR/runs"
rm -rf -- "$run.partial"
mkdir -- "$run.partial"
tar -xf - -C "$run.partial"
if [ -d "$run" ]; then
    rm -rf -- "$run.partial"
    say already started
    exit 0
fi
mv -T -- "$run.partial" "$run"
: >"$run/journal"
# systemd keeps it out of the session that started it, which may be killed at logout; elsewhere setsid has to do.
if [ -d /run/systemd/system ] && have systemd-run; then
    systemd-run -q --collect --unit="netpoint-remote-$RUN_ID" --property=KillMode=control-group \
        --setenv=PATH="$PATH" --setenv=RUN="$run" -- sh "$run/bundle/main.sh" "${VERB:-run}" </dev/null >>"$run/log" 2>&1
else
    RUN=$run setsid -f sh "$run/bundle/main.sh" "${VERB:-run}" </dev/null >>"$run/log" 2>&1
fi
say started
