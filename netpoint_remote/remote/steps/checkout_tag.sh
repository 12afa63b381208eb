# shellcheck shell=sh
# Check the release out in place (the upgrade document, step 3, option B, "checking out an older release").
: "${ROOT:?}" "${TAG:?}" "${COMMIT:?}" "${RUN:?}"

begun=$RUN/checkout.begun

clean() {
    [ -z "$(checkout status --porcelain --untracked-files=no)" ]
}

check() {
    [ "$(checkout rev-parse HEAD)" = "$COMMIT" ] && clean
}

apply() {
    clean || give_up "the checkout has local changes that it had not when it was looked at"
    : >"$begun"
    if ! check_out "$(wanted)"; then
        # Git refuses before it begins; what it began is undone.
        if clean; then rm -f -- "$begun"; fi
        fail "git could not check $TAG out"
    fi
    rm -f -- "$begun"
}

# By its name, a branch too on the way back, as long as the name still means this commit.
wanted() {
    if [ "$(checkout rev-parse -q --verify "$TAG^{commit}")" = "$COMMIT" ]; then say "$TAG"; else say "$COMMIT"; fi
}

check_out() {
    checkout -c advice.detachedHead=false checkout -q "$@" --
}

# What was cut off in its middle is first completed: then git knows every file that it has written. The tree was clean.
undo() {
    if [ -f "$begun" ]; then
        rm -f -- "$ROOT/.git/index.lock"
        check_out -f "$(wanted)"
    fi
    check_out "$(cat "$RUN/before/ref")"
    rm -f -- "$begun"
}

by_hand() {
    say "git -c safe.directory=$(quoted "$ROOT") -C $(quoted "$ROOT") checkout -f $(quoted "$(cat "$RUN/before/ref")") --"
}
