# shellcheck shell=sh
# Put back the unit files that the upgrade changed which is gone back over (the upgrade document, step 5).
: "${RUN:?}" "${STATE_DIR:?}" "${FROM:?}" "${BUNDLE:?}"
# shellcheck source=../units.sh
. "$BUNDLE/units.sh"
kept_there=$STATE_DIR/runs/$FROM/before/units

check() {
    for kept in "$kept_there"/*.path; do
        if [ -f "$kept" ]; then cmp -s -- "${kept%.path}" "$(cat "$kept")" || return 1; fi
    done
}

apply() {
    for kept in "$kept_there"/*.path; do
        if [ -f "$kept" ]; then keep_unit "$(basename -- "$kept" .path)" "$(cat "$kept")"; fi
    done
    put_units_from "$kept_there"
}

undo() {
    put_units_from "$RUN/before/units"
}

by_hand() {
    units_by_hand "$RUN/before/units"
}
