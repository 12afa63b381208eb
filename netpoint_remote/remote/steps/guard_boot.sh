# shellcheck shell=sh
# See that a server that goes down in its window comes back with NetPoint whole, and with nobody writing before that.
# shellcheck source=../guard.sh
. "${BUNDLE:?}/guard.sh"

check() {
    guard_is_up
}

apply() {
    raise_guard
}

undo() {
    lift_guard
}

by_hand() {
    guard_by_hand
}
