# shellcheck shell=sh
# Fetch and build all Python packages while NetPoint serves, so that the window needs no network (the upgrade document, step 4).
: "${RUN:?}" "${ROOT:?}" "${NEW:?}" "${METHOD:?}" "${PYTHON?}"
wheels=$RUN/wheels

check() {
    [ -f "$wheels/complete" ]
}

apply() {
    rm -rf -- "$wheels" "$RUN/scratch"
    mkdir -p -- "$wheels"
    if [ "$METHOD" = git ]; then
        checkout show "${COMMIT:?}:requirements.txt" >"$RUN/requirements.txt"
    else
        cp -- "$NEW/requirements.txt" "$RUN/requirements.txt"
    fi
    "${PYTHON:-python3}" -m venv "$RUN/scratch" || give_up "${PYTHON:-python3} cannot make a virtual environment; install its venv package"
    set -- -r "$RUN/requirements.txt"
    if [ -f "$NEW/local_requirements.txt" ]; then set -- "$@" -r "$NEW/local_requirements.txt"; fi
    cd -- "$NEW" || exit 1
    # As upgrade.sh does first: what venv brings cannot build every package (Debian 12's pip has no bdist_wheel).
    scratch_pip install -q --upgrade pip wheel
    scratch_pip wheel -q --wheel-dir "$wheels" "$@" wheel
    # upgrade.sh asks for a newer pip, and a build may ask for setuptools; an offline index without them will do too.
    for helper in pip setuptools; do
        with_environment "$RUN/scratch/bin/python3" -m pip wheel -q --wheel-dir "$wheels" "$helper" || say "no $helper there"
    done
    rm -rf -- "$RUN/scratch"
    : >"$wheels/complete"
}

scratch_pip() {
    if with_environment "$RUN/scratch/bin/python3" -m pip "$@" >"$RUN/pip.log" 2>&1; then
        cat -- "$RUN/pip.log"
        return 0
    fi
    cat -- "$RUN/pip.log"
    why="pip could not get or build a package: $(pip_errors | tail -n 3 | tr -s '\n ' ' ')"
    # The index may answer next time; what cannot be built here cannot be built in a minute.
    case $why in *'Failed building wheel'*) give_up "$why" ;; *) fail "$why" ;; esac
}

# What went wrong, without the lines that only say that something did.
pip_errors() {
    grep -i -E '^ *(error|.*No matching|.*Could not|.*not found)' "$RUN/pip.log" |
        grep -v -i -E 'subprocess-exited-with-error|Failed to build'
}

undo() {
    rm -rf -- "$wheels" "$RUN/scratch"
}
