# shellcheck shell=sh
# Save what is not in the database: configuration and local files, media, scripts, reports (the upgrade document: "a backup").
: "${RUN:?}" "${OLD:?}" "${UPLOADS?}" "${BUNDLE:?}" "${PRODUCT:?}" "${BACKUP_DIR:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"

check() {
    [ -f "$RUN/files.saved" ] && { [ -f "$making/files.tar" ] || [ -f "$made/files.tar" ]; }
}

apply() {
    umask 077
    rm -f -- "$RUN/files.saved" "$making/files.tar"
    local_names >"$RUN/files.local" || fail "the local files could not be listed: $(last_line)"
    upload_names >"$RUN/files.uploads"
    sort -u -- "$RUN/files.local" "$RUN/files.uploads" | tr '\n' '\0' >"$RUN/files.names"
    status=0
    tar -C / --null --exclude=__pycache__ --xattrs --xattrs-include='system.posix_acl_*' -cf "$making/files.tar" -T "$RUN/files.names" || status=$?
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
    local_files >"$RUN/files.found" || exit 1
    while IFS= read -r name; do
        say "${OLD#/}/$name"
        if [ -L "$OLD/$name" ]; then target_name "$OLD/$name"; fi
    done <"$RUN/files.found"
)

# What a link leads to; but not the system's own, which an old backup must not bring back, nor the backups themselves.
target_name() {
    target=$(readlink -f -- "$1") && [ -e "$target" ] || return 0
    case $target in /usr/local/*) ;; /usr/*) return 0 ;; *) ;; esac
    case $BACKUP_DIR/ in "${target%/}"/*) return 0 ;; *) ;; esac
    say "${target#/}"
}

# Also where they are kept elsewhere, behind a link.
upload_names() {
    say "$UPLOADS" | while IFS= read -r folder; do
        if [ -L "$folder" ]; then say "${folder#/}"; fi
        if [ -d "$folder" ]; then
            readlink -f -- "$folder" | sed 's|^/||'
        elif [ -L "$folder" ] || ! is_usual "$folder"; then
            journal warning "$folder is not there, so the backup holds nothing of it: is it mounted?"
        fi
    done
}

# Not every release has each of these, and where one has not, nothing was uploaded.
is_usual() {
    case $1 in "$OLD/$PRODUCT/media" | "$OLD/$PRODUCT/scripts" | "$OLD/$PRODUCT/reports" | '') return 0 ;; *) return 1 ;; esac
}

undo() {
    rm -f -- "$RUN/files.saved"
}
