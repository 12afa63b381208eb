# shellcheck shell=sh
# Run one verb of one step: `step.sh NAME check|apply|undo`, with the variables of the plan.
: "${RUN:?}"
STEP=$1
BUNDLE=$RUN/bundle
export RUN BUNDLE STEP
. "$BUNDLE/vars.sh"
. "$BUNDLE/lib.sh"
. "$BUNDLE/steps/$STEP.sh"
case $2 in
    check) if check; then exit 0; else exit 1; fi ;;
    apply) apply ;;
    undo) undo ;;
    *) exit 64 ;;
esac
