"""The pre-flight: what stands in the way of an upgrade, each finding with its remedy and its source.

A check is a function from a `Case` to problems. All run, whatever the others found: an operator at
night wants the whole list, once. A new check is one function and its name in `CHECKS`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from packaging.version import Version

from netpoint_remote.planning.facts import Disk, Facts, Interpreter, Unit
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import Method, method_of
from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.planning.target import Target
from netpoint_remote.planning.version import DOOR_MIGRATION, Hop, NotAVersion, parse_version, path

DOCUMENT = "the upgrade document"
Problems = Iterator[Problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One host as it is, and what it shall become (None: only look)."""

    host: Host
    facts: Facts
    target: Target | None
    last_minors: Mapping[int, int]

    @property
    def method(self) -> Method:
        return method_of(self.facts)

    @property
    def installed(self) -> Version | None:
        try:
            return parse_version(self.facts.disk_version)
        except NotAVersion:
            return None

    def crosses(self, release: str) -> bool:
        """Whether the way from the installed release to the target leads to or over this one."""
        installed = self.installed
        return bool(self.target and installed and installed < Version(release) <= self.target.version)


def find_problems(case: Case) -> tuple[Problem, ...]:
    """Return every problem of one host, blocking ones first."""
    found = [problem for check in CHECKS for problem in check(case)]
    return tuple(sorted(found, key=lambda problem: not problem.blocks))


def is_as_asked(case: Case) -> bool:
    """Whether the host already runs the target, judged by files, service, pages and the database's record alike."""
    facts, target = case.facts, case.target
    if target is None or facts.disk_version != target.tree_version or facts.interrupted:
        return False
    if case.method is Method.GIT and target.commit and facts.commit != target.commit:
        return False
    return not any(_ailments(case))


def _ailments(case: Case) -> Iterator[str]:
    """Say what keeps an installed release from being in service."""
    facts = case.facts
    for service in case.host.services:
        unit = facts.unit(service)
        if unit is None or not unit.runs:
            yield f"the service {service} is not running"
    if facts.database.error:
        yield f"the database does not answer: {facts.database.error}"
    elif facts.database.unapplied:
        yield f"migrations are not applied: {facts.database.unapplied}"
    if facts.page.error or facts.page.login != "200":
        yield f"the login page does not answer: {facts.page.error or facts.page.login or 'nothing'}"
    for source, version in facts.page.versions:
        if source in {"page", "status"} and not _same_release(version, facts.disk_version):
            yield f"version {version} is running, {facts.disk_version} is installed"
    if facts.page.static.startswith("missing"):
        yield "a static file is missing"


def _same_release(running: str, installed: str) -> bool:
    return running == installed or running.startswith(f"{installed}-")


def _error(code: str, message: str, remedy: str, source: str = "") -> Problem:
    return Problem(code=code, severity=Severity.ERROR, message=message, remedy=remedy, source=source)


def _warning(code: str, message: str, remedy: str, source: str = "") -> Problem:
    return Problem(code=code, severity=Severity.WARNING, message=message, remedy=remedy, source=source)


# ---- what is there


def probe_is_whole(case: Case) -> Problems:
    if not case.facts.complete:
        yield _error(
            "probe", "the probe did not come to its end", "run check again; if it stays, look at the host's log"
        )


