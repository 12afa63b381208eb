"""How a server stands with its runs, as `status.sh` tells it, and what that means for whoever asks.

All times are the server's, or differences of them: the workstation's clock may be wrong.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.planning.word import Word
from netpoint_remote.reporting.event import Kind
from netpoint_remote.reporting.layout import duration, moment
from netpoint_remote.reporting.report import HostReport, RunReport, Status, StepReport
from netpoint_remote.running.journal import Record

RUN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
LAST_SECOND = 253_402_300_799  # of the year 9999
MOST_STEPS = 10_000
MOST_LINES = 10_000  # status.sh prints some three hundred
AGAIN = "run the same command again: it settles the interrupted run first"


class State(Word):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"
    UNSETTLED = "unsettled"
    WAITING = "waiting"  # it was handed to the server and has not started


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a look at a server found; `state` None: no such run, or none at all.

    `now` is the server's clock. `reason` is why the run ended as it did,
    `cause` what cut an interrupted one off.
    """

    now: float
    complete: bool = False
    trouble: str = ""
    state: State | None = None
    run: RunReport | None = None
    reason: str = ""
    cause: str = ""
    from_version: str = ""
    to_version: str = ""
    method: str = ""
    steps: tuple[StepReport, ...] = ()
    window_seconds: float | None = None
    window_since: float | None = None
    begun: int = 0  # steps, the one at work included
    first_after: int = 0  # the first step that no stop comes before, counted from 1; 0 where there is none
    by_hand: tuple[Problem, ...] = ()

    @property
    def runs(self) -> bool:
        return self.state in {State.RUNNING, State.WAITING}

    @property
    def may_still_stop(self) -> bool:
        """Whether a stop would change anything: it goes forward, and what it changed is not in use yet."""
        return (
            self.runs
            and self.run is not None
            and not self.run.undoing
            and not self.run.stop
            and (not self.first_after or self.begun + 1 < self.first_after)
        )


def parse_standing(output: str) -> Standing:
    """Read what `status.sh` printed, of which nothing is believed to be well formed."""
    facts, record = _read(output)
    now = _number(facts.get("time", ""))
    standing = Standing(
        now=now, complete=facts.get("status.complete") == "yes", trouble=facts.get("trouble", "").strip()
    )
    run_id = facts.get("run", "")
    if not RUN_ID.fullmatch(run_id):
        return standing
    state = next((each for each in State if each == facts.get("run.state")), None)
    return replace(
        standing,
        state=state,
        run=_run(run_id, facts, record, state, now),
        reason=facts.get("run.result", "").partition(" ")[2].strip(),
        cause=facts.get("run.cause", "").strip() or "the cause is unknown",
        from_version=facts.get("run.OLD_VERSION", ""),
        to_version=facts.get("run.TREE_VERSION", ""),
        method=facts.get("run.METHOD", ""),
        steps=record.steps,
        window_seconds=record.window_seconds,
        window_since=_window_since(record),
        begun=sum(1 for entry in record.entries if entry.kind is Kind.STEP),
        first_after=int(_number(facts.get("run.after", ""))),
        by_hand=record.by_hand,
    )


def _read(output: str) -> tuple[Mapping[str, str], Record]:
    facts: dict[str, str] = {}
    record = Record(host="")
    for line in output.split("\n", MOST_LINES)[:MOST_LINES]:
        if line.startswith("journal "):
            record.add(line.removeprefix("journal "))
        elif "=" in line:
            name, _, value = line.partition("=")
            facts.setdefault(name, value)
    return facts, record


def _run(run_id: str, facts: Mapping[str, str], record: Record, state: State | None, now: float) -> RunReport:
    operator, _, task = facts.get("run.about", "").strip().partition(" ")
    began = _number(facts.get("run.began", "")) or _signed(facts.get("owner", ""), run_id)
    ended = _number(facts.get("run.ended", "")) if state in {State.DONE, State.UNSETTLED} else 0.0
    until = ended or (now if state is State.RUNNING else 0.0)
    step, undoing = _step(record)
    return RunReport(
        run_id=run_id,
        operator=operator,
        task=task,
        began=_moment(began),
        ended=_moment(ended),
        seconds=round(until - began, 3) if began and until >= began else None,
        step=step if state is not State.DONE else "",
        undoing=undoing and state is not State.DONE,
        steps_done=sum(1 for entry in record.entries if entry.kind is Kind.STEP_DONE),
        total=min(int(_number(facts.get("run.steps", ""))), MOST_STEPS),
        result=facts.get("run.result", "").partition(" ")[0] if state in {State.DONE, State.UNSETTLED} else "",
        stop=facts.get("run.stop", "").strip() or ("an unknown operator" if "run.stop" in facts else ""),
    )


def _signed(owner: str, run_id: str) -> float:
    """Return when a run took the lock, by what it signed there: it may not have written anything else yet."""
    signed = owner.split()
    return _number(signed[-1]) if len(signed) > 1 and signed[0] == run_id else 0.0


