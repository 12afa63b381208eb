# shellcheck shell=sh
# Say whether this server has an archive already (have), can download it itself (reachable) or needs it pushed (unreachable).
: "${STATE_DIR:?}" "${ARCHIVE_NAME:?}" "${ARCHIVE_SHA256?}" "${ARCHIVE_URL?}"
file=$STATE_DIR/archives/$ARCHIVE_NAME
if [ -f "$file" ] && { [ -z "$ARCHIVE_SHA256" ] || say "$ARCHIVE_SHA256  $file" | sha256sum -c --status -; }; then
    say have
elif [ -z "$ARCHIVE_URL" ]; then
    say unreachable
elif have wget && say "$ARCHIVE_URL" | wget -q --spider --timeout=10 --tries=1 -i - 2>/dev/null; then
    say reachable
elif ! have wget && have curl && say "url = \"$ARCHIVE_URL\"" | curl -fsSL -I -o /dev/null --connect-timeout 10 --max-time 20 -K - 2>/dev/null; then
    say reachable
else
    say unreachable
fi
