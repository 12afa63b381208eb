# shellcheck shell=sh
# What every script on the server shares: strictness, the journal, versions, the database, running as the service's user.
set -eu
umask 022
export LC_ALL=C
# A login or a sudo may leave out where runuser and others are.
case :$PATH: in *:/usr/sbin:*) ;; *) export PATH="$PATH:/usr/sbin:/sbin" ;; esac
our_python=''

# Say one fact of the probe.
fact() {
    printf '%s=%s\n' "$1" "$(one_line "${2-}" 4000)"
}

# Print a text on one line, at most so many bytes of it; control characters never leave the server, nor half a letter,
# for the workstation counts bytes by the text that it has read.
one_line() {
    case $1 in
        *[!\ -~]*) printf '%s' "$1" | tr '\000-\037\177' ' ' | head -c "$2" | { iconv -c -f UTF-8 -t UTF-8 2>/dev/null || cat; } ;;
        *) printf '%.*s' "$2" "$1" ;;
    esac
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# Append to the journal of this run: seconds, kind, step, detail. A full disk does not end what it tells of.
journal() {
    detail=${2-}
    # A command for the operator to type stays as it is; it holds only paths.
    if [ -n "$detail" ] && [ "$1" != by-hand ] && [ -s "${RUN:?}/secrets" ]; then detail=$(printf '%s\n' "$detail" | mask); fi
    printf '%s %s %s %s\n' "$(steady_time)" "$1" "${STEP:--}" "$(one_line "$detail" 1000)" >>"${RUN:?}/journal" || :
}

# Seconds since the epoch; of a runner (`keep_time`) by the clock as it was when it began: a clock that is set meanwhile
# would make the steps and the window longer or shorter than they were.
steady_time() {
    if [ -n "${BOOTED-}" ]; then
        IFS='. ' read -r seconds hundredths _ </proc/uptime
        passed=$((BOOTED + seconds * 1000 + (1$hundredths - 100) * 10))
        printf '%d.%03d' "$((passed / 1000))" "$((passed % 1000))"
    else
        date +%s.%3N
    fi
}

keep_time() {
    BOOTED=$(awk -v now="$(date +%s%3N)" '{ printf "%.0f", now - $1 * 1000 }' /proc/uptime) # milliseconds
    export BOOTED
}

say() {
    printf '%s\n' "$*"
}

