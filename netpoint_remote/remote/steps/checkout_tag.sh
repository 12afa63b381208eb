# shellcheck shell=sh
# Check the release out in place (the upgrade document, step 3, option B, "checking out an older release").
: "${ROOT:?}" "${TAG:?}" "${COMMIT:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../git_locks.sh
. "$BUNDLE/git_locks.sh"

begun=$RUN/checkout.begun
owners=$RUN/checkout.owners
added=$RUN/checkout.added
names=$RUN/checkout.names

clean() {
    dirty=$(checkout status --porcelain --untracked-files=no) && [ -z "$dirty" ]
}

check() {
    [ "$(checkout rev-parse HEAD)" = "$COMMIT" ] && clean
}

apply() {
    clean || give_up "the checkout has local changes that were not there when it was checked"
    if ! [ -f "$owners" ]; then
        remember_owners >"$owners.partial"
        mv -- "$owners.partial" "$owners"
    fi
    if ! [ -f "$added" ]; then
        remember_added >"$added.partial"
        mv -- "$added.partial" "$added"
    fi
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
    change_checkout -c advice.detachedHead=false checkout -q "$@" --
}

# Git writes files anew as its caller's: what belongs to somebody else or is hidden from somebody is written down, as
# owner, mode and name, each ended by a NUL.
remember_owners() {
    list_names ls-files -z
    # shellcheck disable=SC2016 # it expands in the shell that xargs starts
    sed -z 's|^|./|' "$names" | (
        cd -- "$ROOT" && xargs -0 -r sh -c 'find "$@" -maxdepth 0 -type f ! \( -uid 0 -gid 0 \( -perm 644 -o -perm 755 \) \) -printf "%U:%G\0%m\0%p\0"' sh
    )
}

give_back() {
    if ! [ -f "$owners" ]; then return 0; fi
    by_descriptor give_back "$ROOT" <"$owners"
}

# What the release adds, each name ended by a NUL: cut off in its middle, git does not know which of them it has written.
remember_added() {
    list_names diff -z --name-only --no-renames --diff-filter=A HEAD "$COMMIT"
    # shellcheck disable=SC2016 # it expands in the shell that xargs starts
    (cd -- "$ROOT" && xargs -0 -r sh -c 'for path in "$@"; do [ -e "$path" ] || [ -L "$path" ] || printf "%s\0" "$path" || exit 1; done' sh <"$names")
}

# Have names from git in a file, so that a list which git did not come to the end of is none.
list_names() {
    checkout "$@" >"$names"
}

remove_added() {
    if ! [ -f "$added" ]; then return 0; fi
    by_descriptor remove "$ROOT" <"$added"
}

# The tree was clean, so what differs is the release's. On a full disk what it added makes room for what it replaced,
# and what comes back first for the rest.
undo() {
    if [ -f "$begun" ] || [ "$(checkout rev-parse HEAD)" = "$COMMIT" ]; then
        : >"$begun"
        remove_locks_left index.lock HEAD.lock
        remove_added
        old=$(cat "$RUN/before/ref")
        check_out -f "$old" || check_out -f "$old" || { [ "$(checkout rev-parse HEAD)" = "$(checkout rev-parse "$old^{commit}")" ] && clean; }
    fi
    give_back
    rm -f -- "$begun" "$owners" "$owners.partial" "$added" "$added.partial" "$names"
}

by_hand() {
    if [ -f "$begun" ] || [ "$(checkout rev-parse HEAD)" = "$COMMIT" ]; then
        say "rm -f -- $(quoted "$(git_folder)/index.lock")"
        if [ -f "$added" ]; then say "$(by_descriptor_by_hand remove "$ROOT") <$(quoted "$added")"; fi
        say "XDG_CONFIG_HOME=$(quoted "$RUN/xdg") git -c safe.directory=$(quoted "$ROOT") -C $(quoted "$ROOT") checkout -f $(quoted "$(cat "$RUN/before/ref")") --"
    fi
    if [ -f "$owners" ]; then say "$(by_descriptor_by_hand give_back "$ROOT") <$(quoted "$owners")"; fi
    say "rm -f -- $(quoted "$begun") $(quoted "$owners") $(quoted "$added")"
}
