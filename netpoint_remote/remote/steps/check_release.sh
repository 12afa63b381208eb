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
    said=$(as_upgrade "$tree" "$RUN/scratch/bin/python3" "$tree/$PRODUCT/manage.py" check 2>&1) || {
        say "$said"
        give_up "the new release cannot be loaded with this server's configuration and plugins: $(say "$said" | grep '[^[:space:]]' | tail -n 1 | without_rows)"
    }
    say "$said"
    rm -rf -- "$RUN/scratch" "$RUN/tree"
    : >"$RUN/checked"
}

# A checkout has the new release only in its window: here it is beside, with the local files that lie by the configuration.
make_tree() {
    tree=$RUN/tree
    rm -rf -- "$tree"
    mkdir -p -- "$tree"
    checkout archive --format=tar "${COMMIT:?}" | tar -x -C "$tree"
    checkout ls-files --others -- "$PRODUCT/$PRODUCT" | while IFS= read -r name; do
        case $name in *__pycache__*) continue ;; *) ;; esac
        mkdir -p -- "$(dirname -- "$tree/$name")"
        cp -a -- "$ROOT/$name" "$tree/$name"
    done
}

undo() {
    rm -rf -- "$RUN/scratch" "$RUN/tree" "$RUN/checked"
}
