# shellcheck shell=sh
# Remember that the release which was left was left, so that nobody takes it again without being told.
: "${STATE_DIR:?}" "${OLD_VERSION:?}" "${TREE_VERSION:?}" "${OLD:?}" "${ROOT:?}" "${BACKUP_DIR:?}" "${RUN_ID:?}" "${OPERATOR:?}" "${METHOD:?}" "${RUN:?}" "${BUNDLE:?}"
# shellcheck source=../ownership.sh
. "$BUNDLE/ownership.sh"
mark=$STATE_DIR/rolled-back/$OLD_VERSION
other_mark=$STATE_DIR/rolled-back/$TREE_VERSION
record=$STATE_DIR/releases/$(basename -- "$OLD")
kept=$RUN/before/rolled-back

check() {
    [ "$OLD_VERSION" = "$TREE_VERSION" ] || grep -q -s -F -e "$RUN_ID" "$mark"
}

# The mark comes last, for it says that all is done.
apply() {
    mkdir -p -- "$STATE_DIR/rolled-back" "$STATE_DIR/releases"
    # Its folder is ours to set aside, should it be upgraded to again.
    if [ "$METHOD" != git ] && ! is_unpacked_here "$OLD"; then { say "$RUN_ID" && say "root=$ROOT"; } | write_file "$record"; fi
    keep_mark "$mark"
    keep_mark "$other_mark"
    if is_own_note "$other_mark"; then rm -f -- "$other_mark"; fi
    { say "$RUN_ID by $OPERATOR on $(date -u '+%Y-%m-%d %H:%M UTC')" && say "root=$ROOT"; } | write_file "$mark"
}

# Keep what an earlier way back has left, under its version.
keep_mark() {
    mkdir -p -- "$kept"
    version=$(basename -- "$1")
    if [ -f "$1" ] && ! grep -q -s -F -e "$RUN_ID" "$1"; then write_file "$kept/$version" <"$1"; fi
}

undo() {
    if grep -q -s -F -e "$RUN_ID" "$mark"; then rm -f -- "$mark"; fi
    if grep -q -s -x -F -e "$RUN_ID" "$record"; then rm -f -- "$record"; fi
    rm -f -- "$mark.partial" "$record.partial"
    for version in "$OLD_VERSION" "$TREE_VERSION"; do
        path=$STATE_DIR/rolled-back/$version
        if [ -f "$kept/$version" ] && ! [ -f "$path" ]; then write_file "$path" <"$kept/$version"; fi
    done
}

by_hand() {
    if grep -q -s -F -e "$RUN_ID" "$mark"; then say "rm -f -- $(quoted "$mark")"; fi
}
