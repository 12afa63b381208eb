# shellcheck shell=sh
# Let the link point to the new release, by rename: there is no moment without it (the upgrade document, step 3, option A).
: "${ROOT:?}" "${NEW:?}" "${RUN:?}"

check() {
    [ "$(readlink -f -- "$ROOT")" = "$(readlink -f -- "$NEW")" ]
}

apply() {
    case $(cat "$RUN/before/link") in
        /*) point_to "$NEW/" ;;
        *) point_to "$(realpath --relative-to="$(dirname -- "$ROOT")" -- "$NEW")/" ;;
    esac
}

point_to() {
    ln -sfn -- "$1" "$ROOT.partial"
    mv -T -- "$ROOT.partial" "$ROOT"
}

undo() {
    point_to "$(cat "$RUN/before/link")"
}

by_hand() {
    say "ln -sfn -- $(quoted "$(cat "$RUN/before/link")") $(quoted "$ROOT")"
}
