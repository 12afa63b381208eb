# shellcheck shell=sh
# Folders of uploaded files that exist in the old and the new release: compare them and carry the difference.
: "${OLD:?}" "${NEW:?}" "${FOLDERS?}" "${RUN:?}"

# Do one thing (bring, mirror, is_mirrored) with each folder that the old release has.
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

# Let the new folder have all that the old one has. NetPoint's own user, whose files these are, does not get into it until
# all is there.
bring() {
    by_descriptor bring "$1" "$2"
}

# Let the new folder have all that the old one has, and of its own only what the release brought. That list has to be
# whole: what a short one lacks would be removed; and `set -e` is off here.
mirror() {
    brought "${2#"$NEW/"}" >"$RUN/listing.brought" || return 1
    by_descriptor mirror "$1" "$2" <"$RUN/listing.brought"
}

is_mirrored() {
    brought "${2#"$NEW/"}" >"$RUN/listing.brought" || return 1
    by_descriptor is_mirrored "$1" "$2" <"$RUN/listing.brought"
}

link_bring() {
    by_descriptor carry "$1" "$2"
}

link_mirror() {
    link_is_mirrored "$@" || link_bring "$@"
}

link_is_mirrored() {
    [ -L "$2" ] && [ "$(readlink -- "$1")" = "$(readlink -- "$2")" ]
}

# The names that the release itself has in a folder; an archive need not name the folders its files are in.
brought() {
    if ! [ -f "$RUN/listing.archive" ]; then
        tar --quoting-style=literal -tzf "${STATE_DIR:?}/archives/${ARCHIVE_SHA256:?}.tar.gz" >"$RUN/listing.archive.partial" || return 1
        mv -f -- "$RUN/listing.archive.partial" "$RUN/listing.archive" || return 1
    fi
    within=$(printf '%s' "$1" | sed 's/[][\.*^$|]/\\&/g')
    sed -n "s|^[^/]*/$within/\\(..*\\)|\\1|p" "$RUN/listing.archive" |
        awk '{ sub("/$", ""); print; while (sub("/[^/]*$", "")) print }' | tr '\n' '\0' | sort -z -u
}
