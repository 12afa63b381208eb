# shellcheck shell=sh
# Run the official upgrade.sh, unmodified, and read its progress (the upgrade document, step 4).
: "${NEW:?}" "${PRODUCT:?}" "${RUN:?}" "${BACKUP_DIR:?}" "${RUN_ID:?}" "${PYTHON?}" "${BUNDLE:?}"
# shellcheck source=../dumps.sh
. "$BUNDLE/dumps.sh"
# shellcheck source=../as_unit.sh
. "$BUNDLE/as_unit.sh"
# shellcheck source=../packages.sh
. "$BUNDLE/packages.sh"
dump=$BACKUP_DIR/$RUN_ID/database.dump

check() {
    [ "$(cat "$RUN/upgrade.status" 2>/dev/null)" = 0 ] && [ -x "$NEW/venv/bin/python3" ] && [ -d "$NEW/$PRODUCT/static" ]
}

apply() {
    rm -f -- "$RUN/upgrade.status"
    # The folders that systemd makes for the service while it runs are there for it too.
    as_unit ask "$NEW" /bin/true </dev/null || :
    { upgrade 2>&1; } | read_progress
    status=$(cat "$RUN/upgrade.status")
    [ "$status" = 0 ] || fail "upgrade.sh ended with status $status at: $(cat "$RUN/part" 2>/dev/null) ($(cat "$RUN/last_words"))"
    if ! [ -f "$RUN/upgrade.complete" ]; then
        rm -f -- "$RUN/upgrade.status"
        fail "upgrade.sh ended early, without saying that the upgrade is complete, at: $(cat "$RUN/part" 2>/dev/null)"
    fi
    name_lost_views
}

# Django drops a column together with the views that read it, and says nothing.
name_lost_views() {
    left=$(views) || return 0 # what does not answer is for the proof
    lost=$(say "$left" | grep -v -x -F -f - "$RUN/before/views" | tr '\n' ' ')
    [ -z "$lost" ] || journal warning "the migrations removed views that read what is gone: ${lost% }; their definitions are in the dump $dump"
}

upgrade() (
    if [ -f "$RUN/wheels/complete" ]; then find_wheels; fi
    if [ -n "$PYTHON" ]; then export PYTHON; else unset PYTHON; fi
    status=0
    as_upgrade / "$NEW/upgrade.sh" || status=$?
    say "$status" >"$RUN/upgrade.status"
)

# Progress lines start at the margin and end in dots; what stands in brackets is the command.
read_progress() {
    rm -f -- "$RUN/part" "$RUN/upgrade.complete"
    last=''
    while IFS= read -r line || [ -n "$line" ]; do
        say "$line"
        remember_last "$line"
        case $line in
            'Upgrade complete'*) : >"$RUN/upgrade.complete" ;;
            'Applying database migrations'*) : >"$RUN/migrating"; next_part "$line" ;;
            [A-Z]*...) next_part "$line" ;;
            *'have changes that are not yet reflected in a migration'*) journal warning "upgrade.sh warns: $line (a local change of the code should be investigated; never make migrations)" ;;
            *) ;;
        esac
    done
    # What a traceback, pip and git end with is what went wrong.
    say "$last" | without_rows | head -c 300 >"$RUN/last_words"
}

next_part() {
    part=${1%%...*}
    part=${part%% (*}
    say "$part" >"$RUN/part"
    journal part "$part"
}

came_to_the_database() {
    [ -f "$RUN/migrating" ] || [ "$(applied_migrations)" != "$(cat "$RUN/before/migrations")" ]
}

# The dump is put back unless upgrade.sh certainly did not come to the database.
undo() {
    rm -f -- "$RUN/upgrade.status"
    if came_to_the_database; then
        [ -f "$dump" ] || fail "there is no dump to put back"
        # After a reboot in the window systemd may have started them.
        with_services_in_order systemctl stop
        say "putting $dump back"
        restore_database "$dump" ||
            fail "the dump could not be put back, so NetPoint is left stopped; the database is as the migration left it, the dump is $dump: $(last_line)"
        [ "$(applied_migrations)" = "$(cat "$RUN/before/migrations")" ] || fail "the dump was put back and the database is not as it was"
        rm -f -- "$RUN/migrating"
    fi
}

by_hand() {
    if came_to_the_database; then
        restore_by_hand "$dump"
        say "rm -f -- $(quoted "$RUN/migrating")   # only once it is back: else the next run puts it back"
    fi
}
