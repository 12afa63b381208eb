# shellcheck shell=sh
# Copy the configuration and every other local file to the new release (the upgrade document, step 3, option A).
: "${OLD:?}" "${NEW:?}" "${PRODUCT:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../local_files.sh
. "$BUNDLE/local_files.sh"

# The services go on writing: sync_files brings what has changed since, when they are stopped.
check() {
    [ -f "$RUN/carried" ]
}

apply() {
    note_local_files "$RUN/carried.noted"
    while IFS= read -r name; do
        say "carried over: $name"
        by_descriptor carry "$OLD/$name" "$NEW/$name"
    done <"$RUN/carried.noted"
    mv -f -- "$RUN/carried.noted" "$RUN/carried"
    journal note "carried over: $(tr '\n' ' ' <"$RUN/carried")"
    stray=$(leftovers_of_older | tr '\n' ' ')
    [ -z "$stray" ] || journal warning "left behind by an older release, and not carried over: $stray(your own plugin belongs into PLUGINS)"
    left=$(left_behind | head -n 10 | tr '\n' ' ')
    [ -z "$left" ] || journal warning "local files deeper in the old tree are not carried over: $left"
}

leftovers_of_older() (
    cd -- "$OLD" || exit 1
    for name in "$PRODUCT"/* "$PRODUCT/$PRODUCT"/*; do
        if ! [ -e "$NEW/$name" ] && is_left_over "$name"; then say "$name"; fi
    done
)

# Files deeper in the old tree that look local and that the new one lacks. Whether they belong into the new release is
# for their owner to say; where the old archive's times were not kept (a copied tree) nothing can be told.
left_behind() (
    cd -- "$OLD" || exit 1
    came=$(stat -c %Y -- upgrade.sh)
    [ "$(stat -c %Y -- requirements.txt)" = "$came" ] && [ "$(stat -c %Y -- "$PRODUCT/manage.py")" = "$came" ] || exit 0
    find . \( -name __pycache__ -o -path ./venv -o -path ./.git -o -path "./$PRODUCT/static" -o -path "./$PRODUCT/media" \
        -o -path "./$PRODUCT/scripts" -o -path "./$PRODUCT/reports" -o -path "./$PRODUCT/local" -o -path "./$PRODUCT/project-static" \) -prune \
        -o -type f \( -newer upgrade.sh -o ! -newermt "@$((came - 1))" \) -print |
        while IFS= read -r name; do [ -e "$NEW/$name" ] || say "${name#./}"; done
)

undo() {
    rm -f -- "$RUN/carried" "$RUN/carried.noted" "$RUN/carried.noted.partial"
}
