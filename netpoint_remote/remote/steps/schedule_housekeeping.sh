# shellcheck shell=sh
# See that NetPoint's nightly housekeeping is scheduled (the upgrade document, step 6).
: "${ROOT:?}" "${PRODUCT:?}" "${CRON_DIR:?}" "${RUN:?}" "${BUNDLE:?}" "${SERVICES:?}" "${OLD:?}" "${NEW:?}"
# shellcheck source=../schedule.sh
. "$BUNDLE/schedule.sh"
link=$CRON_DIR/$PRODUCT-housekeeping
script=$ROOT/contrib/$PRODUCT-housekeeping.sh

# Cron or a timer runs it, under whatever name, and what it runs is there.
scheduled() {
    case $(tree_users housekeeping) in 'cron '* | 'timer '*) return 0 ;; *) return 1 ;; esac
}

# Releases before 3.0 have no such command, and since 4.4 it needs no scheduling.
check() {
    ! [ -f "$script" ] || scheduled || [ -f "$RUN/housekeeping.by_hand" ]
}

apply() {
    found=$(tree_users housekeeping)
    case $found in
        'broken '*) repair "${found#broken }" ;;
        *) schedule ;;
    esac
    # The upgrade is well all the same.
    [ -f "$RUN/housekeeping.by_hand" ] || scheduled || warn_of "housekeeping does not start: $(tree_users housekeeping | cut -d " " -f 2-) names what is not there; see to its paths"
}

# What ran in the old release does not start in the new one: a link into the release leads to a script that an admin had
# edited for this root, and the new one has the paths of the usual root again. Other jobs are the admin's own.
repair() {
    [ -f "$script" ] && [ "$(readlink -f -- "$1")" = "$(readlink -f -- "$script")" ] || return 0
    old=$OLD/contrib/$(basename -- "$script")
    # The document tells to edit its paths; more than those is the admin's own.
    if [ "$OLD" != "$NEW" ] && [ -f "$old" ] && ! fixed_script | cmp -s -- - "$old"; then
        journal warning "the housekeeping script was edited here, and the new release has its own with the paths of $ROOT: compare $old with $script"
    fi
    if [ "${METHOD:?}" = git ]; then
        make_job "$1"
    else
        make_job "$script"
    fi
}

warn_of() {
    journal warning "$1"
    : >"$RUN/housekeeping.by_hand"
}

# "If NetPoint has been installed in a nonstandard path, be sure to update the system paths within this script first."
fixed_script() {
    with_root "$PRODUCT-housekeeping.sh"
}

# Everybody may read what comes of it: it is read through no link of another user, except the link of the root itself.
with_root() {
    by_descriptor read "$(readlink -f -- "$ROOT")/contrib/$1" >"$RUN/contributed" || return 1
    sed "s|/opt/$PRODUCT|$ROOT|g" "$RUN/contributed"
}

make_job() {
    keep "$1"
    fixed_script >"$RUN/job"
    write_file "$1" <"$RUN/job"
    chmod 755 -- "$1"
}

schedule() {
    if ! [ -d "$CRON_DIR" ]; then
        use_timer
        return
    fi
    if [ "$ROOT" = "/opt/$PRODUCT" ]; then
        keep "$link"
        ln -sfn -- "$script" "$link"
    else
        make_job "$link"
    fi
}

use_timer() {
    for unit in "$PRODUCT-housekeeping.service" "$PRODUCT-housekeeping.timer"; do
        [ -f "$ROOT/contrib/$unit" ] || {
            # The upgrade is well; what is missing was missing before.
            warn_of "housekeeping is not scheduled: there is no $CRON_DIR and the release has no timer; run $script daily, or set cron_dir"
            return 0
        }
        keep "/etc/systemd/system/$unit"
        with_root "$unit" >"$RUN/job"
        write_file "/etc/systemd/system/$unit" <"$RUN/job"
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
