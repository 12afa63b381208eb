# shellcheck shell=sh
# Remember that the release which was left was left, so that nobody takes it again without being told.
: "${STATE_DIR:?}" "${OLD_VERSION:?}" "${TREE_VERSION:?}" "${OLD:?}" "${ROOT:?}" "${BACKUP_DIR:?}" "${RUN_ID:?}" "${OPERATOR:?}" "${METHOD:?}"
mark=$STATE_DIR/rolled-back/$OLD_VERSION

check() {
    [ "$OLD_VERSION" = "$TREE_VERSION" ] || grep -q -s -F -e "$RUN_ID" "$mark"
}

apply() {
    mkdir -p -- "$STATE_DIR/rolled-back" "$STATE_DIR/releases"
    { say "$RUN_ID by $OPERATOR on $(date -u '+%Y-%m-%d %H:%M UTC')" && say "root=$ROOT"; } | write_file "$mark"
    # Its folder is ours to set aside, should it be upgraded to again.
    if [ "$METHOD" != git ] && ! is_unpacked_here "$OLD"; then
        { say "$RUN_ID" && say "root=$ROOT"; } | write_file "$STATE_DIR/releases/$(basename -- "$OLD")"
    fi
    if is_own_note "$STATE_DIR/rolled-back/$TREE_VERSION"; then rm -f -- "$STATE_DIR/rolled-back/$TREE_VERSION"; fi
}

undo() {
    if grep -q -s -F -e "$RUN_ID" "$mark"; then rm -f -- "$mark"; fi
}

by_hand() {
    if grep -q -s -F -e "$RUN_ID" "$mark"; then say "rm -f -- $(quoted "$mark")"; fi
}