# Copy standard input without what is secret: a password that pip, git or upgrade.sh prints becomes `***`. What looks like
# user and password of an address is masked even before any secret is known (prepare.sh).
mask() {
    SECRETS=${RUN:?}/secrets awk '
        BEGIN { while ((getline line < ENVIRON["SECRETS"]) > 0) if (line != "") secret[++count] = line }
        {
            gsub(/:\/\/[^\/ \t"'\'']*@/, "://***@")
            for (i = 1; i <= count; i++) $0 = without($0, secret[i])
            print
        }
        function without(text, word, at, done) {
            done = ""
            while ((at = index(text, word)) > 0) {
                done = done substr(text, 1, at - 1) "***"
                text = substr(text, at + length(word))
            }
            return done text
        }'
}

# Say what lets somebody else put another thing in the place of a path, or nothing: all that leads there has to be root's
# (or ours) and nobody else's to write in, links included. A sticky folder on the way will do, for what is in it is its
# owner's; what is not there yet is ours to make.
weak_spot() (
    level=${2:-0} me=${me:-$(id -u)} group=${group:-$(id -g)} rest=${1#/}/ walked=''
    [ "$level" -le 20 ] || { say "$1 is a link that leads round in circles"; exit 0; }
    last=${1%/}
    set -- /
    while [ -n "$rest" ]; do
        walked=$walked/${rest%%/*} rest=${rest#*/}
        [ -e "$walked" ] || [ -L "$walked" ] || break
        set -- "$@" "$walked"
    done
    stat -c '%u %g %a %F' -- "$@" | while IFS=' ' read -r owner gid mode kind; do
        if [ "$owner" != 0 ] && [ "$owner" != "$me" ]; then
            say "$1 belongs to $(stat -c %U -- "$1")"
        elif [ "$kind" = 'symbolic link' ]; then
            target=$(readlink -- "$1")
            case $target in /*) ;; *) target=$(dirname -- "$1")/$target ;; esac
            weak_spot "$target" "$((level + 1))"
        else
            case $mode in
                [1357]???) [ "$1" != "$last" ] || say "everybody may write to $1" ;;
                *[2367]) say "everybody may write to $1" ;;
                *[2367]?)
                    if [ "$gid" != 0 ] && [ "$gid" != "$group" ]; then
                        say "the group $(stat -c %G -- "$1") may write to $1"
                    elif has_access_list "$1"; then
                        say "an access list (getfacl) lets others write to $1"
                    fi
                    ;;
                *) ;;
            esac
        fi
        shift
    done | head -n 1
)

# Tell whether a path has an access list: the bits of its group are then the most that anybody in the list is given.
has_access_list() {
    case $(ls -l -d -- "$1" 2>/dev/null) in ??????????+*) return 0 ;; *) return 1 ;; esac
}

# Make a folder for root alone, with what leads to it; not where somebody else could have a hand in it.
make_private() {
    for when in before after; do
        weak=$(weak_spot "$1")
        [ -z "$weak" ] || { say "error: $1 is not safe to write to: $weak"; return 1; }
        # shellcheck disable=SC2174 # what leads there is for all to see; in it nobody inherits a right
        [ "$when" = after ] || (umask 077 && mkdir -p -m 700 -- "$1") || return 1
    done
}

# A percent sign means something in a unit file.
unit_escaped() {
    case $1 in *%*) printf '%s' "$1" | sed 's/%/%%/g' ;; *) printf '%s' "$1" ;; esac
}

# Print where something is mounted, at a path or below it.
mounts_below() (
    place=$(readlink -f -- "$(dirname -- "$1")") || exit 0
    place=${place%/}/$(basename -- "$1")
    cut -d ' ' -f 5 /proc/self/mountinfo 2>/dev/null | sed 's/\\040/ /g; s/\\011/\t/g; s/\\134/\\/g' | while IFS= read -r point; do
        case $point/ in "$place"/*) say "$point" ;; *) ;; esac
    done
)

# Remove trees, links in them as links, each on its own file system: what is mounted below one is somebody's data.
remove_tree() (
    for tree; do
        [ -e "$tree" ] || [ -L "$tree" ] || continue
        mounted=$(mounts_below "$tree" | head -n 1)
        [ -z "$mounted" ] || { say "error: $tree is not removed, for something is mounted at $mounted: umount it first" >&2; exit 1; }
        rm -rf --one-file-system -- "$tree" || exit 1
    done
)

# The same where others can write on the way there (files.py).
discard() (
    for tree; do
        [ -e "$tree" ] || [ -L "$tree" ] || continue
        mounted=$(mounts_below "$tree" | head -n 1)
        [ -z "$mounted" ] || { say "error: $tree is not removed, for something is mounted at $mounted: umount it first" >&2; exit 1; }
        by_descriptor discard "$tree" || exit 1
    done
)

# Quote a word for a shell.
quoted() {
    case $1 in
        *"'"*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
        *) printf "'%s'" "$1" ;;
    esac
}

# End the step with its reason, which the report shows.
fail() {
    printf '%s\n' "$*" >"${RUN:?}/reason"
    say "error: $*"
    exit 1
}

# Print the last that this step has printed, which is in the log only when it has ended.
last_line() (
    last=''
    if [ -f "${RUN:?}/output" ]; then while IFS= read -r line || [ -n "$line" ]; do remember_last "$line"; done <"$RUN/output"; fi
    say "$last" | without_rows
)

# Remember a line in `last` if it may say what went wrong. What PostgreSQL adds to an error quotes rows, over several lines
# too, and in rows are hashes of passwords and tokens: until something else begins, nothing of it is for a report.
remember_last() {
    case $1 in
        DETAIL:* | HINT:* | CONTEXT:* | QUERY:* | STATEMENT:* | 'LINE '[0-9]*:*) quotes=yes ;;
        Traceback* | 'During handling'* | 'The above exception'* | CommandError:* | psql:* | pg_dump:* | pg_restore:* | '  Applying '* | [A-Z]*...) quotes='' last=$1 ;;
        *[![:space:]]*) [ -n "${quotes-}" ] || last=$1 ;;
        *) ;;
    esac
}

# The same, where all is on one line.
without_rows() {
    sed -e 's/\(Failing row contains (\).*/\1...)/' -e 's/\(Key (.*)=(\).*/\1...)/'
}

# Read variables from a file that this program wrote, if it is there.
load() {
    # shellcheck disable=SC1090 # which file is the caller's choice
    [ ! -f "$1" ] || . "$1"
}

# As fail, where trying again cannot help.
give_up() {
    printf '%s\n' "$*" >"${RUN:?}/reason"
    say "error: $*"
    exit 4
}

# Write standard input to a file, whole or not at all, keeping what was there until then.
write_file() {
    cat >"$1.partial" && { sync -- "$1.partial" 2>/dev/null || :; } && mv -f -- "$1.partial" "$1"
}

# Let what was done so far outlive a power cut, where these paths are.
settle_disks() {
    sync -f -- "$@" 2>/dev/null || sync
}

# Print the version that a tree carries (release.yaml since 4.1, settings.py before).
tree_version() {
    if [ -f "$1/${PRODUCT:?}/release.yaml" ]; then
        release=$(show_file "$1/$PRODUCT/release.yaml")
        designation=$(say "$release" | yaml_value designation)
        say "$(say "$release" | yaml_value version)${designation:+-$designation}"
    else
        show_file "$1/$PRODUCT/$PRODUCT/settings.py" | sed -n 's/^VERSION = ["'\'']\([^"'\'']*\).*/\1/p' | head -n 1
    fi
}

yaml_value() {
    sed -n "s/^$1: *[\"']\{0,1\}\([^\"' ]*\).*/\1/p" | head -n 1
}

# Print a file of a release. What somebody else can put in its place is read with no more rights than theirs: it may be a
# link to a file that only root can read.
show_file() (
    [ -f "$1" ] || exit 0
    rights=$(rights_for "$1")
    if [ -z "$rights" ]; then exec cat -- "$1"; fi
    with_rights_of "$rights" timeout 10 head -c 1000000 -- "$1"
) 2>/dev/null

# Print the user and the group, UID:GID, who read a path that others can replace: the owner of its folder, or where that is
# root's alone, of what it leads to. Nothing where root alone can replace it, or where we are not root.
rights_for() (
    [ "$(id -u)" = 0 ] && [ -n "$(weak_spot "$1")" ] || exit 0
    way=$(readlink -f -- "$(dirname -- "$1")") || way=/
    if [ -z "$(weak_spot "$way")" ]; then way=$(readlink -f -- "$1") || way=/; fi
    set --
    while [ "$way" != / ]; do set -- "$way" "$@" && way=$(dirname -- "$way"); done
    rights_of_owner / "$@"
)

# Print the first owner of some paths who is not root, with the owner's group. Where root owns all of them, the user nobody
# with the first group that may write there; with no such group where all users may.
rights_of_owner() {
    uid=$(stat -c %u -- "$@" 2>/dev/null | grep -v -x 0 | head -n 1)
    if [ -n "$uid" ]; then
        gid=$(id -g -- "$uid" 2>/dev/null || :)
    else
        gid=$(stat -c '%a %g' -- "$@" 2>/dev/null |
            sed -n -e '/^[0246]\{0,1\}[0-7][0-7][2367] /q' -e 's/^[0246]\{0,1\}[0-7][2367][0145] \([1-9]\)/\1/p' | head -n 1)
    fi
    say "${uid:-65534}:${gid:-65534}"
}

# Run a command for a look at what others can change, with such rights or as we are: they get no environment, input or
# lock of ours.
with_rights_of() {
    rights=$1
    shift
    if [ -z "$rights" ]; then "$@"; return; fi
    if getent passwd "${rights%:*}" >/dev/null; then groups=--init-groups; else groups=--clear-groups; fi
    setpriv --reuid="${rights%:*}" --regid="${rights#*:}" "$groups" --no-new-privs \
        env -i PATH="$PATH" LC_ALL=C HOME=/ "$@" </dev/null 5>&- 7>&- 8>&- 9>&-
}

# Look at the checkout: as root only where nobody else may write what git obeys, else as they could themselves.
checkout() (
    quiet_git "$(looker_at_checkout)" "$@"
)

# The same as root, for what the upgrade document does as root.
change_checkout() (
    quiet_git '' "$@"
)

# A look at the checkout is a look: git would note down what it saw, as root. What the checkout's own configuration names as
# programs is not run: hooks, a watcher of files, the filters that are there, another ssh.
quiet_git() {
    looker=$1
    shift
    filters=$(git_there config --name-only --get-regexp '^filter\..*\.(clean|smudge|process)$' 2>/dev/null | sort -u || :)
    if [ -n "$filters" ]; then
        while IFS= read -r key; do
            case $key in *=*) say "a filter of the checkout has a = in its name: $key" >&2; return 1 ;; *) ;; esac
            set -- -c "$key=" "$@"
        done <<END
$filters
END
    fi
    git_there --no-optional-locks -c core.fsmonitor=false -c core.hooksPath=/dev/null \
        -c "core.sshCommand=$(git config --global core.sshCommand || say ssh)" \
        -c core.gitProxy= -c core.askPass= -c core.alternateRefsCommand= -c diff.external= -c core.pager=cat \
        -c protocol.ext.allow=never \
        -c submodule.recurse=false -c fetch.recurseSubmodules=false -c http.saveCookies=false \
        -c gc.auto=0 -c maintenance.auto=false "$@"
}

# Git refuses a checkout of another owner unless told that it is expected (lae/ansible-role-netbox#164). Which folder it
# works in is not for the checkout to say, and of ours its user gets no environment, input or lock.
git_there() {
    set -- -c "safe.directory=${ROOT:?}" -C "$ROOT" --work-tree="$ROOT" "$@"
    if [ -z "$looker" ] && [ -n "${RUN-}" ] && [ "$(stat -L -c %u -- "$ROOT")" != "$(id -u)" ]; then
        trust_checkout
        XDG_CONFIG_HOME=$RUN/xdg git "$@"
    else
        with_rights_of "$looker" git "$@"
    fi
}

# Before 2.38 git reads that only from a file (Ubuntu 20.04 and 22.04, Debian 11): make one for this run, with all that the
# user's own folder for git has.
trust_checkout() {
    ! [ -f "$RUN/xdg/git/config" ] || return 0
    own=${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/git
    mkdir -p -- "$RUN/xdg/git"
    for each in "$own"/*; do
        case $each in */config) ;; *) [ ! -e "$each" ] || ln -sfn -- "$each" "$RUN/xdg/git/" ;; esac
    done
    git config --file "$RUN/xdg/git/config.partial" include.path "$own/config"
    for each in "$ROOT" "$(readlink -f -- "$ROOT")"; do git config --file "$RUN/xdg/git/config.partial" --add safe.directory "$each"; done
    mv -f -- "$RUN/xdg/git/config.partial" "$RUN/xdg/git/config"
}

