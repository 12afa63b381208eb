# shellcheck shell=sh
# Keep what upgrade.sh would destroy in place: the virtual environment, the static files, the built documentation.
: "${NEW:?}" "${PRODUCT:?}" "${ASIDE:?}"

parts() {
    say venv
    say "$PRODUCT/static"
    say "$PRODUCT/project-static/docs"
}

check() {
    [ -f "$ASIDE/complete" ] && [ ! -e "$NEW/venv" ]
}

apply() {
    umask 077
    mkdir -p -- "$ASIDE"
    umask 022
    parts | while IFS= read -r part; do
        if [ -e "$NEW/$part" ] && ! [ -e "$ASIDE/$part" ]; then
            mkdir -p -- "$ASIDE/$(dirname -- "$part")"
            mv -T -- "$NEW/$part" "$ASIDE/$part"
        fi
    done
    : >"$ASIDE/complete"
}

undo() {
    parts | while IFS= read -r part; do
        if [ -e "$ASIDE/$part" ]; then
            rm -rf -- "${NEW:?}/$part"
            mv -T -- "$ASIDE/$part" "$NEW/$part"
        fi
    done
    rm -rf -- "$ASIDE"
}
