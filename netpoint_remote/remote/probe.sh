# shellcheck shell=sh
# Look at a server and change nothing: everything the planning needs, in one visit (the design, "On the server").
: "${ROOT:?}" "${PRODUCT:?}" "${SERVICES:?}" "${STATE_DIR:?}" "${BACKUP_DIR:?}" "${CRON_DIR:?}" "${PYTHON?}" "${HEALTH_URL?}" "${HEALTH_HEADERS?}" "${VERSION?}" "${BACKUPS?}" "${SCRATCH?}" "${ENVIRONMENT?}"
export PYTHONDONTWRITEBYTECODE=1

probe_server() {
    fact host.time "$(date +%s)"
    fact host.user "$(id -un)"
    fact host.uid "$(id -u)"
    fact host.boot_id "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || :)"
    fact host.memory_mb "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || :)"
    fact host.system "$(sed -n 's/^\(ID\|VERSION_ID\)=//p' /etc/os-release 2>/dev/null | tr -d '"' | sort -r | tr '\n' ' ')"
    fact host.addresses "$(hostname -I 2>/dev/null || :)"
    if [ -d /run/systemd/system ]; then fact host.systemd yes; else fact host.systemd no; fi
    for tool in git wget curl tar gzip flock setsid timeout pg_dump pg_restore psql runuser setpriv systemctl; do
        if have "$tool"; then fact tool "$tool"; fi
    done
}

probe_install() {
    if [ -L "$ROOT" ]; then fact install.link "$(readlink -- "$ROOT")"; fi
    if [ -e "$ROOT" ]; then fact install.real "$(readlink -f -- "$ROOT")"; fi
    if [ -d "$ROOT" ]; then fact install.folder yes; fi
    if [ -e "$ROOT/.git" ]; then fact install.git yes; fi
    if [ -f "$ROOT/$PRODUCT/manage.py" ]; then fact install.tree yes; fi
    if [ -f "$ROOT/upgrade.sh" ]; then fact install.upgrade_script yes; fi
    if [ -e "$ROOT/docker-compose.yml" ]; then fact install.docker yes; fi
    for packaged in "$ROOT"/venv/lib/python3*/site-packages/"$PRODUCT"/; do
        if [ -d "$packaged" ]; then fact install.pip yes; fi
    done
    fact version.disk "$(tree_version "$ROOT" || :)"
    # Releases beside the running one; which of them matters is for the planning to say.
    for tree in "$(dirname -- "$(readlink -f -- "$ROOT" || printf '%s' "$ROOT")")"/*"$VERSION"*; do
        if [ -n "$VERSION" ] && [ -e "$tree" ]; then
            if is_unpacked_here "$tree" && ! is_in_use "$tree"; then ours=ours; else ours=foreign; fi
            version=$(tree_version "$tree" || :)
            fact beside "$ours ${version:--} $tree"
        fi
    done
    if [ -f "$ROOT/$PRODUCT/$PRODUCT/ldap_config.py" ]; then fact install.ldap yes; fi
    # Names only: a line may hold the credentials of an index.
    show_file "$ROOT/local_requirements.txt" | sed -n 's/^[[:space:]]*\([A-Za-z0-9][A-Za-z0-9._-]*\).*/\1/p' |
        while IFS= read -r name; do fact local_requirement "$name"; done
}

probe_git() {
    if ! [ -e "$ROOT/.git" ] || ! have git; then return 0; fi
    if ! commit=$(checkout rev-parse HEAD 2>/dev/null); then
        fact git.trouble "$(checkout rev-parse HEAD 2>&1 || :)"
        return 0
    fi
    fact git.commit "$commit"
    fact git.branch "$(checkout symbolic-ref -q --short HEAD 2>/dev/null || :)"
    if [ "$(checkout rev-parse --is-shallow-repository 2>/dev/null)" = true ]; then fact git.shallow yes; fi
    origin=$(checkout config --get remote.origin.url 2>/dev/null | sed 's#^\(https*://\)[^/]*@#\1#' || :)
    fact git.origin "$origin"
    checkout remote 2>/dev/null | head -n 5 | while IFS= read -r name; do fact git.remote "$name"; done
    # A worktree and a checkout with a folder elsewhere have a file of that name.
    folder=$(checkout rev-parse --absolute-git-dir 2>/dev/null || :)
    fact git.folder "$folder"
    if [ "$(stat -c %d -- "$folder" "$ROOT/" 2>/dev/null | sort -u | wc -l)" -gt 1 ]; then fact git.folder_elsewhere yes; fi
    # Bytecode is nobody's change: a power cut leaves some under names that no .gitignore knows.
    dirty=$(checkout -c core.fileMode=false status --porcelain -- . ':(exclude,glob)**/__pycache__/**' 2>&1 | head -n 20)
    if [ -n "$dirty" ]; then printf '%s\n' "$dirty" | while IFS= read -r line; do fact git.dirty "$line"; done; fi
    probe_own_commits
    # What differs in nothing but its mode.
    if [ "$(printf '%s\n' "$dirty" | wc -l)" -lt 20 ]; then
        checkout status --porcelain --untracked-files=no 2>/dev/null | grep -v -x -F -e "$dirty" | head -n 5 | while IFS= read -r line; do fact git.mode "${line#???}"; done
    fi
}

