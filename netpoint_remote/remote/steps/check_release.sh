# shellcheck shell=sh
# Load the new release in an environment of its packages, with this server's configuration and plugins, before anything is stopped (the upgrade document, step 4).
: "${RUN:?}" "${ROOT:?}" "${NEW:?}" "${METHOD:?}" "${PRODUCT:?}" "${BUNDLE:?}"
# shellcheck source=../packages.sh
. "$BUNDLE/packages.sh"

check() {
    [ -f "$RUN/checked" ]
}

apply() {
    tree=$NEW
    if [ "$METHOD" = git ]; then make_tree; fi
    [ -x "$RUN/scratch/bin/python3" ] || make_scratch
    find_wheels
    pip_for_all install -q
    if is_noexec; then
        unshare --mount sh -c "$(made_executable)" "$RUN/scratch" true ||
            give_up "the disk of $RUN is mounted noexec: the new release cannot be tried there; set state_dir elsewhere"
    fi
    run_manage check
    say "$said"
    run_manage rqworker --help
    remove_tree "$RUN/scratch" "$RUN/tree"
    : >"$RUN/checked"
}

# Run a command of manage.py that asks neither database nor Redis.
run_manage() {
    words=$*
    set -- "$RUN/scratch/bin/python3" "$tree/$PRODUCT/manage.py" "$@"
    if is_noexec; then set -- unshare --mount sh -c "$(made_executable)" "$RUN/scratch" "$@"; fi
    said=$(as_upgrade "$tree" "$@" 2>&1) || {
        say "$said"
        give_up "the new release cannot be loaded with this server's configuration and plugins (manage.py $words): $(say "$said" | grep '[^[:space:]]' | tail -n 1 | without_rows)"
    }
}

# No library of a package is loaded from a disk that is mounted noexec. For one command alone it is mounted once more, where
# nobody else sees that; what is in it is root's.
is_noexec() {
    findmnt -n -o OPTIONS -T "$RUN" 2>/dev/null | tr ',' '\n' | grep -q -x noexec
}
made_executable() {
    cat <<'END'
mount --bind -- "$0" "$0" && mount -o remount,bind,exec,nosuid,nodev -- "$0" && exec "$@"
END
}

# A checkout has the new release only in its window: here it is beside, with what else will lie in it then. Uploads and
# what upgrade.sh makes are not needed to load it.
make_tree() {
    tree=$RUN/tree
    remove_tree "$tree"
    mkdir -p -- "$tree"
    checkout archive --format=tar "${COMMIT:?}" | tar -x -C "$tree"
    checkout ls-files -z --others --exclude=__pycache__ --exclude=/venv "--exclude=/$PRODUCT/static" "--exclude=/$PRODUCT/media" >"$RUN/others.found"
    # What git says may be its owner's word.
    grep -z -v -E '^/|(^|/)\.\.(/|$)' "$RUN/others.found" >"$RUN/others" || :
    tar -c -C "$ROOT" --null --verbatim-files-from -T "$RUN/others" | tar -x -C "$tree"
    # A relative link may lead out of the checkout.
    find "$tree" -type l | while IFS= read -r link; do
        [ -e "$link" ] || ln -sfn -- "$(readlink -m -- "$ROOT/${link#"$tree"/}")" "$link"
    done
}

undo() {
    remove_tree "$RUN/scratch" "$RUN/tree" "$RUN/checked"
}
