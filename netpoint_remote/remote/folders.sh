# shellcheck shell=sh
# Folders of uploaded files that exist in the old and the new release: compare them and carry the difference.
: "${OLD:?}" "${NEW:?}" "${FOLDERS?}" "${RUN:?}"

# What is in a folder, a line an entry (NUL-terminated): name, kind, size, time, owner, mode, where a link points.
listing() (
    cd -- "$1" 2>/dev/null || exit 0
    find . -mindepth 1 -name __pycache__ -prune -o -type d -printf '%P\td %U:%G %m\0' -o -printf '%P\t%y %s %Ts %U:%G %m %l\0' | sort -z
)

each_folder() {
    while IFS= read -r folder; do
        # What an admin keeps elsewhere, behind a link, stays there: the new release gets the same link.
        if [ -n "$folder" ] && [ -L "$OLD/$folder" ]; then
            "link_$1" "$OLD/$folder" "$NEW/$folder" || return 1
        elif [ -n "$folder" ] && [ -d "$OLD/$folder" ]; then
            "$1" "$OLD/$folder" "$NEW/$folder" || return 1
        fi
    done <<EOF
$FOLDERS
EOF
}

link_has_all() {
    [ -L "$2" ] && [ "$(readlink -- "$1")" = "$(readlink -- "$2")" ]
}

link_has_only() {
    link_has_all "$@"
}

link_bring() {
    rm -rf -- "$2"
    cp -a -- "$1" "$2"
}

link_drop() {
    :
}

missing() {
    listing "$1" >"$RUN/listing.old"
    listing "$2" >"$RUN/listing.new"
    comm -z -23 "$RUN/listing.old" "$RUN/listing.new"
}

has_all() {
    [ -d "$2" ] && [ "$(missing "$1" "$2" | wc -c)" -eq 0 ]
}

bring() {
    mkdir -p -- "$2"
    chown --reference="$1" -- "$2"
    chmod --reference="$1" -- "$2"
    missing "$1" "$2" | cut -z -f 1 >"$RUN/listing.names"
    if [ -s "$RUN/listing.names" ]; then
        # A failure of the first tar is seen by the check that follows.
        tar -C "$1" --null --no-recursion -T "$RUN/listing.names" -cf - | tar -C "$2" --numeric-owner -xpf -
    fi
}

# Names that the new folder has and the old one does not, but for what the release itself brought.
surplus() {
    listing "$1" | cut -z -f 1 | sort -z >"$RUN/listing.old"
    listing "$2" | cut -z -f 1 | sort -z >"$RUN/listing.new"
    comm -z -13 "$RUN/listing.old" "$RUN/listing.new" | sort -z | comm -z -23 - "$RUN/listing.pristine"
}

pristine() {
    tar -tzf "${STATE_DIR:?}/archives/${ARCHIVE_SHA256:?}.tar.gz" | sed -n "s|^[^/]*/${2#"$NEW/"}/||; s|/\$||; /./p" | tr '\n' '\0' | sort -z >"$RUN/listing.pristine"
}

has_only() {
    pristine "$1" "$2"
    [ "$(surplus "$1" "$2" | wc -c)" -eq 0 ]
}

drop() {
    pristine "$1" "$2"
    surplus "$1" "$2" | (cd -- "$2" && xargs -0 -r rm -rf --)
}
