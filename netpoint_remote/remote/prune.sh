# shellcheck shell=sh
# Remove backups, releases and logs that were shown to the operator; each is looked at once more before it goes.
: "${STATE_DIR:?}" "${BACKUP_DIR:?}" "${ROOT:?}" "${PRODUCT:?}" "${BACKUPS?}" "${TREES?}" "${RUNS?}" "${ARCHIVES?}" "${LEFTOVERS?}"
umask 077
make_private "$STATE_DIR"
weak=$(weak_spot "$BACKUP_DIR")
[ -z "$weak" ] || { say "error: $BACKUP_DIR is not safe to write to: $weak"; exit 1; }
exec 9>>"$STATE_DIR/lock"
flock -w 10 9 || { say locked; exit 0; }
# Where the link leads nowhere nobody can tell which of the releases beside it is the current one.
real=$(readlink -f -- "$ROOT" || :)
[ -n "$real" ] && [ -f "$real/$PRODUCT/manage.py" ] || { say "error: there is no $PRODUCT at $ROOT; nothing was removed"; exit 1; }

asides=$(git_folder)/netpoint-remote/

by_descriptor() {
    own_python -c "$(bundled files.py)" "$@"
}

# It loses its name first, so that half of it is never taken for the whole. Where something is mounted in it, it keeps it.
remove() {
    mounted=$(mounts_below "$1" | head -n 1)
    [ -z "$mounted" ] || { say "error: $1 is not removed, for something is mounted at $mounted: umount it first"; exit 1; }
    gone=$(dirname -- "$1")/.$(basename -- "$1").removed
    discard "$gone"
    by_descriptor move "$1" "$gone"
    discard "$gone"
    say "removed $1"
}

# The note about it tells whose it is, should this be cut off when it has no name any more.
remove_release() {
    note=$STATE_DIR/releases/$(basename -- "$1")
    mkdir -p -- "$STATE_DIR/releases"
    [ -e "$note" ] || { say pruned && say "root=$ROOT"; } | write_file "$note"
    remove "$1"
    if is_unpacked_here "$1"; then rm -f -- "$note"; fi
}

plain_name() {
    case $1 in '' | .* | *[!A-Za-z0-9-]*) return 1 ;; *) ;; esac
}

is_release() {
    case $1 in *//* | */. | */.. | */./* | */../*) return 1 ;; *) ;; esac
    case $1 in
        "$asides"*) [ -d "$1" ] ;;
        *) [ "$(dirname -- "$1")" = "$(dirname -- "$real")" ] && [ "$1" != "$real" ] && [ -f "$1/$PRODUCT/manage.py" ] && is_own_release "$1" ;;
    esac && ! [ -L "$1" ]
}

leftovers | while IFS= read -r left; do
    if say "$LEFTOVERS" | grep -q -x -F -e "$left"; then
        discard "$left"
        say "removed $left"
    fi
done
# Before the backups: their manifests tell which releases are ours.
say "$TREES" | while IFS= read -r tree; do
    if [ -n "$tree" ] && is_release "$tree"; then
        case $tree in "$asides"*) remove "$tree" ;; *) remove_release "$tree" ;; esac
    fi
done
say "$BACKUPS" | while IFS= read -r id; do
    if plain_name "$id" && is_own_manifest "$BACKUP_DIR/$id/manifest" && ! [ -L "$BACKUP_DIR/$id" ]; then remove "$BACKUP_DIR/$id"; fi
done
current=$(cat "$STATE_DIR/current" 2>/dev/null || :)
say "$RUNS" | while IFS= read -r id; do
    if plain_name "$id" && [ "$id" != "$current" ] && [ "$(root_of_run "$STATE_DIR/runs/$id")" = "$ROOT" ]; then remove "$STATE_DIR/runs/$id"; fi
done
if [ -n "$ARCHIVES" ] && [ -d "$STATE_DIR/archives" ]; then remove "$STATE_DIR/archives"; fi
say pruned
