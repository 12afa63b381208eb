# shellcheck shell=sh
# Fetch and build all Python packages while NetPoint serves, so that the window needs no network (the upgrade document, step 4).
: "${RUN:?}" "${ROOT:?}" "${NEW:?}" "${METHOD:?}" "${PYTHON?}" "${BUNDLE:?}"
# shellcheck source=../packages.sh
. "$BUNDLE/packages.sh"

check() {
    [ -f "$wheels/complete" ]
}

apply() {
    remove_tree "$wheels"
    mkdir -p -- "$wheels"
    if [ "$METHOD" = git ]; then
        checkout show "${COMMIT:?}:requirements.txt" >"$RUN/requirements.txt"
    else
        cp -- "$NEW/requirements.txt" "$RUN/requirements.txt"
    fi
    make_scratch
    pip_for_all wheel --wheel-dir "$wheels" wheel
    # upgrade.sh asks for a newer pip, and a build may ask for setuptools; an offline index without them will do too.
    for helper in pip setuptools; do
        with_environment "$RUN/scratch/bin/python3" -m pip wheel -q --wheel-dir "$wheels" "$helper" || say "no $helper there"
    done
    : >"$wheels/complete"
}

undo() {
    remove_tree "$wheels" "$RUN/scratch"
}
