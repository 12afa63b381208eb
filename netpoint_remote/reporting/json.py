"""The report and its events for programs; `report.schema.json` is the promise about its form."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.clean import NAME, clean, clean_instant, clean_report
from netpoint_remote.reporting.event import Event
from netpoint_remote.reporting.report import (
    BackupReport,
    FleetReport,
    HostReport,
    PartReport,
    Phase,
    PlanReport,
    PlanStep,
    RunReport,
    Status,
    StepReport,
    StepStatus,
)

FORMAT = 1
FAULT = 300  # characters of a fault, which may quote a whole file

Json = dict[str, Any]


def to_json(report: FleetReport) -> str:
    """Return the report as ASCII text that follows the schema, with nothing in it that acts on a terminal."""
    return _ascii(_report_to_json(clean_report(report)), indent=2) + "\n"


def from_json(text: str) -> FleetReport:
    """Read what `to_json` wrote; keys nobody knows are ignored, and so is `exit_code`, which follows.

    Raises:
        ValueError: with the place and what is wrong there, when the text is not such a report.
    """
    loaded = _loads(text)
    _validate(loaded)
    try:
        return _report_from_json(loaded)
    except (ValueError, OverflowError) as fault:
        raise ValueError(f"not a report: {clean(str(fault), limit=FAULT)}") from None


def event_to_json(event: Event) -> str:
    """Return one event as one line of ASCII, without its newline."""
    return _ascii(
        {
            "at": _instant(event.at),
            "host": clean(event.host, limit=NAME),
            "kind": str(event.kind),
            "step": clean(event.step, limit=NAME),
            "detail": clean(event.detail),
            "position": event.position,
            "total": event.total,
        }
    )


@cache
def schema() -> Mapping[str, Any]:
    """Return the JSON Schema of the report."""
    loaded: Json = json.loads(files("netpoint_remote.reporting").joinpath("report.schema.json").read_text("utf-8"))
    return loaded


def _ascii(value: Json, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)


def _instant(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC."""
    return _utc(datetime.fromtimestamp(clean_instant(seconds), timezone.utc).isoformat(timespec="milliseconds"))


def _utc(iso: str) -> str:
    return iso.removesuffix("+00:00") + "Z"


def _loads(text: str) -> Any:  # noqa: ANN401  whatever the text holds; the schema judges it
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"not a report, not even JSON: {clean(str(fault), limit=FAULT)}") from None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _validate(loaded: object) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  heavy, and only needed to read a report
    from jsonschema.exceptions import best_match  # noqa: PLC0415  the same

    try:
        fault = best_match(Draft202012Validator(schema()).iter_errors(loaded))
    except RecursionError:
        raise ValueError("not a report: nested too deeply") from None
    if fault is not None:
        raise ValueError(f"not a report: {clean(f'{fault.json_path}: {fault.message}', limit=FAULT)}")


def _report_to_json(report: FleetReport) -> Json:
    started = report.started if report.started.tzinfo else report.started.replace(tzinfo=timezone.utc)
    return {
        "format": FORMAT,
        "run_id": report.run_id,
        "command": report.command,
        "target": report.target,
        "started": _utc(started.astimezone(timezone.utc).isoformat()),
        "seconds": report.seconds,
        "exit_code": report.exit_code,
        "stopped": report.stopped,
        "hosts": [_host_to_json(host) for host in report.hosts],
    }


def _host_to_json(host: HostReport) -> Json:
    return {
        "name": host.name,
        "status": str(host.status),
        "reason": host.reason,
        "from": host.from_version,
        "to": host.to_version,
        "method": host.method,
        "facts": dict(host.facts),
        "problems": [_problem_to_json(problem) for problem in host.problems],
        "steps": [_step_to_json(step) for step in host.steps],
        "seconds": host.seconds,
        "window_seconds": host.window_seconds,
        "log": host.log,
        "run": None if host.run is None else _run_to_json(host.run),
        "backups": [_backup_to_json(backup) for backup in host.backups],
        **({"plan": _plan_to_json(host.plan)} if host.plan else {}),
    }


def _backup_to_json(backup: BackupReport) -> Json:
    return {
        "id": backup.id,
        "made": _instant(backup.made),
        "purpose": backup.purpose,
        "version": backup.version,
        "leads_to": backup.leads_to,
        "operator": backup.operator,
        "verified": backup.verified,
        "size": backup.size,
        "changes": backup.changes,
        "damage": backup.damage,
    }


