# shellcheck shell=sh
# Bring what was added, changed or removed in uploads and other local files since they were copied; nobody writes any more.
: "${OLD:?}" "${NEW:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../folders.sh
. "$BUNDLE/folders.sh"
# shellcheck source=../local_files.sh
. "$BUNDLE/local_files.sh"

# Another program may go on writing to a log in the release: local files are copied once, and not compared.
check() {
    [ -f "$RUN/synced" ] && each_folder is_mirrored
}

apply() {
    each_folder mirror
    each_local_file
    : >"$RUN/synced"
}

# Bring what was carried over before, and what has come since: a log that was rotated.
each_local_file() {
    note_local_files "$RUN/carried"
    while IFS= read -r name; do bring_local "$name"; done <"$RUN/carried"
}

bring_local() {
    if [ -d "$OLD/$1" ] && ! [ -L "$OLD/$1" ]; then
        mirror "$OLD/$1" "$NEW/$1"
    elif [ -e "$OLD/$1" ] || [ -L "$OLD/$1" ]; then
        by_descriptor carry "$OLD/$1" "$NEW/$1"
    else
        discard "$NEW/$1"
    fi
}

undo() {
    rm -f -- "$RUN/synced"
}
