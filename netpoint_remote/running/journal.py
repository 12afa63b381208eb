"""What a server writes down as it carries out a plan, read back into events and step reports.

A line of `main.sh` is `seconds kind step detail`; `follow.sh` puts the word `journal` before it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.report import PartReport, StepReport, StepStatus

LATEST = 1e11  # seconds; a clock of the year 5138 is none, nor is NaN
MOST_ENTRIES = 10_000  # an upgrade writes a hundred; what a server writes is bounded before it fills this machine
MOST_TEXT = 2_000_000  # characters of all details
LONGEST_DETAIL = 2000  # characters; what a server writes is bounded before it is shown or kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a journal; `at` is in seconds since the epoch, by the server's clock."""

    at: float
    kind: Kind
    step: str
    detail: str


def parse_entry(line: str) -> Entry | None:
    """Read one line of a journal; None for what is no such line (half of one, after a power cut)."""
    words = line.split(" ", 3)
    if len(words) < 3:  # noqa: PLR2004  seconds, kind, step
        return None
    try:
        at, kind = float(words[0]), Kind(words[1])
    except ValueError:
        return None
    if not 0 <= at < LATEST:
        return None
    step = "" if words[2] == "-" else words[2][:100]
    return Entry(at=at, kind=kind, step=step, detail=(words[3] if len(words) > 3 else "")[:LONGEST_DETAIL])  # noqa: PLR2004  the fourth is the detail


@dataclass(slots=True)
class Record:
    """The story of one run on one host, built up entry by entry."""

    host: str
    total: int = 0
    entries: list[Entry] = field(default_factory=list)
    _done: int = 0
    _text: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the server has written down more than any run does; what it goes on to write is not kept."""
        return len(self.entries) >= MOST_ENTRIES or self._text > MOST_TEXT

    def add(self, line: str) -> Event | None:
        """Take one more line; return the event for whoever watches, None where the line says nothing."""
        entry = None if self.is_full else parse_entry(line)
        if entry is None:
            return None
        self.entries.append(entry)
        self._done += entry.kind is Kind.STEP_DONE
        self._text += len(entry.detail)
        return Event(
            at=entry.at,
            host=self.host,
            kind=entry.kind,
            step=entry.step,
            detail=entry.detail,
            position=self._done,
            total=self.total,
        )

    @property
    def steps(self) -> tuple[StepReport, ...]:
        """Every step that began, in order."""
        return tuple(_step_reports(self.entries))

    @property
    def seconds(self) -> float | None:
        """How long it took from the first entry to the last, by the server's clock; None where there is none."""
        return round(max(self.entries[-1].at - self.entries[0].at, 0.0), 3) if self.entries else None

    @property
    def window_seconds(self) -> float | None:
        """How long users were without NetPoint, None where no window was opened or it is still open."""
        return _seconds_open(self.entries)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What the steps want the operator to look at."""
        return tuple(
            Problem(code=entry.step, severity=Severity.WARNING, message=entry.detail, remedy="look at it")
            for entry in self.entries
            if entry.kind is Kind.WARNING
        )

    @property
    def unfinished(self) -> str:
        """What a run that ended well has left to the operator, in one sentence; empty where that is nothing."""
        left = [CLAUSE.split(entry.detail)[0] for entry in self.entries if _leaves_work(entry)]
        return f"not finished: {'; '.join(dict.fromkeys(left))}" if left else ""

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the release was seen to be once it was in service: which services run it."""
        told = [entry.detail for entry in self.entries if (entry.step, entry.kind) == ("prove_in_place", Kind.NOTE)]
        return tuple(("services", text) for text in told[-1:])

    @property
    def by_hand(self) -> tuple[Problem, ...]:
        """What is left to do on the server where going back failed: the step that could not be undone, the commands."""
        commands = [entry.detail for entry in self.entries if entry.kind is Kind.BY_HAND]
        if not commands:
            return ()
        step = next((entry.step for entry in reversed(self.entries) if entry.kind is Kind.UNDO_FAILED), "")
        return (
            Problem(
                code="by-hand",
                severity=Severity.ERROR,
                message=f"undoing {step} failed; NetPoint is left in the safest possible state until that is fixed",
                remedy="\n".join(
                    ["fix the cause and run the same command again, or finish by hand, as root:"]
                    + [f"    {command}" for command in commands]
                ),
                source="docs/reliability.md",
            ),
        )


def _leaves_work(entry: Entry) -> bool:
    return entry.kind is Kind.WARNING and entry.step in LEAVES_WORK


# the steps that go on where they cannot do all of their work, and warn of what they left
LEAVES_WORK = frozenset({"carry_over", "save_files", "schedule_housekeeping", "verify_restore"})
CLAUSE = re.compile(r"[:;] ")  # how and where, which the warning says, is no part of a status line


def _seconds_open(entries: Iterable[Entry]) -> float | None:
    """Sum up every time the window was open: on the way back it is opened once more."""
    total: float | None = None
    begun: float | None = None
    for entry in entries:
        if entry.kind is Kind.WINDOW_OPEN and begun is None:
            begun = entry.at
        elif entry.kind is Kind.WINDOW_CLOSED and begun is not None:
            total = (total or 0.0) + max(entry.at - begun, 0.0)
            begun = None
    return None if total is None or begun is not None else round(total, 3)


def _step_reports(entries: Iterable[Entry]) -> Iterable[StepReport]:
    reports: dict[str, StepReport] = {}
    begun: dict[str, float] = {}
    parts: dict[str, list[tuple[float, str]]] = {}
    for entry in entries:
        name = entry.step
        if entry.kind is Kind.STEP:
            begun[name] = entry.at
            reports[name] = StepReport(name=name, status=StepStatus.RUNNING, seconds=0.0)
        elif name in reports:
            if entry.kind is Kind.PART:
                parts.setdefault(name, []).append((entry.at, entry.detail))
            elif entry.kind is Kind.ATTEMPT:
                reports[name] = replace(reports[name], attempts=reports[name].attempts + 1)
            elif entry.kind in ENDS:
                reports[name] = _ended(reports[name], entry, begun[name], parts.pop(name, []))
    return reports.values()


ENDS = {
    Kind.STEP_DONE: StepStatus.DONE,
    Kind.STEP_FAILED: StepStatus.FAILED,
    Kind.UNDO_DONE: StepStatus.UNDONE,
    Kind.UNDO_FAILED: StepStatus.UNDO_FAILED,
}


def _ended(report: StepReport, entry: Entry, begun: float, parts: list[tuple[float, str]]) -> StepReport:
    status = ENDS[entry.kind]
    if entry.kind in {Kind.UNDO_DONE, Kind.UNDO_FAILED}:
        # The step that failed stays the one that failed; the others were done and are no more.
        return (
            report
            if report.status is StepStatus.FAILED and status is StepStatus.UNDONE
            else replace(report, status=status)
        )
    if status is StepStatus.DONE and entry.detail == "unchanged":
        status = StepStatus.UNCHANGED
    seconds = round(max(entry.at - begun, 0.0), 3)
    return replace(report, status=status, seconds=seconds, parts=_timed(parts, entry.at))


def _timed(parts: list[tuple[float, str]], ended: float) -> tuple[PartReport, ...]:
    ends = [at for at, _ in parts[1:]] + [ended] * bool(parts)
    return tuple(
        PartReport(name=name, seconds=round(max(end - at, 0.0), 3)) for (at, name), end in zip(parts, ends, strict=True)
    )
