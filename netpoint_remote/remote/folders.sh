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
# all is there: what root writes meanwhile goes through no link that was planted.
bring() {
    shut "$2" && compare "$1" "$2" && put "$1" "$2"
}

shut() {
    mkdir -p -- "$1" && chmod 700 -- "$1" && chown "$(id -u):$(id -g)" -- "$1"
}

# Let the new folder have all that the old one has, and of its own only what the release brought.
mirror() {
    shut "$2" && compare "$1" "$2" && remove_surplus "$2" && put "$1" "$2" &&
        chown --reference="$1" -- "$2" && chmod --reference="$1" -- "$2"
}

remove_surplus() (
    cd -- "$1" && xargs -0 -r rm -rf -- <"$RUN/listing.surplus"
)

is_mirrored() {
    [ -d "$2" ] && [ "$(stat -c '%u:%g %a' -- "$1")" = "$(stat -c '%u:%g %a' -- "$2")" ] && compare "$1" "$2" && ! [ -s "$RUN/listing.missing" ] && ! [ -s "$RUN/listing.surplus" ]
}

link_bring() {
    rm -rf -- "$2" && cp -a -- "$1" "$2"
}

link_mirror() {
    link_bring "$@"
}

link_is_mirrored() {
    [ -L "$2" ] && [ "$(readlink -- "$1")" = "$(readlink -- "$2")" ]
}

# Write down what the new folder lacks (entries that differ count too), and the names it has too many. Each list has to
# be whole, for on a full disk empty ones are alike, and what a short one of the old folder lacks would be removed from the
# new; and `set -e` is off here.
compare() {
    listing "$1" >"$RUN/listing.old" || return 1
    listing "$2" >"$RUN/listing.new" || return 1
    comm -z -23 "$RUN/listing.old" "$RUN/listing.new" >"$RUN/listing.missing" || return 1
    names "$RUN/listing.old" >"$RUN/listing.names.old" || return 1
    names "$RUN/listing.new" >"$RUN/listing.names.new" || return 1
    comm -z -13 "$RUN/listing.names.old" "$RUN/listing.names.new" >"$RUN/listing.more" || return 1
    brought "${2#"$NEW/"}" >"$RUN/listing.brought" || return 1
    comm -z -23 "$RUN/listing.more" "$RUN/listing.brought" >"$RUN/listing.surplus" || return 1
}

# What is in a folder, an entry after the other (NUL-terminated): name//kind, size, time, owner, mode, where a link points.
# No name has two slashes in a row. While files are copied, users go on removing them.
listing() (
    [ -d "$1" ] || exit 0
    cd -- "$1" || exit 1
    find . -ignore_readdir_race -mindepth 1 -name __pycache__ -prune -o -type d -printf '%P//d %U:%G %m\0' -o -printf '%P//%y %s %Ts %U:%G %m %l\0' >"$RUN/listing.found" || exit 1
    sort -z -- "$RUN/listing.found"
)

names() {
    sed -z 's|//.*||' "$1" | sort -z
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

put() {
    if [ -s "$RUN/listing.missing" ]; then
        names "$RUN/listing.missing" >"$RUN/listing.names" || return 1
        # What the first tar cannot read is seen when the folders are compared again.
        tar -C "$1" --null --no-recursion -T "$RUN/listing.names" -cf - | tar -C "$2" --numeric-owner -xpf - || return 1
        # tar leaves a folder the setgid bit that it inherited.
        # shellcheck disable=SC2016 # they expand in the shell that xargs starts
        sed -z -n 's|//d .*||p' "$RUN/listing.missing" |
            xargs -0 -r sh -c 'from=$1; to=$2; shift 2; for name; do chmod --reference="$from/$name" -- "$to/$name"; done' sh "$1" "$2"
    fi
}
