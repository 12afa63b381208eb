# shellcheck shell=sh
# The packages of the new release: what is asked for, and the environment in which they are fetched, built and tried.
: "${RUN:?}" "${NEW:?}" "${METHOD:?}" "${PYTHON?}"
# shellcheck disable=SC2034 # for who sources this
wheels=$RUN/wheels

make_scratch() {
    remove_tree "$RUN/scratch"
    "${PYTHON:-python3}" -m venv "$RUN/scratch" || give_up "${PYTHON:-python3} cannot make a virtual environment; install its venv package"
    # As upgrade.sh does first: what venv brings cannot build every package (Debian 12's pip has no bdist_wheel).
    scratch_pip install -q --upgrade pip wheel
}

# Run pip for all that the release and this server ask for: `pip_for_all COMMAND OPTION ...`.
pip_for_all() {
    cd -- "$NEW" || exit 1
    set -- "$@" -r "$RUN/requirements.txt"
    if [ -f "$NEW/local_requirements.txt" ]; then set -- "$@" -r "$NEW/local_requirements.txt"; fi
    scratch_pip "$@"
}

# What was fetched while staging is enough; the index is asked only where local requirements name other places.
find_wheels() {
    export PIP_FIND_LINKS="${RUN_URL:?}/wheels/"
    if ! grep -q -s -E '(://|^[[:space:]]*(-e|--editable|[./]))' "$NEW/local_requirements.txt"; then export PIP_NO_INDEX=1; fi
}

scratch_pip() {
    if with_environment "$RUN/scratch/bin/python3" -m pip "$@" >"$RUN/pip.log" 2>&1; then
        cat -- "$RUN/pip.log"
        return 0
    fi
    cat -- "$RUN/pip.log"
    why="pip could not get or build a package: $(pip_errors | tail -n 3 | tr -s '\n ' ' ')"
    # The index may answer next time; what conflicts, is not there or cannot be built will not in a minute.
    case $(cat -- "$RUN/pip.log") in
        *ResolutionImpossible* | *'conflicting dependencies'* | *'Double requirement given'*) give_up "the packages that are asked for exclude each other: $(conflict)" ;;
        *'from versions: '[!n]*) give_up "$why" ;;
        *) ;;
    esac
    case $why in *'Failed building wheel'*) give_up "$why" ;; *) fail "$why" ;; esac
}

# What went wrong, without the lines that only say that something did.
pip_errors() {
    grep -i -E '^ *(error|.*No matching|.*Could not|.*not found)' "$RUN/pip.log" |
        grep -v -i -E 'subprocess-exited-with-error|Failed to build'
}

# What pip says of a conflict, and the lines of the files that ask for what it names.
conflict() {
    {
        sed -n -e '/^The conflict is caused by:/,/^$/{/^The conflict/d;/^ *$/d;s/^ */ /;s/$/;/;p;}' -e 's/^ERROR: \(Double requirement given.*\)/\1;/p' "$RUN/pip.log" | head -n 10
        sed -n -e 's/^ *The user requested \((constraint) \)\{0,1\}\([A-Za-z0-9._-]*\).*/\2/p' \
            -e 's/^ *[^ ]* [^ ]* depends on \([A-Za-z0-9._-]*\).*/\1/p' "$RUN/pip.log" | sort -u -f | while IFS= read -r name; do
            pattern=$(say "$name" | sed 's/[._-]/[._-]/g')
            for file in "$NEW/local_requirements.txt" "$RUN/requirements.txt" "$BUNDLE/constraints.txt"; do
                # What is behind a blank or a sign may hold the credentials of an index.
                grep -s -n -i -E "^[[:space:]]*$pattern([^A-Za-z0-9._-]|\$)" "$file" |
                    sed -n "s|^\([0-9]*\): *\([A-Za-z0-9._=<>!~,-]*\).*|${file##*/} line \1: \2;|p" || :
            done
        done
    } | tr -s '\n\t ' ' ' | sed 's/^ *//; s/; *$//'
}
