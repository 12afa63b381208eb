# shellcheck shell=sh
# Keep what upgrade.sh would destroy in place: the virtual environment, the static files, the built documentation.
: "${NEW:?}" "${ASIDE:?}" "${RUN_ID:?}" "${BUNDLE:?}" "${METHOD:?}"
# shellcheck source=../aside.sh
. "$BUNDLE/aside.sh"
# What this run moves has its number in the name until all of it is there, and within from then on: nothing else is put
# back, for earlier runs leave folders of the same name.
partial=$(beside "$ASIDE" "$RUN_ID")
earlier=$(beside "$ASIDE" earlier)

check() {
    is_ours && [ ! -e "$NEW/venv" ]
}

is_ours() {
    [ "$(cat "$ASIDE/complete" 2>/dev/null)" = "$RUN_ID" ]
}

apply() {
    if is_ours; then return 0; fi
    move_aside "$partial"
    if [ "$METHOD" = git ]; then
        commit=$(checkout rev-parse HEAD)
        say "$commit" | by_descriptor write "$partial/commit"
    fi
    say "$RUN_ID" | by_descriptor write "$partial/complete"
    # What an earlier upgrade left here belongs to a release that is no longer the one before.
    discard "$earlier"
    if [ -e "$ASIDE" ]; then by_descriptor move "$ASIDE" "$earlier"; fi
    by_descriptor move "$partial" "$ASIDE"
    discard "$earlier"
}

undo() {
    if [ -e "$partial" ]; then
        if [ -e "$earlier" ] && ! [ -e "$ASIDE" ]; then by_descriptor move "$earlier" "$ASIDE"; fi
        take_from "$partial"
    elif is_ours; then
        take_from "$ASIDE"
    fi
    discard "$earlier" "$(beside "$partial" going)" "$(beside "$ASIDE" going)"
    rmdir -- "$(dirname -- "$ASIDE")" 2>/dev/null || :
}

by_hand() {
    if [ -e "$partial" ]; then
        aside_by_hand "$partial"
    elif is_ours; then
        aside_by_hand "$ASIDE"
    fi
}
