# shellcheck shell=sh
# Put the environment and static files of the release we go back to in their place again (the upgrade document, step 3, option B).
: "${NEW:?}" "${ASIDE_BACK:?}" "${RUN:?}" "${RUN_ID:?}" "${BUNDLE:?}" "${COMMIT:?}"
# shellcheck source=../aside.sh
. "$BUNDLE/aside.sh"

check() {
    [ -f "$RUN/taken" ] && [ -e "$NEW/venv" ] && [ ! -e "$ASIDE_BACK" ]
}

apply() {
    : >"$RUN/taking"
    sync -- "$RUN/taking" 2>/dev/null || sync
    take_from "$ASIDE_BACK"
    : >"$RUN/taken"
}

# What was not taken yet is still there.
undo() {
    if [ -f "$RUN/taking" ]; then
        move_aside "$ASIDE_BACK"
        say "$COMMIT" | by_descriptor write "$ASIDE_BACK/commit"
        say "$RUN_ID" | by_descriptor write "$ASIDE_BACK/complete"
        discard "$(beside "$ASIDE_BACK" going)"
        rm -f -- "$RUN/taking" "$RUN/taken"
    fi
}

by_hand() {
    [ -f "$RUN/taking" ] || return 0
    say "mkdir -p -- $(quoted "$ASIDE_BACK/$PRODUCT/project-static")"
    if [ -d "$NEW/$docs" ] && ! [ -e "$ASIDE_BACK/$docs" ]; then say "cp -a -- $(quoted "$NEW/$docs") $(quoted "$ASIDE_BACK/$docs")"; fi
    for part in venv "$PRODUCT/static"; do
        if [ -e "$NEW/$part" ] && ! [ -e "$ASIDE_BACK/$part" ]; then say "mv -T -- $(quoted "$NEW/$part") $(quoted "$ASIDE_BACK/$part")"; fi
    done
    say "printf '%s\\n' $COMMIT >$(quoted "$ASIDE_BACK/commit")"
    say "printf '%s\\n' $RUN_ID >$(quoted "$ASIDE_BACK/complete"); rm -f -- $(quoted "$RUN/taking") $(quoted "$RUN/taken")"
}