# Commits that were made here: no remote has them, and a shallow clone's oldest has no parent. What was fetched from the
# origin without a branch is no such commit.
probe_own_commits() {
    set -- rev-list --oneline --min-parents=1 --max-count=5 HEAD --not --remotes --tags
    for fetched in $(fetched_from_origin | grep -x -E '[0-9a-f]+'); do
        if checkout cat-file -e "$fetched^{commit}" 2>/dev/null; then set -- "$@" "$fetched"; fi
    done
    if own=$(checkout "$@" 2>/dev/null); then
        say "$own" | while IFS= read -r line; do [ -z "$line" ] || fact git.own_commit "$line"; done
    else
        fact git.trouble "$(checkout "$@" 2>&1 || :)"
    fi
}

# git writes the address without its end and its password.
fetched_from_origin() {
    [ -n "$origin" ] || return 0
    show_file "$folder/FETCH_HEAD" | bare_address | origin=$(say "$origin" | bare_address) awk -F '\t' '
        { at = length($3) - length(ENVIRON["origin"]) }
        substr($3, at + 1) == ENVIRON["origin"] && (at == 0 || substr($3, at - 3, 4) == " of ") { print $1 }'
}

bare_address() {
    sed -e 's#\(https*://\)[^/]*@#\1#' -e 's#/*$##' -e 's#\.git$##'
}

# Every interpreter that upgrade.sh could be given, and whether it can make a virtual environment. One that somebody else
# can change is not started as root.
probe_python() {
    known=' '
    for name in ${PYTHON:-python3} python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14; do
        path=$(command -v "$name" 2>/dev/null) || continue
        real=$(readlink -f -- "$path")
        case $known in *" $real "*) continue ;; *) known="$known$real " ;; esac
        told=$(with_rights_of "$(rights_for "$path")" "$path" -I -c 'import sys; print("%d.%d.%d" % sys.version_info[:3], flush=True); import venv, ensurepip; print("venv")' 2>/dev/null | tr '\n' ' ')
        case $told in
            '') ;;
            *venv*) fact python "$path ${told% }" ;;
            *) fact python "$path ${told}no-venv" ;;
        esac
    done
}

probe_services() {
    if ! have systemctl; then return 0; fi
    # shellcheck disable=SC2086 # a list of unit names, validated by the inventory
    systemctl show -p Id,Names,LoadState,ActiveState,SubState,UnitFileState,ExecStart,FragmentPath,User,NRestarts,ActiveEnterTimestampMonotonic $SERVICES \
        "$PRODUCT-housekeeping.timer" 2>/dev/null |
        awk -F= '/^Id=/ { id = $2 } { lines[++n] = $0 }
            /^$/ { for (i = 1; i < n; i++) print "unit." id "." lines[i]; n = 0; id = "" }
            END { if (id) for (i = 1; i <= n; i++) print "unit." id "." lines[i] }' || :
    for unit in $SERVICES; do if is_from_before_environments "$unit"; then fact outdated_unit "$unit"; fi; done
}

# Everything that uses a release, with what schedules housekeeping: processes, units, cron, mounts, files that name one.
probe_tree_users() {
    [ -n "$python" ] || return 0
    own_python -c "$(bundled tree_users.py)" facts "$ROOT" "$PRODUCT" "$SERVICES" "$CRON_DIR" 2>/dev/null || fact tree_users.error 'it did not finish'
}

# Print what is there of a path.
existing_part() (
    place=$1
    while [ ! -e "$place" ]; do place=$(dirname -- "$place"); done
    say "$place"
)

probe_space() {
    for place in "$(dirname -- "$(readlink -f -- "$ROOT" || printf '%s' "$ROOT")")" "$STATE_DIR" "$BACKUP_DIR"; do
        existing=$(existing_part "$place")
        if ! [ -w "$existing" ]; then fact unwritable "$existing"; fi
        fact disk "$(df -Pm -- "$existing" | awk 'NR == 2 { print $1, $4 }') $place"
    done
}

