# shellcheck shell=sh
# How NetPoint's services run, and how a program of ours runs as one of them does: in a runtime unit that has all of the
# service's [Service] settings (user, groups, environment, folders, sandbox, limits) but its command. Nothing of a unit's
# environment ever comes into our own shell.
: "${RUN:?}" "${SERVICES:?}" "${ROOT:?}" "${OLD:?}"

# Run a program as a service runs: `as_unit NAME TREE COMMAND ...`, with what we have on standard input, and print what it
# prints. NAME is what it is run for: `ask` and `beside` are as the first service is, `worker` as the one that works. In
# a TREE that is not the service's own it works where it will once that is. The word ARGUMENTS stands for the words of
# the service's own command.
as_unit() (
    begin_unit "$@"
    status=0
    systemctl start "$unit" >"$folder/systemctl" 2>&1 || status=$?
    head -c 4000000 -- "$folder/out"
    head -c 100000 -- "$folder/err" >&2
    if [ "$status" -ne 0 ]; then
        why_unit_failed >&2
        status=$(unit_property "$unit" ExecMainStatus)
        systemctl reset-failed "$unit" >/dev/null 2>&1 || :
        case $status in '' | 0) return 1 ;; *) return "$status" ;; esac
    fi
)

# The same, without waiting for its end; `stop_unit` ends it, with all that it has started.
start_as_unit() (
    begin_unit "$@"
    systemctl start --no-block "$unit"
)

unit_runs() {
    active "$(unit_of "$1")"
}

# Print the last that a unit has said.
unit_output() {
    said=$(folder_of "$1")
    cat -- "$said/out" "$said/err" 2>/dev/null | tail -c 20000
}

stop_unit() {
    systemctl stop "$(unit_of "$1")" 2>/dev/null || :
    systemctl reset-failed "$(unit_of "$1")" 2>/dev/null || :
}

# End and take away all units of ours that a run has; harmless where there are none.
remove_units() {
    runtime=$(runtime_folder) prefix=netpoint_remote.$(basename -- "$1") removed=''
    for unit in "$runtime/systemd/system/$prefix".*.service; do
        [ -f "$unit" ] || continue
        systemctl stop "$(basename -- "$unit")" 2>/dev/null || :
        systemctl reset-failed "$(basename -- "$unit")" 2>/dev/null || :
        rm -f -- "$unit"
        removed=yes
    done
    if mountpoint -q -- "$runtime/$prefix"; then umount -l -- "$runtime/$prefix"; fi
    for place in "$runtime/$prefix" "$runtime/private/$prefix"; do remove_tree "$place" "$place.sockets"; done
    if [ -n "$removed" ]; then systemctl daemon-reload; fi
}

# A name that no drop-in for netpoint-*.service belongs to.
prefix_of_units() {
    printf 'netpoint_remote.%s' "${RUN##*/}"
}

unit_of() {
    printf '%s.%s.service' "$(prefix_of_units)" "$1"
}

folder_of() {
    printf '%s/%s/%s' "$(runtime_folder)" "$(prefix_of_units)" "$1"
}

# Where a program that is run `beside` may make a socket: a folder of its user alone.
socket_folder() {
    printf '%s/%s.sockets' "$(runtime_folder)" "$(prefix_of_units)"
}

unit_property() {
    shown=$(systemctl show -p "$2" "$1") || :
    say "${shown#"$2="}"
}

# Where systemd has what a reboot clears. Practice servers, whose units lie elsewhere, have a folder of their own for it.
runtime_folder() {
    if { IFS= read -r runtime <"$RUN/runtime"; } 2>/dev/null; then printf '%s' "$runtime"; else find_runtime; fi
}

