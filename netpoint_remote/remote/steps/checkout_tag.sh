# shellcheck shell=sh
# Check the release out in place (the upgrade document, step 3, option B, "checking out an older release").
: "${ROOT:?}" "${TAG:?}" "${COMMIT:?}" "${RUN:?}"

check() {
    [ "$(checkout rev-parse HEAD)" = "$COMMIT" ] && [ -z "$(checkout status --porcelain --untracked-files=no)" ]
}

apply() {
    checkout -c advice.detachedHead=false checkout -q "$TAG" -- || fail "git could not check $TAG out"
}

undo() {
    checkout -c advice.detachedHead=false checkout -q "$(cat "$RUN/before/ref")" --
}
