# shellcheck shell=sh
# Bring what was added, changed or removed in uploads and other local files since they were copied; nobody writes any more.
: "${OLD:?}" "${NEW:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../folders.sh
. "$BUNDLE/folders.sh"
# shellcheck source=../local_files.sh
. "$BUNDLE/local_files.sh"

check() {
    each_folder is_mirrored && each_local_file is_mirrored
}

apply() {
    each_folder mirror
    each_local_file mirror
}

# Do one thing (mirror, is_mirrored) with what was carried over, and with what has come since: a log that was rotated.
each_local_file() {
    local_files >"$RUN/carried.found" || return 1
    if [ -f "$RUN/carried" ]; then cat -- "$RUN/carried" >>"$RUN/carried.found" || return 1; fi
    sort -u -- "$RUN/carried.found" >"$RUN/carried.now" || return 1
    while IFS= read -r name; do
        if [ -L "$OLD/$name" ]; then
            kind=link_
        elif [ -d "$OLD/$name" ]; then
            kind=''
        elif [ -f "$OLD/$name" ]; then
            kind=file_
        else
            kind=gone_
        fi
        "$kind$1" "$OLD/$name" "$NEW/$name" || return 1
    done <"$RUN/carried.now"
}

file_mirror() {
    file_is_mirrored "$@" || by_descriptor carry "$@"
}

file_is_mirrored() {
    cmp -s -- "$1" "$2" && [ "$(stat -c '%U:%G %a' -- "$1")" = "$(stat -c '%U:%G %a' -- "$2")" ]
}

gone_mirror() {
    discard "$2"
}

gone_is_mirrored() {
    ! [ -e "$2" ] && ! [ -L "$2" ]
}

undo() {
    :
}
