# shellcheck shell=sh
# Locks that a git which was killed has left in the checkout: they keep every later one from its work.
: "${ROOT:?}"

# Remove those of some names. Git has a lock open while it works under it, so one that a process has open is in use, an
# operator's perhaps; and where nobody can look into processes, none is removed.
remove_locks_left() {
    for name; do
        lock=$(git_folder)/$name
        if [ -e "$lock" ] && ! is_open "$lock"; then
            say "removing $lock, which no process has open"
            discard "$lock"
        fi
    done
}

is_open() {
    [ -d /proc/self/fd ] || return 0
    at=$(realpath -- "$1" | sed 's/[][*?\\]/\\&/g')
    find /proc/[0-9]*/fd -lname "$at" 2>/dev/null | grep -q .
}
