"""Healthy servers and releases, of which a test changes what it is about: `case(facts(python="3.7"))`."""

from dataclasses import replace

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.facts import Database, Disk, Facts, Interpreter, Page, Unit
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.requirements import requirements_of_version
from netpoint_remote.planning.target import Target
from netpoint_remote.planning.version import DOOR_MIGRATION, parse_version

COMMITS = {"3.4.9": "a" * 40, "3.5.0": "b" * 40, "2.11.12": "c" * 40}
TOOLS = ("git", "wget", "tar", "gzip", "flock", "setsid", "timeout", "runuser", "setpriv", "pg_dump", "pg_restore",
         "psql", "systemctl")  # fmt: skip


def facts(version: str = "3.4.9", *, git: bool = False, python: str = "3.11.2", **changes: object) -> Facts:
    """Return what a probe sees on a healthy server with this release."""
    real = "/opt/netpoint" if git else f"/opt/netpoint-{version}"
    healthy = Facts(
        complete=True, user="root", uid=0, time=1_900_000_000, system="debian 12", systemd=True, tools=TOOLS,
        pg_dump_version="pg_dump (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)",
        link=None if git else f"{real}/", real=real, folder=True, git=git, tree=True, upgrade_script=True,
        disk_version=version, commit=COMMITS.get(version, "0" * 40) if git else "", branch="master" if git else "",
        interpreters=(Interpreter(path="/usr/bin/python3", version=python, makes_venv=True),),
        units=(unit("netpoint"), unit("netpoint-rq")), housekeeping="cron",
        disks=tuple(disk(path) for path in ("/opt", "/var/lib/netpoint-remote", "/var/backups/netpoint-remote")),
        secret_key_length=60, database=database(version), redis=(("caching", "7.0.15"), ("tasks", "7.0.15")),
        page=page(version),
    )  # fmt: skip
    return replace(healthy, **changes)


def unit(service: str, **changes: object) -> Unit:
    command = f"{{ path=/opt/netpoint/venv/bin/{service} ; argv[]=/opt/netpoint/venv/bin/{service} }}"
    running = Unit(
        name=f"{service}.service", load="loaded", active="active", sub="running", enabled="enabled", command=command,
        file=f"/etc/systemd/system/{service}.service", user="netpoint",
    )  # fmt: skip
    return replace(running, **changes)


def disk(path: str, device: str = "/dev/sda1", free_mb: int = 50_000) -> Disk:
    return Disk(path=path, device=device, free_mb=free_mb)


def database(version: str = "3.4.9", **changes: object) -> Database:
    """Return a PostgreSQL 15 that has recorded what the release needs to be left."""
    installed = parse_version(version)
    at_the_door = (3, 7) if installed.major == 3 else (2, 11)
    doors = {major: f"{app}.{name}" for major, (app, name) in DOOR_MIGRATION.items()}
    passed = [doors[major] for major in doors if major <= installed.major]
    reached = [doors[installed.major + 1]] if installed.release[:2] == at_the_door else []
    healthy = Database(
        name="netpoint", identity="7000000000000000000/netpoint", server_version_num=150008, size_mb=50,
        applied_count=300, doors=(*passed, *reached),
    )  # fmt: skip
    return replace(healthy, **changes)


def page(version: str = "3.4.9", **changes: object) -> Page:
    said = (("page", version), ("status", version), ("header", version.rpartition(".")[0]))
    return replace(Page(address="http://127.0.0.1:8001", login="200", static="200", versions=said), **changes)


def host(name: str = "np1", **changes: object) -> Host:
    return replace(Host(name=name, address=name), **changes)


def target(text: str = "3.5.0", **changes: object) -> Target:
    """Return a release for either method."""
    version = parse_version(text)
    release = Target(
        text=text, version=version, tree_version=text, requirements=requirements_of_version(version),
        sha256="5" * 64, url=f"https://example.org/v{text}.tar.gz", archive_mb=6, unpacked_mb=22,
        tag=f"v{text}", commit=COMMITS.get(text, "f" * 40),
    )  # fmt: skip
    return replace(release, **changes)


def case(seen: Facts | None = None, *, to: Target | str | None = "3.5.0", on: Host | None = None) -> Case:
    """Return a host that shall become `to`; None: it is only looked at."""
    wanted = target(to) if isinstance(to, str) else to
    return Case(host=on or host(), facts=seen or facts(), target=wanted, last_minors={})
