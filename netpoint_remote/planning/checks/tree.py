"""Whether anything on the server uses the release in a way that an upgrade would break, or goes on in the window."""

from collections.abc import Iterable

from netpoint_remote.planning.case import Case, is_repair
from netpoint_remote.planning.checks.finding import DOCUMENT, Problems, error, warning
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.plan import plugins
from netpoint_remote.planning.tree_facts import Mention, Process, Session
from netpoint_remote.planning.tree_users import (
    blocking_mounts,
    cron_daemon,
    foreign_sessions,
    frequent_jobs,
    is_within,
    loose_processes,
    manager_of,
    mentions_of,
    running_jobs,
    seldom_timers,
    services_of,
    strangers,
    unlisted_units,
)
from netpoint_remote.planning.unit_names import shortened, with_ending

MOST = 3  # of a kind that one problem names


def tree_users_are_known(case: Case) -> Problems:
    if case.facts.tree_users_error:
        yield error(
            "probe",
            f"what runs out of the release could not be listed: {case.facts.tree_users_error}",
            "fix the cause, and run check again: everything that uses the release must be known before the window",
        )


def nothing_goes_on(case: Case) -> Problems:
    """Refuse what runs the release's code and would do so in the window: nobody stops it."""
    if case.method is Method.FOREIGN or case.facts.lock_held:
        return
    unlisted = tuple(dict.fromkeys(map(shortened, unlisted_units(case))))
    if unlisted:
        yield error(
            "not-in-services",
            f"{_listed(_with_what_they_start(case, unlisted))} {_run(unlisted)} out of {case.facts.real}, "
            "and would continue in the window",
            f"add {_them(unlisted)} to the hosts file: {_services_line(case, unlisted)}",
            f"{DOCUMENT}, step 5",
        )
    yield from _no_loose_processes(case)
    jobs = frequent_jobs(case)
    if jobs:
        yield error(
            "cron",
            f"cron starts something out of the release, in the window too: {_listed(tuple(job.place for job in jobs))}",
            f"let cron be stopped with the services: {_services_line(case, (cron_daemon(case.facts),))}; or comment "
            "the entry out until the upgrade is done",
        )
    seldom = tuple(
        job.place for job in case.facts.cron_jobs if not job.often and not job.housekeeping and not job.stranger
    )
    seldom += tuple(seldom_timers(case))
    if seldom:
        yield warning(
            "cron",
            f"something out of the release is started at some hours: {_listed(seldom)}",
            "choose another hour for the upgrade: the job would also start in the window",
        )
    others = tuple(strangers(case.facts))
    if others:
        yield warning(
            "stranger",
            f"users who have nothing to do with NetPoint run something out of the release: {_listed(others)}",
            "ask them to stop it: an upgrade does not wait for it, and it may read a release that is being changed",
        )
    running = tuple(running_jobs(case))
    if running:
        yield warning(
            "process",
            f"{_commands(running)} runs out of {case.facts.real} and was started by a timer: an upgrade waits 30 s for "
            "its end, and stops nothing before",
            f"begin when it has ended, or end it: {'; '.join(_way_to_end(process) for process in running[:MOST])}",
        )


def _no_loose_processes(case: Case) -> Problems:
    loose = tuple(loose_processes(case))
    manager = manager_of(loose)
    if manager:
        yield error(
            "service",
            f"{manager} keeps {_commands(loose)} running, and {manager} is not supported",
            f"let systemd run NetPoint instead: take the units from {case.host.root}/contrib, "
            f"and take its programs out of {manager}",
            f"{DOCUMENT}, step 5 (netbox-community/netbox#2902)",
        )
    elif loose:
        yield error(
            "process",
            f"{_commands(loose)} runs out of {case.facts.real} and belongs to no service: "
            "it would continue in the window",
            f"wait for its end or end it: {'; '.join(_way_to_end(process) for process in loose[:MOST])}",
        )


def _commands(processes: tuple[Process, ...]) -> str:
    return _listed(tuple(f"{each.command} (process {each.number} of {each.user})" for each in processes))


def _way_to_end(process: Process) -> str:
    if process.unit.startswith("cron"):
        return f"process {process.number} is a job of cron"
    return f"kill {process.number}" + (f"  (it belongs to {process.unit})" if process.unit else "")


def nobody_else_is_connected(case: Case) -> Problems:
    """Refuse sessions of the role that no service holds: another NetPoint's, a report's, a person's."""
    if case.facts.lock_held:
        return
    for session in foreign_sessions(case)[:MOST]:
        yield error(
            "sessions",
            f"{_holder(session)} works with NetPoint's database as NetPoint's own role",
            f"{_way_to_disconnect(session)}; give what only reads a role of its own",
            "netbox-community/netbox#17136",
        )


def _holder(session: Session) -> str:
    if session.process:
        return f"{session.command} (process {session.process} of {session.user}, {session.unit or 'no unit'})"
    return f"{session.address} ({session.application})" if session.application else session.address


def _way_to_disconnect(session: Session) -> str:
    if not session.process:
        return "end what is connected from there, or stop the NetPoint there"
    if session.unit.endswith(".service"):
        return f"stop it until the upgrade is done: systemctl stop {shortened(session.unit)}"
    return f"end it: kill {session.process}"


