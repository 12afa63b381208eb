"""What one run did, host by host: the values that every report format renders."""

from dataclasses import dataclass, field
from datetime import datetime

from netpoint_remote.planning.problem import Problem
from netpoint_remote.planning.word import Word


class Status(Word):
    """What became of a host; each selected host has exactly one."""

    UPGRADED = "upgraded"
    SAVED = "saved"
    ROLLED_BACK = "rolled-back"
    DONE = "done"
    RUNNING = "running"
    IDLE = "idle"
    INTERRUPTED = "interrupted"
    UNSETTLED = "unsettled"
    UNCHANGED = "unchanged"
    READY = "ready"
    CURRENT = "current"
    REFUSED = "refused"
    REVERTED = "reverted"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    NOT_STARTED = "not-started"


class StepStatus(Word):
    """How a step ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNDONE = "undone"
    UNDO_FAILED = "undo-failed"
    RUNNING = "running"


class Phase(Word):
    """When a step runs, as users of NetPoint feel it."""

    STAGE = "stage"
    WINDOW = "window"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """One step; `title` is one sentence, `expected_seconds` None where nobody knows."""

    name: str
    title: str
    phase: Phase
    expected_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What would run on a host: `hops` is the way to the target, `notes` are sentences for the operator."""

    hops: tuple[str, ...]
    steps: tuple[PlanStep, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """One timed part of upgrade.sh, named by the progress line it printed."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step on one host; `seconds` is wall time on the server, all attempts together."""

    name: str
    status: StepStatus
    seconds: float
    attempts: int = 1
    parts: tuple[PartReport, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A run as the server knows it: the one at work there, or the last one.

    `began` and `ended` are by the server's clock, `seconds` is how long it took or has taken by that
    same clock. `step` is the one that it is at or was cut off in, `steps_done` how many of `total` it has
    done. `result` is empty while it runs and where it was interrupted; `stop` is who asked it to stop.
    """

    run_id: str
    operator: str = ""
    task: str = ""
    began: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    step: str = ""
    undoing: bool = False
    steps_done: int = 0
    total: int = 0
    result: str = ""
    stop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """A backup on a server as its manifest tells; `size` in bytes.

    `made` is in seconds since the epoch, by the server's clock. `purpose` is backup, upgrade or
    rollback: who made it; one of an upgrade `leads_to` its new release. `verified` is `full` where it
    was restored into a scratch database, else `read`. `changes` counts what the change log has since,
    None where nobody can tell. `damage` says what is missing of it, as far as sizes tell.
    """

    id: str
    made: float
    purpose: str
    version: str
    leads_to: str
    operator: str
    verified: str
    size: int
    changes: int | None
    damage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """What became of one host and why.

    `from_version` is what was installed when we looked, `to_version` what is installed now (or, for
    a check, what was asked for). `facts` are what the server was seen to be, label by label, for
    people. `seconds` is how long the server took for its plan, going back included, None where it
    began none, `window_seconds` how long users were without NetPoint, None where no window was
    opened. `log` is the path of the host's log, relative to the run's folder. `run` is what a look at
    the server's runs found, `backups` what a look at its backups found, newest first. `plan` is what would run, where
    that is all that was asked for.
    """

    name: str
    status: Status
    reason: str = ""
    from_version: str | None = None
    to_version: str | None = None
    method: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()
    steps: tuple[StepReport, ...] = ()
    seconds: float | None = None
    window_seconds: float | None = None
    log: str | None = None
    run: RunReport | None = None
    backups: tuple[BackupReport, ...] = ()
    plan: PlanReport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What the operator typed, as far as another command needs it: neither `--yes` nor `--json`.

    `before` are the program and its options, `common` the options that every task takes, `own` those of
    the task.
    """

    before: tuple[str, ...]
    task: str
    limit: str = ""
    common: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """One run over its hosts, in the operator's order; `seconds` is wall time on the workstation.

    `typed` is for people who go on from here, and no part of report.json.
    """

    run_id: str
    command: str
    target: str | None
    started: datetime
    seconds: float
    hosts: tuple[HostReport, ...]
    stopped: bool = False
    typed: Typed | None = field(default=None, compare=False)

    @property
    def exit_code(self) -> int:
        """0 all as asked, 2 failed, 4 unreachable, 3 refused, 130 stopped by the operator (the design's table).

        A host that was not started counts with what held it back: it never improves the code.
        """
        if self.stopped:
            return 130
        statuses = {host.status for host in self.hosts}
        for code, bad in EXIT_CODES:
            if statuses & bad:
                return code
        return 0


EXIT_CODES = (
    (2, {Status.FAILED, Status.REVERTED, Status.INTERRUPTED, Status.UNSETTLED}),
    (4, {Status.UNREACHABLE}),
    (3, {Status.REFUSED, Status.NOT_STARTED}),
)
