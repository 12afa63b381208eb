# shellcheck shell=sh
# Have the release's tag in the checkout, and it alone (the upgrade document, step 3, option B; netbox-community/netbox#18384).
: "${ROOT:?}" "${TAG:?}" "${COMMIT:?}" "${STATE_DIR:?}"

check() {
    [ "$(checkout rev-parse -q --verify "refs/tags/$TAG^{commit}")" = "$COMMIT" ] && checkout cat-file -e "$COMMIT^{tree}"
}

apply() (
    load "$BUNDLE/environment.sh"
    export GIT_TERMINAL_PROMPT=0
    source=${GIT_REMOTE:-origin}
    [ ! -f "$STATE_DIR/archives/$COMMIT.bundle" ] || source=$STATE_DIR/archives/$COMMIT.bundle
    if [ "$(checkout rev-parse --is-shallow-repository)" = true ] && [ "$source" = "${GIT_REMOTE:-origin}" ]; then
        set -- --depth 1
    fi
    checkout fetch -q --no-tags "$@" -- "$source" "+refs/tags/$TAG:refs/tags/$TAG" || fail "git could not fetch $TAG"
    check || give_up "the tag $TAG is not the commit that was verified ($COMMIT)"
)

undo() {
    :
}
