# shellcheck shell=sh
# Take away what guarded the window against a reboot; the units are again as their owner wrote them.
# shellcheck source=../guard.sh
. "${BUNDLE:?}/guard.sh"

check() {
    guard_is_lifted
}

apply() {
    lift_guard
}

# On the way back the window opens again.
undo() {
    raise_guard
}