# Print the rights of who may write what git obeys; nothing where that is root alone, or where we are not root.
looker_at_checkout() (
    [ "$(id -u)" = 0 ] || exit 0
    place=$ROOT/.git
    set --
    if [ -f "$place" ]; then # of a worktree, or with its folder elsewhere
        set -- "$place"
        place=$(absolute "$ROOT" "$(sed -n 's/^gitdir: //p' "$place" | head -n 1)")
    fi
    common=$place
    if [ -f "$place/commondir" ]; then common=$(absolute "$place" "$(head -n 1 -- "$place/commondir")"); fi
    if [ -e "$place/config.worktree" ]; then set -- "$@" "$place/config.worktree"; fi
    for path in "$@" "$common/config"; do
        if [ -n "$(weak_spot "$path")" ]; then
            set -- "$ROOT/.git" "$ROOT"
            # Where else it is kept is trusted only where others cannot write that down.
            if [ -z "$(weak_spot "$ROOT/.git")" ]; then
                set -- "$place" "$@"
                if [ -z "$(weak_spot "$place/commondir")" ]; then set -- "$common" "$@"; fi
            fi
            rights_of_owner "$@"
            exit 0
        fi
    done
)

absolute() {
    case $2 in /*) say "$2" ;; *) say "$1/$2" ;; esac
}

# Where git keeps what is in `.git` of most checkouts: of a worktree, or where that is a file, it is another folder.
git_folder() {
    if ! { [ -f "${ROOT:?}/.git" ] && checkout rev-parse --absolute-git-dir 2>/dev/null; }; then say "$ROOT/.git"; fi
}

# The Python that can read the configuration as the service runs: the installation's own, else the server's. Root itself
# starts only what it leads to, if that is nobody else's: by its own path it would read the environment's pyvenv.cfg, which
# says where even the modules of `-I -S` are.
tree_python() {
    for python in "$1/venv/bin/python3" "$1/venv/bin/python"; do
        real=$(readlink -f -- "$python") && [ -x "$real" ] || continue
        if [ -n "$(weak_spot "$real")" ] || "$real" -I -S -c '' 2>/dev/null; then
            printf '%s' "$python"
            return 0
        fi
    done
    find_python
}

# Print the Python for programs of ours: what a run had found when it began (prepare.sh), which was nobody else's to
# change, so it is not tried again. Else of the hosts file, of the server, or where the installation's own is all there
# is, what that leads to: it stays when the environment is moved.
find_python() {
    python=''
    if [ -n "${RUN-}" ] && [ -f "$RUN/python" ]; then IFS= read -r python <"$RUN/python" || :; fi
    if [ -x "$python" ]; then printf '%s' "$python"; return; fi
    for python in "${PYTHON-}" python3 "$(readlink -f -- "${ROOT-}/venv/bin/python3")"; do
        case $python in
            '') continue ;;
            /*) [ -x "$python" ] && [ -z "$(weak_spot "$python")" ] || continue ;;
            *) python=$(command -v "$python") || continue ;;
        esac
        if "$python" -I -S -c '' 2>/dev/null; then
            printf '%s' "$python"
            return 0
        fi
    done
    return 1
}

# Ask what only an installation's own Python can say, as its service runs: `ask VERB TREE ...` (ask.py).
ask() {
    asked=$1 asked_tree=$2
    shift 2
    as_unit ask "$asked_tree" "$(tree_python "$asked_tree")" - "$asked" "$asked_tree" "${PRODUCT:?}" "$@" <"${BUNDLE:?}/ask.py"
}

# Run a program of ours that needs nothing of an installation.
own_python() {
    find_our_python || { say "error: no usable python3 was found: set python in the hosts file" >&2; return 127; }
    "$our_python" -I -S "$@"
}

find_our_python() {
    our_python=${our_python:-$(find_python)}
}

# Print what others could change of what root executes of an installation, at most three lines.
exposed_spots() {
    own_python "${BUNDLE:?}/environment.py" exposed "${ROOT:?}" "${PRODUCT:?}"
}

# Do something in a folder that others can write, by descriptors (files.py).
by_descriptor() {
    own_python "${BUNDLE:?}/files.py" "$@"
}

# The same, as a person would type it.
by_descriptor_by_hand() {
    find_our_python
    printf '%s -I -S %s %s' "$our_python" "$(quoted "${BUNDLE:?}/files.py")" "$1"
    shift
    for word; do printf ' %s' "$(quoted "$word")"; done
    echo
}

# Read what the hosts file gives to upgrade.sh and pip, behind what we have found for pip (find_wheels).
load_environment() {
    links=${PIP_FIND_LINKS-} offline=${PIP_NO_INDEX-}
    load "${BUNDLE:?}/environment.sh"
    if [ -n "$links" ]; then export PIP_FIND_LINKS="$links ${PIP_FIND_LINKS-}"; fi
    if [ -n "$offline" ]; then export PIP_NO_INDEX="$offline"; fi
}

# Ask what uses the releases (tree_users.py), isolated from every environment.
tree_users() {
    own_python "${BUNDLE:?}/tree_users.py" "$@" "${ROOT:?}" "${PRODUCT:?}" "${SERVICES:?}" "${CRON_DIR:?}"
}

# The environment that the operator and the constraints table give to upgrade.sh and pip; it may hold credentials.
with_environment() (
    load_environment
    unset HEALTH_HEADERS ARCHIVE_URL GIT_REMOTE
    exec "$@"
)

# Run a command in a folder as upgrade.sh runs, `as_upgrade FOLDER COMMAND ...`: as in an administrator's shell, with what
# the hosts file gives, and what configuration.py asks for of the unit's environment.
as_upgrade() (
    cd -- "$1" || exit 1
    shift
    load_environment
    unset VIRTUAL_ENV ARCHIVE_URL GIT_REMOTE HEALTH_HEADERS LC_ALL
    export LANG="${LANG:-C.UTF-8}"
    own_python "$BUNDLE/environment.py" with "${RUN:?}/upgrade.env" "$@"
)

# Print what an address answers as facts; the headers may hold a secret and go by the environment.
page_facts() (
    load "${BUNDLE:?}/environment.sh"
    { cat "${RUN:?}/settings" 2>/dev/null || :; } | own_python "$BUNDLE/ask.py" page "$1" "${PRODUCT:?}" "$2"
)

# Read one fact out of a file of facts.
fact_of() {
    sed -n "/^$1=/{ s///p; q; }" "$2"
}

# A version that was answered is the tree's, or the tree's with a suffix, or its major.minor where only that is said.
is_version() {
    case $1 in
        "$3" | "$3"-* | '') return 0 ;;
        *) [ "$2" = header ] && case $3 in "$1".*) return 0 ;; *) return 1 ;; esac ;;
    esac
}

# Judge what a page answered, of a release that should answer with a version; says why not.
page_is_well() {
    trouble=$(fact_of page.error "$1")
    [ -z "$trouble" ] || { say "no answer: $trouble"; return 1; }
    [ "$(fact_of page.login "$1")" = 200 ] || { say "the login page answered $(fact_of page.login "$1") $(fact_of page.trouble "$1")"; return 1; }
    case $(fact_of page.static "$1") in missing* | of*) say "a static file is $(fact_of page.static "$1")"; return 1 ;; *) ;; esac
    for from in page status header; do
        answered=$(fact_of "page.version.$from" "$1")
        is_version "$answered" "$from" "$2" || { say "version $answered answers, not $2 ($from)"; return 1; }
    done
}

# What systemd calls a unit that runs, or is about to.
up='active|activating|reloading'

active() {
    systemctl is-active "$1" 2>/dev/null | grep -q -x -E "$up"
}

# Print our units with what starts others before these: a socket whose service runs already cannot be started, and one
# that is still there would start the service again while it is stopped.
units_in_order() {
    with_services printf '%s\n' | grep -E '\.(socket|timer|path)$' || :
    with_services printf '%s\n' | grep -v -E '\.(socket|timer|path)$' || :
}

# Run a command with the names of our units as its last words; the second function has them in that order.
with_services() {
    # shellcheck disable=SC2086 # the planning has validated the names: one word each
    "$@" ${SERVICES:?}
}

with_services_in_order() {
    # shellcheck disable=SC2046 # one word each
    "$@" $(units_in_order)
}

# Where an admin's unit files are; a packaged unit's are not ours to write beside.
unit_folder() {
    folder=$(dirname -- "$(systemctl show -p FragmentPath "${SERVICES%% *}" | sed -n 's/^FragmentPath=//p')")
    case $folder in
        /lib/* | /usr/lib/* | . | '') printf '/etc/systemd/system' ;;
        *) printf '%s' "$folder" ;;
    esac
}

# Tell whether a unit starts gunicorn or manage.py as before there was a virtual environment, by the server's own Python.
# What a drop-in starts is the admin's, and so is a script of another kind, whatever its name.
is_from_before_environments() {
    command=$(systemctl cat "$1" 2>/dev/null | awk '
        /^# \/.*\.(service|conf)$/ { files++ }
        going_on { $0 = line $0 }
        going_on = /\\$/ { line = substr($0, 1, length($0) - 1); next }
        sub(/^[ \t]*ExecStart[ \t]*=[ \t]*[-@:+!|]*/, "") { command = $0; from = files }
        END { if (from <= 1) print command }')
    program=${command%%[[:space:]]*}
    case $command,${program##*/} in
        *"${ROOT:?}/venv/"*) return 1 ;;
        *,gunicorn) ! [ -f "$program" ] || grep -q -E 'gunicorn\.app|console_scripts' -- "$program" ;;
        *"/${PRODUCT:?}/manage.py"*,python* | *,manage.py) ;;
        *) return 1 ;;
    esac
}

