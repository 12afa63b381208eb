# shellcheck shell=sh
# Save what is not in the database: configuration and local files, media, scripts, reports (the upgrade document: "a backup").
: "${RUN:?}" "${OLD:?}" "${UPLOADS?}" "${BUNDLE:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"

check() {
    [ -f "$RUN/files.saved" ] && { [ -f "$making/files.tar" ] || [ -f "$made/files.tar" ]; }
}

apply() {
    umask 077
    rm -f -- "$RUN/files.saved" "$making/files.tar"
    { local_names && upload_names; } | tr '\n' '\0' >"$RUN/files.names"
    status=0
    tar -C / --null --exclude=__pycache__ -cf "$making/files.tar" -T "$RUN/files.names" || status=$?
    # 1: users went on writing into a file while it was read
    case $status in
        0) ;;
        1) journal warning "files changed while they were saved: see the log" ;;
        *) fail "the files could not be saved: $(last_line)" ;;
    esac
    tar -tf "$making/files.tar" >"$RUN/files.list" || fail "the saved files cannot be read back"
    journal note "saved: $(wc -l <"$RUN/files.list") files and folders ($(($(stat -c %s -- "$making/files.tar") / 1024)) KiB)"
    : >"$RUN/files.saved"
}

# No other tree has them, so all that is local counts.
local_names() (
    NEW=$RUN/no-other-tree FOLDERS=$(printf '%s' "$UPLOADS" | sed "s|^$(printf '%s' "$OLD" | sed 's/[][\.*^$|]/\\&/g')/||")
    # shellcheck source=../local_files.sh
    . "$BUNDLE/local_files.sh"
    local_files | sort -u | while IFS= read -r name; do say "${OLD#/}/$name"; done
)

# Also where they are kept elsewhere, behind a link.
upload_names() {
    say "$UPLOADS" | while IFS= read -r folder; do
        if [ -L "$folder" ]; then say "${folder#/}"; fi
        if [ -d "$folder" ]; then readlink -f -- "$folder" | sed 's|^/||'; fi
    done
}

undo() {
    rm -f -- "$RUN/files.saved"
}
