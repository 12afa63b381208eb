# shellcheck shell=sh
# Have the release's tag in the checkout, and it alone (the upgrade document, step 3, option B; netbox-community/netbox#18384).
: "${ROOT:?}" "${TAG:?}" "${COMMIT:?}" "${STATE_DIR:?}" "${BUNDLE:?}"
# shellcheck source=../git_locks.sh
. "$BUNDLE/git_locks.sh"

check() {
    [ "$(checkout rev-parse -q --verify "refs/tags/$TAG^{commit}")" = "$COMMIT" ] && checkout cat-file -e "$COMMIT^{tree}"
}

apply() (
    load "$BUNDLE/environment.sh"
    export GIT_TERMINAL_PROMPT=0
    source=${GIT_REMOTE:-origin}
    release_locks
    if [ -f "$STATE_DIR/archives/$COMMIT.bundle" ]; then
        source=$STATE_DIR/archives/$COMMIT.bundle
    elif [ "$(checkout rev-parse --is-shallow-repository)" = true ]; then
        set -- --depth 1
    fi
    fetch_from "$source" -q --no-tags "$@" || fail "git could not fetch $TAG"
    check || give_up "the tag $TAG is not the commit that was verified ($COMMIT)"
)

# A password in the address would be an argument of git's helpers, for everybody to see: it goes by the environment.
fetch_from() {
    source=$1
    shift
    address=$source
    if [ "$source" = origin ]; then address=$(checkout config --get remote.origin.url || :); fi
    case $address in
        http://*:*@* | https://*:*@*)
            place=${address#*://}
            place=${place%%/*}
            account=${place%@*}
            place=${address%%://*}://${place##*@}
            GIT_ACCOUNT=$(printf '%s' "${account%%:*}" | unquoted)
            GIT_PASSWORD=$(printf '%s' "${account#*:}" | unquoted)
            export GIT_ACCOUNT GIT_PASSWORD
            # shellcheck disable=SC2016 # it expands in the shell that git starts
            answer='!f() { test "$1" != get || printf "username=%s\npassword=%s\n" "$GIT_ACCOUNT" "$GIT_PASSWORD"; }; f'
            change_checkout -c credential.helper= -c "credential.$place.helper=$answer" \
                fetch --upload-pack=git-upload-pack "$@" -- "$place/${address#*://*/}" "+refs/tags/$TAG:refs/tags/$TAG"
            ;;
        *) with_own_helpers fetch --upload-pack=git-upload-pack "$@" -- "$source" "+refs/tags/$TAG:refs/tags/$TAG" ;;
    esac
}

# Who answers for credentials is root's to say, not the checkout's.
with_own_helpers() {
    while IFS=' ' read -r key helper; do
        if [ -n "$key" ]; then set -- -c "$key=$helper" "$@"; fi
    done <<END
$(for scope in --global --system; do git config "$scope" --get-regexp '^credential\.(.*\.)?helper$' 2>/dev/null || :; done)
END
    change_checkout -c credential.helper= "$@"
}

# Take the %40 and the like out of a part of an address.
unquoted() {
    own_python -c 'import sys, urllib.parse; sys.stdout.write(urllib.parse.unquote(sys.stdin.read()))'
}

# The locks that a fetch of one tag takes.
release_locks() {
    remove_locks_left shallow.lock "refs/tags/$TAG.lock" packed-refs.lock
}

undo() {
    release_locks
}