# Seconds since the boot: clocks are turned.
uptime_seconds() {
    cut -d . -f 1 /proc/uptime
}

# Note in a run's folder in which life of this server it goes on; what cannot be noted (a full disk) is not worth a run.
note_boot() {
    cat /proc/sys/kernel/random/boot_id >"$1/boot" 2>/dev/null || :
}

# Say by what a run was cut off.
cause_of_interruption() {
    case $(cat "$1/boot" 2>/dev/null || :) in
        '') say "the server went down, or the run was killed there" ;;
        "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || :)") say "the run was killed on the server, by a person or for lack of memory" ;;
        *) say "the server went down" ;;
    esac
}

# Say where a run was cut off; a power cut may leave anything at the end of its journal.
place_of_interruption() {
    awk '($2 == "step" || $2 == "undo") && $3 ~ /^[a-z_]+$/ { place = ($2 == "undo" ? "while undoing " : "in ") $3 }
        END { print place ? place : "before its first step" }' "$1/journal" 2>/dev/null || :
}

# Wait until the login page of a tree answers where users reach it; the limit is in seconds.
wait_for_login() {
    begun=$(uptime_seconds)
    while :; do
        # No file in between: on a full disk the page would never seem to answer.
        answered=$(page_facts "$1" "${HEALTH_URL-}" | grep -E '^page\.(error|login)=' || :)
        case $answered in *page.login=200*) return 0 ;; *) ;; esac
        [ "$(($(uptime_seconds) - begun))" -lt "$2" ] || return 1
        sleep 0.5
    done
}

