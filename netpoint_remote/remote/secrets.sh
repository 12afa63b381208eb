# shellcheck shell=sh
# List what is secret to a run, a line each, the longest first, so that `mask` knows it (the design, promise 7).
: "${RUN:?}" "${BUNDLE:?}" "${OLD:?}" "${PRODUCT:?}"

# What the service knows is asked as it runs; what the hosts file gives, and libpq, never comes near it.
list_secrets() {
    {
        # The service decides what this prints: short texts would mask words of ours, many would take long.
        secrets_program | as_unit ask "$OLD" "$(tree_python "$OLD")" - "$OLD" "$PRODUCT" | head -c 100000 | awk 'length >= 5 && NR <= 1000'
        (
            load "$BUNDLE/environment.sh"
            load "$RUN/database.env"
            secrets_program | own_python - '' ''
        )
    } | awk '{ print length($0), $0 }' | sort -r -n | cut -d ' ' -f 2-
}

# known_secrets.py stands on ask.py, and a service's user can read neither: both come on standard input.
secrets_program() {
    sed '/^if __name__ == "__main__":$/,$d' "$BUNDLE/ask.py"
    say 'sys.modules["ask"] = sys.modules["__main__"]'
    cat "$BUNDLE/known_secrets.py"
}
