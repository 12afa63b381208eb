#!/bin/sh
# Stands before timeout(1) on a server of the fault matrix, for main.sh starts every verb of every step by it.
#
# An order is a file orders/STEP.VERB.WHEN ("any" for STEP: each of them), written by the test:
#   fail       the step's command fails: instead of running (before), killed half-way (middle), though it did all (after)
#   hang       the same, but it hangs until its limit strikes; the limit is a second then
#   pause      say so in the file `at`, hold still until the test has removed it, then go on
#   run LINE   run a line of shell
folder=/var/lib/faults real=/usr/bin/timeout step='' verb='' was=''
for word; do
    case $was in
        */step.sh) step=$word ;;
        *) [ -z "$step" ] || verb=${verb:-$word} ;;
    esac
    was=$word
done
[ -n "$step" ] || exec "$real" "$@"

order() {
    for whose in "$step" any; do
        if [ -f "$folder/orders/$whose.$verb.$1" ]; then
            cat -- "$folder/orders/$whose.$verb.$1"
            return 0
        fi
    done
}

# Carry out an order at a moment when the step's command does not run.
carry_out() {
    case $1 in
        fail) printf '%s\n' "ordered to fail"; exit 1 ;;
        hang) exec "$real" -k 1 1 /bin/sleep 1000 ;;
        pause) pause "$2" ;;
        run\ *) sh -c "${1#run }" ;;
        *) ;;
    esac
}

pause() {
    printf '%s %s %s\n' "$step" "$verb" "$1" >"$folder/at.partial"
    mv -f -- "$folder/at.partial" "$folder/at"
    while [ -e "$folder/at" ]; do /bin/sleep 0.02; done
}

# Run the command and carry out an order half-way; timeout(1) leads the process group of its command.
run_disturbed() {
    what=$1 limit=$4
    half=$(cat "$folder/halves/$step.$verb" 2>/dev/null || echo 0.2)
    if [ "$what" = hang ]; then limit=$(echo "$half" | awk '{ print $1 + 1 }'); fi
    shift 4
    "$real" -k 2 "$limit" "$@" &
    job=$!
    /bin/sleep "$half"
    case $(sed 's/.*) //' "/proc/$job/stat" 2>/dev/null) in
        Z* | '')
            # It was faster than when it was measured.
            wait "$job" || return
            carry_out "$what" middle
            return
            ;;
        *) ;;
    esac
    # shellcheck disable=SC2046 # numbers of processes
    case $what in
        fail) kill -KILL $(pgrep -g "$job" | grep -v -x -e "$job") 2>/dev/null || : ;;
        hang) kill -STOP $(pgrep -g "$job" | grep -v -x -e "$job") 2>/dev/null || : ;;
        pause)
            kill -STOP "-$job" 2>/dev/null || :
            pause middle
            # runuser(1) stops once more when it sees that its child was stopped.
            for tries in 1 2 3 4 5 6 7 8 9 10; do
                kill -CONT "-$job" 2>/dev/null || break
                /bin/sleep 0.1
            done
            : "$tries"
            ;;
        run\ *) sh -c "${what#run }" ;;
        *) ;;
    esac
    wait "$job"
}

begun=$(date +%s.%N)
carry_out "$(order before)" before
middle=$(order middle)
status=0
if [ -n "$middle" ]; then
    run_disturbed "$middle" "$@" || status=$?
else
    "$real" "$@" || status=$?
fi
if [ -d "$folder/halves" ] && [ -e "$folder/measure" ]; then
    echo "$begun $(date +%s.%N)" | awk '{ print ($2 - $1) / 2 }' >"$folder/halves/$step.$verb"
fi
[ "$status" -eq 0 ] || exit "$status"
carry_out "$(order after)" after
