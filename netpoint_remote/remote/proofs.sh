# shellcheck shell=sh
# Prove that a release works, in its tree and beside the services (the design, "On the server"): the running release before
# anything is stopped, the new one before users reach it. What is run is run as the services run.
: "${RUN:?}" "${BUNDLE:?}" "${PRODUCT:?}" "${ROOT:?}" "${OLD:?}"
# shellcheck source=as_unit.sh
. "$BUNDLE/as_unit.sh"

# Prove the release of a tree, which is to answer with a version; else `trouble` says what is wrong with it. A release
# that is `before` its upgrade may have migrations to apply: a plugin's, as a rule.
prove_tree() {
    tree=$1 version=$2 trouble='' when=${3-}
    python=$(tree_python "$tree")
    begin_pages
    no_unapplied_migrations &
    migrations=$!
    worker_can_start &
    worker=$!
    wait "$migrations" || trouble="migrations are left unapplied, or cannot be listed: see the log"
    wait "$worker" || trouble=${trouble:-"the worker's command cannot be loaded: see the log"}
    [ -n "$trouble" ] || wait_for_pages || trouble="started beside, its pages are not right: $why"
    end_pages
    [ -z "$trouble" ]
}

no_unapplied_migrations() {
    as_unit ask "$tree" "$python" "$tree/$PRODUCT/manage.py" showmigrations --plan </dev/null >"$RUN/migrations.shown" || return 1
    unapplied=$(sed -n 's/^[[:space:]]*\[ \][[:space:]]*//p' "$RUN/migrations.shown")
    [ -n "$unapplied" ] || return 0
    say "not applied: $unapplied"
    [ "$when" = before ] || return 1
    journal warning "the running release has migrations that are not applied, and the upgrade applies them: $(say "$unapplied" | head -n 3 | tr '\n' ' ')"
}

worker_can_start() {
    as_unit worker "$tree" "$python" "$tree/$PRODUCT/manage.py" rqworker --help </dev/null >/dev/null
}

begin_pages() {
    pages=$(socket_folder)/pages.$$
    start_as_unit beside "$tree" "$python" - "$tree" "$PRODUCT" "$pages" "$ROOT=$tree" "$OLD=$tree" -- ARGUMENTS <"$BUNDLE/beside.py"
}

wait_for_pages() {
    why=''
    begun=$(uptime_seconds)
    while [ "$(($(uptime_seconds) - begun))" -lt 60 ]; do
        sleep 0.3
        page_facts "$tree" "unix:$pages" >"$RUN/page.beside" || :
        if why=$(page_is_well "$RUN/page.beside" "$version"); then return 0; fi
        unit_runs beside || { why="it ended by itself: $(last_of beside)"; return 1; }
        case $why in 'no answer'*) ;; *) return 1 ;; esac
    done
    return 1
}

# What a unit that has ended said last of what was wrong, else how systemd calls its end.
last_of() {
    said=$(unit_output "$1" | grep -i -e error -e exception -e denied | tail -n 1)
    say "${said:-$(unit_property "$(unit_of "$1")" Result)}"
}

end_pages() {
    stop_unit beside
    unit_output beside
}
