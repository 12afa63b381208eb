# shellcheck shell=sh
# Put back the files of a backup that has some; what users added since stays (the upgrade document, step 3).
: "${FROM:?}" "${RUN:?}" "${BUNDLE:?}" "${BACKUP_DIR:?}"
# shellcheck source=../backup.sh
. "$BUNDLE/backup.sh"
files=$BACKUP_DIR/$FROM/files.tar

check() {
    ! [ -f "$files" ] || [ -f "$RUN/files.back" ]
}

# What is overwritten is kept beside this run's own dump.
apply() {
    umask 077
    if ! [ -f "$RUN/before/absent" ]; then
        tar --quoting-style=literal -tf "$files" >"$RUN/files.names"
        while IFS= read -r name; do if is_there "$name"; then say "$name"; fi; done <"$RUN/files.names" |
            tar -C / --no-recursion --verbatim-files-from -cf "$made/replaced.tar" -T - || fail "what would be overwritten could not be saved"
        while IFS= read -r name; do is_there "$name" || say "$name"; done <"$RUN/files.names" | write_file "$RUN/before/absent"
        sync -- "$made/replaced.tar" "$RUN/before/absent" 2>/dev/null || sync
    fi
    tar -C / -xpf "$files"
    : >"$RUN/files.back"
}

is_there() {
    [ -e "/$1" ] || [ -L "/$1" ]
}

undo() {
    if [ -f "$RUN/before/absent" ]; then
        sort -r "$RUN/before/absent" | while IFS= read -r name; do
            if [ -d "/$name" ] && ! [ -L "/$name" ]; then rmdir -- "/$name" || :; else rm -f -- "/$name"; fi
        done
        tar -C / -xpf "$made/replaced.tar"
        rm -f -- "$RUN/before/absent" "$RUN/files.back"
    fi
}

by_hand() {
    if [ -f "$RUN/before/absent" ]; then
        # shellcheck disable=SC2016 # it expands in the shell of who types it
        printf 'sort -r %s | while IFS= read -r name; do if [ -d "/$name" ] && ! [ -L "/$name" ]; then rmdir --ignore-fail-on-non-empty -- "/$name"; else rm -f -- "/$name"; fi; done\n' "$(quoted "$RUN/before/absent")"
        say "tar -C / -xpf $(quoted "$made/replaced.tar")"
        say "rm -f -- $(quoted "$RUN/before/absent") $(quoted "$RUN/files.back")"
    fi
}
