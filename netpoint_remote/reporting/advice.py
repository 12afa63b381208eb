"""What a host that failed or was reverted means for the operator, what to do, and the command to type next."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.clean import BLOCK, clean
from netpoint_remote.reporting.folding import SharedProblem, fold, fold_problems
from netpoint_remote.reporting.report import FleetReport, HostReport, Status, StepStatus, Typed

LOOK_FIRST = "Look at the host first:"
SAME = ""  # the task that was typed
TASK = re.compile(r"(upgrade|rollback) from \S+ to ([0-9A-Za-z.+-]+)|(backup) of .*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What an end means, what to do about it, and with which task; `options` replace those that were typed."""

    meaning: str
    remedy: str
    task: str = SAME
    options: tuple[str, ...] = ()


def advise(report: FleetReport) -> tuple[SharedProblem, ...]:
    """Return what to say of the hosts that failed or were reverted, equal advice once, the worst first."""
    hosts: dict[tuple[Status, Advice], list[str]] = {}
    for host in sorted(report.hosts, key=rank):
        advice = _advice(host, report.typed)
        if advice is not None:
            hosts.setdefault((host.status, advice), []).append(host.name)
    return tuple(
        SharedProblem(problem=_problem(status, advice, names, report.typed), hosts=tuple(names))
        for (status, advice), names in hosts.items()
    )


def other_problems(report: FleetReport) -> tuple[SharedProblem, ...]:
    """Return the problems of all hosts but those that say no more than the status, which the advice is about."""
    return fold_problems(
        replace(host, problems=tuple(each for each in host.problems if each.code != host.status))
        for host in report.hosts
    )


def rank(host: HostReport) -> int:
    """Return where a host stands in a list that begins with failures."""
    return WORST_FIRST.get(host.status, len(WORST_FIRST))


WORST_FIRST = {
    status: place
    for place, status in enumerate(
        (Status.FAILED, Status.UNSETTLED, Status.INTERRUPTED, Status.REVERTED, Status.UNREACHABLE)
    )
}


def _advice(host: HostReport, typed: Typed | None) -> Advice | None:
    if host.status is Status.REVERTED:
        return _reverted(host, typed)
    if host.status in {Status.INTERRUPTED, Status.UNSETTLED}:
        return _unfinished(host)
    return _failed(host) if host.status is Status.FAILED else None


def _reverted(host: HostReport, typed: Typed | None) -> Advice:
    failed = any(step.status is StepStatus.FAILED for step in host.steps)
    began = "A step failed" if failed else "The run was stopped"
    if any(problem.code == "stop_services" for problem in host.problems):
        meaning = f"{began} and everything was undone, but not every service runs as it should: see the warning."
    else:
        serves = f"{host.from_version} serves as before" if host.from_version else "NetPoint serves as before"
        meaning = f"{began}, everything was undone, and {serves}. No data was lost."
    again = "run the same command again:"
    remedy = f"Fix the cause, then {again}" if failed else f"To continue, {again}"
    followed = typed is not None and typed.task == "attach"
    task, options = _task_of(host) if followed else (SAME, ())
    return Advice(meaning=meaning, remedy=remedy, task=task, options=options)


def _unfinished(host: HostReport) -> Advice:
    """Return the advice for a run that is still to be settled, as `status` and `attach` find it."""
    task, options = _task_of(host)
    if host.status is Status.INTERRUPTED:
        meaning = "The last run was interrupted, and is still to be settled."
    else:
        meaning = "The last run failed and could not be undone."
    remedy = "To settle it and do what is left, run the same command again:"
    return Advice(meaning=meaning, remedy=remedy, task=task or "status", options=options)


def _task_of(host: HostReport) -> tuple[str, tuple[str, ...]]:
    """Return the task of the last run, and the options that it needs."""
    found = TASK.fullmatch(host.run.task) if host.run else None
    if found is None:
        return "", ()
    task = found[1] or found[3]
    return task, {"upgrade": ("--version", found[2]), "rollback": ("--to", found[2])}.get(task, ())


def _failed(host: HostReport) -> Advice:
    steps = {step.status for step in host.steps}
    if any(problem.code == "by-hand" for problem in host.problems):
        return Advice(
            meaning="A step failed, and undoing it failed too: NetPoint may not serve.",
            remedy="Fix the cause, then run the same command again, which first undoes what is left "
            "(the commands to finish by hand are below):",
        )
    if StepStatus.UNDO_FAILED in steps:
        return Advice(
            meaning="A step failed and is not undone: that failed too, or would have lost what users have written.",
            remedy=LOOK_FIRST,
            task="check",
        )
    if steps & {StepStatus.FAILED, StepStatus.UNDONE}:
        return Advice(
            meaning="A step failed, and the host is not proved to be as it was.", remedy=LOOK_FIRST, task="check"
        )
    if steps:
        return Advice(
            meaning="The connection was lost before the run ended; it may still be in progress on the server.",
            remedy="See where it is:",
            task="status",
        )
    if host.from_version is None:
        return Advice(
            meaning="The host could not be probed; nothing was changed on it.",
            remedy="Fix the cause, then probe it again:",
            task="check",
        )
    return Advice(
        meaning="The run did not begin, or its state is unknown.",
        remedy="See what is in progress there:",
        task="status",
    )


def _problem(status: Status, advice: Advice, names: Iterable[str], typed: Typed | None) -> Problem:
    commands = [f"    {each}" for each in _commands(advice, names, typed)]
    remedy = advice.remedy if commands else f"{advice.remedy.removesuffix(':')}."
    return Problem(
        code=str(status), severity=Severity.ERROR, message=advice.meaning, remedy="\n".join([remedy, *commands])
    )


def _commands(advice: Advice, names: Iterable[str], typed: Typed | None) -> Iterator[str]:
    if typed is not None:
        yield command(typed, names) if advice.task == SAME else command(typed, names, advice.task, advice.options)


def command(typed: Typed, names: Iterable[str] = (), task: str = SAME, options: tuple[str, ...] | None = None) -> str:
    """Return a whole command for some of the hosts, or the typed ones: the typed task, or another with its options."""
    own = typed.own if options is None else options
    limit = fold(names) or typed.limit
    words = (*typed.before, task or typed.task, *typed.common, *own, *(("--limit", limit) if limit else ()))
    return clean(shlex.join(words), limit=BLOCK)
