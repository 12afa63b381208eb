# shellcheck shell=sh
# Have the release's archive on this server, whole and as verified (the upgrade document, step 3, option A).
: "${STATE_DIR:?}" "${ARCHIVE_SHA256:?}"
archive=$STATE_DIR/archives/$ARCHIVE_SHA256.tar.gz

check() {
    [ -f "$archive" ] && say "$ARCHIVE_SHA256  $archive" | sha256sum -c --status -
}

apply() (
    umask 077
    mkdir -p -- "$STATE_DIR/archives"
    load "$BUNDLE/environment.sh"
    [ -n "${ARCHIVE_URL-}" ] || give_up "the archive was not pushed and there is no address to download it from"
    download "$archive.partial"
    say "$ARCHIVE_SHA256  $archive.partial" | sha256sum -c --status - ||
        give_up "what was downloaded is not the archive that was verified (sha256 $(sha256sum "$archive.partial" | cut -c -64)); use --push to send the verified one"
    mv -f -- "$archive.partial" "$archive"
)

# The address may carry credentials, so it goes by standard input or a file, never by an argument.
download() {
    rm -f -- "$1"
    if have wget; then
        # What wget says names the address.
        said=$(say "$ARCHIVE_URL" | wget -nv --timeout=60 --tries=1 -i - -O "$1" 2>&1) ||
            fail "the download failed (wget status $?): $(say "$said" | sed 's|[a-z]*://[^ ]*|...|g' | tail -n 1)"
    elif have curl; then
        say "url = \"$ARCHIVE_URL\"" | curl -fsSL --connect-timeout 30 --speed-time 60 --speed-limit 100 -K - -o "$1" || fail "the download failed (curl status $?)"
    else
        give_up "neither wget nor curl is installed; use --push"
    fi
}

undo() {
    rm -f -- "$archive.partial"
}
