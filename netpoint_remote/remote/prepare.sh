# shellcheck shell=sh
# Write down what every run needs before its first step: NetPoint's user, how to reach its database, what is secret.
: "${RUN:?}"
BUNDLE=$RUN/bundle
# shellcheck source=/dev/null
. "$BUNDLE/vars.sh"
# shellcheck source=lib.sh
. "$BUNDLE/lib.sh"
# shellcheck source=as_unit.sh
. "$BUNDLE/as_unit.sh"
# shellcheck source=secrets.sh
. "$BUNDLE/secrets.sh"
: "${OLD:?}" "${PRODUCT:?}" "${SERVICES:?}"
umask 077
mkdir -p -- "$RUN/before"
find_python | write_file "$RUN/python"
find_runtime | write_file "$RUN/runtime"
[ -s "$RUN/python" ] || fail "no usable python3 was found: set python in the hosts file"
user=$(unit_property "${SERVICES%% *}" User)
# A user that systemd makes is there only while its service runs.
if [ -n "$user" ] && ! id -u "$user" >/dev/null 2>&1 || { [ "$(unit_property "${SERVICES%% *}" DynamicUser)" = yes ] && ! grep -q "^$user:" /etc/passwd; }; then user=nobody; fi
# runuser takes no number.
case $user in '' | *[!0-9]*) ;; *) user=$(id -un "$user") ;; esac
say "${user:-$(id -un)}" >"$RUN/before/user"
ask settings "$OLD" ARGUMENTS | write_file "$RUN/settings"
ask database "$OLD" | own_python "$BUNDLE/environment.py" exports | write_file "$RUN/database.env"
grep -q -E 'PG(DATABASE|SERVICE)=' "$RUN/database.env" || fail "the configuration of NetPoint names no database, or cannot be read: $(last_line)"
# What upgrade.sh gets of the unit's environment: what configuration.py asks for.
own_python "$BUNDLE/environment.py" wanted "${SERVICES%% *}" "$OLD" "$PRODUCT" | write_file "$RUN/upgrade.env"
variables_without_limits >>"$RUN/upgrade.env"

list_secrets | write_file "$RUN/secrets"
