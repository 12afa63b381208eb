# shellcheck shell=sh
# Keep what upgrade.sh would destroy in place: the virtual environment, the static files, the built documentation.
: "${NEW:?}" "${ASIDE:?}" "${RUN_ID:?}" "${BUNDLE:?}" "${METHOD:?}"
# shellcheck source=../aside.sh
. "$BUNDLE/aside.sh"

check() {
    [ "$(cat "$ASIDE/complete" 2>/dev/null)" = "$RUN_ID" ] && [ ! -e "$NEW/venv" ]
}

apply() {
    # What an earlier upgrade left here belongs to a release that is no longer the one before.
    [ ! -f "$ASIDE/complete" ] || [ "$(cat "$ASIDE/complete")" = "$RUN_ID" ] || rm -rf -- "$ASIDE"
    move_aside "$ASIDE"
    if [ "$METHOD" = git ]; then checkout rev-parse HEAD >"$ASIDE/commit"; fi
    say "$RUN_ID" >"$ASIDE/complete"
}

undo() {
    take_from "$ASIDE"
}

by_hand() {
    aside_by_hand "$ASIDE"
}
