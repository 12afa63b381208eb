# shellcheck shell=sh
# Start the new release beside, on a loopback port, as its own user, and prove it before users reach it (the design, "On the server").
: "${NEW:?}" "${PRODUCT:?}" "${RUN:?}" "${TREE_VERSION:?}"

check() {
    [ -f "$RUN/proved" ]
}

apply() {
    python=$NEW/venv/bin/python3
    no_unapplied_migrations &
    migrations=$!
    worker_can_start &
    worker=$!
    wait "$migrations" || fail "migrations are left unapplied, or cannot be listed: see the log"
    wait "$worker" || fail "the worker's command cannot be loaded in the new environment: see the log"
    if [ -x "$NEW/venv/bin/gunicorn" ]; then prove_pages; else journal warning "no gunicorn in the new environment; the pages are proved in place only"; fi
    : >"$RUN/proved"
}

no_unapplied_migrations() {
    as_service_user "$python" "$NEW/$PRODUCT/manage.py" showmigrations --plan >"$RUN/migrations.shown" || return 1
    ! grep -E '^[[:space:]]*\[ \]' "$RUN/migrations.shown"
}

worker_can_start() {
    as_service_user "$python" "$NEW/$PRODUCT/manage.py" rqworker --help >/dev/null
}

prove_pages() {
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    set -- --pythonpath "$NEW/$PRODUCT"
    if [ -f "$NEW/gunicorn.py" ]; then set -- "$@" --config "$NEW/gunicorn.py"; fi
    # It says who it is before it becomes gunicorn: the leader of a process group of its own, so that the workers end with it.
    # shellcheck disable=SC2016 # it expands in the shell that says so
    as_service_user setsid sh -c 'cut -d " " -f 1,22 "/proc/$$/stat"; cat /proc/sys/kernel/random/boot_id; exec "$@"' sh \
        "$NEW/venv/bin/gunicorn" "$@" --bind "127.0.0.1:$port" --workers 1 "$PRODUCT.wsgi" >"$RUN/beside.log" 2>&1 &
    started=$!
    why=''
    begun=$(uptime_seconds)
    while [ "$(($(uptime_seconds) - begun))" -lt 60 ]; do
        sleep 0.3
        page_facts "$NEW" "http://127.0.0.1:$port" >"$RUN/page.beside" || :
        if why=$(page_is_well "$RUN/page.beside"); then break; fi
        kill -0 "$started" 2>/dev/null || { why="it ended by itself: $(grep -i error "$RUN/beside.log" | tail -n 1)"; break; }
        case $why in 'no answer'*) ;; *) break ;; esac
    done
    stop_beside
    cat "$RUN/beside.log"
    [ -z "$why" ] || fail "the new release does not work, started beside: $why"
}

# Number, start and boot tell it from any other process, also after a step that was killed, and after a reboot.
stop_beside() {
    [ -f "$RUN/beside.log" ] || return 0
    { read -r leader birth && read -r boot; } <"$RUN/beside.log" || return 0
    if [ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] && [ "$birth" = "$(birth_of "$leader")" ]; then
        kill -TERM "-$leader" || :
    fi
}

birth_of() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

undo() {
    stop_beside
    rm -f -- "$RUN/proved"
}