def _step(record: Record) -> tuple[str, bool]:
    """Return the step that was begun last, and whether to undo it."""
    for entry in reversed(record.entries):
        if entry.kind in {Kind.STEP, Kind.UNDO}:
            return entry.step, entry.kind is Kind.UNDO
    return "", False


def _window_since(record: Record) -> float | None:
    since: float | None = None
    for entry in record.entries:
        if entry.kind is Kind.WINDOW_OPEN:
            since = since or entry.at
        elif entry.kind is Kind.WINDOW_CLOSED:
            since = None
    return since


def _number(text: str) -> float:
    """Read seconds or a count; 0 for what is none, or out of all reason."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if 0 <= number <= LAST_SECOND else 0.0


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None


# ---- what it means


def report_of(name: str, standing: Standing) -> HostReport:
    """Return what `status` says of a host."""
    if not standing.complete or standing.trouble:
        reason = standing.trouble or "the status script did not finish"
        return HostReport(name=name, status=Status.FAILED, reason=reason)
    return HostReport(
        name=name,
        status=STATUSES.get(standing.state, Status.IDLE),
        reason=_reason(standing),
        from_version=standing.from_version or None,
        to_version=_installed(standing),
        method=standing.method or None,
        problems=_problems(standing),
        steps=standing.steps if standing.state is not State.DONE else (),
        window_seconds=standing.window_seconds,
        run=standing.run,
    )


def _installed(standing: Standing) -> str | None:
    """Return what is installed now, None where that is on its way, or nobody knows."""
    if standing.state is not State.DONE or standing.run is None:
        return None
    reached = standing.run.result in {Status.UPGRADED, Status.ROLLED_BACK}
    return (standing.to_version if reached else standing.from_version) or None


STATUSES: Mapping[State | None, Status] = {
    State.RUNNING: Status.RUNNING,
    State.WAITING: Status.IDLE,
    State.INTERRUPTED: Status.INTERRUPTED,
    State.UNSETTLED: Status.UNSETTLED,
}


def _reason(standing: Standing) -> str:
    run = standing.run
    if run is None or standing.state is None:
        return "no run in progress, none recorded"
    if standing.state is State.RUNNING:
        return _under_way(standing, run)
    if standing.state is State.INTERRUPTED:
        where = f" in {'undoing ' if run.undoing else ''}{run.step}" if run.step else " before its first step"
        return f"{_named(run)} was cut off{where}: {standing.cause}"
    if standing.state is State.UNSETTLED:
        return f"{_named(run)} failed {_ago(standing)}and could not be undone: {standing.reason}"
    if standing.state is State.WAITING:
        return f"no run in progress; {_named(run)} was handed to the server and has not started"
    return f"no run in progress; {ending(standing)}"


def _under_way(standing: Standing, run: RunReport) -> str:
    parts = [run.task, f"for {duration(run.seconds)}" if run.seconds is not None else ""]
    if standing.window_since is not None:
        parts.append(f"users are without NetPoint for {duration(max(standing.now - standing.window_since, 0.0))}")
    if run.stop:
        parts.append(f"{run.stop} asked it to stop")
    return "; ".join(filter(None, [", ".join(filter(None, parts[:2])), *parts[2:]]))


def ending(standing: Standing) -> str:
    """Say how a run ended, when, and why."""
    run = standing.run
    assert run is not None  # noqa: S101  it has ended
    why = f": {standing.reason}" if standing.reason else ""
    result = f"as {run.result}" if run.result else "with an unknown result"
    return f"{_named(run)} ended {result} {_ago(standing)}".rstrip() + why


def _named(run: RunReport) -> str:
    about = ", ".join(filter(None, [run.task, f"by {run.operator}" if run.operator else ""]))
    return f"the last run ({about})" if about else "the last run"


def _ago(standing: Standing) -> str:
    """Return when it ended, by the server's clock, and how long ago that is."""
    run = standing.run
    if run is None or run.ended is None:
        return ""
    seconds = standing.now - run.ended.timestamp()
    return f"at {moment(run.ended)}, {duration(seconds)} ago " if seconds >= 0 else f"at {moment(run.ended)} "


def _problems(standing: Standing) -> tuple[Problem, ...]:
    if standing.state is State.UNSETTLED:
        return standing.by_hand or (_problem(standing, "unsettled", "could not be undone"),)
    if standing.state is State.INTERRUPTED:
        return (_problem(standing, "interrupted", "was cut off"),)
    return ()


def _problem(standing: Standing, code: str, what: str) -> Problem:
    run = standing.run
    assert run is not None  # noqa: S101  it has a state
    about = ", ".join(filter(None, [run.task, f"by {run.operator}" if run.operator else ""]))
    return Problem(
        code=code,
        severity=Severity.ERROR,
        message=f"the run {run.run_id}{f' ({about})' if about else ''} {what}",
        remedy=AGAIN,
        source="docs/reliability.md",
    )
