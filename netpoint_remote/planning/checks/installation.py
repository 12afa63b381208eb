"""What is installed, and whether the way to the target is allowed."""

import re
from collections.abc import Iterable

from packaging.version import Version

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks.finding import DOCUMENT, Problems, error, warning
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.version import DOOR_MIGRATION, Hop, path

# Before there is no such command, and since 4.4 it needs no scheduling.
HOUSEKEEPING = (Version("3.0"), Version("4.4"))


def probe_is_whole(case: Case) -> Problems:
    if not case.facts.complete:
        yield error("probe", "the probe did not finish", "run check again; if it stays, look at the host's log")


def places_are_writable(case: Case) -> Problems:
    unwritable = sorted(set(case.facts.unwritable))
    if unwritable:
        yield error(
            "permission",
            f"{case.facts.user} may not write to {', '.join(unwritable)}",
            "let the user become root by sudo (`become: true`), log in as root, or mount the disk for writing",
            f"{DOCUMENT}, step 4",
        )


def units_are_writable(case: Case) -> Problems:
    """Refuse a server where no unit can be added: one of ours brings NetPoint back after a power cut in the window."""
    unwritable = tuple(dict.fromkeys(case.facts.unwritable_units))
    if unwritable and case.method is not Method.FOREIGN:
        yield error(
            "permission",
            f"{case.facts.user} may not write to {', '.join(unwritable)}, where units are put for the window",
            "if it is mounted read-only, let it be writable until the upgrade is done: mount -o remount,rw",
        )


def schedule_is_writable(case: Case) -> Problems:
    """Refuse a server where housekeeping is to be scheduled and cannot be: that is seen only after the window."""
    is_needed = case.target and HOUSEKEEPING[0] <= case.target.version < HOUSEKEEPING[1]
    if is_needed and case.facts.unwritable_cron and case.facts.housekeeping not in {"cron", "timer"}:
        yield error(
            "permission",
            f"{case.facts.user} may not write to {case.facts.unwritable_cron}, and housekeeping is not scheduled yet",
            "schedule it by cron or a timer, or let that folder be writable until the upgrade is done",
            f"{DOCUMENT}, step 6",
        )


def places_are_safe(case: Case) -> Problems:
    """See that nobody else can change root's own scripts, or read the dumps: they lie there."""
    for weak in dict.fromkeys(case.facts.weak):
        yield error(
            "unsafe-place",
            f"what is kept as root could be changed or read by others: {weak}",
            "give it to root and remove write access for others, or set `state_dir` and `backup_dir` elsewhere",
        )


def installation_is_safe(case: Case) -> Problems:
    """Warn of who could become root by the installation: a look already runs configuration.py as root."""
    exposed = tuple(dict.fromkeys(case.facts.exposed))
    if exposed and case.method is not Method.FOREIGN:
        yield warning(
            "unsafe-install",
            f"others may change what runs as root here: {'; '.join(exposed)}",
            "give the installation back to root (chown), but for media, reports and scripts",
            f"{DOCUMENT}, step 4",
        )


def installation_is_known(case: Case) -> Problems:
    facts, root = case.facts, case.host.root
    if case.method is not Method.FOREIGN:
        return
    if not facts.folder:
        found = f"there is no {case.host.product.name} at {root}"
    elif facts.docker or "Docker" in facts.disk_version:
        found = "it runs in a container"
    elif facts.pip:
        found = "it was installed as a Python package"
    elif facts.link is not None and facts.git:
        found = f"{root} is a link to a git checkout: both methods are mixed"
    elif facts.tree and not facts.git:
        found = f"{root} is a plain folder, neither a link to a release nor a git checkout"
    else:
        found = f"{root} holds no {case.host.product.name} release (manage.py or upgrade.sh is missing)"
    yield error(
        "install-method",
        found,
        "only the two documented methods can be upgraded; set `root` if it lies elsewhere, or upgrade it by hand",
        f"{DOCUMENT}, step 3 (netbox-community/netbox#9743)",
    )


def folder_is_plain(case: Case) -> Problems:
    """upgrade.sh hands its folder to `eval`: a blank in it lets `rm -rf` loose on the wrong folder."""
    if case.method is not Method.FOREIGN and not PLAIN.fullmatch(case.facts.real):
        yield error(
            "install-path",
            f"{case.facts.real} has characters that upgrade.sh takes for shell",
            "move it to a folder named with letters, digits and _ . , + @ = - only",
            f"{DOCUMENT}, step 4",
        )


PLAIN = re.compile(r"/[A-Za-z0-9_.,+@=/-]+")


def version_is_known(case: Case) -> Problems:
    if case.method is Method.FOREIGN:
        return
    installed = case.installed
    if installed is None:
        yield error(
            "version",
            f"the installed version cannot be read ({case.facts.disk_version or 'nothing found'})",
            "look at settings.py or release.yaml on the server",
        )
    elif installed.is_devrelease:
        yield warning(
            "version",
            f"the installed release calls itself {case.facts.disk_version}, a development version",
            "nothing to do if it is NetPoint 3.7.2, which was released that way",
        )
    elif installed.is_prerelease:
        yield error(
            "version",
            f"the installed version {case.facts.disk_version} is a pre-release",
            "pre-releases have no upgrade path: restore a release",
            "netbox-community/netbox#5742",
        )


# ---- the path


def path_is_allowed(case: Case) -> Problems:
    installed, target = case.installed, case.target
    if installed is None or target is None or case.facts.disk_version == target.tree_version:
        return
    if installed > target.version:
        yield error(
            "downgrade",
            f"{case.facts.disk_version} is newer than {target.text}: this would be a downgrade",
            "migrations cannot be reversed; to return to the previous release: `netpoint-remote rollback`",
            "netbox-community/netbox#17830",
        )
        return
    if target.version.is_prerelease and target.tree_version == target.text:
        yield error("version", f"{target.text} is a pre-release", "ask for a release")
    try:
        hops = path(installed, target.version, extra=case.last_minors)
    except ValueError as unknown:
        yield error(
            "version-path",
            f"{case.facts.disk_version} to {target.text}: {unknown}",
            "say it in the hosts file: `last_minors`",
            DOCUMENT,
        )
        return
    if len(hops) > 1:
        yield error(
            "version-path",
            f"{case.facts.disk_version} cannot be upgraded to {target.text} directly",
            f"go {_way(case.facts.disk_version, hops)}: first `netpoint-remote upgrade --version "
            f"{hops[0].minor}.N`, with the newest release of {hops[0].minor}",
            f"{DOCUMENT}, introduction",
        )


def _way(installed: str, hops: Iterable[Hop]) -> str:
    return " → ".join([installed, *map(str, hops)])


def database_is_at_the_door(case: Case) -> Problems:
    """Ask the database's own record too: a tree can be newer than what was migrated (netbox-community/netbox#8961)."""
    installed, target, database = case.installed, case.target, case.facts.database
    if installed is None or target is None or not database.applied_count or any(path_is_allowed(case)):
        return
    for major in range(installed.major + 1, target.version.major + 1):
        app, name = DOOR_MIGRATION.get(major, ("", ""))
        if app and f"{app}.{name}" not in database.doors:
            yield error(
                "version-path",
                f"the database has not recorded {app}.{name}, which a release {major}.x builds on",
                "finish the upgrade to the last minor release of the major before (run its upgrade.sh), then try again",
                f"{DOCUMENT}, introduction (netbox-community/netbox#8961, #14853)",
            )


def release_remarks(case: Case) -> Problems:
    for remark in case.target.remarks if case.target else ():
        yield warning("release", remark, "nothing to do if this is the release that you want")
