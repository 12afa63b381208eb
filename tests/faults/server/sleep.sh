#!/bin/sh
# Stands before sleep(1) on a server of the fault matrix: the pause before a transient step is tried again is not its matter.
case $1 in
    [3-9]* | [1-9][0-9]*) exec /bin/sleep 0.3 ;;
    *) exec /bin/sleep "$@" ;;
esac
