# shellcheck shell=sh
# Write down what a backup holds and give it its name: from here on it counts as one (the design, promise 6).
: "${RUN:?}" "${RUN_ID:?}" "${OPERATOR:?}" "${BUNDLE:?}" "${PURPOSE:?}" "${METHOD:?}" "${ROOT:?}" "${OLD:?}" "${OLD_VERSION:?}" "${TREE_VERSION:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"

check() {
    [ -f "$RUN/sealed" ] && backup_is_whole "$made"
}

apply() {
    umask 077
    # It may have got its name already when it was cut off.
    if ! [ -e "$making" ] && backup_is_whole "$made"; then
        : >"$RUN/sealed"
        return 0
    fi
    manifest | write_file "$making/manifest"
    # Not every psql tells that a full disk took nothing of what it wrote.
    for line in 'database_time=[0-9]+' 'migrations=[0-9]+ [0-9a-f]{32}'; do
        grep -q -x -E "$line" "$making/manifest" || fail "what the dump holds was not written down whole (${line%%=*}): is a disk full?"
    done
    backup_is_whole "$making" || fail "the backup does not read back as it was written"
    sync -- "$making"/* "$making" 2>/dev/null || sync
    mv -T -- "$making" "$made"
    sync -- "$BACKUP_DIR" 2>/dev/null || sync
    : >"$RUN/sealed"
    journal note "backup: $made"
}

manifest() {
    say "backup=$RUN_ID"
    say "purpose=$PURPOSE"
    say "made=$(date +%s)"
    say "operator=$OPERATOR"
    say "method=$METHOD"
    say "root=$ROOT"
    say "tree=$OLD"
    say "version=$OLD_VERSION"
    say "leads_to=$TREE_VERSION"
    say "verified=$(cat "$RUN/verified" 2>/dev/null || say read)"
    if [ "$METHOD" = git ]; then
        commit=$(checkout rev-parse HEAD)
        say "commit=$(one_line "$commit" 100)"
        say "ref=$(one_line "$(cat "$RUN/before/ref")" 300)"
    fi
    grep -E '^(database_time|postgresql|database_mb|migrations|changes\.[a-z_]+|rows\.[A-Za-z0-9_.]+)=' "$RUN/counted"
    for file in database.dump files.tar; do
        if [ -f "$making/$file" ]; then
            say "size.$file=$(stat -c %s -- "$making/$file")"
            say "sha256.$file=$(sha256sum <"$making/$file" | cut -c -64)"
        fi
    done
}

# Of an upgrade it stays: it takes room only, and may be needed. A `backup` that is undone has saved nothing.
undo() {
    rm -f -- "$RUN/sealed"
    if [ "$PURPOSE" = backup ] && [ -d "$made" ] && ! [ -e "$making" ]; then mv -T -- "$made" "$making"; fi
}
