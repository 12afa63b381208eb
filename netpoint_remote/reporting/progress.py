"""Where each host stands, computed from its events: pure, so that both displays show the same."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netpoint_remote.reporting.clean import NAME, clean
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.layout import cells, clock, count, pad, shorten
from netpoint_remote.reporting.report import Status
from netpoint_remote.reporting.words import LOOKS

# what a server writes down carries the server's clock, everything else ours
OF_SERVER = frozenset(
    {
        Kind.STARTED,
        Kind.STEP,
        Kind.ATTEMPT,
        Kind.PART,
        Kind.STEP_DONE,
        Kind.STEP_FAILED,
        Kind.UNDO,
        Kind.UNDO_DONE,
        Kind.UNDO_FAILED,
        Kind.WINDOW_OPEN,
        Kind.WINDOW_CLOSED,
    }
)

SAYINGS: Mapping[Kind, str] = {
    Kind.CONNECTING: "connecting",
    Kind.RETRY: "retrying",
    Kind.PROBED: "probed",
    Kind.QUEUED: "queued",
    Kind.STARTED: "the run continues on the server",
    Kind.LINE_LOST: "connection lost; the run continues on the server, reconnecting (Ctrl-C detaches)",
    Kind.LINE_BACK: "reconnected",
}

# what a host waits for its turn after, and how such hosts are counted
WAITING: Mapping[Kind, str] = {Kind.PROBED: "probed", Kind.QUEUED: "queued"}

BAD = frozenset(
    {
        Status.FAILED,
        Status.REVERTED,
        Status.UNREACHABLE,
        Status.REFUSED,
        Status.INTERRUPTED,
        Status.UNSETTLED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProgress:
    """Where one host stands.

    Times are kept as they came, by the server's clock or ours; `clock_offset`, our clock minus the server's as the
    freshest event showed it, makes them ours when they are shown.
    """

    name: str
    seen: bool = False
    waiting: str = ""  # for its turn: what the counts call it
    status: str = ""  # set once the host has finished
    doing: str = ""  # the step, or what became of it
    part: str = ""
    notice: str = ""  # shown instead until the server is heard of again
    alarmed: bool = False  # by the notice
    lost_since: float | None = None  # by our clock
    style: str = "busy"
    position: int = 0
    total: int = 0
    since: float | None = None  # when what it does now began
    since_of_server: bool = False
    window_since: float | None = None  # by the server's clock
    window_seconds: float | None = None
    clock_offset: float | None = None

    @property
    def finished(self) -> bool:
        return bool(self.status)

    @property
    def active(self) -> bool:
        return self.seen and not self.finished and not self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the live view: its mark, its text and both their style."""

    mark: str
    text: str
    style: str


def advance(host: HostProgress, event: Event, received: float) -> HostProgress:
    """Return where `host` stands after `event`, which reached us at `received`."""
    at = event.at if math.isfinite(event.at) else received
    host = _meet(host, event, received - at)
    detail = clean(event.detail)
    host = replace(host, waiting=WAITING.get(event.kind, ""))
    if event.kind is Kind.FINISHED:
        return replace(
            _settle_window(host, at - (host.clock_offset or 0.0)), status=detail or "finished", part="", notice=""
        )
    if event.kind is Kind.WINDOW_OPEN:
        return replace(host, window_since=at, window_seconds=None)
    if event.kind is Kind.WINDOW_CLOSED:
        return _settle_window(host, at)
    if event.kind in SAYINGS or event.kind in {Kind.NOTE, Kind.WARNING}:
        return _notice(host, event, at, detail)
    return _step(host, event, at, detail)