def places_are_writable(case: Case) -> Problems:
    unwritable = sorted(set(case.facts.unwritable))
    if unwritable:
        yield _error(
            "permission",
            f"{case.facts.user} may not write to {', '.join(unwritable)}",
            "let the user become root by sudo (`become: true`), log in as root, or mount the disk for writing",
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
    yield _error(
        "install-method",
        found,
        "only the two documented methods can be upgraded; set `root` if it lies elsewhere, or upgrade it by hand",
        f"{DOCUMENT}, step 3 (netbox-community/netbox#9743)",
    )


def version_is_known(case: Case) -> Problems:
    if case.method is Method.FOREIGN:
        return
    installed = case.installed
    if installed is None:
        yield _error(
            "version",
            f"the installed version cannot be read ({case.facts.disk_version or 'nothing found'})",
            "look at settings.py or release.yaml on the server",
        )
    elif installed.is_devrelease:
        yield _warning(
            "version",
            f"the installed release calls itself {case.facts.disk_version}, a development version",
            "nothing to do if it is NetPoint 3.7.2, which was released that way",
        )
    elif installed.is_prerelease:
        yield _error(
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
        yield _error(
            "downgrade",
            f"{case.facts.disk_version} is newer than {target.text}: this would be a downgrade",
            "migrations cannot be reversed; restore a backup instead",
            "netbox-community/netbox#17830",
        )
        return
    if target.version.is_prerelease and target.tree_version == target.text:
        yield _error("version", f"{target.text} is a pre-release", "ask for a release")
    try:
        hops = path(installed, target.version, extra=case.last_minors)
    except ValueError as error:
        yield _error(
            "version-path",
            f"{case.facts.disk_version} to {target.text}: {error}",
            "say it in the hosts file: `last_minors`",
            DOCUMENT,
        )
        return
    if len(hops) > 1:
        yield _error(
            "version-path",
            f"{case.facts.disk_version} cannot be upgraded to {target.text} directly",
            f"go {_way(case.facts.disk_version, hops)}: first `upgrade --version` to a {hops[0]} release",
            f"{DOCUMENT}, introduction",
        )


def _way(installed: str, hops: Iterable[Hop]) -> str:
    return " → ".join([installed, *map(str, hops)])


def database_is_at_the_door(case: Case) -> Problems:
    """The database's own record counts too: a tree can be newer than what was migrated (netbox-community/netbox#8961)."""
    installed, target, database = case.installed, case.target, case.facts.database
    if installed is None or target is None or not database.applied_count or any(path_is_allowed(case)):
        return
    for major in range(installed.major + 1, target.version.major + 1):
        app, name = DOOR_MIGRATION.get(major, ("", ""))
        if app and f"{app}.{name}" not in database.doors:
            yield _error(
                "version-path",
                f"the database has not recorded {app}.{name}, which a release {major}.x builds on",
                "finish the upgrade to the last minor release of the major before (run its upgrade.sh), then try again",
                f"{DOCUMENT}, introduction (netbox-community/netbox#8961, #14853)",
            )


def release_remarks(case: Case) -> Problems:
    for remark in case.target.remarks if case.target else ():
        yield _warning("release", remark, "nothing to do if this is the release that you want")


# ---- what the release needs


def python_is_right(case: Case) -> Problems:
    if case.target is None:
        return
    needs, chosen = case.target.requirements, _chosen_python(case)
    source = f"{DOCUMENT}, step 2 ({needs.source})"
    if chosen is None:
        yield _error(
            "python",
            f"there is no {case.host.python or 'python3'}",
            "install Python, or set `python` to its path",
            source,
        )
        return
    version = Version(chosen.version)
    if version < needs.python_min:
        fitting = [
            other.path
            for other in case.facts.interpreters
            if Version(other.version) >= needs.python_min and other.makes_venv
        ]
        remedy = (
            f"set `python: {fitting[-1]}` in the hosts file"
            if fitting
            else f"install Python {needs.python_min} or newer"
        )
        yield _error(
            "python", f"Python {chosen.version} is too old: {case.target.text} needs {needs.python_min}", remedy, source
        )
    elif needs.python_max and version.release[:2] > needs.python_max.release[:2]:
        yield _warning(
            "python",
            f"Python {chosen.version} is newer than {case.target.text} was made for ({needs.python_max})",
            "packages may have to be built, or fail to; set `python` to an older one if there is one",
            source,
        )
    if not chosen.makes_venv:
        yield _error(
            "venv",
            f"{chosen.path} cannot make virtual environments",
            "install its venv module (Debian: python3-venv)",
            f"{DOCUMENT}, step 4 (netbox-community/netbox#5491)",
        )


def _chosen_python(case: Case) -> Interpreter | None:
    """The probe lists the interpreter that upgrade.sh would be given first, when it exists at all."""
    first = next(iter(case.facts.interpreters), None)
    wanted = (case.host.python or "python3").rsplit("/", 1)[-1]
    return first if first and first.path.rsplit("/", 1)[-1] == wanted else None


def postgresql_is_right(case: Case) -> Problems:
    database = case.facts.database
    if database.error:
        yield _error(
            "database",
            f"the database does not answer: {database.error}",
            "look at PostgreSQL and DATABASE in configuration.py",
        )
        return
    if case.target is None or not database.server_version_num:
        return
    major = _postgresql_version(database.server_version_num)
    if major < case.target.requirements.postgresql_min:
        yield _error(
            "postgresql",
            f"PostgreSQL {major} is too old: {case.target.text} needs {case.target.requirements.postgresql_min}",
            "upgrade PostgreSQL first",
            f"{DOCUMENT}, step 2 ({case.target.requirements.source})",
        )


def _postgresql_version(number: int) -> Version:
    """Read server_version_num: 90624 is 9.6, 150018 is 15."""
    return Version(str(number // 10000)) if number >= 100000 else Version(f"{number // 10000}.{number // 100 % 100}")


def database_can_be_migrated(case: Case) -> Problems:
    database = case.facts.database
    if database.error:
        return
    if not database.can_create:
        yield _error(
            "database",
            "NetPoint's role may not create tables in its schema",
            "GRANT CREATE ON SCHEMA public TO the role (needed since PostgreSQL 15)",
            "netbox-community/netbox#13679",
        )
    if database.foreign_owned:
        yield _error(
            "database",
            f"{database.foreign_owned} tables belong to another role than NetPoint's",
            "give them to it: REASSIGN OWNED, or ALTER TABLE ... OWNER TO",
            "netbox-community/netbox#11846",
        )
    if database.in_recovery:
        yield _error("database", "the database is a read-only replica", "upgrade the server that uses the primary")
    if database.ahead and not case.facts.interrupted:
        yield _error(
            "database",
            f"the database is newer than the installed code: {database.ahead}",
            "a dump of a newer release was restored, or an upgrade was taken back without its database: restore the fitting dump",
            "netbox-community/netbox#14928",
        )


def rows_fit_the_migrations(case: Case) -> Problems:
    """Rows that known migrations stop at (release notes of 3.2 and 3.4)."""
    database, prefix = case.facts.database, case.host.product.environment_prefix
    bypass = f"{prefix}_DELETE_LEGACY_DATA" in dict(case.host.environment)
    twice = database.duplicate_devices + database.duplicate_vms
    if case.crosses("3.4.0") and twice:
        yield _error(
            "data",
            f"{twice} device or machine names differ only in upper and lower case",
            "rename them: 3.4 makes them unique",
            "netbox-community/netbox#11266",
        )
    for release, count, what in (
        ("3.2.0", database.legacy_sites, "sites"),
        ("3.4.0", database.legacy_providers, "providers"),
    ):
        if case.crosses(release) and count and not bypass:
            yield _error(
                "data",
                f"{count} {what} still hold ASN or contact data that {release[:3]} removes",
                f"move it to the new models on the running release, or set {prefix}_DELETE_LEGACY_DATA in `environment` to lose it",
                f"release notes of {release[:3]}",
            )


def pg_dump_is_right(case: Case) -> Problems:
    tools, number = case.facts.tools, case.facts.database.server_version_num
    missing = [tool for tool in ("pg_dump", "pg_restore", "psql") if tool not in tools]
    if missing:
        yield _error(
            "pg_dump",
            f"{', '.join(missing)} not found",
            "install the PostgreSQL client (Debian: postgresql-client)",
            DOCUMENT,
        )
    elif number and case.facts.pg_dump_version:
        words = [word for word in case.facts.pg_dump_version.split() if word[0].isdigit()]
        if words and int(words[0].split(".")[0]) < number // 10000:
            yield _error(
                "pg_dump",
                f"pg_dump {words[0]} cannot dump PostgreSQL {number // 10000}",
                f"install the client of PostgreSQL {number // 10000} or newer",
                "pg_dump refuses newer servers",
            )


def redis_is_right(case: Case) -> Problems:
    for name, answer in case.facts.redis:
        if answer.startswith("error"):
            yield _error(
                "redis",
                f"Redis ({name}) does not answer: {answer}",
                "look at Redis and REDIS in configuration.py",
                f"{DOCUMENT}, step 2",
            )
            continue
        try:
            version = parse_version(answer)
        except NotAVersion:
            continue
        if case.target and version < case.target.requirements.redis_min:
            yield _error(
                "redis",
                f"Redis {answer} ({name}) is too old: {case.target.text} needs {case.target.requirements.redis_min}",
                "upgrade Redis first",
                f"{DOCUMENT}, step 2 ({case.target.requirements.source})",
            )


def configuration_is_right(case: Case) -> Problems:
    facts = case.facts
    if case.method is Method.FOREIGN:
        return
    if facts.configuration_error:
        yield _error(
            "configuration", f"configuration.py cannot be read: {facts.configuration_error}", "mend it on the server"
        )
        return
    if facts.missing_keys:
        yield _error(
            "configuration", f"configuration.py lacks {', '.join(facts.missing_keys)}", "set them on the server"
        )
    if case.crosses("3.5.0") and 0 < facts.secret_key_length < SHORTEST_SECRET_KEY:
        yield _error(
            "configuration",
            f"SECRET_KEY has {facts.secret_key_length} characters, and releases since 3.5 want {SHORTEST_SECRET_KEY}",
            "set a new one (everybody has to log in again)",
            "netbox-community/netbox#12449",
        )


SHORTEST_SECRET_KEY = 50


def local_packages_are_listed(case: Case) -> Problems:
    """Step 4: "verify that any optional Python packages required by your deployment are listed in local_requirements.txt"."""
    listed, configuration = case.facts.local_requirements, case.facts.configuration
    if case.facts.ldap and "django-auth-ldap" not in listed:
        uses = "ldap" in str(configuration.get("REMOTE_AUTH_BACKEND", "")).lower()
        make = _error if uses else _warning
        yield make(
            "packages",
            "ldap_config.py is there, and django-auth-ldap is not in local_requirements.txt",
            "list it, or nobody can log in by LDAP after the upgrade",
            f"{DOCUMENT}, step 4 (netbox-community/netbox#4328)",
        )
    plugins = configuration.get("PLUGINS")
    unlisted = (
        [str(plugin) for plugin in plugins if not _is_listed(str(plugin), listed)] if isinstance(plugins, list) else []
    )
    if unlisted:
        yield _warning(
            "packages",
            f"no package in local_requirements.txt looks like the plugins {', '.join(unlisted)}",
            "list the packages that bring them; the new environment has only what is listed",
            f"{DOCUMENT}, step 4 (netbox-community/netbox#23024)",
        )


def _is_listed(plugin: str, listed: Iterable[str]) -> bool:
    name = plugin.lower().replace("_", "-").split(".", maxsplit=1)[0]
    return any(name in package or package in name for package in listed)


# ---- the server


def tools_are_there(case: Case) -> Problems:
    needed = ["tar", "gzip", "flock", "setsid", "timeout", "systemctl"] + (["git"] if case.method is Method.GIT else [])
    missing = [tool for tool in needed if tool not in case.facts.tools]
    if missing:
        yield _error("tools", f"{', '.join(missing)} not found on the server", "install them")


def units_are_right(case: Case) -> Problems:
    if case.method is Method.FOREIGN:
        return
    for service in case.host.services:
        unit = case.facts.unit(service)
        if unit is None or unit.load == "not-found":
            yield _error(
                "service",
                f"there is no unit {service}",
                "name the units in the hosts file: `services`",
                f"{DOCUMENT}, step 5",
            )
            continue
        if not unit.runs:
            yield _warning(
                "service", f"{service} is {unit.active or 'not running'}", f"look at it: journalctl -eu {service}"
            )
        if unit.enabled not in {"enabled", "static", "alias", "generated", "linked", "indirect"}:
            yield _warning(
                "service",
                f"{service} is not enabled: it will not come back after a reboot",
                f"systemctl enable {service}",
            )
        yield from _command_is_right(case, service, unit)


def _command_is_right(case: Case, service: str, unit: Unit) -> Problems:
    real, root = case.facts.real, str(case.host.root)
    if case.method is Method.ARCHIVE and real != root and f"{real}/" in unit.command:
        yield _error(
            "service",
            f"{service} runs {real} itself, not {root}: it would go on running the old release",
            f"let {unit.file or 'its unit file'} name {root} only, then systemctl daemon-reload",
            "netbox-community/netbox#508",
        )
    elif unit.command and f"{root}/venv/" not in unit.command:
        yield _warning(
            "service",
            f"{service} does not run the virtual environment in {root}/venv",
            "its unit file will be replaced by the release's example if it is one from before 2.7.9; check it afterwards",
            f"{DOCUMENT}, step 5",
        )


def paths_are_lasting(case: Case) -> Problems:
    if case.method is not Method.ARCHIVE:
        return
    named = [key for key, value in case.facts.configuration.items() if _within(str(value), case.facts.real)]
    if named:
        yield _warning(
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
            yield _error(
                "leftover",
                f"{tree.path} is there already (it holds {tree.version or 'no release'})",
                "it may be half of an earlier attempt: move it aside",
            )


def new_folder(case: Case) -> PurePosixPath:
    """Return where the new tree is: beside the old one and named like it, or the checkout itself.

    `/opt/netpoint-3.4.9` becomes `/opt/netpoint-3.5.0`; a folder without its version in its name gets
    the document's name, the link's with the version behind it.
    """
    old, version = PurePosixPath(case.facts.real), case.target.text if case.target else ""
    if case.method is Method.GIT or is_repair(case):
        return old
    installed = case.facts.disk_version
    if installed and installed in old.name:
        return old.with_name(old.name.replace(installed, version))
    return old.parent / f"{case.host.root.name}-{version}"


def is_repair(case: Case) -> bool:
    """Whether the target is installed already and only not in service: then upgrade.sh is run again in place."""
    return case.target is not None and case.facts.disk_version == case.target.tree_version


def checkout_is_clean(case: Case) -> Problems:
    if case.method is Method.GIT and case.facts.dirty:
        shown = ", ".join(line.strip() for line in case.facts.dirty[:3])
        yield _error(
            "checkout",
            f"the checkout has local changes: {shown}{' ...' if len(case.facts.dirty) > 3 else ''}",  # noqa: PLR2004 as many as shown
            "commit them elsewhere, move them away or `git stash` them; they are never reset by this program",
            "netbox-community/netbox#18384",
        )


def disk_is_large_enough(case: Case) -> Problems:
    """A release, its environment, copies of the uploaded files, the packages and the dump, summed up for each disk."""
    if case.target is None or case.method is Method.FOREIGN:
        return
    for device, (disk, needed) in _space_needed(case).items():
        if disk.free_mb < needed:
            yield _error(
                "disk",
                f"{disk.free_mb} MB are free where {disk.path} lies ({device}), and about {needed} MB are needed",
                "make room: remove old releases and dumps that nobody needs, or set `backup_dir` elsewhere",
            )


WHEELS_MB = 150
SLACK_MB = 100


def _space_needed(case: Case) -> dict[str, tuple[Disk, int]]:
    sizes = dict(case.facts.sizes_mb)
    target = case.target
    assert target is not None  # noqa: S101  the caller asked
    copies = sum(sizes.get(name, 0) for name in ("media", "scripts", "reports")) if case.method is Method.ARCHIVE else 0
    wanted = (
        target.unpacked_mb + max(sizes.get("venv", 0), WHEELS_MB) + copies + SLACK_MB,
        target.archive_mb + WHEELS_MB,
        case.facts.database.size_mb + SLACK_MB,
    )
    needed: dict[str, tuple[Disk, int]] = {}
    for disk, megabytes in zip(case.facts.disks, wanted, strict=False):
        before = needed.get(disk.device)
        needed[disk.device] = (disk, megabytes + (before[1] if before else 0))
    return needed


def nobody_else_is_at_it(case: Case) -> Problems:
    facts = case.facts
    if facts.lock_held:
        yield _error(
            "lock",
            f"an upgrade is running on this host: {facts.run_about or facts.run_id or 'by somebody'}",
            "wait for its end; it goes on by itself whether or not somebody watches",
        )
    elif facts.interrupted:
        yield _warning(
            "interrupted",
            f"the last run here was interrupted: {facts.run_about or facts.run_id}",
            "an upgrade undoes first what it left behind",
        )


def release_is_in_service(case: Case) -> Problems:
    """Disk, running service and database must tell the same story; where they do not, say so."""
    if case.method is Method.FOREIGN or case.facts.database.error:
        return
    ailments = [ailment for ailment in _ailments(case) if not ailment.startswith("the service")]
    for ailment in ailments:
        yield _warning(
            "half-upgraded" if is_repair(case) else "health",
            ailment,
            "upgrade.sh is run again by an upgrade, or look at the log",
        )


CHECKS: tuple[Callable[[Case], Problems], ...] = (
    probe_is_whole,
    places_are_writable,
    installation_is_known,
    version_is_known,
    path_is_allowed,
    database_is_at_the_door,
    release_remarks,
    python_is_right,
    postgresql_is_right,
    database_can_be_migrated,
    rows_fit_the_migrations,
    pg_dump_is_right,
    redis_is_right,
    configuration_is_right,
    local_packages_are_listed,
    tools_are_there,
    units_are_right,
    paths_are_lasting,
    folder_is_free,
    checkout_is_clean,
    disk_is_large_enough,
    nobody_else_is_at_it,
    release_is_in_service,
)


def shared_databases(facts: Mapping[str, Facts]) -> dict[str, Problem]:
    """Return a problem for each host whose database another host of the run has too (netbox-community/netbox#17136)."""
    owners: dict[str, list[str]] = {}
    for name, seen in facts.items():
        identity = seen.database.identity
        if identity:
            owners.setdefault(identity, []).append(name)
    return {
        name: _error(
            "shared-database",
            f"{' and '.join(other for other in names if other != name)} works on the same database",
            "upgrade one of them first (--limit) with the others' services stopped; a deployment of several servers is not handled yet",
            "netbox-community/netbox#17136",
        )
        for names in owners.values()
        if len(names) > 1
        for name in names
    }
