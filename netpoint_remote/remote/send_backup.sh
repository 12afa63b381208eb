# shellcheck shell=sh
# Print a file of a backup from an offset (bytes) in base64, or nothing where there is none.
: "${BACKUP_DIR:?}" "${FROM:?}" "${FILE:?}" "${OFFSET:?}"
case $FROM in .* | *[!A-Za-z0-9-]*) exit 64 ;; *) ;; esac
case $FILE in manifest | database.dump | files.tar) ;; *) exit 64 ;; esac
file=$BACKUP_DIR/$FROM/$FILE
weak=$(weak_spot "$file")
[ -z "$weak" ] || { say "error: $file cannot be trusted: $weak"; exit 1; }
if [ -f "$file" ]; then tail -c "+$((OFFSET + 1))" -- "$file" | base64 -w 57344; fi
