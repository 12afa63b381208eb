# shellcheck shell=sh
# Run one verb of one step: `step.sh NAME check|apply|undo|by_hand`, with the variables of the plan.
: "${RUN:?}"
STEP=$1
BUNDLE=$RUN/bundle
export RUN BUNDLE STEP
# shellcheck source=/dev/null
. "$BUNDLE/vars.sh"
# shellcheck source=lib.sh
. "$BUNDLE/lib.sh"
# shellcheck source=/dev/null
. "$BUNDLE/steps/$STEP.sh"
case $2 in
    check) if check; then exit 0; else exit 1; fi ;;
    apply) apply ;;
    undo) undo ;;
    # What a person would type in place of undo; not every step leaves something that must be undone.
    by_hand) if command -v by_hand >/dev/null; then by_hand; fi ;;
    *) exit 64 ;;
esac
