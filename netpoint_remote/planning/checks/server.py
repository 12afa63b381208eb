"""Whether the server can carry an upgrade: tools, units, folders, disks, locks, and whether NetPoint is well."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from netpoint_remote.planning.case import Case, ailments, is_repair, new_folder
from netpoint_remote.planning.checks.finding import DOCUMENT, Problems, error, warning
from netpoint_remote.planning.facts import MANY_RESTARTS, Backup, Disk, Unit
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.plan import UPLOAD_SETTINGS, uploads_to_copy
from netpoint_remote.planning.problem import Severity
from netpoint_remote.planning.sizes import MEBI, human_mb
from netpoint_remote.planning.tree_users import manager_of

TO_REPAIR = "; if this upgrade is to repair it, say --repair-broken"


def tools_are_there(case: Case) -> Problems:
    needed = ["tar", "gzip", "flock", "setsid", "timeout", "runuser", "setpriv", "systemctl"] + (
        ["git"] if case.method is Method.GIT else []
    )
    missing = [tool for tool in needed if tool not in case.facts.tools]
    if missing:
        yield error("tools", f"{', '.join(missing)} not found on the server", "install them")


def units_are_right(case: Case) -> Problems:
    if case.method is Method.FOREIGN:
        return
    for service in case.services:
        unit = case.facts.unit(service)
        if unit is None or unit.load == "not-found":
            if manager_of(case.facts.processes):  # which is told of what it runs
                continue
            yield error(
                "service",
                f"there is no unit {service}",
                "name the units in the hosts file: `services`",
                f"{DOCUMENT}, step 5",
            )
            continue
        if unit.enabled not in {"enabled", "static", "alias", "generated", "linked", "indirect"}:
            yield warning(
                "service",
                f"{service} is not enabled: it will not come back after a reboot",
                f"systemctl enable {service}",
            )
        yield from _command_is_right(case, service, unit)


def services_are_running(case: Case) -> Problems:
    """Refuse a server whose services do not run, unless it is to be repaired.

    What an interrupted run has stopped is started by the run that settles it.
    """
    tolerated = is_repair(case) or case.repair_broken or case.facts.interrupted
    for problem in services_may_be_down(case):
        yield problem if tolerated else replace(problem, severity=Severity.ERROR, remedy=f"{problem.remedy}{TO_REPAIR}")


def services_may_be_down(case: Case) -> Problems:
    """Warn of services that do not run: a way back is gone when NetPoint is ill."""
    if case.method is Method.FOREIGN or case.facts.lock_held:
        return
    for service in case.services:
        unit = case.facts.unit(service)
        if unit is not None and unit.load != "not-found" and not unit.runs:
            yield warning("service", f"{service} {_state(unit)}", f"find out why: journalctl -eu {service}")


def _state(unit: Unit) -> str:
    if unit.restarts >= MANY_RESTARTS and unit.active in {"active", "activating"}:
        return f"does not stay up: systemd has started it again {unit.restarts} times"
    return f"is {unit.active or 'not running'}"


def _command_is_right(case: Case, service: str, unit: Unit) -> Problems:
    real, root = case.facts.real, str(case.host.root)
    if case.method is Method.ARCHIVE and real != root and f"{real}/" in unit.command:
        yield error(
            "service",
            f"{service} runs {real} itself, not {root}: it would continue to run the old release",
            f"let {unit.file or 'its unit file'} name {root} only, then systemctl daemon-reload",
            "netbox-community/netbox#508",
        )
    elif service in case.facts.outdated_units:
        yield warning(
            "service",
            f"{service} does not run the virtual environment in {root}/venv",
            "its unit file will be replaced by the release's example; check it afterwards",
            f"{DOCUMENT}, step 5",
        )


def socket_has_its_place(case: Case) -> Problems:
    """Refuse a socket in a folder that each release brings: in the new one NetPoint's user cannot listen."""
    if case.method is not Method.ARCHIVE or not case.facts.bind.startswith("unix:") or is_repair(case):
        return
    path = PurePosixPath("/" + case.facts.bind.removeprefix("unix:").lstrip("/"))
    product = case.host.product.name
    brought = {tree / inner for tree in (case.host.root, PurePosixPath(case.facts.real)) for inner in ("", product)}
    user = next((unit.user for unit in case.facts.units if unit.user), "root")
    if path.parent in brought and user != "root":
        yield error(
            "socket",
            f"NetPoint listens at {path}: that folder comes with the release, and in the new one {user} may not write",
            f"let it listen in a folder of its own, such as {case.host.root}/run, or in /run (RuntimeDirectory=)",
            "benoitc/gunicorn#2436",
        )


def paths_are_lasting(case: Case) -> Problems:
    if case.method is not Method.ARCHIVE:
        return
    named = [key for key, value in case.facts.configuration.items() if _within(str(value), case.facts.real)]
    if named:
        yield warning(
            "configuration",
            f"{', '.join(named)} in configuration.py name the folder of the old release ({case.facts.real})",
            f"name {case.host.root} instead, or a folder outside; the old release must not be removed before",
            "netbox-community/netbox#338",
        )


