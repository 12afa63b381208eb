# shellcheck shell=sh
# A backup on this server: a folder of root's with the dump and what belongs to it, under its name only once it was read back.
#
#   database.dump    the database, in PostgreSQL's custom format
#   files.tar        configuration, local files, media, scripts and reports with their full paths (a `backup` only)
#   objects          what is in the database, and who else has rights on it, to compare with when the dump is put back
#   manifest         name=value: versions, what was current, rows of the large tables, and size and sha256 of each file
: "${BACKUP_DIR:?}" "${RUN_ID:?}"
# shellcheck disable=SC2034 # for the steps that read this file
making=$BACKUP_DIR/$RUN_ID.partial
# shellcheck disable=SC2034 # as above
made=$BACKUP_DIR/$RUN_ID

# Tell whether each file of a backup is still what its manifest says.
backup_is_whole() {
    [ -f "$1/manifest" ] && sed -n 's/^sha256\.\([a-z.]*\)=\([0-9a-f]*\)$/\2  \1/p' "$1/manifest" >"${RUN:?}/sums" && [ -s "$RUN/sums" ] &&
        (cd -- "$1" && sha256sum -c --status -- "$RUN/sums")
}
