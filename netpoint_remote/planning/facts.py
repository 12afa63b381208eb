"""What the probe saw on one server: lines of `name=value` in, a frozen value out.

Everything here was printed by a server and is untrusted: what is not understood is left out, never believed.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from netpoint_remote.planning.sizes import MEBI
from netpoint_remote.planning.tree_facts import CronJob, Mention, Process, Session, TreeUnit, read_facts
from netpoint_remote.planning.unit_names import with_ending

LONGEST = MEBI  # characters of a probe that are read at most
MOST_LINES = 20_000  # of a probe: a server with hundreds of backups has a few thousand
MANY_RESTARTS = 3  # of a unit by systemd itself, since somebody started it
MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One Python that upgrade.sh could be given; `makes_venv` needs its venv and ensurepip modules."""

    path: str
    version: str
    makes_venv: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One systemd unit in systemd's own words; `command` is its ExecStart, `names` has its aliases too.

    `seconds_up` is how long it has been active, -1 where that is not known.
    """

    name: str
    load: str = ""
    active: str = ""
    sub: str = ""
    enabled: str = ""
    command: str = ""
    file: str = ""
    user: str = ""
    restarts: int = 0
    seconds_up: int = -1
    names: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether it runs and stays up: one that is started again and again is active for a moment each time."""
        return self.active == "active" and not (self.restarts >= MANY_RESTARTS and 0 <= self.seconds_up < MINUTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The free space where `path` lies or would lie."""

    path: str
    device: str
    free_mb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Something beside the running release that is named like the new one; `ours` where this program unpacked it."""

    path: str
    version: str
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a manifest on the server says; sizes in bytes.

    `made` is in seconds since the epoch, by the server's clock. `changes` counts what the change log has
    since (None: nobody can tell), `changers` names who. A backup of an upgrade `leads_to` its new release.
    `damage` says what is missing of it, as far as sizes tell.
    """

    id: str
    purpose: str = ""
    made: int = 0
    operator: str = ""
    method: str = ""
    tree: str = ""
    version: str = ""
    leads_to: str = ""
    commit: str = ""
    ref: str = ""
    verified: str = ""
    dump_size: int = 0
    files_size: int = 0
    damage: str = ""
    changes: int | None = None
    changers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A release that lies on the server, or what was set aside of one; `ours` if we put it there or left it."""

    path: str
    version: str
    size_mb: int = 0
    ours: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What PostgreSQL said; `error` when it said nothing, `root_error` when it does not let root in.

    `unapplied` and `ahead` compare its record with the tree. `foreign_owned` are the first few tables of other roles.
    `identity` names the database, `instance` the running server too: clones of one image share the former.
    `scratch` is who may make another database (role, superuser, nobody), where that was asked for, and
    `scratch_refused` why the role may not log in to it.
    `unreadable` is what the role may not read and pg_dump would stop at; `built_on` what other roles have built on
    its tables, `views` the views on them, of any owner (the first few of each). `lock_table` has the number of
    its objects, each of which a restore locks, how many locks there is room for, and max_locks_per_transaction.
    """

    host: str = ""
    port: str = ""
    name: str = ""
    error: str = ""
    root_error: str = ""
    identity: str = ""
    instance: str = ""
    server_version_num: int = 0
    size_mb: int = 0
    can_create: bool = True
    scratch: str = ""
    scratch_refused: str = ""
    foreign_owned: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    lock_table: tuple[int, ...] = ()
    built_on: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    in_recovery: bool = False
    applied_count: int = 0
    unapplied: str = ""
    ahead: str = ""
    doors: tuple[str, ...] = ()
    locked_by: str = ""
    duplicate_devices: int = 0
    duplicate_vms: int = 0
    legacy_sites: int = 0
    legacy_providers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What users get: `login` is an HTTP status, `versions` maps where it was said to what was said."""

    address: str = ""
    error: str = ""
    login: str = ""
    trouble: str = ""
    static: str = ""
    versions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One server as the probe saw it; names follow the probe's.

    `sizes_mb` are those of the environment and the folders of uploads, `local_mb` of what else in the release is large
    and may be local; of what is in `unmeasured` they are a part.
    `linked` are folders of uploads behind links, which stay where they are. `wanted_variables` are those of the
    unit's environment that configuration.py asks for.
    `processes` to `middle_links` are what uses a release: `mounts` are at or below one, `middle_links` lie between
    the root and the release, `stray_packages` did not come with it. `tree_users_error` says why they are not known.
    """

    complete: bool = False
    user: str = ""
    uid: int = -1
    time: int = 0
    boot_id: str = ""
    memory_mb: int = 0
    system: str = ""
    systemd: bool = False
    tools: tuple[str, ...] = ()
    pg_dump_version: str = ""
    link: str | None = None
    real: str = ""
    folder: bool = False
    git: bool = False
    tree: bool = False
    upgrade_script: bool = False
    docker: bool = False
    pip: bool = False
    disk_version: str = ""
    beside: tuple[Tree, ...] = ()
    ldap: bool = False
    local_requirements: tuple[str, ...] = ()
    commit: str = ""
    branch: str = ""
    shallow: bool = False
    origin: str = ""
    dirty: tuple[str, ...] = ()
    own_commits: tuple[str, ...] = ()
    """Commits of the checkout that are in no release and did not come from the origin: hash and subject."""
    git_trouble: str = ""
    """Why git could not look at the checkout."""
    interpreters: tuple[Interpreter, ...] = ()
    units: tuple[Unit, ...] = ()
    outdated_units: tuple[str, ...] = ()
    """Those that run gunicorn or manage.py as before there was a virtual environment."""
    housekeeping: str = ""
    disks: tuple[Disk, ...] = ()
    unwritable: tuple[str, ...] = ()
    unwritable_units: tuple[str, ...] = ()
    """Folders of units that cannot be written to."""
    unwritable_cron: str = ""
    weak: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    sizes_mb: tuple[tuple[str, int], ...] = ()
    local_mb: tuple[tuple[str, int], ...] = ()
    unmeasured: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    """Folders of uploads that really lie in the release, by whatever name: name, and path in the release."""
    lock_held: bool = False
    run_id: str = ""
    run_root: str = ""
    run_result: str = ""
    run_about: str = ""
    configuration_error: str = ""
    configuration: Mapping[str, object] = field(default_factory=dict)
    missing_keys: tuple[str, ...] = ()
    wanted_variables: tuple[str, ...] = ()
    withheld_files: tuple[tuple[str, str], ...] = ()
    """Files that the unit names to libpq and others can write, by variable: upgrade.sh gets none of them."""
    secret_key_length: int = 0
    secret_key_print: str = ""
    database: Database = Database()
    redis: tuple[tuple[str, str], ...] = ()
    bind: str = ""
    """Where gunicorn listens, as it is configured."""
    page: Page = Page()
    lock_owner: str = ""
    unsettled: bool = False
    rolled_back: tuple[tuple[str, str], ...] = ()
    backups: tuple[Backup, ...] = ()
    releases: tuple[Kept, ...] = ()
    asides: tuple[Kept, ...] = ()
    runs: tuple[str, ...] = ()
    archives_mb: int = 0
    leftovers: tuple[tuple[str, int], ...] = ()
    processes: tuple[Process, ...] = ()
    tree_units: tuple[TreeUnit, ...] = ()
    cron_jobs: tuple[CronJob, ...] = ()
    mentions: tuple[Mention, ...] = ()
    sessions: tuple[Session, ...] = ()
    mounts: tuple[str, ...] = ()
    middle_links: tuple[str, ...] = ()
    stray_packages: tuple[str, ...] = ()
    tree_users_error: str = ""
    addresses: tuple[str, ...] = ()
    git_folder: str = ""
    git_folder_elsewhere: bool = False
    modes: tuple[str, ...] = ()
    remotes: tuple[str, ...] = ()

    def unit(self, service: str) -> Unit | None:
        """Return the unit of a service, by any of its names, with or without its ending."""
        name = with_ending(service)
        return next((unit for unit in self.units if name in (unit.name, *unit.names)), None)

    @property
    def interrupted(self) -> bool:
        """Whether the last run here is still to be ended: its server went down under it, or it could not go back."""
        return bool(self.run_id) and (not self.run_result or self.unsettled) and not self.lock_held


class _Lines:
    """The probe's lines by name, in order."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        for line in text[:LONGEST].split("\n", MOST_LINES)[:MOST_LINES]:
            name, equals, value = line.partition("=")
            if equals:
                self._values.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.get(name, ()))

    def number(self, name: str) -> int:
        return _number(self.text(name))

    def yes(self, name: str) -> bool:
        return self.text(name) in {"yes", "true", "t"}

    def has(self, name: str) -> bool:
        return name in self._values

    def under(self, prefix: str) -> Iterator[tuple[str, str]]:
        for name, values in self._values.items():
            if name.startswith(prefix):
                yield name.removeprefix(prefix), values[0]


