# shellcheck shell=sh
# What upgrade.sh makes in a checkout and another release needs anew: move it aside, and back.
: "${NEW:?}" "${PRODUCT:?}"
docs=$PRODUCT/project-static/docs

# Keep it in a folder. What is there already was moved by an earlier attempt.
move_aside() {
    mkdir -p -- "$1/$PRODUCT/project-static"
    # The folder of the documentation holds a file that git tracks, so it is copied and not moved.
    if [ -d "$NEW/$docs" ] && ! [ -e "$1/$docs" ]; then
        rm -rf -- "$1/$docs.partial"
        cp -a -- "$NEW/$docs" "$1/$docs.partial"
        mv -T -- "$1/$docs.partial" "$1/$docs"
    fi
    for part in venv "$PRODUCT/static"; do
        if [ -e "$NEW/$part" ] && ! [ -e "$1/$part" ]; then mv -T -- "$NEW/$part" "$1/$part"; fi
    done
}

# Put it back in place of what is there now.
take_from() {
    for part in venv "$PRODUCT/static" "$docs"; do
        if [ -e "$1/$part" ]; then
            rm -rf -- "${NEW:?}/$part"
            mv -T -- "$1/$part" "$NEW/$part"
        fi
    done
    rm -rf -- "$1"
    rmdir -- "$(dirname -- "$1")" 2>/dev/null || :
}

aside_by_hand() {
    for part in venv "$PRODUCT/static" "$docs"; do
        if [ -e "$1/$part" ]; then say "rm -rf -- $(quoted "$NEW/$part") && mv -T -- $(quoted "$1/$part") $(quoted "$NEW/$part")"; fi
    done
    say "rm -rf -- $(quoted "$1"); rmdir --ignore-fail-on-non-empty -- $(quoted "$(dirname -- "$1")")"
}
