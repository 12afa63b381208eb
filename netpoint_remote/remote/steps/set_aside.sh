# shellcheck shell=sh
# Keep what upgrade.sh would destroy in place: the virtual environment, the static files, the built documentation.
: "${NEW:?}" "${PRODUCT:?}" "${ASIDE:?}" "${RUN_ID:?}"
docs=$PRODUCT/project-static/docs

check() {
    [ "$(cat "$ASIDE/complete" 2>/dev/null)" = "$RUN_ID" ] && [ ! -e "$NEW/venv" ]
}

apply() {
    # What an earlier upgrade left here belongs to a release that is no longer the one before.
    [ ! -f "$ASIDE/complete" ] || [ "$(cat "$ASIDE/complete")" = "$RUN_ID" ] || rm -rf -- "$ASIDE"
    mkdir -p -- "$ASIDE/$PRODUCT/project-static"
    # The folder of the documentation holds a file that git tracks, so it is copied and not moved.
    if [ -d "$NEW/$docs" ] && ! [ -e "$ASIDE/$docs" ]; then
        rm -rf -- "$ASIDE/$docs.partial"
        cp -a -- "$NEW/$docs" "$ASIDE/$docs.partial"
        mv -T -- "$ASIDE/$docs.partial" "$ASIDE/$docs"
    fi
    for part in venv "$PRODUCT/static"; do
        if [ -e "$NEW/$part" ] && ! [ -e "$ASIDE/$part" ]; then mv -T -- "$NEW/$part" "$ASIDE/$part"; fi
    done
    say "$RUN_ID" >"$ASIDE/complete"
}

undo() {
    for part in venv "$PRODUCT/static" "$docs"; do
        if [ -e "$ASIDE/$part" ]; then
            rm -rf -- "${NEW:?}/$part"
            mv -T -- "$ASIDE/$part" "$NEW/$part"
        fi
    done
    rm -rf -- "$ASIDE"
    rmdir -- "$(dirname -- "$ASIDE")" 2>/dev/null || :
}
