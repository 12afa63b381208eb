# shellcheck shell=sh
# Receive an archive on standard input, whole and as verified, or not at all.
: "${STATE_DIR:?}" "${ARCHIVE_NAME:?}" "${ARCHIVE_SHA256:?}"
umask 077
make_private "$STATE_DIR/archives"
chmod 700 -- "$STATE_DIR/archives"
file=$STATE_DIR/archives/$ARCHIVE_NAME
# A line that is gone without a word would be waited for.
timeout 4000 cat >"$file.$$.partial"
if say "$ARCHIVE_SHA256  $file.$$.partial" | sha256sum -c --status -; then
    mv -f -- "$file.$$.partial" "$file"
    say received
else
    rm -f -- "$file.$$.partial"
    say "what arrived is not what was sent"
    exit 1
fi
