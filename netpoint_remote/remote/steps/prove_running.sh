# shellcheck shell=sh
# Prove the running release, while it serves, by all that will prove the new one: what fails here is not known well enough to upgrade it (the design, "On the server").
: "${OLD:?}" "${OLD_VERSION:?}" "${HEALTH_URL?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../proofs.sh
. "$BUNDLE/proofs.sh"

check() {
    [ -f "$RUN/proved.running" ]
}

apply() {
    prove_tree "$OLD" "$OLD_VERSION" before || not_proved "started beside itself, as $(service_for beside) runs, the running release does not work: $trouble" "see that services in the hosts file names the units of NetPoint, its pages first"
    page_facts "$OLD" "$HEALTH_URL" >"$RUN/page.running" || :
    why=$(page_is_well "$RUN/page.running" "$OLD_VERSION") || not_proved "where users reach it ($(fact_of page.address "$RUN/page.running")), $why" "set health.url in the hosts file to where it answers"
    root_is_let_in || not_proved "upgrade.sh runs as root, and for root the configuration or the database does not work: $(say "$said" | tail -n 1 | without_rows)" "let root in as well (a password in DATABASE, or a map in pg_ident.conf), or give environment in the hosts file what it needs"
    : >"$RUN/proved.running"
}

# The configuration is executed as upgrade.sh will; the environment, which it will replace, only where it is nobody else's.
root_is_let_in() {
    if exposed=$(exposed_spots) && [ -z "$exposed" ]; then set -- "$OLD/venv/bin/python3"; else set -- "$(find_python)" -I -S; fi
    said=$(as_upgrade "$OLD" "$@" "$BUNDLE/ask.py" reach "$OLD" "$PRODUCT" 2>&1) && [ -z "$said" ] && return 0
    case ${2-},$said in
        -I,*ModuleNotFoundError*) journal warning "whether root is let into the database is not known: others may write to the environment that configuration.py needs" ;;
        *) return 1 ;;
    esac
}

not_proved() {
    give_up "$1. Nothing was stopped; $2. To upgrade a NetPoint that is broken: --repair-broken"
}

undo() {
    stop_unit beside
    rm -f -- "$RUN/proved.running"
}