def parse_facts(text: str) -> Facts:
    """Read what `probe.sh` printed; lines that mean nothing to us are passed over."""
    lines = _Lines(text)
    return Facts(
        complete=lines.yes("probe.complete"),
        user=lines.text("host.user"),
        uid=lines.number("host.uid") if lines.has("host.uid") else -1,
        time=lines.number("host.time"),
        boot_id=lines.text("host.boot_id"),
        memory_mb=lines.number("host.memory_mb"),
        system=lines.text("host.system"),
        systemd=lines.yes("host.systemd"),
        tools=lines.texts("tool"),
        pg_dump_version=lines.text("pg_dump.version"),
        link=lines.text("install.link") if lines.has("install.link") else None,
        real=lines.text("install.real"),
        folder=lines.yes("install.folder"),
        git=lines.yes("install.git"),
        tree=lines.yes("install.tree"),
        upgrade_script=lines.yes("install.upgrade_script"),
        docker=lines.yes("install.docker"),
        pip=lines.yes("install.pip"),
        disk_version=lines.text("version.disk"),
        beside=tuple(_trees(lines.texts("beside"))),
        ldap=lines.yes("install.ldap"),
        local_requirements=tuple(name.lower().replace("_", "-") for name in lines.texts("local_requirement")),
        commit=lines.text("git.commit"),
        shallow=lines.yes("git.shallow"),
        branch=lines.text("git.branch"),
        origin=lines.text("git.origin"),
        dirty=lines.texts("git.dirty"),
        own_commits=lines.texts("git.own_commit"),
        git_trouble=lines.text("git.trouble"),
        interpreters=tuple(_interpreters(lines.texts("python"))),
        units=tuple(_units(lines)),
        outdated_units=lines.texts("outdated_unit"),
        housekeeping=lines.text("housekeeping"),
        disks=tuple(_disks(lines.texts("disk"))),
        unwritable=lines.texts("unwritable"),
        unwritable_units=lines.texts("unwritable_units"),
        unwritable_cron=lines.text("unwritable_cron"),
        weak=lines.texts("weak"),
        exposed=lines.texts("exposed"),
        sizes_mb=tuple(_sizes(lines.texts("size"))),
        local_mb=tuple(_sizes(lines.texts("local"))),
        unmeasured=lines.texts("unmeasured"),
        linked=lines.texts("linked"),
        inside=tuple((name, path) for name, _, path in (text.partition(" ") for text in lines.texts("inside"))),
        lock_held=lines.yes("lock.held"),
        run_id=lines.text("run.id"),
        run_root=lines.text("run.root"),
        run_result=lines.text("run.result"),
        run_about=lines.text("run.about"),
        configuration_error=lines.text("configuration.error"),
        configuration=_configuration(lines.text("configuration")),
        missing_keys=tuple(lines.text("configuration.missing").split()),
        wanted_variables=tuple(lines.text("configuration.environment").split()),
        withheld_files=tuple(_files(lines.texts("withheld"))),
        secret_key_length=lines.number("configuration.secret_key_length"),
        secret_key_print=lines.text("configuration.secret_key_print"),
        database=_database(lines),
        redis=tuple(lines.under("redis.")),
        bind=lines.text("address"),
        page=_page(lines),
        lock_owner=lines.text("lock.owner"),
        unsettled=lines.yes("run.unsettled"),
        rolled_back=tuple((version, about) for version, _, about in map(_words, lines.texts("rolled_back"))),
        backups=tuple(_backups(lines)),
        releases=tuple(_releases(lines.texts("release"))),
        asides=tuple(_asides(lines.texts("aside"))),
        runs=tuple(filter(ID.fullmatch, lines.texts("run.kept"))),
        archives_mb=lines.number("archives"),
        leftovers=tuple(_sizes(lines.texts("leftover"))),
        processes=read_facts(Process, lines.texts("process")),
        tree_units=read_facts(TreeUnit, lines.texts("tree_unit")),
        cron_jobs=read_facts(CronJob, lines.texts("cron_job")),
        mentions=read_facts(Mention, lines.texts("mention")),
        sessions=read_facts(Session, lines.texts("session")),
        mounts=lines.texts("mount"),
        middle_links=lines.texts("middle_link"),
        stray_packages=lines.texts("stray_package"),
        tree_users_error=lines.text("tree_users.error"),
        addresses=tuple(lines.text("host.addresses").split()),
        git_folder=lines.text("git.folder"),
        git_folder_elsewhere=lines.yes("git.folder_elsewhere"),
        modes=lines.texts("git.mode"),
        remotes=lines.texts("git.remote"),
    )


