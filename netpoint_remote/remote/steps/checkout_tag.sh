# shellcheck shell=sh
# Check the release out in place (the upgrade document, step 3, option B, "checking out an older release").
: "${ROOT:?}" "${TAG:?}" "${COMMIT:?}" "${RUN:?}"

begun=$RUN/checkout.begun
owners=$RUN/checkout.owners

clean() {
    [ -z "$(checkout status --porcelain --untracked-files=no)" ]
}

check() {
    [ "$(checkout rev-parse HEAD)" = "$COMMIT" ] && clean
}

apply() {
    clean || give_up "the checkout has local changes that it had not when it was looked at"
    [ -f "$owners" ] || remember_owners >"$owners"
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

# Git writes files anew as its caller's: what belongs to somebody else or is hidden from somebody is written down, as
# owner, mode and name, each ended by a NUL.
remember_owners() {
    # shellcheck disable=SC2016 # it expands in the shell that xargs starts
    checkout ls-files -z | sed -z 's|^|./|' | (
        cd -- "$ROOT" && xargs -0 -r sh -c 'find "$@" -maxdepth 0 -type f ! \( -uid 0 -gid 0 \( -perm 644 -o -perm 755 \) \) -printf "%U:%G\0%m\0%p\0"' sh
    )
}

give_back() {
    if ! [ -f "$owners" ]; then return 0; fi
    # shellcheck disable=SC2016 # it expands in the shell that xargs starts
    (cd -- "$ROOT" && xargs -0 -r -n 3 sh -c 'chown -h -- "$1" "$3" && chmod -- "$2" "$3"' sh <"$owners")
}

# What was cut off in its middle is first completed: then git knows every file that it has written. The tree was clean.
undo() {
    if [ -f "$begun" ]; then
        rm -f -- "$ROOT/.git/index.lock"
        check_out -f "$(wanted)"
    fi
    check_out "$(cat "$RUN/before/ref")"
    give_back
    rm -f -- "$begun" "$owners"
}

by_hand() {
    say "git -c safe.directory=$(quoted "$ROOT") -C $(quoted "$ROOT") checkout -f $(quoted "$(cat "$RUN/before/ref")") --"
}
