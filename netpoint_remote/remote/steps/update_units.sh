# shellcheck shell=sh
# Point the units of an install from before virtual environments to the new Python and gunicorn (the upgrade document, step 5).
: "${ROOT:?}" "${SERVICES:?}" "${RUN:?}"

# A unit that exists, that runs gunicorn or manage.py from outside the virtual environment, and for which contrib has an
# example; one that runs something of the admin's own is the admin's.
outdated() {
    for unit in $SERVICES; do
        path=$(unit_file "$unit")
        if [ -f "$path" ] && [ -f "$(example "$unit")" ] && grep -q -E '^ExecStart=.*(gunicorn|manage\.py)' "$path" &&
            ! grep '^ExecStart=' "$path" | grep -q -F -e "$ROOT/venv/bin/"; then say "$unit"; fi
    done
}

unit_file() {
    systemctl show -p FragmentPath "$1" | sed -n 's/^FragmentPath=//p'
}

example() {
    printf '%s' "$ROOT/contrib/${1%.service}.service"
}

check() {
    [ -z "$(outdated)" ]
}

apply() {
    for unit in $(outdated); do
        path=$(unit_file "$unit")
        cp -a -- "$path" "$RUN/before/units/$unit"
        say "$path" >"$RUN/before/units/$unit.path"
        # The example with this server's folder and user in it.
        sed -e "s|/opt/$PRODUCT|$ROOT|g" -e "s|^User=.*|User=$(cat "$RUN/before/user")|" "$(example "$unit")" >"$path.partial"
        sed -i "s|^Group=.*|Group=$(id -gn "$(cat "$RUN/before/user")")|" "$path.partial"
        chmod 644 -- "$path.partial"
        mv -f -- "$path.partial" "$path"
        journal warning "the unit file $path now runs the virtual environment; the old one is kept in $RUN/before/units"
    done
    systemctl daemon-reload
}

undo() {
    for kept in "$RUN/before/units"/*.path; do
        if [ -f "$kept" ]; then
            path=$(cat "$kept")
            cp -a -- "${kept%.path}" "$path"
            rm -f -- "$path.partial"
        fi
    done
    systemctl daemon-reload
}
