# shellcheck shell=sh
# Write down what every run needs before its first step: NetPoint's user, its environment, how to reach its database.
: "${RUN:?}"
BUNDLE=$RUN/bundle
# shellcheck source=/dev/null
. "$BUNDLE/vars.sh"
# shellcheck source=lib.sh
. "$BUNDLE/lib.sh"
: "${OLD:?}" "${PRODUCT:?}" "${SERVICES:?}"
umask 077
mkdir -p -- "$RUN/before"
user=$(systemctl show -p User "${SERVICES%% *}" | sed -n 's/^User=//p')
say "${user:-$(id -un)}" >"$RUN/before/user"
: >"$RUN/unit.env"
systemctl show -p Environment,EnvironmentFiles "${SERVICES%% *}" | ask "$OLD" unit | write_file "$RUN/unit.env"
ask "$OLD" database "$OLD" "$PRODUCT" | write_file "$RUN/database.env"
grep -q -E 'PG(DATABASE|SERVICE)=' "$RUN/database.env" || fail "the configuration of NetPoint names no database, or cannot be read"

# List what is secret to this run, a line each, so that `mask` knows it.
(
    load "$BUNDLE/environment.sh"
    load "$RUN/unit.env"
    load "$RUN/database.env"
    "$(tree_python "$OLD")" "$BUNDLE/known_secrets.py" "$OLD" "$PRODUCT" | write_file "$RUN/secrets"
)
