# shellcheck shell=sh
# See that a server that goes down in its window comes back with NetPoint whole, and with nobody writing before that.
# shellcheck source=../guard.sh
. "${BUNDLE:?}/guard.sh"

check() {
    units=$(unit_folder)
    grep -q -s -F "$(escaped "$RUN")/bundle/main.sh" "$units/$recovery" && drop_ins | while IFS= read -r file; do
        grep -q -s -F "$(escaped "$RUN")/window" "$file" || exit 1
    done
}

apply() {
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

# A percent sign means something in a unit file.
escaped() {
    printf '%s' "$1" | sed 's/%/%%/g'
}

condition() {
    say '[Unit]'
    say "ConditionPathExists=!$(escaped "$RUN")/window"
}

service() {
    cat <<EOF
[Unit]
Description=Settle the upgrade of NetPoint that was cut off when this server went down
ConditionPathExists=$(escaped "$RUN")/window
After=network-online.target postgresql.service redis-server.service redis.service
Wants=network-online.target

[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment="RUN=$(escaped "$RUN")"
ExecStart=/bin/sh "$(escaped "$RUN")/bundle/main.sh" recover

[Install]
WantedBy=multi-user.target
EOF
}

undo() {
    lift
}
