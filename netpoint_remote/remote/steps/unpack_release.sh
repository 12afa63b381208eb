# shellcheck shell=sh
# Unpack the release beside the running one, whole or not at all (the upgrade document, step 3, option A).
: "${STATE_DIR:?}" "${BACKUP_DIR:?}" "${ARCHIVE_SHA256:?}" "${NEW:?}" "${ROOT:?}" "${TREE_VERSION:?}" "${BUNDLE:?}"
# shellcheck source=../ownership.sh
. "$BUNDLE/ownership.sh"
record=$STATE_DIR/releases/$(basename -- "$NEW")
mark=$STATE_DIR/rolled-back/$TREE_VERSION
kept=$NEW.rolled-back-${RUN_ID:?}
partial=$(dirname -- "$NEW")/.$(basename -- "$NEW").partial

check() {
    ! was_rolled_back && [ -d "$NEW" ] && is_unpacked_here "$NEW" && [ "$(head -n 1 -- "$record")" = "$ARCHIVE_SHA256" ] && [ "$(tree_version "$NEW")" = "$TREE_VERSION" ]
}

apply() {
    set_rolled_back_aside
    [ ! -e "$NEW" ] || is_unpacked_here "$NEW" || fail "$NEW already exists and was not made by this program; move it away"
    [ "$(readlink -f -- "$ROOT")" != "$NEW" ] || fail "$NEW is the running release"
    remove_tree "$partial" "$NEW"
    mkdir -- "$partial"
    tar -xzf "$STATE_DIR/archives/$ARCHIVE_SHA256.tar.gz" -C "$partial" --strip-components=1 --no-same-owner
    chmod 755 -- "$partial"
    mkdir -p -- "$STATE_DIR/releases"
    { say "$ARCHIVE_SHA256" && say "root=$ROOT"; } | write_file "$record"
    mv -T -- "$partial" "$NEW"
}

# A release that was rolled back may hold files of its users that nobody else has: it is kept, and unpacked anew.
set_rolled_back_aside() {
    if was_rolled_back && [ "$(readlink -f -- "$ROOT")" != "$NEW" ]; then
        mounted=$(mounts_below "$NEW" | head -n 1)
        [ -z "$mounted" ] || give_up "$NEW is not moved aside, for something is mounted at $mounted: umount it first"
        say "$NEW was rolled back; it is kept as $kept"
        if [ -f "$record" ]; then cp -- "$record" "$STATE_DIR/releases/$(basename -- "$kept")"; fi
        mv -T -- "$NEW" "$kept"
    fi
}

was_rolled_back() {
    [ -d "$NEW" ] && is_own_note "$mark" && is_unpacked_here "$NEW" && ! [ -e "$kept" ]
}

undo() {
    remove_tree "$partial"
    rm -f -- "$record.partial"
    if is_unpacked_here "$NEW" && [ "$(readlink -f -- "$ROOT")" != "$NEW" ] && ! was_rolled_back; then
        remove_tree "$NEW"
        rm -f -- "$record"
    fi
    if [ -e "$kept" ]; then
        mv -T -- "$kept" "$NEW"
        if [ -f "$STATE_DIR/releases/$(basename -- "$kept")" ]; then mv -f -- "$STATE_DIR/releases/$(basename -- "$kept")" "$record"; fi
    fi
}
