"""What runs out of the release, and what of it is stopped and started with the services."""

import re
from collections.abc import Iterable, Iterator

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.tree_facts import CronJob, Mention, Process, Session, TreeUnit
from netpoint_remote.planning.unit_names import UNIT_NAME, shortened, with_ending

PATIENCE = 30  # seconds that stop_services.sh gives to what ends by itself
STARTERS = (".timer", ".socket", ".path")
CRON_DAEMONS = ("cron.service", "crond.service", "cronie.service")
# Someone's session, and what keeps other programs running: none of them is a unit of NetPoint's.
MANAGERS = {
    "supervisor.service": "supervisor",
    "supervisord.service": "supervisor",
    "runit.service": "runit",
    "s6-svscan.service": "s6",
    "pm2-root.service": "pm2",
}


def services_of(case: Case) -> tuple[str, ...]:
    """Return the units that are stopped and started: those of the hosts file, and what belongs to them."""
    return (*case.services, *companions(case))


def companions(case: Case) -> tuple[str, ...]:
    """Return the units that are stopped and started with the services though the hosts file does not name them.

    A second worker of the product (same release, same user, a name such as netpoint-rq2), and every timer, socket
    or path that would start one of them.
    """
    workers = tuple(unit.name for unit in case.facts.tree_units if _is_companion(case, unit))
    own = {*map(with_ending, case.services), *workers, f"{case.host.product.name}-housekeeping.service"}
    starters = (
        unit.name
        for unit in case.facts.tree_units
        if _is_starter(case, unit)
        and (own & set(unit.triggers) or any(_is_products(case, each) for each in unit.triggers))
    )
    return (*(shortened(name) for name in workers), *starters)


def unlisted_units(case: Case) -> Iterator[str]:
    """Yield the units that would go on in the window: they run out of a release, and nobody stops them."""
    stopped = set(map(with_ending, services_of(case)))
    for unit in case.facts.tree_units:
        if (
            _runs_on(case, unit)
            and unit.name not in stopped
            and not _manager(unit.name)
            and UNIT_NAME.fullmatch(unit.name)
        ):
            yield unit.name
    yield from (unit.name for unit in _unlisted_starters(case, stopped) if not unit.seldom)


def seldom_timers(case: Case) -> Iterator[str]:
    """Yield the timers that nobody stops and that start something out of a release at a few hours of a day."""
    unlisted = _unlisted_starters(case, set(map(with_ending, services_of(case))))
    yield from (unit.name for unit in unlisted if unit.seldom)


def running_jobs(case: Case) -> Iterator[Process]:
    """Yield the processes whose end the window waits for: what a timer has started, and ends by itself."""
    jobs = {unit.name for unit in case.facts.tree_units if _is_job(case, unit)}
    yield from (process for process in case.facts.processes if process.unit in jobs)


def _unlisted_starters(case: Case, stopped: set[str]) -> Iterator[TreeUnit]:
    in_tree = {unit.name for unit in case.facts.tree_units if unit.in_tree}
    for unit in case.facts.tree_units:
        if _is_starter(case, unit) and unit.name not in stopped and in_tree & set(unit.triggers):
            yield unit


def loose_processes(case: Case) -> Iterator[Process]:
    """Yield the processes that run out of a release and belong to no unit that could be stopped."""
    stopped = {*map(with_ending, services_of(case)), *unlisted_units(case)}
    if case.facts.interrupted:  # what the run has left is ended by the one that settles it
        return
    once = {unit.name for unit in case.facts.tree_units if _is_job(case, unit)}
    for process in case.facts.processes:
        if (
            not process.stranger
            and process.unit not in stopped | once
            and not (process.unit in CRON_DAEMONS and _stops_cron(case))
        ):
            yield process


def strangers(facts: Facts) -> Iterator[str]:
    """Yield what users who have nothing to do with NetPoint let run out of a release."""
    for process in facts.processes:
        if process.stranger:
            yield f"{process.command} (process {process.number} of {process.user})"
    for job in facts.cron_jobs:
        if job.stranger:
            yield f"{job.place} (a cron job of {job.user})"


def manager_of(processes: Iterable[Process]) -> str:
    """Return what else than systemd keeps these processes running, such as supervisor."""
    return next(filter(None, (_manager(process.unit) for process in processes)), "")


def frequent_jobs(case: Case) -> tuple[CronJob, ...]:
    """Return the jobs of cron that are likely to start in the window."""
    return () if _stops_cron(case) else tuple(job for job in case.facts.cron_jobs if job.often and not job.stranger)


