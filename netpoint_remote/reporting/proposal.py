"""What a run is about to do, in at most 15 lines: what the operator reads before the question."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from netpoint_remote.reporting.clean import clean
from netpoint_remote.reporting.folding import fold
from netpoint_remote.reporting.layout import cells, count, estimate, indent, pad, shorten, spread, wrap
from netpoint_remote.reporting.plan_view import HostPlan, phase_seconds, way
from netpoint_remote.reporting.report import HostReport, Phase

MOST_LINES = 14  # the question is the fifteenth
MOST_GROUPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The hosts that would be changed, those that are left out, and how the full plan is shown."""

    title: str
    plans: tuple[HostPlan, ...]
    left_out: tuple[HostReport, ...] = ()
    full_plan: str = ""


def render_proposal(proposal: Proposal, *, width: int = 80) -> str:
    """Return the summary of a run; no line but that of the command is wider than `width`."""
    plans = proposal.plans
    windows = spread((phase_seconds(plan, Phase.WINDOW) for plan in plans), estimate)
    head = [
        f"{clean(proposal.title)}: {count(len(plans), 'host')}",
        *_few(list(_groups(plans)), MOST_GROUPS),
        *_labelled("settled first", [_settled(plans)]),
    ]
    tail = [
        *_labelled(
            "pinned", [", ".join(clean(pin) for pin in dict.fromkeys(pin for plan in plans for pin in plan.pins))]
        ),
        *_labelled("expected window", [f"{windows} for each host" if windows else ""]),
    ]
    command = _labelled("full plan", [proposal.full_plan])
    reasons = [*_labelled("loss", _losses(plans)), *_labelled("left out", _left_out(proposal.left_out))]
    reasons = _fitting(reasons, MOST_LINES - len(head) - len(tail) - len(command), width)
    return "\n".join([*(shorten(line, width) for line in [*head, *reasons, *tail]), *command]) + "\n"


def _fitting(reasons: list[str], room: int, width: int) -> list[str]:
    """Return the reasons whole where there is room, else a line for each and a count of the rest."""
    whole = [line for reason in reasons for line in indent(wrap(reason.strip(), width - 4), "  ", "    ")]
    return whole if len(whole) <= room else _few(reasons, room)


def _few(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"  ... and {len(lines) - most + 1} more"]


def _labelled(label: str, texts: Iterable[str]) -> list[str]:
    return [f"  {label}: {text}" for text in texts if text]


def _groups(plans: Sequence[HostPlan]) -> Iterator[str]:
    """Yield a line for the hosts of each way and method, the largest group first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for plan in plans:
        groups.setdefault((way(plan), clean(plan.method or "")), []).append(plan.name)
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    ways = max((cells(key[0]) for key, _ in ranked), default=0)
    methods = max((cells(key[1]) for key, _ in ranked), default=0)
    for (path, method), names in ranked:
        yield f"  {pad(path, ways)}  {pad(method, methods)}  {count(len(names), 'host')}: {fold(names, ', ')}"


def _settled(plans: Sequence[HostPlan]) -> str:
    names = [plan.name for plan in plans if plan.settles]
    return f"{fold(names, ', ')}, where a run was interrupted" if names else ""


def _left_out(hosts: Sequence[HostReport]) -> Iterator[str]:
    """Yield the hosts with each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for host in hosts:
        reasons.setdefault((str(host.status), clean(host.reason)), []).append(host.name)
    for (status, reason), names in reasons.items():
        yield f"{fold(names, ', ')} ({status}{f': {reason}' if reason else ''})"


def _losses(plans: Sequence[HostPlan]) -> Iterator[str]:
    """Yield what a rollback loses, with its hosts."""
    losses: dict[str, list[str]] = {}
    for plan in plans:
        if plan.loss:
            losses.setdefault(clean(plan.loss), []).append(plan.name)
    for loss, names in losses.items():
        yield f"{fold(names, ', ')}: {loss}"