ID = re.compile(r"[A-Za-z0-9-]{1,100}")


def _words(value: str) -> tuple[str, str, str]:
    return value.partition(" ")


def _backups(lines: _Lines) -> Iterator[Backup]:
    """Yield the backups, newest first."""
    told: dict[str, dict[str, str]] = {}
    for name, value in lines.under("backup."):
        identity, _, key = name.partition(".")
        if ID.fullmatch(identity):
            told.setdefault(identity, {})[key] = value
    backups = (_backup(identity, values, lines.text(f"db.changes.{identity}")) for identity, values in told.items())
    return iter(sorted(backups, key=lambda backup: (backup.made, backup.id), reverse=True))


def _backup(identity: str, values: Mapping[str, str], changes: str) -> Backup:
    count, _, changers = changes.partition(" ")
    texts = ("purpose", "operator", "method", "tree", "version", "leads_to", "commit", "ref", "verified", "damage")
    return Backup(
        id=identity,
        made=_number(values.get("made", "")),
        dump_size=_number(values.get("size.database.dump", "")),
        files_size=_number(values.get("size.files.tar", "")),
        changes=_number(count) if count else None,
        changers=changers,
        **{name: values.get(name, "") for name in texts},
    )


def _releases(values: Iterable[str]) -> Iterator[Kept]:
    for value in values:
        ours, size, version, path = (*value.split(" ", 3), "", "", "")[:4]
        yield Kept(path=path, version=version, size_mb=_number(size), ours=ours == "ours")


