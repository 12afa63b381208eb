# shellcheck shell=sh
# Point the units of an install from before virtual environments to the new Python and gunicorn (the upgrade document, step 5).
: "${ROOT:?}" "${SERVICES:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../units.sh
. "$BUNDLE/units.sh"

# Those for which contrib has an example.
outdated() {
    for unit in $SERVICES; do
        if [ -f "$(unit_file "$unit")" ] && [ -f "$(example "$unit")" ] && is_from_before_environments "$unit"; then say "$unit"; fi
    done
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
        keep_unit "$unit" "$path"
        # The example with this server's folder and user in it.
        by_descriptor read "$(example "$unit")" >"$RUN/unit.example"
        sed -e "s|/opt/$PRODUCT|$ROOT|g" -e "s|^User=.*|User=$(cat "$RUN/before/user")|" "$RUN/unit.example" >"$path.partial"
        sed -i "s|^Group=.*|Group=$(id -gn "$(cat "$RUN/before/user")")|" "$path.partial"
        chmod 644 -- "$path.partial"
        mv -f -- "$path.partial" "$path"
        journal warning "the unit file $path now runs the virtual environment; the old one is kept in $RUN/before/units"
    done
    systemctl daemon-reload
}

undo() {
    put_units_from "$RUN/before/units"
}

by_hand() {
    units_by_hand "$RUN/before/units"
}