applied_migrations() {
    sql 'SELECT app, name FROM django_migrations ORDER BY app, name'
}

views() {
    sql "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1"
}

# Rows added, changed or removed since the statistics began, but for what a mere visit or a starting worker touches.
rows_written() {
    sql "SELECT coalesce(sum(n_tup_ins + n_tup_del + CASE WHEN relname IN ('users_token', 'users_user', 'auth_user') THEN 0 ELSE n_tup_upd END), 0)
        FROM pg_stat_user_tables WHERE relname NOT IN ('django_session', 'core_job')"
}

# Run a program of PostgreSQL as NetPoint itself connects: as its user, whom a socket may trust by name, and with the
# environment of libpq, so that secrets are in no argument. Our name is in one: the name in a service file would overrule
# the environment's, and it is by its name that stop_services knows the session which holds the lock.
with_database() (
    application=${PGAPPNAME-netpoint-remote}
    load "${RUN:?}/database.env"
    export PGAPPNAME="$application"
    named=$(say "$application" | sed "s/['\\\\]/\\\\&/g")
    program=$1
    shift
    as_user "$program" -d "application_name='$named'" "$@"
)

sql() {
    with_database psql -X -q -A -t -w -v ON_ERROR_STOP=1 -c "$without_limits" -c "$1"
}

