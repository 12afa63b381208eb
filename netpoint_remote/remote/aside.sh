# shellcheck shell=sh
# What upgrade.sh makes in a checkout and another release needs anew: move it aside, and back; by descriptor, for the
# checkout may be somebody else's.
: "${NEW:?}" "${PRODUCT:?}"
docs=$PRODUCT/project-static/docs

# Keep it in a folder. What is there already was moved by an earlier attempt of this run.
move_aside() {
    by_descriptor make "$1/$PRODUCT/project-static"
    # The folder of the documentation holds a file that git tracks, so it is copied and not moved.
    if [ -d "$NEW/$docs" ] && ! [ -e "$1/$docs" ]; then
        discard "$1/$docs.partial"
        by_descriptor copy "$NEW/$docs" "$1/$docs.partial"
        by_descriptor move "$1/$docs.partial" "$1/$docs"
    fi
    for part in venv "$PRODUCT/static"; do
        if [ -e "$NEW/$part" ] && ! [ -e "$1/$part" ]; then by_descriptor move "$NEW/$part" "$1/$part"; fi
    done
}

# Put it back in place of what is there now.
take_from() {
    for part in venv "$PRODUCT/static" "$docs"; do
        if [ -e "$1/$part" ]; then
            discard "${NEW:?}/$part"
            by_descriptor move "$1/$part" "$NEW/$part"
        fi
    done
    remove_aside "$1"
}

# Remove it under another name: what is half removed is not to be taken for whole.
remove_aside() {
    going=$(beside "$1" going)
    discard "$going"
    if [ -e "$1" ]; then by_descriptor move "$1" "$going"; fi
    discard "$going"
    rmdir -- "$(dirname -- "$1")" 2>/dev/null || :
}

# A name beside a folder that nobody takes for a release set aside: those have no dot before them.
beside() {
    printf '%s/.%s.%s' "$(dirname -- "$1")" "$(basename -- "$1")" "$2"
}

aside_by_hand() {
    for part in venv "$PRODUCT/static" "$docs"; do
        if [ -e "$1/$part" ]; then say "rm -rf -- $(quoted "$NEW/$part") && mv -T -- $(quoted "$1/$part") $(quoted "$NEW/$part")"; fi
    done
    say "rm -rf -- $(quoted "$1"); rmdir --ignore-fail-on-non-empty -- $(quoted "$(dirname -- "$1")")"
}