def _plan_to_json(plan: PlanReport) -> Json:
    return {
        "hops": list(plan.hops),
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "phase": str(step.phase),
                "expected_seconds": step.expected_seconds,
            }
            for step in plan.steps
        ],
        "notes": list(plan.notes),
    }


def _run_to_json(run: RunReport) -> Json:
    return {
        "id": run.run_id,
        "operator": run.operator,
        "task": run.task,
        "began": _moment(run.began),
        "ended": _moment(run.ended),
        "seconds": run.seconds,
        "step": run.step,
        "undoing": run.undoing,
        "steps_done": run.steps_done,
        "total": run.total,
        "result": run.result,
        "stop": run.stop,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else _utc(moment.astimezone(timezone.utc).isoformat())


def _problem_to_json(problem: Problem) -> Json:
    return {
        "code": problem.code,
        "severity": str(problem.severity),
        "message": problem.message,
        "remedy": problem.remedy,
        "source": problem.source,
    }


def _step_to_json(step: StepReport) -> Json:
    return {
        "name": step.name,
        "status": str(step.status),
        "seconds": step.seconds,
        "attempts": step.attempts,
        "parts": [{"name": part.name, "seconds": part.seconds} for part in step.parts],
    }


def _report_from_json(loaded: Json) -> FleetReport:
    started = _read_moment(loaded["started"])
    if started is None:
        raise ValueError("$.started: is not there")
    return FleetReport(
        run_id=loaded["run_id"],
        command=loaded["command"],
        target=loaded["target"],
        started=started,
        seconds=loaded["seconds"],
        hosts=tuple(_host_from_json(host) for host in loaded["hosts"]),
        stopped=loaded["stopped"],
    )


def _read_moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment.astimezone(timezone.utc)


def _host_from_json(loaded: Json) -> HostReport:
    return HostReport(
        name=loaded["name"],
        status=Status(loaded["status"]),
        reason=loaded["reason"],
        from_version=loaded["from"],
        to_version=loaded["to"],
        method=loaded["method"],
        facts=tuple(loaded["facts"].items()),
        problems=tuple(_problem_from_json(problem) for problem in loaded["problems"]),
        steps=tuple(_step_from_json(step) for step in loaded["steps"]),
        seconds=loaded["seconds"],
        window_seconds=loaded["window_seconds"],
        log=loaded["log"],
        run=_run_from_json(loaded["run"]) if loaded.get("run") else None,
        backups=tuple(_backup_from_json(backup) for backup in loaded.get("backups", [])),
        plan=_plan_from_json(loaded["plan"]) if loaded.get("plan") else None,
    )


def _backup_from_json(loaded: Json) -> BackupReport:
    made = datetime.fromisoformat(loaded["made"].removesuffix("Z") + "+00:00" * loaded["made"].endswith("Z"))
    return BackupReport(
        id=loaded["id"],
        made=made.timestamp(),
        purpose=loaded["purpose"],
        version=loaded["version"],
        leads_to=loaded["leads_to"],
        operator=loaded["operator"],
        verified=loaded["verified"],
        size=loaded["size"],
        changes=loaded["changes"],
        damage=loaded["damage"],
    )


def _plan_from_json(loaded: Json) -> PlanReport:
    steps = (
        PlanStep(
            name=step["name"],
            title=step["title"],
            phase=Phase(step["phase"]),
            expected_seconds=step["expected_seconds"],
        )
        for step in loaded["steps"]
    )
    return PlanReport(hops=tuple(loaded["hops"]), steps=tuple(steps), notes=tuple(loaded["notes"]))


def _run_from_json(loaded: Json) -> RunReport:
    return RunReport(
        run_id=loaded["id"],
        operator=loaded["operator"],
        task=loaded["task"],
        began=_read_moment(loaded["began"]),
        ended=_read_moment(loaded["ended"]),
        seconds=loaded["seconds"],
        step=loaded["step"],
        undoing=loaded["undoing"],
        steps_done=loaded["steps_done"],
        total=loaded["total"],
        result=loaded["result"],
        stop=loaded["stop"],
    )


def _problem_from_json(loaded: Json) -> Problem:
    return Problem(
        code=loaded["code"],
        severity=Severity(loaded["severity"]),
        message=loaded["message"],
        remedy=loaded["remedy"],
        source=loaded["source"],
    )


def _step_from_json(loaded: Json) -> StepReport:
    return StepReport(
        name=loaded["name"],
        status=StepStatus(loaded["status"]),
        seconds=loaded["seconds"],
        attempts=loaded["attempts"],
        parts=tuple(PartReport(name=part["name"], seconds=part["seconds"]) for part in loaded["parts"]),
    )