def frame(hosts: Sequence[HostProgress], *, now: float, since: float, width: int, height: int) -> tuple[Line, ...]:
    """Return the live view: a line a host as far as there is room, and a line of counts below."""
    room = max(height - 2, 1)
    shown = hosts if len(hosts) <= room else _most_telling(hosts, room)
    names = min(max((cells(host.name) for host in shown), default=0), max(width // 4, 12))
    wide = max((cells(_window(host, now)) for host in shown), default=0)
    lines = tuple(
        _host_line(host, _doing(host, now), f"{_elapsed(host, now):>5}  {pad(_window(host, now), wide)}", names, width)
        for host in shown
    )
    return (*lines, Line(mark=" ", text=shorten(_counts(hosts, now - since), width - 2), style="bold"))


def _meet(host: HostProgress, event: Event, lag: float) -> HostProgress:
    """Count the event in: how far the plan is, and how far the server's clock is off."""
    if event.kind in OF_SERVER:
        freshest = lag if host.clock_offset is None else min(lag, host.clock_offset)
        host = replace(host, clock_offset=freshest, notice="", alarmed=False, lost_since=None)
    return replace(
        host,
        seen=True,
        position=event.position if event.total else host.position,
        total=event.total or host.total,
    )


def _settle_window(host: HostProgress, at: float) -> HostProgress:
    if host.window_since is None or host.window_seconds is not None:
        return host
    return replace(host, window_seconds=max(at - host.window_since, 0.0))


def _notice(host: HostProgress, event: Event, at: float, detail: str) -> HostProgress:
    if event.kind is Kind.LINE_BACK:
        return replace(host, notice="", alarmed=False, lost_since=None)
    if event.kind is Kind.LINE_LOST and host.lost_since is None:
        host = replace(host, lost_since=at)
    notice = ": ".join(filter(None, [SAYINGS.get(event.kind, ""), detail]))
    alarmed = event.kind in (Kind.RETRY, Kind.LINE_LOST)
    host = replace(host, notice=notice, alarmed=alarmed)
    return host if host.doing else replace(host, since=at, since_of_server=event.kind in OF_SERVER)


def _step(host: HostProgress, event: Event, at: float, detail: str) -> HostProgress:
    step = clean(event.step, limit=NAME)
    begun = replace(host, part="", since=at, since_of_server=True)
    if event.kind is Kind.STEP:
        return replace(begun, doing=step, style="busy")
    if event.kind is Kind.UNDO:
        return replace(begun, doing=f"undoing {step}", style="warn")
    if event.kind is Kind.STEP_FAILED:
        return replace(host, doing=f"{step} failed", part=detail, style="bad")
    if event.kind is Kind.UNDO_FAILED:
        return replace(host, doing=f"{step} could not be undone", part=detail, style="bad")
    return replace(host, part=f"again: {detail}" if event.kind is Kind.ATTEMPT else _part(event, detail))


def _part(event: Event, detail: str) -> str:
    return detail if event.kind is Kind.PART else ""


def _most_telling(hosts: Sequence[HostProgress], room: int) -> tuple[HostProgress, ...]:
    """Return what must not be missed: hosts in their window, then those at work, then the bad ends."""
    ranked = sorted(filter(_telling, hosts), key=_rank)[:room]
    names = {host.name for host in ranked}
    return tuple(host for host in hosts if host.name in names)


def _telling(host: HostProgress) -> bool:
    return host.active or host.status in BAD


def _rank(host: HostProgress) -> int:
    if host.finished:
        return 3
    if host.alarmed or host.lost_since is not None or host.style != "busy":
        return 0
    return 1 if host.window_since is not None else 2


def _host_line(host: HostProgress, doing: str, times: str, names: int, width: int) -> Line:
    mark, style = _look(host)
    head = pad(shorten(clean(host.name), names), names)
    steps = f"{min(host.position + 1, host.total):>2}/{host.total:<2}" if host.total else ""
    room = width - 2 - names - 2 - 5 - 2 - cells(times) - 2
    doing = pad(shorten(doing, max(room, 8)), max(room, 8))
    return Line(mark=mark, text=shorten(f"{head}  {pad(steps, 5)}  {doing}  {times}", width - 2), style=style)


def _look(host: HostProgress) -> tuple[str, str]:
    if host.finished:
        return LOOKS[Status(host.status)] if host.status in set(Status) else ("=", "")
    if not host.seen or host.waiting:
        return " ", "dim"
    return ">", "warn" if host.alarmed or host.lost_since is not None else host.style


def _doing(host: HostProgress, now: float) -> str:
    if host.finished:
        return host.status
    if host.lost_since is not None:
        return f"disconnected for {clock(now - host.lost_since)}; Ctrl-C detaches"
    return host.notice or " · ".join(filter(None, [host.doing, host.part])) or "waiting"


def _elapsed(host: HostProgress, now: float) -> str:
    if host.since is None or not host.active:
        return ""
    return clock(now - host.since - ((host.clock_offset or 0.0) if host.since_of_server else 0.0))


def _window(host: HostProgress, now: float) -> str:
    if host.window_since is None:
        return ""
    open_for = now - host.window_since - (host.clock_offset or 0.0)
    return f"window {clock(open_for if host.window_seconds is None else host.window_seconds)}"


def _counts(hosts: Sequence[HostProgress], seconds: float) -> str:
    finished = Counter(host.status for host in hosts if host.finished)
    at_work = sum(host.active for host in hosts)
    for_turn = Counter(host.waiting for host in hosts if host.waiting and not host.finished)
    waiting = sum(not host.seen for host in hosts)
    numbers = [
        *(f"{number} {status}" for status, number in sorted(finished.items())),
        *([f"{at_work} in progress"] if at_work else []),
        *(f"{number} {stage}" for stage, number in sorted(for_turn.items())),
        *([f"{waiting} waiting"] if waiting else []),
    ]
    return f"{count(len(hosts), 'host')}: {', '.join(numbers)} · {clock(seconds)}"