def _within(path: str, folder: str) -> bool:
    return bool(folder) and (path == folder or path.startswith(f"{folder}/"))


def folder_is_free(case: Case) -> Problems:
    if case.method is not Method.ARCHIVE or case.target is None or is_repair(case):
        return
    for tree in case.facts.beside:
        if tree.path == str(new_folder(case)) and not tree.ours:
            yield error(
                "leftover",
                f"{tree.path} is there already (it holds {tree.version or 'no release'})",
                "it may be half of an earlier attempt: move it aside",
            )


def checkout_is_clean(case: Case) -> Problems:
    # What a run has left half-way is undone first, and looked at again.
    if case.method is not Method.GIT or case.facts.interrupted or case.facts.lock_held:
        return
    git = f"git -C {case.facts.real}"
    if case.facts.git_trouble:
        yield error(
            "checkout",
            f"git cannot look at the checkout: {case.facts.git_trouble}",
            "others may write to the checkout, so git runs as its owner, who must be able to read all of it: "
            f"chown -R --reference={case.facts.real} {case.facts.real}/.git",
        )
    untracked = tuple(line[3:] for line in case.facts.dirty if line.startswith(UNTRACKED))
    changed = tuple(line.strip() for line in case.facts.dirty if not line.startswith(UNTRACKED))
    in_the_way = tuple(path for path in untracked if _is_brought(case, path))
    if changed:
        yield error(
            "checkout",
            f"the checkout has local changes: {_first(changed)}",
            f"commit them elsewhere, move them away or `{git} stash`; they are never reset by this program",
            "netbox-community/netbox#18384",
        )
    if case.facts.own_commits:
        branch = case.facts.branch
        kept = f"they stay on the branch {branch}" if branch else f"`{git} branch ours` keeps them"
        yield error(
            "checkout",
            f"the checkout has commits that no release has: {_first(case.facts.own_commits)}",
            f"the new release would come without them: check the release itself out, `{git} checkout "
            f"v{case.facts.disk_version}` ({kept}), and bring them to the new one after the upgrade",
            "netbox-community/netbox#18384",
        )
    if in_the_way:
        yield error(
            "checkout",
            f"the release brings what lies in the checkout and is not git's: {_first(in_the_way)}",
            f"move it away, or `{git} stash -u`",
            "netbox-community/netbox#18384",
        )
    aside = tuple(path for path in untracked if path not in in_the_way)
    if aside:
        yield warning(
            "checkout",
            f"files in the checkout are not git's: {_first(aside)}",
            f"nothing to do if they are yours: they stay as they are; else `{git} stash -u`",
        )
    if case.facts.modes:
        yield error(
            "checkout",
            f"files in the checkout differ in nothing but their mode: {_first(case.facts.modes)}",
            f"`{git} config core.fileMode false` lets git pass over modes",
            "netbox-community/netbox#18384",
        )
    if case.facts.git_folder_elsewhere:
        yield error(
            "checkout",
            f"git keeps its folder on another disk than the checkout: {case.facts.git_folder}",
            "move it to the same disk: what the upgrade keeps aside there is moved, not copied",
        )


UNTRACKED = "?? "


def _is_brought(case: Case, path: str) -> bool:
    """Whether the release has this file, or something in this folder; git puts unusual names into quotes."""
    plain = path.strip('"')
    paths = case.target.paths if case.target else frozenset()
    return plain in paths or any(each.startswith(plain.rstrip("/") + "/") for each in paths)


def _first(names: tuple[str, ...], most: int = 3) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def disk_is_large_enough(case: Case) -> Problems:
    """Sum up, for each disk: release, environment, copies of uploaded and local files, packages, dump."""
    if case.target is None or case.method is Method.FOREIGN:
        return
    large = ", ".join(f"{name} ({human_mb(size)})" for name, size in _copied(case).items() if size > SLACK_MB)
    advice = "make room: `prune` removes old releases and backups; or set `backup_dir` elsewhere"
    for disk, needed in _space_needed(case):
        if disk.free_mb < needed:
            yield error(
                "disk",
                _too_little(disk, needed),
                f"{advice}; the new release gets a copy of {large}"
                if large and disk is case.facts.disks[0]
                else advice,
            )
    yield from _sizes_are_known(case, ("venv", *_copied(case)))


def _copied(case: Case) -> dict[str, int]:
    """Return the sizes of what is copied from the old release to the new one, in MB, by name."""
    if case.method is not Method.ARCHIVE or is_repair(case):
        return {}
    sizes = dict(case.facts.sizes_mb)
    local = {name: size for name, size in case.facts.local_mb if not _is_brought(case, name)}
    return local | {name: sizes.get(name, 0) for name in uploads_to_copy(case)}


def _too_little(disk: Disk, needed: int) -> str:
    free, wanted = human_mb(disk.free_mb), human_mb(needed)
    return f"{free} is free where {disk.path} lies ({disk.device}), and about {wanted} is needed"