def _asides(values: Iterable[str]) -> Iterator[Kept]:
    for value in values:
        size, version, path = (*value.split(" ", 2), "", "")[:3]
        yield Kept(path=path, version=version, size_mb=_number(size))


def _files(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield variables and paths that can be pasted into a hosts file as they are."""
    for value in values:
        if re.fullmatch(r"PG[A-Z]+ /[\w./@+-]+", value):
            name, _, path = value.partition(" ")
            yield name, path


def _number(text: str) -> int:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < len(str(2**63)) else 0


def _interpreters(values: Iterable[str]) -> Iterator[Interpreter]:
    seen = set()
    for value in values:
        path, _, rest = value.partition(" ")
        version, _, able = rest.partition(" ")
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){1,2}", version) and path not in seen:
            seen.add(path)
            yield Interpreter(path=path, version=version, makes_venv=able == "venv")


def _trees(values: Iterable[str]) -> Iterator[Tree]:
    for value in values:
        ours, _, rest = value.partition(" ")
        version, _, path = rest.partition(" ")
        yield Tree(path=path, version="" if version == "-" else version, ours=ours == "ours")


def _units(lines: _Lines) -> Iterator[Unit]:
    now = lines.number("host.uptime")
    units: dict[str, dict[str, str]] = {}
    for name, value in lines.under("unit."):
        unit, _, key = name.rpartition(".")
        units.setdefault(unit, {})[key] = value
    for name, values in units.items():
        yield Unit(
            name=name,
            load=values.get("LoadState", ""),
            active=values.get("ActiveState", ""),
            sub=values.get("SubState", ""),
            enabled=values.get("UnitFileState", ""),
            command=values.get("ExecStart", ""),
            file=values.get("FragmentPath", ""),
            user=values.get("User", ""),
            restarts=_number(values.get("NRestarts", "")),
            names=tuple(values.get("Names", "").split()),
            seconds_up=_seconds_up(now, _number(values.get("ActiveEnterTimestampMonotonic", ""))),
        )


def _seconds_up(now: int, since: int) -> int:
    """Return for how long; both count from the boot, `since` in microseconds, and 0 is not known."""
    return max(now - since // 1_000_000, 0) if now and since else -1


def _disks(values: Iterable[str]) -> Iterator[Disk]:
    for value in values:
        device, _, rest = value.partition(" ")
        free, _, path = rest.partition(" ")
        yield Disk(path=path, device=device, free_mb=_number(free))


def _sizes(values: Iterable[str]) -> Iterator[tuple[str, int]]:
    for value in values:
        megabytes, _, name = value.partition(" ")
        yield name, _number(megabytes)


def _configuration(text: str) -> Mapping[str, object]:
    try:
        read = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _database(lines: _Lines) -> Database:
    return Database(
        host=lines.text("database.host"),
        port=lines.text("database.port"),
        name=lines.text("database.name"),
        error=lines.text("db.error"),
        root_error=lines.text("db.root_error"),
        instance=lines.text("db.instance"),
        identity=lines.text("db.identity"),
        server_version_num=lines.number("db.server_version_num"),
        size_mb=lines.number("db.size_mb"),
        can_create=lines.yes("db.can_create") or not lines.has("db.can_create"),
        scratch=lines.text("db.scratch"),
        scratch_refused=lines.text("db.scratch_refused"),
        foreign_owned=lines.texts("db.foreign"),
        unreadable=lines.texts("db.unreadable"),
        lock_table=tuple(map(_number, lines.text("db.lock_table").split())),
        built_on=lines.texts("db.built_on"),
        views=lines.texts("db.view"),
        in_recovery=lines.yes("db.in_recovery"),
        applied_count=lines.number("db.applied_count"),
        unapplied=lines.text("db.unapplied"),
        ahead=lines.text("db.ahead"),
        doors=lines.texts("db.door"),
        locked_by=lines.text("db.locked_by"),
        duplicate_devices=lines.number("db.duplicate_devices"),
        duplicate_vms=lines.number("db.duplicate_vms"),
        legacy_sites=lines.number("db.legacy_sites"),
        legacy_providers=lines.number("db.legacy_providers"),
    )


def _page(lines: _Lines) -> Page:
    return Page(
        address=lines.text("page.address"),
        error=lines.text("page.error"),
        login=lines.text("page.login"),
        trouble=lines.text("page.trouble"),
        static=lines.text("page.static"),
        versions=tuple(lines.under("page.version.")),
    )
