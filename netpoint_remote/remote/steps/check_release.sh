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
    run_manage check
    say "$said"
    run_manage rqworker --help
    remove_tree "$RUN/scratch" "$RUN/tree"
    : >"$RUN/checked"
}

# Run a command of manage.py that asks neither database nor Redis.
run_manage() {
    said=$(as_upgrade "$tree" "$RUN/scratch/bin/python3" "$tree/$PRODUCT/manage.py" "$@" 2>&1) || {
        say "$said"
        give_up "the new release cannot be loaded with this server's configuration and plugins (manage.py $*): $(say "$said" | grep '[^[:space:]]' | tail -n 1 | without_rows)"
    }
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