# The same for statements on standard input, which set their own limits.
sql_script() {
    with_database psql -X -q -A -t -w -v ON_ERROR_STOP=1 -f -
}

# What a role or a database sets for NetPoint's sessions must not end ours: a dump takes its time, a lock waits. Not every
# version has each. No table is read.
# shellcheck disable=SC2016 # quotes of PostgreSQL
limits='$$statement_timeout$$, $$lock_timeout$$, $$idle_in_transaction_session_timeout$$, $$idle_session_timeout$$, $$transaction_timeout$$'
without_limits="DO \$limits\$ DECLARE item text; BEGIN FOREACH item IN ARRAY ARRAY[$limits] LOOP
    IF pg_catalog.current_setting(item, true) IS NOT NULL THEN PERFORM pg_catalog.set_config(item, \$\$0\$\$, false); END IF;
    END LOOP; END \$limits\$;"

# Print the variable by which the sessions of upgrade.sh do without them too: a migration takes its time. What lies between
# (a pooler) may not take it, and what configuration.py gives to libpq comes before it.
variables_without_limits() {
    query="SELECT name FROM pg_catalog.pg_settings WHERE name IN ($limits) AND reset_val <> '0' ORDER BY 1"
    # Of an answer only what was asked for: the role may have operators of its own.
    given=$(sql "$query" 2>/dev/null | grep -x -E '[a-z_]+_timeout' | sed 's/.*/-c &=0/' | tr '\n' ' ')
    [ -n "$given" ] || return 0
    if left=$(export PGOPTIONS="$given" && sql "$query" 2>/dev/null) && [ -z "$left" ]; then
        printf 'PGOPTIONS=%s\0' "$given"
    else
        journal warning "limits of NetPoint's role or database hold for upgrade.sh too, and may end a long migration: $(say "$given" | sed 's/-c \([a-z_]*\)=0/\1/g')"
    fi
}

