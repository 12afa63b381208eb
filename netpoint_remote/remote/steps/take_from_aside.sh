# shellcheck shell=sh
# Put the environment and static files of the release we go back to in their place again (the upgrade document, step 3, option B).
: "${NEW:?}" "${ASIDE_BACK:?}" "${RUN:?}" "${RUN_ID:?}" "${BUNDLE:?}"
# shellcheck source=../aside.sh
. "$BUNDLE/aside.sh"

check() {
    [ -f "$RUN/taken" ] && [ -e "$NEW/venv" ] && [ ! -e "$ASIDE_BACK" ]
}

apply() {
    : >"$RUN/taking"
    take_from "$ASIDE_BACK"
    : >"$RUN/taken"
}

# What was not taken yet is still there.
undo() {
    if [ -f "$RUN/taking" ]; then
        move_aside "$ASIDE_BACK"
        say "$RUN_ID" >"$ASIDE_BACK/complete"
        rm -f -- "$RUN/taking" "$RUN/taken"
    fi
}

by_hand() {
    for part in venv "$PRODUCT/static"; do
        say "mkdir -p -- $(quoted "$ASIDE_BACK/$PRODUCT") && mv -T -- $(quoted "$NEW/$part") $(quoted "$ASIDE_BACK/$part")"
    done
}
