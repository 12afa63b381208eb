# shellcheck shell=sh
# Which files of the old release are the admin's own, besides what users uploaded (the upgrade document, step 3, option A).
#
# The document names local_requirements.txt, configuration.py, ldap_config.py and gunicorn.py. Admins keep more beside
# them: what the old tree has at its top, in the product's folder or beside configuration.py, the new one lacks, and
# did not come with the old archive (its files share one time), or is not as git has it, is theirs and comes along.
: "${OLD:?}" "${NEW:?}" "${PRODUCT:?}"
line_feed='
'

documented() {
    say local_requirements.txt
    say gunicorn.py
    say "$PRODUCT/$PRODUCT/configuration.py"
    say "$PRODUCT/$PRODUCT/ldap_config.py"
    say "$PRODUCT/local"
}

others() (
    cd -- "$OLD" || exit 1
    for name in * .[!.]* "$PRODUCT"/* "$PRODUCT"/.[!.]* "$PRODUCT/$PRODUCT"/* "$PRODUCT/$PRODUCT"/.[!.]*; do
        case $name in
            # It would be two lines of a list.
            *"$line_feed"*) continue ;;
            venv | .git | .netpoint-remote | *__pycache__ | *.pyc | "$PRODUCT" | "$PRODUCT/$PRODUCT" | "$PRODUCT/project-static" | "$PRODUCT/static" | "$PRODUCT/media" | "$PRODUCT/scripts" | "$PRODUCT/reports") continue ;;
            *) ;;
        esac
        # A socket and a pipe are made by who listens there.
        if { [ -f "$name" ] || [ -d "$name" ] || [ -L "$name" ]; } && ! [ -e "$NEW/$name" ] && is_local "$name" && ! holds_uploads "$name" && ! is_left_over "$name"; then say "$name"; fi
    done
)

# A package of Django that the new release has not, and that is no plugin, is what an older release has left behind: in the
# new one it would hide another of its name (netpoint/secrets hides Python's own). Where the plugins are not known, as for
# a backup, nothing is left out.
is_left_over() {
    [ -n "${PLUGINS+known}" ] && [ -d "$OLD/$1" ] && ! [ -L "$OLD/$1" ] || return 1
    [ -f "$OLD/$1/apps.py" ] || [ -f "$OLD/$1/migrations/__init__.py" ] || return 1
    ! say "$PLUGINS" | grep -q -x -F -e "${1##*/}"
}

# Uploaded files have steps of their own.
holds_uploads() {
    say "${FOLDERS?}" | grep -q -x -F -e "$1"
}

is_local() {
    if [ "${METHOD-}" = git ]; then
        # Where git cannot tell, nobody can: that ends `others`.
        listed=$(checkout ls-files --others --modified --exclude=__pycache__ -- ":(literal)$1") || exit 1
        [ -n "$listed" ] || is_unknown_to_git "$1"
    elif [ -L "$1" ]; then
        return 0
    elif [ -d "$1" ]; then
        # No folder of an archive is empty: where there is no file, a service listens, or will write.
        came=$(stat -c %Y -- "$OLD/upgrade.sh")
        [ -z "$(find "$1" -type f -print -quit)" ] ||
            [ -n "$(find "$1" -name __pycache__ -prune -o -type f \( -newer "$OLD/upgrade.sh" -o ! -newermt "@$((came - 1))" \) -print -quit)" ]
    else
        [ "$(stat -L -c %Y -- "$1")" != "$(stat -L -c %Y -- "$OLD/upgrade.sh")" ]
    fi
}

# A folder that only root may look into is not listed where git looks as somebody else.
is_unknown_to_git() {
    [ -d "$1" ] && ! [ -L "$1" ] && [ -z "$(checkout ls-files -- ":(literal)$1" | head -n 1)" ] &&
        [ -n "$(find "$1" -name __pycache__ -prune -o -type f -print -quit)" ]
}

# Write the local files into a list, with those that it has: what is gone when this is done again has to be removed.
note_local_files() {
    local_files >"$1.partial"
    [ ! -f "$1" ] || cat -- "$1" >>"$1.partial"
    sort -u -o "$1.partial" -- "$1.partial"
    mv -f -- "$1.partial" "$1"
}

local_files() {
    documented | while IFS= read -r name; do if [ -e "$OLD/$name" ]; then say "$name"; fi; done
    others
}