# Where an upgrade puts files of systemd and cron, and may not.
probe_system_folders() {
    set -- "$(unit_folder)"
    # What is enabled is noted there, wherever an admin has the units.
    case $1 in /usr/local/* | /run/*) set -- "$1" /etc/systemd/system ;; *) ;; esac
    for folder; do if ! [ -w "$(existing_part "$folder")" ]; then fact unwritable_units "$folder"; fi; done
    if [ -d "$CRON_DIR" ] && ! [ -w "$CRON_DIR" ]; then fact unwritable_cron "$CRON_DIR"; fi
}

# Where others could put something in the way of what we write as root; and what we run as root that others may write.
probe_safety() {
    safe=yes
    for place in "$STATE_DIR" "$BACKUP_DIR"; do
        weak=$(weak_spot "$place")
        if [ -n "$weak" ]; then fact weak "$weak"; fi
        if [ "$place" = "$STATE_DIR" ] && [ -n "$weak" ]; then safe=; fi
    done
    exposed=$(own_python -c "$(bundled environment.py)" exposed "$ROOT" "$PRODUCT" 2>/dev/null) || exposed=unknown
    case $exposed in '' | unknown) ;; *) say "$exposed" | while IFS= read -r weak; do fact exposed "$weak"; done ;; esac
}

probe_runs() {
    # What somebody else may have put there is not read.
    if [ -z "$safe" ]; then return 0; fi
    if [ -r "$STATE_DIR/lock" ] && have flock && ! flock -n -s "$STATE_DIR/lock" true; then
        fact lock.held yes
        fact lock.owner "$(head -c 400 "$STATE_DIR/lock")"
    fi
    run=$(last_run)
    if [ -n "$run" ]; then
        fact run.id "$run"
        fact run.root "$(root_of_run "$STATE_DIR/runs/$run")"
        if [ -f "$STATE_DIR/runs/$run/result" ]; then fact run.result "$(cat "$STATE_DIR/runs/$run/result")"; fi
        if [ -e "$STATE_DIR/runs/$run/unsettled" ]; then fact run.unsettled yes; fi
        if [ -f "$STATE_DIR/runs/$run/about" ]; then fact run.about "$(cat "$STATE_DIR/runs/$run/about")"; fi
    fi
}

# What was saved here, as the manifests say, and what lies about for a way back; asked for only where it is wanted.
probe_backups() {
    for mark in "$STATE_DIR/rolled-back"/*; do
        if is_own_note "$mark"; then fact rolled_back "$(basename -- "$mark") $(head -n 1 -- "$mark" | head -c 300)"; fi
    done
    # As for the runs: what somebody else may have put there is not read.
    if [ -z "$BACKUPS" ] || [ -z "$safe" ]; then return 0; fi
    find_manifests
    own_backups | while IFS= read -r id; do
        # With an end to its last line, for a manifest that was cut off.
        { head -c 20000 "$BACKUP_DIR/$id/manifest" && say; } | sed -n "s/^\(purpose\|made\|operator\|method\|tree\|version\|leads_to\|commit\|ref\|verified\|size\.[a-z.]*\)=/backup.$id.\1=/p"
        fact "backup.$id.damage" "$(damage_of "$BACKUP_DIR/$id")"
    done
    for tree in "$(dirname -- "$(readlink -f -- "$ROOT" || printf '%s' "$ROOT")")"/*; do
        if [ -f "$tree/$PRODUCT/manage.py" ] && ! [ -L "$tree" ]; then
            if is_own_release "$tree"; then known=ours; else known=foreign; fi
            fact release "$known $(size_mb "$tree") $(tree_version "$tree" || :) $tree"
        fi
    done
    for aside in "$(git_folder)/netpoint-remote"/*; do
        if [ -d "$aside" ]; then fact aside "$(size_mb "$aside") $(basename -- "$aside") $aside"; fi
    done
    for run in "$STATE_DIR/runs"/*; do if [ "$(root_of_run "$run")" = "$ROOT" ]; then fact run.kept "$(basename -- "$run")"; fi; done
    leftovers | while IFS= read -r left; do fact leftover "$(size_mb "$left") $left"; done
    if [ -d "$STATE_DIR/archives" ]; then fact archives "$(size_mb "$STATE_DIR/archives")"; fi
}

size_mb() {
    timeout 20 du -sm -- "$1" 2>/dev/null | awk '{ print $1; said = 1 } END { if (!said) print 0 }'
}

# The ids of the backups of this installation.
own_backups() {
    for folder in "$BACKUP_DIR"/*; do
        case ${folder##*/} in *[!A-Za-z0-9-]*) continue ;; *) ;; esac
        if is_own_manifest "$folder/manifest"; then say "${folder##*/}"; fi
    done
}

