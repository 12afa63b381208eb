# shellcheck shell=sh
# Which backups, releases, notes and leftovers on a server are this installation's, and nobody else's (the design, promise 6).
: "${STATE_DIR:?}" "${ROOT:?}" "${BACKUP_DIR:?}"

# Another installation on this server may have the same state_dir and backup_dir. A note about a release (it was unpacked, it
# was rolled back) says whose it is; one of an earlier version of this program does not, and is about any. What somebody else
# may have put there is not read.
is_own_note() {
    [ -f "$1" ] && [ -z "$(weak_spot "$1")" ] && { grep -q -x -F -e "root=${ROOT:?}" -- "$1" || ! grep -q -e '^root=' -- "$1"; }
}

# Tell whether a release was unpacked for this installation. A note that does not say whose it is proves that only where no
# other installation has a backup.
is_unpacked_here() {
    note=${STATE_DIR:?}/releases/$(basename -- "$1")
    is_own_note "$note" && { grep -q -e '^root=' -- "$note" || ! roots_of_backups | grep -q -v -x -F -e "$ROOT"; }
}

# Tell whether a release is one that this program unpacked or upgraded from, for this installation and for nobody else.
is_own_release() {
    find_manifests
    told=$(say "$manifests" | while IFS= read -r manifest; do
        if grep -q -s -x -F -e "tree=$1" -- "$manifest"; then fact_of root "$manifest"; fi
    done)
    ! say "$told" | grep -v -q -x -F -e "$ROOT" -e '' && { [ -n "$told" ] || is_unpacked_here "$1"; } && ! is_in_use "$1"
}

# Tell whether a link beside a release leads into it, or an installation that has backups here.
is_in_use() {
    find_manifests
    inside=$(readlink -f -- "$1")/
    { for beside in "$(dirname -- "$1")"/*; do if [ -L "$beside" ]; then say "$beside"; fi; done && roots_of_backups; } |
        while IFS= read -r way; do
            case $(readlink -f -- "$way")/ in "$inside"*) say "$way" ;; *) ;; esac
        done | grep -q .
}

roots_of_backups() {
    find_manifests
    say "$manifests" | while IFS= read -r manifest; do fact_of root "$manifest"; done
}

# Find the manifests of all backups, once; those that somebody else may have changed are not read.
find_manifests() {
    [ -z "${manifests+found}" ] || return 0
    manifests=$(for manifest in "${BACKUP_DIR:?}"/*/manifest; do
        if [ -f "$manifest" ] && [ -z "$(weak_spot "$manifest")" ]; then say "$manifest"; fi
    done)
}

is_own_manifest() {
    find_manifests
    say "$manifests" | grep -q -x -F -e "$1" && [ "$(fact_of root "$1")" = "${ROOT:?}" ]
}

# Print what is left of a prune that was cut off and of runs that are over, a folder a line: names of our making only, and no
# links. A folder beside the releases is ours by the note about it. A run that is being received gets its name within an hour.
leftovers() (
    find "${STATE_DIR:?}/" "$STATE_DIR/runs/" "$(git_folder)/netpoint-remote/" -mindepth 1 -maxdepth 1 -type d -name '.?*.removed' || :
    find "${BACKUP_DIR:?}/" -mindepth 1 -maxdepth 1 -type d -name '.????????T??????Z-*.removed' || :
    find "$STATE_DIR/runs/" -mindepth 1 -maxdepth 1 -type d -name '*.partial' -mmin +60 || :
    find "$BACKUP_DIR/" -mindepth 1 -maxdepth 1 -type d -name '*.partial' | while IFS= read -r partial; do
        run=$STATE_DIR/runs/$(basename -- "$partial" .partial)
        if [ -f "$run/result" ] && ! [ -e "$run/unsettled" ]; then say "$partial"; fi
    done
    find "$(dirname -- "$(readlink -f -- "$ROOT")")/" -mindepth 1 -maxdepth 1 -type d -name '.?*.removed' | while IFS= read -r gone; do
        name=$(basename -- "$gone" .removed)
        if is_own_note "$STATE_DIR/releases/${name#.}"; then say "$gone"; fi
    done
) 2>/dev/null

# Which installation a run was of; nothing where its variables are not there.
root_of_run() (
    grep -q -s -e '^ROOT=' -- "$1/bundle/vars.sh" || exit 0
    load "$1/bundle/vars.sh"
    say "$ROOT"
)