# Become the user that NetPoint runs as, for good.
as_user() {
    user=$(cat "${RUN:?}/before/user")
    if [ "$(id -un)" = "$user" ]; then exec "$@"; fi
    # Where libpq looks for what the configuration leaves out: .pgpass, .pg_service.conf, .postgresql/
    home=$(getent passwd "$user" | cut -d : -f 6)
    exec runuser -u "$user" -- env HOME="${home:-/}" "$@"
}

# Tell whether a process carries a run out, whatever became of the file that it has locked.
is_carried_out() {
    [ -n "$(processes_with "$1/bundle/main.sh")" ]
}

# Tell whether another process group than ours carries a run out: its lock is free when somebody removed the file.
is_carried_out_elsewhere() {
    ours=$(group_of "$$")
    for process in $(processes_with "$1/bundle/main.sh"); do
        group=$(group_of "$process")
        [ -z "$group" ] || [ "$group" = "$ours" ] || return 0
    done
    return 1
}

# Print the numbers of our own processes that have a word in their command; they come and go, so its status tells nothing.
# The word is no argument: grep would find itself, and another one's. Anybody may start a process with any words, and some
# programs then run as root: what counts was started by our own user, and not from a file that changes who runs it.
processes_with() {
    # shellcheck disable=SC2062 # these are the files; the pattern comes by --file
    { say "$1" | grep -l -s -z -x -F --file=- /proc/[0-9]*/cmdline || :; } | cut -d / -f 3 | while IFS= read -r process; do
        if is_our_process "$process"; then say "$process"; fi
    done
}

