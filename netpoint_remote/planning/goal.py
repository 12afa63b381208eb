"""What is wanted of a host, and what follows from it once the host was looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from netpoint_remote.planning.case import Case, is_as_asked
from netpoint_remote.planning.checks import find_problems
from netpoint_remote.planning.checks.server import way_back_has_room
from netpoint_remote.planning.facts import Backup, Facts
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.plan import Plan, make_backup_plan, make_plan, make_rollback_plan
from netpoint_remote.planning.problem import Problem
from netpoint_remote.planning.target import Target
from netpoint_remote.planning.way_back import choose_backup, way_back_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Run a release; without one only look. `repair_broken` goes on where the running one does not work."""

    target: Target | None = None
    repair_broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp:
    """Save database and files; `verify` restores the dump into a scratch database too."""

    verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoBack:
    """Go back to a backup: `to` is its id, a version, or None for what was before the last upgrade."""

    to: str | None = None
    accept_loss: bool = False


Goal = Upgrade | BackUp | GoBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done on a host: `plan` is None where nothing is, or where a problem blocks."""

    case: Case
    problems: tuple[Problem, ...]
    plan: Plan | None
    as_asked: bool = False
    to_version: str | None = None
    backup: Backup | None = None

    @property
    def blocked(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.blocks)


def decide(goal: Goal, host: Host, facts: Facts, last_minors: Mapping[int, int]) -> Decision:
    """Judge one host by what is wanted of it."""
    case = Case(host=host, facts=facts, target=None, last_minors=last_minors)
    if isinstance(goal, Upgrade):
        return _upgrade(replace(case, target=goal.target, repair_broken=goal.repair_broken))
    if isinstance(goal, BackUp):
        return _back_up(goal, case)
    return _go_back(goal, case)


def _upgrade(case: Case) -> Decision:
    problems, as_asked = find_problems(case), is_as_asked(case)
    idle = case.target is None or as_asked or any(problem.blocks for problem in problems)
    return Decision(
        case=case,
        problems=problems,
        plan=None if idle else make_plan(case),
        as_asked=as_asked,
        to_version=case.target.text if case.target else None,
    )


def _back_up(goal: BackUp, case: Case) -> Decision:
    problems = find_problems(case, for_goal="backup")
    blocked = any(problem.blocks for problem in problems)
    return Decision(
        case=case,
        problems=problems,
        plan=None if blocked else make_backup_plan(case, verify=goal.verify),
        to_version=case.facts.disk_version or None,
    )


def _go_back(goal: GoBack, case: Case) -> Decision:
    problems = find_problems(case, for_goal="rollback")
    backup = choose_backup(case.facts, goal.to)
    if case.facts.interrupted and case.facts.backups:
        # Where it leads is decided once that run is settled; until then the plan says what steps there are.
        backup = backup or case.facts.backups[0]
    else:
        problems += tuple(way_back_problems(case, goal.to, accept_loss=goal.accept_loss))
    problems += tuple(way_back_has_room(case, backup))
    problems = tuple(sorted(problems, key=lambda problem: not problem.blocks))
    blocked = backup is None or any(problem.blocks for problem in problems)
    return Decision(
        case=case,
        problems=problems,
        plan=None if blocked or backup is None else make_rollback_plan(case, backup, accept_loss=goal.accept_loss),
        to_version=backup.version if backup else None,
        backup=backup,
    )
