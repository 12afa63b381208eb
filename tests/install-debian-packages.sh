#!/bin/sh
# Install what the test rings need, where we may: as root on Debian or Ubuntu. Elsewhere the rings say what they miss.
set -eu
here=$(dirname -- "$0")
list=$here/debian-packages.txt
wanted=$(sed 's/#.*//' "$list" | tr -s ' \n' ' ')
missing=''
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    printf 'not installed (that takes root and apt-get):%s\n' "$missing" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# An update that fails leaves the lists as they are; the installation tells whether they were enough.
sh "$here/minutes.sh" apt-get -q update || :
# shellcheck disable=SC2086 # a list of packages
sh "$here/minutes.sh" apt-get -q install -y --no-install-recommends $missing
