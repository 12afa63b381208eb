# shellcheck shell=sh
# One run at a time: for each host by flock, for each database by an advisory lock in it. Both die with their holder (the design, promise 5).
: "${STATE_DIR:?}" "${RUN:?}" "${RUN_ID:?}" "${OPERATOR:?}" "${HOST?}"

# Take the lock of this host on descriptor 9 and sign it; else `why` says who has it.
lock_host() {
    why="the lock $STATE_DIR/lock cannot be opened"
    ( : >>"$STATE_DIR/lock") 2>/dev/null || return 1
    exec 9>>"$STATE_DIR/lock"
    if ! flock -w 10 9; then
        # shellcheck disable=SC2034 # main.sh reads it
        why="another run is in progress on this host: $(lock_owner)"
        return 1
    fi
    printf '%s %s %s\n' "$RUN_ID" "$OPERATOR" "$(date +%s)" >"$STATE_DIR/lock" || :
}

# Who signed the lock, in words; what is signed there is a note only, the lock itself is the kernel's.
lock_owner() {
    if IFS=' ' read -r id owner since <"$STATE_DIR/lock"; then
        case $since in '' | *[!0-9]* | ???????????*) since='an unknown time' ;; *) since=$(date -u -d "@$since" '+%Y-%m-%d %H:%M:%S UTC') ;; esac
        one_line "run $id, started by $owner at $since" 300
    else
        printf 'owner unknown'
    fi
}

holder=''
unknown='a session that is not known'

# Take the lock in the database, which another server may share. A psql holds it that reads from a pipe: when this
# process ends, however it ends, so does the pipe, the psql and with it the lock. It holds it by a transaction, for a
# pooler may lend a session for no longer; between statements that keeps nothing from being cleaned up or changed.
lock_database() {
    exec 5>&-
    rm -f -- "$RUN/database.pipe" "$RUN/database.answers" "$RUN/database.lock"
    if ! { mkfifo -m 600 -- "$RUN/database.pipe" "$RUN/database.answers" && ( : >"$RUN/database.lock"); }; then
        answer="the lock of the database could not be asked for: there may be no room in $RUN"
        return 1
    fi
    # NetPoint's user gets no descriptor of our file.
    cat <"$RUN/database.answers" >>"$RUN/database.lock" 6>&- 7>&- 8>&- 9>&- &
    copier=$!
    PGAPPNAME="netpoint-remote $RUN_ID $OPERATOR $HOST" with_database psql -X -q -A -t -w -v ON_ERROR_STOP=1 -f - \
        >"$RUN/database.answers" 2>&1 <"$RUN/database.pipe" 6>&- 7>&- 8>&- 9>&- &
    holder=$!
    exec 5>"$RUN/database.pipe"
    rm -f -- "$RUN/database.pipe" "$RUN/database.answers"
    # In a shell of its own: a psql that has ended would end this one by SIGPIPE.
    (end_own_sessions && hold_by_transaction) >&5 2>/dev/null || :
    tries=0
    until ask_for_lock; do
        case $answer in *"netpoint-remote $RUN_ID $OPERATOR "* | *"$unknown") ;; *) return 1 ;; esac
        [ "$tries" -lt 20 ] || return 1
        tries=$((tries + 1))
        sleep 0.5
    done
}

# A server that lost its power, or its way to the database, leaves a session that nothing ends for two hours: the one of
# this run ends at once.
end_own_sessions() {
    say '-- Hold the lock'
    say "BEGIN; SET LOCAL ROLE NONE; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = current_setting('application_name') AND datname = current_database() AND usename = session_user AND pid <> pg_backend_pid() \\g /dev/null"
    say 'COMMIT;'
}

# A transaction locks each table that it has read until its end, those of the catalogue too: it reads none. The database
# is to notice soon when we are gone.
hold_by_transaction() {
    say 'BEGIN;'
    say "$without_limits"
    say "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;"
}

# See that the lock in the database is still ours: a database that was restarted has forgotten it, and may be late.
hold_database() {
    if ask_for_lock; then return 0; fi
    case $answer in held*) return 1 ;; *) wait_for_database && lock_database ;; esac
}

# Asking again for what the transaction has is harmless. A psql whose database went away ends.
ask_for_lock() {
    before=$(wc -l <"$RUN/database.lock")
    (lock_query) >&5 2>/dev/null || :
    waited=0
    until answer=$(tail -n "+$((before + 1))" "$RUN/database.lock" | head -n 1) && [ -n "$answer" ]; do
        if [ -z "$holder" ] || ! kill -0 "$holder" 2>/dev/null || [ "$waited" -ge 600 ]; then
            wait_for_copier
            answer="the database does not answer: $(tail -n 1 "$RUN/database.lock")"
            break
        fi
        waited=$((waited + 1))
        sleep 0.05
    done
    case $answer in
        locked) ;;
        held)
            holders=$(lock_holders 5>&- 7>&- 8>&- 9>&-) || :
            answer="held by ${holders:-$unknown}"
            return 1
            ;;
        *) return 1 ;;
    esac
}

# What psql wrote last is to be in the file.
wait_for_copier() {
    waited=0
    while [ -n "$holder" ] && kill -0 "$copier" 2>/dev/null && [ "$waited" -lt 20 ]; do
        waited=$((waited + 1))
        sleep 0.05
    done
}

# Backups only read, so they exclude each other no more than readers do.
lock_query() {
    case ${PURPOSE:?} in backup) kind=_shared ;; *) kind= ;; esac
    say "SELECT CASE WHEN pg_try_advisory_xact_lock$kind(1852797028, 1919250799) THEN 'locked' ELSE 'held' END;"
}

# Another session asks who has the lock.
lock_holders() {
    sql "SELECT string_agg(application_name || coalesce(' from ' || host(client_addr), ''), ', ') FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND classid = 1852797028 AND objid = 1919250799 AND database = (
            SELECT oid FROM pg_database WHERE datname = current_database())"
}
