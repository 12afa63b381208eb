# shellcheck shell=sh
# Ask a run to end at its next safe point; main.sh looks for the question. Asking twice is harmless.
: "${STATE_DIR:?}" "${RUN_ID:?}" "${OPERATOR:?}"
umask 077
RUN=$STATE_DIR/runs/$RUN_ID
# Where somebody else has a hand in it no run of ours is.
if [ -n "$(weak_spot "$RUN")" ]; then
    say absent
elif [ -f "$RUN/result" ]; then
    say ended
elif ! [ -d "$RUN" ]; then
    say absent
elif [ -e "$RUN/stop" ]; then
    say asked
else
    one_line "$OPERATOR" 200 | write_file "$RUN/stop"
    sync -- "$RUN/stop" 2>/dev/null || :
    # For whoever follows the run.
    journal note "$OPERATOR asks it to stop" || :
    say asked
fi
