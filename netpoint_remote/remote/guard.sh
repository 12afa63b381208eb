# shellcheck shell=sh
# What keeps a server that goes down in its window from coming back half-way: while the file `window` of the run is
# there, systemd starts none of NetPoint's services, and at boot it starts one of ours, which settles the run first.
: "${SERVICES:?}" "${RUN:?}"
recovery=netpoint-remote-recover.service

# Where an admin's unit files are; a packaged unit's are not ours to write beside.
unit_folder() {
    folder=$(dirname -- "$(systemctl show -p FragmentPath "${SERVICES%% *}" | sed -n 's/^FragmentPath=//p')")
    case $folder in
        /lib/* | /usr/lib/* | . | '') printf '/etc/systemd/system' ;;
        *) printf '%s' "$folder" ;;
    esac
}

drop_ins() {
    for unit in $SERVICES; do
        case $unit in *.*) name=$unit ;; *) name=$unit.service ;; esac
        say "$units/$name.d/netpoint-remote.conf"
    done
}

lift() {
    units=$(unit_folder)
    drop_ins | while IFS= read -r file; do
        rm -f -- "$file" "$file.partial"
        rmdir -- "$(dirname -- "$file")" 2>/dev/null || :
    done
    if [ -e "$units/$recovery" ]; then
        systemctl disable "$recovery" || :
        rm -f -- "$units/$recovery"
    fi
    systemctl daemon-reload
}
