# shellcheck shell=sh
# What schedules housekeeping: remember it before it is made or replaced, and take it back.
: "${RUN:?}"

# Remember what undo takes away, and what it puts back in its place.
keep() {
    if grep -q -s -x -F -e "$1" "$RUN/before/housekeeping"; then return; fi
    if [ -e "$1" ] || [ -L "$1" ]; then cp -a -- "$1" "$RUN/before/kept.$(basename -- "$1")"; fi
    say "$1" >>"$RUN/before/housekeeping"
}

# Put in place what a folder has kept, and remove what was made where nothing was.
take_schedule_back() {
    [ -f "$1/housekeeping" ] || return 0
    while IFS= read -r made; do
        name=$(basename -- "$made")
        case $name in *.timer) systemctl disable --now "$name" </dev/null || : ;; *) ;; esac
        rm -f -- "$made" "$made.partial"
        if [ -e "$1/kept.$name" ] || [ -L "$1/kept.$name" ]; then
            cp -a -- "$1/kept.$name" "$made"
            case $name in *.timer) systemctl daemon-reload </dev/null && systemctl enable --now "$name" </dev/null || : ;; *) ;; esac
        fi
    done <"$1/housekeeping"
}

# The same, as a person would type it.
schedule_by_hand() {
    [ -f "$1/housekeeping" ] || return 0
    while IFS= read -r made; do
        name=$(basename -- "$made")
        case $name in *.timer) say "systemctl disable --now $(quoted "$name")" ;; *) ;; esac
        say "rm -f -- $(quoted "$made")"
        if [ -e "$1/kept.$name" ] || [ -L "$1/kept.$name" ]; then
            say "cp -a -- $(quoted "$1/kept.$name") $(quoted "$made")"
            case $name in *.timer) say "systemctl daemon-reload && systemctl enable --now $(quoted "$name")" ;; *) ;; esac
        fi
    done <"$1/housekeeping"
}