find_runtime() {
    units=$(unit_property "${SERVICES%% *}" FragmentPath)
    case $units in
        */etc/systemd/system/*) prefix=${units%/etc/systemd/system/*} ;;
        *) prefix='' ;;
    esac
    if [ -d "$prefix/run/systemd/system" ]; then say "$prefix/run"; else say /run; fi
}

# Write down what a unit is to run; the unit itself is made once, for all that this run will ask.
begin_unit() {
    unit=$(unit_of "$1") folder=$(folder_of "$1")
    [ -f "$(runtime_folder)/systemd/system/$unit" ] || make_units
    own=$(cat "$folder/directory")
    place=$(in_tree "$2" "${own#!}")
    shift 2
    # New files each time: a process may have kept a descriptor of those before.
    rm -f -- "$folder/in" "$folder/out" "$folder/err"
    (umask 077 && cat >"$folder/in" && : >"$folder/out" && : >"$folder/err")
    # In double quotes systemd reads what is behind a backslash as it is, in all its versions for these four.
    printf 'NETPOINT_REMOTE_COMMAND="%s"\n' "$({ if [ "$place" != "$own" ]; then printf 'cd -- %s && ' "$(quoted "$place")"; fi && command_line "$@"; } | sed 's/[\\"$`]/\\&/g')" >"$folder/env"
}

# Print where a path below the installation is in another tree.
in_tree() {
    case $2 in
        "${ROOT:?}" | "$OLD") printf '%s' "$1" ;;
        "$ROOT"/*) printf '%s/%s' "$1" "${2#"$ROOT"/}" ;;
        "$OLD"/*) printf '%s/%s' "$1" "${2#"$OLD"/}" ;;
        *) printf '%s' "$2" ;;
    esac
}

# The service's own command may be a line for a shell: then its words are those of the last command in it, without its
# redirections. What substitutes commands, or cannot be split like that, stays one word. A shell that has the service's
# rights reads it.
own_words() {
    tr -d '\n' <<'END'
set -f; set -- "$0" "$@"; case ${1##*/},${2-} in sh,-*c | ash,-*c | bash,-*c | dash,-*c | ksh,-*c | zsh,-*c)
 line=${3##*&& }; line=${line##*|| }; line=${line##*; }; line=${line%% [0-9][\<\>]*}; line=${line%%[\<\>\|\;\&]*};
 case $line in *[[:cntrl:]\`]* | *\$\(*) ;; *) if (eval "set -- $line") 2>/dev/null; then eval "set -- $line"; fi ;; esac ;; esac;
 exec
END
}

# A shell replaces itself; its last words are those of the service's own command.
command_line() {
    case " $* " in *' ARGUMENTS '*) own_words ;; *) printf exec ;; esac
    for word in "$@"; do
        # shellcheck disable=SC2016 # for the shell of the unit
        case $word in ARGUMENTS) printf ' "$@"' ;; *) printf ' %s' "$(quoted "$word")" ;; esac
    done
}

make_units() (
    runtime=$(runtime_folder) known=''
    mkdir -p -- "$runtime/systemd/system"
    place=$runtime/$(prefix_of_units)
    (umask 077 && mkdir -p -- "$place") || return 1
    # /run is memory that systemd needs itself: what our units print has a file system of its own. A container may have none.
    if [ "$runtime" = /run ] && ! mountpoint -q -- "$place"; then
        mount -t tmpfs -o size=64m,mode=700,nosuid,nodev,noexec netpoint-remote "$place" 2>/dev/null || :
    fi
    for made in ask:300 beside:900 worker:300; do
        service=$(service_for "${made%:*}")
        [ "$service" = "$known" ] || settings=$(settings_of "$service") directory=$(unit_property "$service" WorkingDirectory) known=$service
        made_folder=$(folder_of "${made%:*}")
        (umask 077 && mkdir -p -- "$made_folder" && for file in in out err env systemctl; do : >"$made_folder/$file" || exit 1; done && say "$directory" >"$made_folder/directory") || return 1
        (umask 077 && unit_text "${made%:*}" "${made#*:}" "$service" "$settings" | write_file "$runtime/systemd/system/$(unit_of "${made%:*}")") || return 1
    done
    systemctl daemon-reload
)

# The unit that does the work, which may have another environment than the pages.
service_for() {
    if [ "$1" = worker ]; then
        for service in $SERVICES; do
            case $(unit_property "$service" ExecStart) in *' rqworker'*) say "$service"; return 0 ;; *) ;; esac
        done
    fi
    say "${SERVICES%% *}"
}

unit_text() (
    own_folder=$(folder_of "$1")
    say '[Unit]'
    say "Description=What an upgrade asks of $3"
    say 'StartLimitIntervalSec=0'
    say '[Service]'
    say "$4"
    say 'Type=oneshot'
    say "TimeoutStartSec=$2"
    say 'TimeoutStopSec=20'
    say 'KillSignal=SIGKILL'
    # Else the end of ours would take the folder of the service away.
    say 'RuntimeDirectoryPreserve=yes'
    if [ "$1" = beside ]; then
        say "RuntimeDirectory=$(prefix_of_units).sockets"
        if [ -n "$(unit_property "$3" RestrictAddressFamilies)" ]; then say 'RestrictAddressFamilies=AF_UNIX'; fi
    fi
    say "EnvironmentFile=$(unit_escaped "$own_folder")/env"
    say "StandardInput=file:$(unit_escaped "$own_folder")/in"
    say "StandardOutput=file:$(unit_escaped "$own_folder")/out"
    say "StandardError=file:$(unit_escaped "$own_folder")/err"
)

# Print how a service runs.
settings_of() (
    systemctl cat "$1" 2>/dev/null | service_settings "$1"
    # A user that systemd makes for a unit is shared by units that name it.
    who=$(systemctl show -p User,Group "$1" | sed '/=$/d')
    say "$who"
    # Ours must not decide what a program of root's loads.
    case $(say "$who" | sed -n 's/^User=//p') in
        '' | root | 0) own_python "${BUNDLE:?}/environment.py" unset "$1" | sed -n 's/^./UnsetEnvironment=&/p' ;;
        *) ;;
    esac
)

# Copy the settings of a service from its files, as `systemctl cat` prints them, without what says when it is started,
# stopped and started again. Specifiers that mean the unit's name mean the service's. Its command becomes the last words
# of ours, so that systemd itself reads it: quotes, variables and all.
service_settings() {
    service=$1 awk '
        BEGIN {
            unit = ENVIRON["service"]
            if (unit !~ /\.service$/) unit = unit ".service"
            bare = unit; sub(/\.service$/, "", bare)
            prefix = bare; instance = ""
            if ((at = index(bare, "@")) > 0) { prefix = substr(bare, 1, at - 1); instance = substr(bare, at + 1) }
            last = prefix; sub(/.*-/, "", last)
            means["n"] = unit; means["N"] = bare; means["p"] = prefix; means["i"] = instance; means["j"] = last
            means["P"] = plain(prefix); means["I"] = plain(instance); means["J"] = plain(last)
            means["f"] = "/" plain(instance != "" ? instance : prefix)
            count = split("Sockets BusName ExecCondition ExecStartPre ExecStartPost ExecReload ExecReloadPost ExecStop ExecStopPost Type ExitType" \
                " Restart RestartSec RestartSteps RestartMaxDelaySec RestartMode RestartForceExitStatus RestartPreventExitStatus SuccessExitStatus" \
                " RemainAfterExit PIDFile GuessMainPID NotifyAccess WatchdogSec WatchdogSignal FileDescriptorStoreMax FileDescriptorStorePreserve" \
                " TimeoutSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec TimeoutStartFailureMode TimeoutStopFailureMode RuntimeMaxSec" \
                " RuntimeRandomizedExtraSec StandardInput StandardInputText StandardInputData StandardOutput StandardError TTYPath TTYReset" \
                " TTYVHangup TTYVTDisallocate KillMode KillSignal RestartKillSignal FinalKillSignal SendSIGHUP SendSIGKILL ReloadSignal Delegate" \
                " RuntimeDirectoryPreserve StartLimitInterval StartLimitIntervalSec StartLimitBurst StartLimitAction FailureAction SuccessAction RebootArgument" \
                " USBFunctionDescriptors USBFunctionStrings NonBlocking", left_out, " ")
            for (i = 1; i <= count; i++) drop[left_out[i]] = 1
        }
        {
            sub(/\r$/, "")
            if (going_on) {
                if ($0 ~ /^[ \t]*[#;]/) next
                $0 = line $0
            } else if ($0 ~ /^[ \t]*([#;]|$)/) next
            if (going_on = ($0 ~ /\\$/)) { line = substr($0, 1, length($0) - 1) " "; next }
            sub(/^[ \t]+/, ""); sub(/[ \t]+$/, "")
            if ($0 ~ /^\[/) { section = $0; next }
            if (section != "[Service]" || !(at = index($0, "="))) next
            key = substr($0, 1, at - 1); sub(/[ \t]+$/, "", key)
            value = substr($0, at + 1); sub(/^[ \t]+/, "", value)
            if (key == "ExecStart") command = value
            else if (!(key in drop)) print key "=" meant(value)
        }
        END {
            signs = command; sub(/[^-@:+!|].*/, "", signs)
            command = substr(command, length(signs) + 1)
            if (signs ~ /@/) sub(/^[^ \t]+[ \t]+/, "", command)
            if (signs ~ /:/) gsub(/\$/, "$$", command)
            print "ExecStart="
            print "ExecStart=/bin/sh -c ${NETPOINT_REMOTE_COMMAND} " (command == "" ? "sh" : meant(command))
        }
        function meant(text, done, letter, at) {
            done = ""
            while ((at = index(text, "%")) > 0) {
                letter = substr(text, at + 1, 1)
                if (letter in means) done = done substr(text, 1, at - 1) means[letter]
                else done = done substr(text, 1, at) letter
                text = substr(text, at + 2)
            }
            return done text
        }
        function plain(name) {
            gsub(/-/, "/", name)
            return name
        }'
}

# What systemd says of a unit of ours that it could not start at all; what started says itself what was wrong.
why_unit_failed() {
    code=$(unit_property "$unit" ExecMainCode) ended=$(unit_property "$unit" ExecMainStatus) result=$(unit_property "$unit" Result)
    case $result,$code,$ended in
        timeout,*) say "it did not end in time" ;;
        # systemd.exec(5), "Process Exit Codes": what it could not set up for a process.
        *,1,2[0-4]?) say "systemd could not start it as $unit would: status $ended, see systemd.exec(5): $(tail -n 1 "$folder/systemctl")" ;;
        exit-code,*) ;;
        *) say "systemd could not run it: $result" ;;
    esac
}
