# shellcheck shell=sh
# See that NetPoint's nightly housekeeping is scheduled (the upgrade document, step 6).
: "${ROOT:?}" "${PRODUCT:?}" "${CRON_DIR:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../schedule.sh
. "$BUNDLE/schedule.sh"
link=$CRON_DIR/$PRODUCT-housekeeping
script=$ROOT/contrib/$PRODUCT-housekeeping.sh

scheduled() {
    [ -x "$link" ] || active "$PRODUCT-housekeeping.timer" ||
        grep -q -s -r -E "(manage.py|$PRODUCT-)housekeeping|manage.py +housekeeping" /etc/crontab /etc/cron.d /var/spool/cron
}

# Releases before 3.0 have no such command, and since 4.4 it needs no scheduling.
check() {
    ! [ -f "$script" ] || scheduled || [ -f "$RUN/housekeeping.by_hand" ]
}

apply() {
    if ! [ -d "$CRON_DIR" ]; then
        use_timer
        return
    fi
    keep "$link"
    if [ "$ROOT" = "/opt/$PRODUCT" ]; then
        ln -sfn -- "$script" "$link"
    else
        # "If NetPoint has been installed in a nonstandard path, be sure to update the system paths within this script first."
        sed "s|/opt/$PRODUCT|$ROOT|g" "$script" | write_file "$link"
        chmod 755 -- "$link"
    fi
}

use_timer() {
    for unit in "$PRODUCT-housekeeping.service" "$PRODUCT-housekeeping.timer"; do
        [ -f "$ROOT/contrib/$unit" ] || {
            # The upgrade is well; what is missing was missing before.
            journal warning "housekeeping is not scheduled: there is no $CRON_DIR and the release has no timer; run $script daily, or set cron_dir"
            : >"$RUN/housekeeping.by_hand"
            return 0
        }
        keep "/etc/systemd/system/$unit"
        sed "s|/opt/$PRODUCT|$ROOT|g" "$ROOT/contrib/$unit" | write_file "/etc/systemd/system/$unit"
    done
    systemctl daemon-reload
    systemctl enable --now "$PRODUCT-housekeeping.timer"
}

undo() {
    take_schedule_back "$RUN/before"
}

by_hand() {
    schedule_by_hand "$RUN/before"
}
