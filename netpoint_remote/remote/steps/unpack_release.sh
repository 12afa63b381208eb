# shellcheck shell=sh
# Unpack the release beside the running one, whole or not at all (the upgrade document, step 3, option A).
: "${STATE_DIR:?}" "${ARCHIVE_SHA256:?}" "${NEW:?}" "${ROOT:?}" "${TREE_VERSION:?}"
record=$STATE_DIR/releases/$(basename -- "$NEW")
partial=$(dirname -- "$NEW")/.$(basename -- "$NEW").partial

check() {
    [ -d "$NEW" ] && [ "$(cat "$record" 2>/dev/null)" = "$ARCHIVE_SHA256" ] && [ "$(tree_version "$NEW")" = "$TREE_VERSION" ]
}

apply() {
    [ ! -e "$NEW" ] || [ -f "$record" ] || fail "$NEW is in the way and was not made by this program; move it aside"
    [ "$(readlink -f -- "$ROOT")" != "$NEW" ] || fail "$NEW is the running release"
    rm -rf -- "$partial" "$NEW"
    mkdir -- "$partial"
    tar -xzf "$STATE_DIR/archives/$ARCHIVE_SHA256.tar.gz" -C "$partial" --strip-components=1 --no-same-owner
    chmod 755 -- "$partial"
    mkdir -p -- "$STATE_DIR/releases"
    say "$ARCHIVE_SHA256" | write_file "$record"
    mv -T -- "$partial" "$NEW"
}

undo() {
    rm -rf -- "$partial"
    if [ -f "$record" ] && [ "$(readlink -f -- "$ROOT")" != "$NEW" ]; then rm -rf -- "$NEW" && rm -f -- "$record"; fi
}