is_our_process() {
    [ "$(awk '$1 == "Uid:" { print $2, $3 }' "/proc/$1/status" 2>/dev/null || :)" = "$(id -u) $(id -u)" ] &&
        [ -n "$(find -L "/proc/$1/exe" -maxdepth 0 ! -perm /6000 2>/dev/null || :)" ]
}

group_of() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 3
}

# Print the run that was carried out last. The note of it may be damaged or gone; what began has a list of its changes.
last_run() {
    last=$(head -c 100 -- "$STATE_DIR/current" 2>/dev/null | tr -d '\000' | head -n 1)
    case $last in
        '' | .* | *[!A-Za-z0-9_.-]*) last='' ;;
        *) [ -d "$STATE_DIR/runs/$last" ] || last='' ;;
    esac
    for begun in "$STATE_DIR"/runs/*/changed; do
        [ -n "$last" ] || [ ! -f "$begun" ] || newest=$(basename -- "$(dirname -- "$begun")")
    done
    printf '%s' "${last:-${newest-}}"
}

# Start a run's main.sh with nobody attached. systemd keeps it out of the session that started it, which may be
# killed at logout; elsewhere setsid has to do. systemd takes ${...} in a command for a variable: the path goes by one.
# Where it is killed or stopped in its window, the unit that is there for reboots settles it (ended.sh); where that cannot
# be named, at least when the plan fails. Never by OnFailure when settling fails: the name of a unit that waits for
# another one's start is taken until then, and nobody could settle the run before.
launch() {
    if [ -d /run/systemd/system ] && have systemd-run; then
        launched=$1 with=$2
        case $1,$2 in
            *[!A-Za-z0-9_./-]*,run) set -- --property=OnFailure=netpoint-remote-recover.service ;; # systemd 252 misreads a quoted command once it is reloaded
            *[!A-Za-z0-9_./-]*,*) set -- ;;
            *) set -- --property="ExecStopPost=-/bin/sh $1/bundle/ended.sh" ;;
        esac
        # shellcheck disable=SC2016 # it expands in the shell that systemd starts
        systemd-run -q --collect --unit="netpoint-remote-$(basename -- "$launched")" --property=KillMode=control-group "$@" \
            --setenv=PATH="$PATH" --setenv=RUN="$launched" -- sh -c 'exec sh "$RUN/bundle/main.sh" "$0"' "$with" </dev/null >>"$launched/log" 2>&1
    else
        RUN=$1 setsid -f sh "$1/bundle/main.sh" "$2" </dev/null >>"$1/log" 2>&1
    fi
}
