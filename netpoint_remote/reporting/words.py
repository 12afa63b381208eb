"""How each status and each exit code is shown and said, the same in every format."""

from collections import Counter
from collections.abc import Iterable, Mapping

from netpoint_remote.planning.problem import Severity
from netpoint_remote.reporting.report import FleetReport, HostReport, Status, StepReport, StepStatus

# status: its mark and its style in layout.STYLES
LOOKS: Mapping[Status, tuple[str, str]] = {
    Status.UPGRADED: ("✓", "good"),
    Status.SAVED: ("✓", "good"),
    Status.ROLLED_BACK: ("✓", "good"),
    Status.DONE: ("✓", "good"),
    Status.RUNNING: ("·", "good"),
    Status.IDLE: ("=", "dim"),
    Status.INTERRUPTED: ("✗", "bad"),
    Status.UNSETTLED: ("✗", "bad"),
    Status.UNCHANGED: ("=", "good"),
    Status.READY: ("✓", "good"),
    Status.CURRENT: ("=", "good"),
    Status.REFUSED: ("!", "warn"),
    Status.NOT_STARTED: ("-", "dim"),
    Status.UNREACHABLE: ("?", "bad"),
    Status.REVERTED: ("✗", "bad"),
    Status.FAILED: ("✗", "bad"),
}

SEVERITY_LOOKS: Mapping[Severity, tuple[str, str]] = {Severity.ERROR: ("✗", "bad"), Severity.WARNING: ("!", "warn")}

EXIT_MEANINGS: Mapping[int, str] = {
    0: "every host is in the requested state",
    2: "a host failed or was reverted",
    3: "a host was refused or not started; nothing changed on it",
    4: "a host could not be reached or trusted; none failed",
    130: "stopped by the operator",
}

# these ask no host to be anything, and leave nothing behind here
LOOKING = frozenset({"status", "stop"})
WITHOUT_FOLDER = LOOKING | {"backups", "fetch-backup", "prune"}
LOOKING_MEANINGS: Mapping[int, str] = {
    **EXIT_MEANINGS,
    0: "every host was reached, and no run was interrupted",
    2: "a run was interrupted or could not be undone, or a host could not be asked",
    4: "a host could not be reached or trusted; no run was interrupted",
}

BROKEN_STEP: Mapping[StepStatus, str] = {
    StepStatus.FAILED: "failed",
    StepStatus.UNDO_FAILED: "could not be undone",
    StepStatus.RUNNING: "was still running",
}


def totals(hosts: Iterable[HostReport]) -> list[str]:
    """Return `3 upgraded`, `1 failed`, ... in the order of the statuses."""
    counts = Counter(host.status for host in hosts)
    return [f"{counts[status]} {status}" for status in Status if counts[status]]


def exit_meaning(report: FleetReport) -> str:
    """Return `exit 2: a host failed or was reverted`."""
    meanings = LOOKING_MEANINGS if report.command in LOOKING else EXIT_MEANINGS
    return f"exit {report.exit_code}: {meanings[report.exit_code]}"


def versions(host: HostReport) -> str:
    """Return `3.4.9 → 3.5.0`, or one version where there is no second."""
    ends = dict.fromkeys(version for version in (host.from_version, host.to_version) if version)
    return " → ".join(ends)


def heading(command: str, target: str | None) -> str:
    """Return `upgrade to 3.5.0`, `check for 3.5.0`, or the command alone."""
    return f"{command} {'to' if command == 'upgrade' else 'for'} {target}" if target else command


def broken_steps(host: HostReport) -> tuple[StepReport, ...]:
    """Return the steps that the operator has to look at; one that runs where a run is at work is as it should be."""
    at_work = {StepStatus.RUNNING} if host.status is Status.RUNNING else set()
    return tuple(step for step in host.steps if step.status in BROKEN_STEP and step.status not in at_work)
