# shellcheck shell=sh
# Prove the new release where users reach it: units stable past their restart pause, the right version, its pages (the design, "On the server").
: "${SERVICES:?}" "${RUN:?}" "${ROOT:?}" "${HEALTH_URL?}" "${PRODUCT:?}" "${CRON_DIR:?}"

check() {
    [ -f "$RUN/proved.in_place" ]
}

# The same processes as at the start of the watch, never restarted: a unit that dies shows `activating` or a new process.
# What is no service changes its state as it starts something.
processes() {
    with_services systemctl show -p Id,ActiveState,SubState,MainPID,NRestarts | awk -v RS= '!/Id=[^\n]*\.(timer|socket|path)(\n|$)/'
}

# The longest pause after which systemd starts a dead unit again, in seconds, and a little more.
watch_time() {
    with_services systemctl show -p RestartUSec | sed -n 's/^RestartUSec=//p' |
        awk '{ s = 0; for (i = 1; i <= NF; i++) { n = $i + 0; if ($i ~ /ms$/) n /= 1000; else if ($i ~ /min$/) n *= 60; else if ($i ~ /[hdwMy]$/) n *= 3600; else if ($i ~ /us$/) n = 0; s += n } if (s > most) most = s }
            END { if (most > 120) most = 120; print int(most) + 5 }'
}

apply() {
    page_facts "$ROOT" "$HEALTH_URL" >"$RUN/page.in_place" || :
    why=$(page_is_well "$RUN/page.in_place" "${TREE_VERSION:?}") || fail "$why"
    first=$(processes)
    left=$(watch_time)
    while [ "$left" -gt 0 ]; do
        [ "$(with_services systemctl is-active | uniq)" = active ] || fail "a unit does not stay up: $(with_services systemctl show -p Id,SubState,Result | tr '\n' ' ')"
        [ "$(processes)" = "$first" ] || fail "a unit was restarted while it was watched: $(processes | tr '\n' ' ')"
        left=$((left - 1))
        sleep 1
    done
    page_facts "$ROOT" "$HEALTH_URL" >"$RUN/page.in_place" || :
    why=$(page_is_well "$RUN/page.in_place" "${TREE_VERSION:?}") || fail "$why"
    the_same_runs
    : >"$RUN/proved.in_place"
}

# What ran before runs again, out of the new release, in new processes.
the_same_runs() {
    [ -f "$RUN/before/processes" ] || return 0
    told=$(tree_users compare "$RUN/before/processes") || fail "what runs out of the release could not be listed: $(last_line)"
    case $told in
        'same '*) journal note "${told#same }" ;;
        'other '*) journal warning "${told#other }" ;;
        'wrong '*) fail "${told#wrong }" ;;
        *) ;;
    esac
}

undo() {
    rm -f -- "$RUN/proved.in_place"
}
