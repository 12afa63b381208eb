# shellcheck shell=sh
# Start the new release beside, on a socket of ours, as its service runs, and prove it before users reach it (the design, "On the server").
: "${NEW:?}" "${RUN:?}" "${TREE_VERSION:?}" "${BUNDLE:?}"
# shellcheck source=../proofs.sh
. "$BUNDLE/proofs.sh"

check() {
    [ -f "$RUN/proved" ]
}

apply() {
    prove_tree "$NEW" "$TREE_VERSION" || fail "the new release does not work: $trouble"
    : >"$RUN/proved"
}

undo() {
    stop_unit beside
    rm -f -- "$RUN/proved"
}
