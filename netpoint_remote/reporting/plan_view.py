"""The plan of each host as the operator sees it before anything changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from netpoint_remote.reporting.clean import clean
from netpoint_remote.reporting.folding import fold
from netpoint_remote.reporting.layout import (
    NARROWEST,
    cells,
    count,
    estimate,
    indent,
    pad,
    paint,
    shorten,
    spread,
    wrap,
)
from netpoint_remote.reporting.report import Phase, PlanReport, PlanStep

GAP = "  "
WIDEST = 100  # columns; the eye loses the row on the way to the seconds


HEADINGS = {
    Phase.STAGE: "While NetPoint serves",
    Phase.WINDOW: "Window: users are without NetPoint",
    Phase.AFTER: "Afterwards, NetPoint serves again",
}
HEADING_STYLES = {Phase.STAGE: "good", Phase.WINDOW: "warn", Phase.AFTER: "good"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """What would happen on one host.

    `to_version` is what this run leads to, `hops` the whole way to it with the target at its end
    (`("2.11.x", "3.5.0")`). `settles` is the task of an interrupted run that is settled
    first, `pins` are packages such as `rq<1.14`, `loss` is what a rollback discards. `notes` are sentences
    for the operator.
    """

    name: str
    from_version: str | None
    to_version: str | None
    hops: tuple[str, ...] = ()
    steps: tuple[PlanStep, ...] = ()
    method: str | None = None
    settles: str = ""
    pins: tuple[str, ...] = ()
    loss: str = ""
    notes: tuple[str, ...] = ()

    @property
    def report(self) -> PlanReport:
        """The plan as a part of the host's report."""
        settles = ("an interrupted run is settled first",) if self.settles else ()
        return PlanReport(hops=self.hops, steps=self.steps, notes=(*settles, *self.notes))


def render_plan(plans: Iterable[HostPlan], *, colour: bool = False, width: int = 80) -> str:
    """Return all plans as text, equal ones once with their hosts folded."""
    width = min(max(width, NARROWEST), WIDEST)
    groups: dict[HostPlan, list[HostPlan]] = {}
    for plan in plans:
        groups.setdefault(_without_particulars(plan), []).append(plan)
    blocks = ["\n".join(_render_group(group, colour=colour, width=width)) for group in groups.values()]
    return "\n\n".join(blocks or ["No host is selected."]) + "\n"


def _without_particulars(plan: HostPlan) -> HostPlan:
    """Return the plan without what two hosts with the same plan may differ in."""
    return replace(
        plan,
        name="",
        settles="yes" if plan.settles else "",
        loss="",
        steps=tuple(replace(step, expected_seconds=None) for step in plan.steps),
    )


def _render_group(group: Sequence[HostPlan], *, colour: bool, width: int) -> list[str]:
    lines = [paint(line, "bold", colour=colour) for line in wrap(fold((plan.name for plan in group), ", "), width)]
    lines += indent(wrap(_way(group), width - 2), "  ", "  ")
    for note in group[0].report.notes:
        lines += [paint(line, "warn", colour=colour) for line in indent(wrap(clean(note), width - 4), "  ! ")]
    for phase in Phase:
        lines += _render_phase(phase, group, colour=colour, width=width)
    return lines


def way(plan: HostPlan) -> str:
    """Return `2.10.10 → 2.11.x → 3.5.0`: where a host is, and the whole way to the target."""
    ends = [plan.from_version or "nothing", *(plan.hops or (plan.to_version or "",))]
    return " → ".join(clean(end) for end in ends if end)


def _way(group: Sequence[HostPlan]) -> str:
    plan = group[0]
    about = [count(len(group), "host") if len(group) > 1 else "", clean(plan.method or "")]
    if not plan.steps:
        return " · ".join(
            filter(None, [f"nothing to do: {clean(plan.from_version or 'nothing is installed')}", *about])
        )
    return " · ".join(filter(None, [way(plan), *about, count(len(plan.steps), "step")]))


def _render_phase(phase: Phase, group: Sequence[HostPlan], *, colour: bool, width: int) -> list[str]:
    numbered = [(number, step) for number, step in enumerate(group[0].steps, 1) if step.phase is phase]
    if not numbered:
        return []
    total = spread((phase_seconds(plan, phase) for plan in group), estimate)
    about = total if total.startswith("<") else f"about {total}"
    heading = _aligned(f"  {HEADINGS[phase]}", about if total else "", width)
    lines = ["", paint(heading, HEADING_STYLES[phase], colour=colour)]
    names = max(cells(clean(step.name)) for step in group[0].steps)
    for number, step in numbered:
        expected = spread((plan.steps[number - 1].expected_seconds for plan in group), estimate)
        lines += _render_step(number, step, expected, names=min(names, width // 3), width=width)
    return lines


def phase_seconds(plan: HostPlan, phase: Phase) -> float | None:
    """Return how long the known steps take together, None where none is known."""
    known = [step.expected_seconds for step in plan.steps if step.phase is phase and step.expected_seconds is not None]
    return sum(known) if known else None


def _render_step(number: int, step: PlanStep, expected: str, *, names: int, width: int) -> list[str]:
    head = f"  {number:>4}  {pad(shorten(clean(step.name), names), names)}  "
    titles = wrap(clean(step.title), max(width - cells(head) - (cells(expected) + 2 if expected else 0), 10))
    first, *rest = indent(titles or [""], head)
    return [_aligned(first, expected, width), *rest]


def _aligned(left: str, right: str, width: int) -> str:
    return f"{left}{GAP}{pad(right, width - cells(left) - len(GAP), right=True)}" if right else left.rstrip()
