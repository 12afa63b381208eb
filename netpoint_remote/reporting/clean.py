"""Make text that came from a server harmless to show: nothing in it acts, nothing in it hides."""

import math
from dataclasses import replace

from netpoint_remote.planning.problem import Problem
from netpoint_remote.reporting.report import (
    BackupReport,
    FleetReport,
    HostReport,
    PartReport,
    PlanReport,
    RunReport,
    StepReport,
)

LINE = 1_000  # characters of one line
BLOCK = 4_000  # characters of a message or a remedy, which may have several lines
NAME = 255  # characters of a host name, a step, a path
WORD = 40  # characters of a version or a method, so that no server can push a table apart
LONGEST = 10.0**9  # seconds; what is above or below is a broken clock, not a duration
LAST_SECOND = 253_402_300_799.0  # of the year 9999


def clean(text: str, *, limit: int = LINE) -> str:
    r"""Return `text` as one line of at most `limit` characters, all of them visible.

    What a terminal would act on (control characters and with them every escape sequence, bidi
    overrides, separators, lone surrogates, unassigned characters) is spelled out; a tab is a blank.

        >>> print(clean("up\x1b[2Jgrade\n"))
        up\x1b[2Jgrade\n
    """
    if text.isprintable() and len(text) <= limit:
        return text
    return _bounded("".join(map(_visible, text[: limit + 1])), limit)


def clean_block(text: str, *, limit: int = BLOCK) -> str:
    """As `clean`, but lines stay lines: only for places where every line is indented below its owner."""
    lines = text[: limit + 1].replace("\r\n", "\n").split("\n")
    return _bounded("\n".join("".join(map(_visible, line)) for line in lines), limit)


def clean_seconds(seconds: float) -> float:
    """Return a duration in whole milliseconds that is neither negative nor endless."""
    return 0.0 if math.isnan(seconds) else round(min(max(seconds, 0.0), LONGEST), 3)


def clean_instant(seconds: float) -> float:
    """Return seconds since the epoch that are a date; a server's clock may say anything."""
    return 0.0 if math.isnan(seconds) else round(min(max(seconds, 0.0), LAST_SECOND), 3)


def clean_report(report: FleetReport) -> FleetReport:
    """Return the report with every text and duration in it made harmless; every format begins with this."""
    return replace(
        report,
        run_id=clean(report.run_id, limit=NAME),
        command=clean(report.command, limit=WORD),
        target=_clean_optional(report.target, WORD),
        seconds=clean_seconds(report.seconds),
        hosts=tuple(_clean_host(host) for host in report.hosts),
    )


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character == "\t" else character.encode("unicode_escape").decode("ascii")


def _bounded(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _clean_optional(text: str | None, limit: int) -> str | None:
    return None if text is None else clean(text, limit=limit)


def _clean_host(host: HostReport) -> HostReport:
    return replace(
        host,
        name=clean(host.name, limit=NAME),
        reason=clean(host.reason),
        from_version=_clean_optional(host.from_version, WORD),
        to_version=_clean_optional(host.to_version, WORD),
        method=_clean_optional(host.method, WORD),
        facts=tuple((clean(label, limit=WORD), clean(text, limit=NAME)) for label, text in host.facts),
        problems=tuple(_clean_problem(problem) for problem in host.problems),
        steps=tuple(_clean_step(step) for step in host.steps),
        seconds=None if host.seconds is None else clean_seconds(host.seconds),
        window_seconds=None if host.window_seconds is None else clean_seconds(host.window_seconds),
        log=_clean_optional(host.log, NAME),
        run=None if host.run is None else _clean_run(host.run),
        backups=tuple(map(_clean_backup, host.backups)),
        plan=None if host.plan is None else _clean_plan(host.plan),
    )


def _clean_backup(backup: BackupReport) -> BackupReport:
    return replace(
        backup,
        id=clean(backup.id, limit=NAME),
        made=clean_instant(backup.made),
        purpose=clean(backup.purpose, limit=WORD),
        version=clean(backup.version, limit=WORD),
        leads_to=clean(backup.leads_to, limit=WORD),
        operator=clean(backup.operator, limit=NAME),
        verified=clean(backup.verified, limit=WORD),
        damage=clean(backup.damage, limit=NAME),
    )


def _clean_plan(plan: PlanReport) -> PlanReport:
    steps = (
        replace(
            step,
            name=clean(step.name, limit=NAME),
            title=clean(step.title),
            expected_seconds=None if step.expected_seconds is None else clean_seconds(step.expected_seconds),
        )
        for step in plan.steps
    )
    hops = tuple(clean(hop, limit=WORD) for hop in plan.hops)
    return PlanReport(hops=hops, steps=tuple(steps), notes=tuple(map(clean, plan.notes)))


def _clean_run(run: RunReport) -> RunReport:
    return replace(
        run,
        run_id=clean(run.run_id, limit=NAME),
        operator=clean(run.operator, limit=NAME),
        task=clean(run.task, limit=NAME),
        seconds=None if run.seconds is None else clean_seconds(run.seconds),
        step=clean(run.step, limit=NAME),
        result=clean(run.result, limit=WORD),
        stop=clean(run.stop, limit=NAME),
    )


def _clean_problem(problem: Problem) -> Problem:
    return replace(
        problem,
        code=clean(problem.code, limit=NAME),
        message=clean_block(problem.message),
        remedy=clean_block(problem.remedy),
        source=clean(problem.source, limit=NAME),
    )


def _clean_step(step: StepReport) -> StepReport:
    parts = tuple(
        PartReport(name=clean(part.name, limit=NAME), seconds=clean_seconds(part.seconds)) for part in step.parts
    )
    return replace(step, name=clean(step.name, limit=NAME), seconds=clean_seconds(step.seconds), parts=parts)