# What its sizes show to be wrong with a backup: checksums take long, and are compared before it is gone back to.
damage_of() {
    {
        grep -q -e '^size\.database\.dump=' -- "$1/manifest" || say "its manifest names no dump"
        sed -n 's/^size\.\([a-z.]*\)=\([0-9]*\)$/\1 \2/p' "$1/manifest" | while IFS=' ' read -r file size; do
            found=$(stat -L -c %s -- "$1/$file" 2>/dev/null) || { say "$file is missing"; continue; }
            [ "$found" = "$size" ] || say "$file has $found bytes, not $size"
        done
    } | head -n 1
}

# What the database is asked about each backup, the newest so many: the changes that the change log has since. All
# questions together are one argument, which may have 128 KiB.
most_backups=200
backup_questions() {
    if [ -z "$BACKUPS" ]; then return 0; fi
    own_backups | tail -n "$most_backups" | while IFS= read -r id; do
        told=$(sed -n 's/^changes\.[a-z_]*=\([0-9]* [0-9T:.+-]*\)$/\1/p' "$BACKUP_DIR/$id/manifest" | tail -n 1)
        if [ -n "$told" ]; then
            for table in extras_objectchange core_objectchange; do
                printf "SELECT 'db.changes.%s=' || count(*) || ' ' || coalesce(string_agg(DISTINCT to_jsonb(t)->>'user_name', ', '), '') FROM %s t WHERE id > %s OR time > '%s';\n" \
                    "$id" "$table" "${told%% *}" "${told#* }"
            done
        fi
    done
}

scratch_questions() {
    if [ -n "$SCRATCH" ]; then
        say "SELECT 'db.creates=' || (rolcreatedb OR rolsuper) FROM pg_roles WHERE rolname = current_user;"
        say "SELECT 'db.server_port=' || current_setting('port');"
    fi
}

# What only Python can read. The configuration is asked as the service runs: as its user, where it works, with what its
# unit gives it, none of which comes into this shell. From outside it is looked at as root, with what it has told.
probe_configuration() {
    [ -n "$python" ] || return 0
    program=$(bundled environment.py)
    questions=$(say "$without_limits" && bundled facts.sql && bundled sessions.sql && backup_questions && scratch_questions)
    answers=$(bundled ask.py | own_python -c "$program" service "${SERVICES%% *}" "$ROOT" "$python" facts "$ROOT" "$PRODUCT" "$questions") || :
    say "$answers" | grep -v '^db\.session=' || :
    say "$answers" | own_python -c "$(bundled tree_users.py)" sessions "$ROOT" "$PRODUCT" "$SERVICES" "$CRON_DIR" 2>/dev/null ||
        fact tree_users.error 'the sessions of the database could not be listed'
    case $answers in
        # Where who asks the database may decide, it is asked as upgrade.sh will; not by files that others can write.
        *database.by_user=yes*) [ -n "$exposed" ] || ask_as_root || : ;;
        *) ;;
    esac
    export HEALTH_HEADERS
    say "$answers" | own_python -c "$(bundled ask.py)" outside "$ROOT" "$PRODUCT" "$HEALTH_URL" || :
}

# The version that dumps this database: where there are several, Debian's wrapper chooses by host and port.
probe_pg_dump() {
    have pg_dump || return 0
    set -- pg_dump --version
    host=$(say "$answers" | sed -n 's/^database\.host=//p') port=$(say "$answers" | sed -n 's/^database\.port=//p')
    case $host in '' | *[!A-Za-z0-9._:/-]*) ;; *) set -- "PGHOST=$host" "$@" ;; esac
    case $port in '' | *[!0-9]*) ;; *) set -- "PGPORT=$port" "$@" ;; esac
    fact pg_dump.version "$(env "$@" 2>&1 | head -n 1)"
}

ask_as_root() (
    eval "$ENVIRONMENT"
    bundled ask.py | own_python -c "$program" root "${SERVICES%% *}" "$ROOT" "$python" reach "$ROOT" "$PRODUCT"
)

# One packet in place of one for each line: those would be most of what a look costs the workstation.
{
    # Found once: each of the two is started to see whether it works.
    python=$(tree_python "$ROOT") || python=''
    answers=''
    find_our_python || :
    fact probe 1
    probe_server
    probe_install
    probe_git
    probe_python
    probe_services
    probe_tree_users
    probe_space
    probe_system_folders
    probe_safety
    probe_runs
    probe_backups
    probe_configuration
    probe_pg_dump
    fact probe.complete yes
} | awk 1
