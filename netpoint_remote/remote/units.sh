# shellcheck shell=sh
# Unit files: keep one before it is changed, and put kept ones back.
: "${RUN:?}"

unit_file() {
    systemctl show -p FragmentPath "$1" | sed -n 's/^FragmentPath=//p'
}

# Keep a unit's file as it is now, unless that was done before.
keep_unit() {
    mkdir -p -- "$RUN/before/units"
    [ ! -f "$RUN/before/units/$1.path" ] || return 0
    cp -a -- "$2" "$RUN/before/units/$1"
    say "$2" | write_file "$RUN/before/units/$1.path"
}

# Put the unit files kept in a folder where they were; on a full disk what was never changed is as it was.
put_units_from() {
    for kept in "$1"/*.path; do
        if [ -f "$kept" ]; then
            path=$(cat "$kept")
            remove_tree "$path.partial"
            if ! cmp -s -- "${kept%.path}" "$path"; then
                cp -a -- "${kept%.path}" "$path.partial"
                mv -f -- "$path.partial" "$path"
            fi
        fi
    done
    systemctl daemon-reload
}

units_by_hand() {
    for kept in "$1"/*.path; do
        if [ -f "$kept" ]; then say "cp -a -- $(quoted "${kept%.path}") $(quoted "$(cat "$kept")") && systemctl daemon-reload"; fi
    done
}