def nothing_is_mounted(case: Case) -> Problems:
    """Refuse mounts in the release: what is in them would be copied, left behind, or emptied by `prune`."""
    mounts = blocking_mounts(case)
    if not mounts or case.method is Method.FOREIGN or (case.method is Method.ARCHIVE and is_repair(case)):
        return
    yield error(
        "mount",
        f"something is mounted inside the release: {_listed(mounts)}",
        "mount it outside of the release, and put a link to it in its place (a link is kept as it is); "
        "or name its new place in configuration.py (MEDIA_ROOT, SCRIPTS_ROOT, REPORTS_ROOT)",
        f"{DOCUMENT}, step 3 (netbox-community/netbox#2611)",
    )


def nothing_names_the_old_release(case: Case) -> Problems:
    """Refuse what names the release's own folder, and would go on using it when the link leads to the new one."""
    if case.method is not Method.ARCHIVE:
        return
    stale = tuple(_stale_units(case))
    if stale:
        yield error(
            "old-folder",
            f"{_places(stale)}: the service would continue to use the old release",
            f"write {case.host.root} instead, then systemctl daemon-reload",
            "netbox-community/netbox#508",
        )
    web = mentions_of(case, "web")
    if web:
        yield error(
            "old-folder",
            f"{_places(web)}: users would get the files of the old release",
            f"write {case.host.root} instead, then reload the web server",
            "netbox-community/netbox#8961",
        )
    code = (*mentions_of(case, "cron"), *(each for each in mentions_of(case, "local") if _is_code(each)))
    if code:
        yield error("old-folder", f"{_places(code)}: it would run the old release", f"write {case.host.root} instead")
    inner = tuple(each for each in mentions_of(case, "link") if is_within(each.file, case.facts.real))
    if inner:
        yield error(
            "old-folder",
            f"{_places(inner)}: the new release would use what is in the old one",
            f"move it out of the release, and let the link lead there; or write {case.host.root} in the link",
            "netbox-community/netbox#338",
        )
    rest = [
        each
        for each in mentions_of(case, "unit", "link", "local", "other")
        if each not in (*stale, *code, *inner) and not each.file.endswith("/configuration.py")
    ]
    if rest:
        yield warning(
            "old-folder",
            f"{_places(rest)}",
            f"name {case.host.root} there if it is to be the new release; `prune` keeps a folder that something names",
        )


def _stale_units(case: Case) -> Iterable[Mention]:
    """Yield what is named by the units that are stopped and started; what they run is told of each (`service`)."""
    concerned = {*map(with_ending, services_of(case)), *(unit.name for unit in case.facts.tree_units if unit.in_tree)}
    told = {unit.name for unit in case.facts.units if f"{case.facts.real}/" in unit.command}
    for mention in mentions_of(case, "unit"):
        template = f"{mention.unit.partition('@')[0]}@" if "@." in mention.unit else ""
        instances = {unit for unit in concerned if template and unit.startswith(template)}
        if (mention.unit in concerned or instances) and mention.unit not in told:
            yield mention


def _is_code(mention: Mention) -> bool:
    return mention.file.endswith(("/gunicorn.py", ".ini", ".sh"))


def _places(mentions: Iterable[Mention]) -> str:
    named: dict[str, list[str]] = {}
    for each in mentions:
        named.setdefault(each.path or each.tree, []).append(each.place)
    return "; ".join(f"{_listed(tuple(dict.fromkeys(places)))} names {path}" for path, places in named.items())


def link_is_direct(case: Case) -> Problems:
    if case.method is Method.ARCHIVE and case.facts.middle_links:
        way = " → ".join([str(case.host.root), *case.facts.middle_links, case.facts.real])
        yield warning(
            "link",
            f"{way}: an upgrade lets {case.host.root} point to the new release itself",
            f"{_listed(case.facts.middle_links)} would still lead to the old release: remove it, or set `root` to it",
        )


def packages_belong_here(case: Case) -> Problems:
    strays = [name for name in case.facts.stray_packages if name not in plugins(case)]
    if strays and case.method is Method.ARCHIVE:
        folder = f"{case.facts.real}/{case.host.product.name}"
        yield warning(
            "leftover",
            f"{_listed(tuple(f'{folder}/{name}' for name in strays))} did not come with this release and is no plugin: "
            "an older release has left it, and an upgrade does not take it along",
            "nothing to do; if it is your own, name it in PLUGINS",
            "community-scripts/ProxmoxVE#308",
        )


def _services_line(case: Case, more: Iterable[str]) -> str:
    return f"services: [{', '.join(dict.fromkeys((*case.host.services, *more)))}]"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def _with_what_they_start(case: Case, names: tuple[str, ...]) -> tuple[str, ...]:
    """Name with a user's own systemd the units for whose sake it is there."""
    started = {unit.name: unit.triggers for unit in case.facts.tree_units if unit.name.startswith("user@")}
    of_users = {shortened(name): _listed(units) for name, units in started.items() if units}
    return tuple(f"{name} ({of_users[name]})" if name in of_users else name for name in names)


def _run(names: tuple[str, ...]) -> str:
    return "runs" if len(names) == 1 else "run"


def _them(names: tuple[str, ...]) -> str:
    return "it" if len(names) == 1 else "them"
