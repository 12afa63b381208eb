# shellcheck shell=sh
# Count the changes that would be discarded, now that no one can write any more; without --accept-loss none is (the design, promise 2).
: "${FROM:?}" "${ACCEPT_LOSS?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../losses.sh
. "$BUNDLE/losses.sh"

check() {
    [ -f "$RUN/losses" ]
}

apply() {
    lost=$(changes_since "$FROM")
    if [ "$ACCEPT_LOSS" != yes ] && [ "$lost" != 0 ]; then
        give_up "a rollback would discard ${lost:-an unknown number of} changes made since the backup; add --accept-loss to accept that"
    fi
    journal note "changes since the backup, which are discarded: ${lost:-unknown}"
    say "${lost:-unknown}" >"$RUN/losses"
}

undo() {
    rm -f -- "$RUN/losses"
}