def _sizes_are_known(case: Case, names: Iterable[str]) -> Problems:
    unknown = [name for name in names if name in case.facts.unmeasured]
    if unknown:
        yield warning(
            "disk",
            f"{', '.join(unknown)} could not be measured in time: whether there is room enough is not known",
            "compare `du -sh` of the folder with `df -h` before you continue",
        )


WHEELS_MB = 150
SLACK_MB = 100


def _space_needed(case: Case) -> Iterable[tuple[Disk, int]]:
    sizes = dict(case.facts.sizes_mb)
    target = case.target
    assert target is not None  # noqa: S101  the caller asked
    copies = sum(_copied(case).values())
    is_git = case.method is Method.GIT
    wanted = (
        target.unpacked_mb + max(sizes.get("venv", 0), WHEELS_MB) + copies + SLACK_MB,
        target.archive_mb + WHEELS_MB + max(sizes.get("venv", 0), WHEELS_MB) + (target.unpacked_mb if is_git else 0),
        case.facts.database.size_mb + SLACK_MB,
    )
    needed: dict[str, tuple[Disk, int]] = {}
    for disk, megabytes in zip(case.facts.disks, wanted, strict=False):
        before = needed.get(disk.device)
        needed[disk.device] = (disk, megabytes + (before[1] if before else 0))
    return needed.values()


def backup_has_room(case: Case) -> Problems:
    """Count the dump as large as the database, and the files as they are."""
    sizes = dict(case.facts.sizes_mb)
    names = tuple(name for _, name in UPLOAD_SETTINGS)
    local = dict(case.facts.local_mb)
    files = sum(sizes.get(name, 0) for name in names) + sum(local.values())
    yield from _backups_have_room(case, case.facts.database.size_mb + files + SLACK_MB)
    yield from _sizes_are_known(case, (*local, *names))


def way_back_has_room(case: Case, backup: Backup | None) -> Problems:
    """Count the dump of what is left as large as the database, and what is replaced as large as the files put back."""
    files = backup.files_size // MEBI if backup else 0
    yield from _backups_have_room(case, case.facts.database.size_mb + files + SLACK_MB)


def _backups_have_room(case: Case, needed: int) -> Problems:
    for disk in case.facts.disks:
        if disk.path == str(case.host.backup_dir) and disk.free_mb < needed:
            yield error(
                "disk",
                _too_little(disk, needed),
                "make room: `prune` removes old backups and releases; or set `backup_dir` elsewhere",
            )


def nobody_else_is_at_it(case: Case) -> Problems:
    facts = case.facts
    if facts.lock_held:
        whose = _signed(facts.lock_owner) or facts.run_about or "owner unknown"
        yield error(
            "lock",
            f"another run is in progress on this host: {whose}",
            "wait until it ends (`attach` shows it), or ask it to `stop`; it continues when you detach",
        )
    elif facts.database.locked_by:
        yield error(
            "lock",
            f"another run is using this database: {facts.database.locked_by}",
            "it runs on another server; wait for its end",
        )
    elif facts.unsettled:
        yield warning(
            "unsettled",
            f"the last run here could not be undone: {facts.run_about or facts.run_id}",
            "fix the cause; the next run undoes its leftovers first",
        )
    elif facts.interrupted:
        yield warning(
            "interrupted",
            f"the last run here was interrupted: {facts.run_about or facts.run_id}",
            "the next upgrade undoes its leftovers first",
        )


def release_is_in_service(case: Case) -> Problems:
    """See that what will prove the new release proves the running one: disk, service, pages and database alike.

    What a run has left half-way is undone first, and looked at again.
    """
    facts = case.facts
    if case.method is Method.FOREIGN or facts.lock_held or facts.interrupted:
        return
    if facts.database.error or facts.configuration_error:  # which is told, and all else comes of it
        return
    for ailment in (each for each in ailments(case) if not each.startswith("the service")):
        if is_repair(case):
            yield warning("half-upgraded", ailment, "an upgrade to this release runs its upgrade.sh again")
        elif case.repair_broken:
            yield warning("health", ailment, "nothing to do if this is what the upgrade is to repair")
        else:
            yield error("health", ailment, _remedy(ailment))


def _remedy(ailment: str) -> str:
    if ailment.startswith(("the login page", "version", "a static file")):
        return (
            f"set `health.url` in the hosts file to where users reach it, or fix it: NetPoint's log, nginx{TO_REPAIR}"
        )
    return f"look at it: journalctl, and NetPoint's own log{TO_REPAIR}"


def release_was_not_rolled_back(case: Case) -> Problems:
    for version, about in case.facts.rolled_back:
        if case.target and version == case.target.tree_version and not is_repair(case):
            yield warning(
                "rolled-back",
                f"{version} was rolled back on this host before ({about})",
                "continue only if the cause is fixed",
            )


def _signed(owner: str) -> str:
    """Return who signed the lock in words: `run X, started by alice@ws`."""
    run, _, rest = owner.strip().partition(" ")
    return f"run {run}, started by {rest.partition(' ')[0]}" if rest else ""
