# shellcheck shell=sh
# Schedule housekeeping as it was before the upgrade which is gone back over (the upgrade document, step 6).
: "${RUN:?}" "${STATE_DIR:?}" "${FROM:?}" "${BUNDLE:?}"
# shellcheck source=../schedule.sh
. "$BUNDLE/schedule.sh"
before_upgrade=$STATE_DIR/runs/$FROM/before

check() {
    ! [ -f "$before_upgrade/housekeeping" ] || [ -f "$RUN/schedule.back" ]
}

apply() {
    while IFS= read -r made; do keep "$made"; done <"$before_upgrade/housekeeping"
    take_schedule_back "$before_upgrade"
    : >"$RUN/schedule.back"
}

undo() {
    take_schedule_back "$RUN/before"
    rm -f -- "$RUN/schedule.back"
}

by_hand() {
    schedule_by_hand "$RUN/before"
    say "rm -f -- $(quoted "$RUN/schedule.back")"
}