def cron_daemon(facts: Facts) -> str:
    """Return the name of the unit that starts the jobs of cron."""
    return next(
        (shortened(unit.name) for unit in facts.tree_units if unit.name in CRON_DAEMONS and unit.goes_on), "cron"
    )


def foreign_sessions(case: Case) -> tuple[Session, ...]:
    """Return the sessions of NetPoint's role that stopping the services does not end."""
    own = case.facts.addresses  # a name and an address of this server lead to it on different ways
    return tuple(
        session
        for session in case.facts.sessions
        if (session.elsewhere and session.address not in own) or _goes_on_here(case, session)
    )


def _goes_on_here(case: Case, session: Session) -> bool:
    """Whether a program of this server, and no service, holds a session for longer than an upgrade waits for its end.

    What runs out of a release is refused for that; what an interrupted run has left is ended by who settles it.
    """
    is_known = session.process in {process.number for process in case.facts.processes} or case.facts.interrupted
    stopped = set(map(with_ending, services_of(case)))
    return bool(session.process) and session.seconds >= PATIENCE and session.unit not in stopped and not is_known


def blocking_mounts(case: Case) -> tuple[str, ...]:
    """Return the mounts that a plan would move, leave behind or copy out of.

    A checkout stays where it is, but for what upgrade.sh makes anew and is kept aside.
    """
    real, product = case.facts.real, case.host.product.name
    if case.method is not Method.GIT:
        return tuple(mount for mount in case.facts.mounts if mount.startswith(f"{real}/"))
    moved = tuple(f"{real}/{part}" for part in ("venv", f"{product}/static", f"{product}/project-static/docs"))
    return tuple(mount for mount in case.facts.mounts if any(is_within(mount, part) for part in moved))


def mentions_of(case: Case, *kinds: str) -> tuple[Mention, ...]:
    """Return the places that name the current release's own folder."""
    return tuple(each for each in case.facts.mentions if each.kind in kinds and each.tree == case.facts.real)


def trees_in_use(facts: Facts) -> frozenset[str]:
    """Return the releases that something on the server names, runs out of or has mounts in: none of them may go."""
    trees = {mention.tree for mention in facts.mentions} | {
        process.tree for process in facts.processes if not process.stranger
    }
    trees |= {release.path for release in facts.releases for mount in facts.mounts if is_within(mount, release.path)}
    named = str(dict(facts.configuration))
    return frozenset(trees | {release.path for release in facts.releases if f"{release.path}/" in named})


def is_within(path: str, folder: str) -> bool:
    """Whether a path is a folder or in it."""
    return bool(folder) and (path == folder or path.startswith(f"{folder}/"))


def _is_companion(case: Case, unit: TreeUnit) -> bool:
    users = {known.user for service in case.services if (known := case.facts.unit(service))}
    listed = set(map(with_ending, case.services))
    return _runs_on(case, unit) and unit.user in users and _is_products(case, unit.name) and unit.name not in listed


def _runs_on(case: Case, unit: TreeUnit) -> bool:
    ours = unit.name.startswith("netpoint-remote-")  # a run of this program, which the lock is about
    return unit.in_tree and unit.goes_on and unit.name.endswith(".service") and not _is_job(case, unit) and not ours


def _is_job(case: Case, unit: TreeUnit) -> bool:
    """Whether a unit ends by itself, whatever its type: the window waits for that, and it is never started."""
    housekeeping = f"{case.host.product.name}-housekeeping.service"
    starters = (each for each in case.facts.tree_units if each.name.endswith((".timer", ".path")))
    return unit.kind == "oneshot" or unit.name == housekeeping or any(unit.name in each.triggers for each in starters)


def _is_starter(case: Case, unit: TreeUnit) -> bool:
    usual = f"{case.host.product.name}-housekeeping.timer"  # which every plan knows of itself
    return unit.goes_on and unit.name.endswith(STARTERS) and unit.name != usual and bool(UNIT_NAME.fullmatch(unit.name))


def _is_products(case: Case, unit: str) -> bool:
    return bool(re.match(rf"{re.escape(case.host.product.name)}(?![A-Za-z0-9])", unit) and UNIT_NAME.fullmatch(unit))


def _manager(unit: str) -> str:
    return MANAGERS.get(unit, "")


def _stops_cron(case: Case) -> bool:
    return any(with_ending(name) in CRON_DAEMONS for name in case.services)
