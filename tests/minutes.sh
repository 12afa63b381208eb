#!/bin/sh
# Run a command, and say every minute that it still runs: `sh tests/minutes.sh apt-get update`.
set -eu

say_it() {
    minutes=0
    # The last sleep is left behind: nothing waits for it, for it holds none of our outputs.
    while sleep 60 >/dev/null 2>&1 && kill -0 "$1" 2>/dev/null; do
        minutes=$((minutes + 1))
        printf '== %d min: %s\n' "$minutes" "$2"
    done
}

say_it "$$" "$*" &
trap 'kill "$!" 2>/dev/null || :' EXIT  # it has ended where our output cannot be written to
trap 'exit 130' HUP INT TERM
"$@"
