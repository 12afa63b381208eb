# shellcheck shell=sh
# What keeps a server that goes down in its window from coming back half-way: while the file `window` of the run is
# there, systemd starts none of NetPoint's services, and at boot it starts one of ours, which settles the run first. It
# does the same when the runner is killed (launch), and goes on trying as long as it cannot: a database may come up late.
: "${SERVICES:?}" "${RUN:?}"
recovery=netpoint-remote-recover.service

drop_ins() {
    for unit in $SERVICES; do
        case $unit in *.*) name=$unit ;; *) name=$unit.service ;; esac
        say "$units/$name.d/netpoint-remote.conf"
    done
}

guard_is_up() {
    units=$(unit_folder)
    service | cmp -s -- - "$units/$recovery" && drop_ins | while IFS= read -r file; do
        grep -q -s -F "$(unit_escaped "$RUN")/window" "$file" || exit 1
    done
}

raise_guard() {
    units=$(unit_folder)
    drop_ins | while IFS= read -r file; do
        mkdir -p -- "$(dirname -- "$file")"
        condition | write_file "$file"
    done
    service | write_file "$units/$recovery"
    systemctl daemon-reload
    systemctl enable "$recovery"
    sync
}

# In quotes backslashes and quotes mean something in a unit file, in a command dollars too.
quoted_value() {
    printf '"%s"' "$(unit_escaped "$1" | sed 's/[\\"]/\\&/g')"
}

quoted_word() {
    quoted_value "$1" | sed 's/\$/$$/g'
}

condition() {
    say '[Unit]'
    say "RequiresMountsFor=$(quoted_value "$RUN")"
    say "ConditionPathExists=!$(unit_escaped "$RUN")/window"
}

service() {
    cat <<EOF
[Unit]
Description=Settle the upgrade of NetPoint that was cut off when this server went down
RequiresMountsFor=$(quoted_value "$RUN")
ConditionPathExists=$(unit_escaped "$RUN")/window
After=network-online.target postgresql.service redis-server.service redis.service
Wants=network-online.target

[Service]
Restart=on-failure
RestartSec=300
Environment=$(quoted_value "RUN=$RUN")
ExecStart=/bin/sh $(quoted_word "$RUN/bundle/main.sh") recover

[Install]
WantedBy=multi-user.target
EOF
}

guard_is_lifted() {
    units=$(unit_folder)
    ! [ -e "$units/$recovery" ] && drop_ins | while IFS= read -r file; do ! [ -e "$file" ] || exit 1; done
}

lift_guard() {
    units=$(unit_folder)
    drop_ins | while IFS= read -r file; do
        rm -f -- "$file" "$file.partial"
        rmdir -- "$(dirname -- "$file")" 2>/dev/null || :
    done
    # It may wait to try once more: without its file, systemd would call it failed for ever. It may also be who does this.
    if ! grep -q -s -F "$recovery" /proc/self/cgroup; then systemctl stop "$recovery" 2>/dev/null || :; fi
    rm -f -- "$units/$recovery.partial"
    if [ -e "$units/$recovery" ]; then
        systemctl disable "$recovery" || :
        rm -f -- "$units/$recovery"
    fi
    systemctl daemon-reload
    systemctl reset-failed "$recovery" 2>/dev/null || :
}

guard_by_hand() {
    units=$(unit_folder)
    drop_ins | while IFS= read -r file; do say "rm -f -- $(quoted "$file"); rmdir --ignore-fail-on-non-empty -- $(quoted "$(dirname -- "$file")")"; done
    say "systemctl disable $recovery; rm -f -- $(quoted "$units/$recovery"); systemctl daemon-reload; systemctl reset-failed $recovery 2>/dev/null || :"
}
