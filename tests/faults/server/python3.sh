#!/bin/sh
# Stands before python3 on a server of the fault matrix: an environment is copied from one that is complete, which is
# ten times as fast as making it; upgrade.sh and pip then find everything there and go their whole way all the same.
template=/srv/environment
if [ "${1-}" = -m ] && [ "${2-}" = venv ] && [ $# -eq 3 ]; then
    mkdir -p -- "$3" && cp -a -- "$template/." "$3/" || exit 1
    made=$(sed -n 's/^command = .* -m venv //p' "$template/pyvenv.cfg")
    grep -l -s -I -r -F -e "$made" -- "$3/bin" "$3/pyvenv.cfg" | xargs -r sed -i "s|$made|$3|g"
    exit 0
fi
exec /usr/bin/python3 "$@"
