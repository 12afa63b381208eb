"""Install NetPoint into the folder of a practice server, as the installation guide would."""

import contextlib
import grp
import os
import pwd
import secrets
import shlex
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from netpoint_remote.practice import release
from netpoint_remote.practice.spec import ServerSpec
from netpoint_remote.practice.standins import scripts, venv

HERE = Path(__file__).parent
PYTHON = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
FOLDERS = ("etc/cron.daily", "etc/systemd/system", "home/admin", "opt", "root", "run/postgresql", "run/systemd/system",
           "tmp", "var/backups", "var/lib", "var/log/journal", "var/tmp")  # fmt: skip
RESTART_SECONDS = 2  # of the services here; contrib's 30 s would make every lesson a long one
EXPECTED_HOUSEKEEPING = Version("3.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where the services of one server answer."""

    http: int
    redis: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What one server's configuration hides."""

    database: str
    redis: str
    key: str


def make_secrets() -> Secrets:
    """Invent the secrets of one server; the database's is as awkward as an admin may choose it."""
    return Secrets(
        database=secrets.token_urlsafe(9) + """ it's "$1" \\""",
        redis=secrets.token_urlsafe(12),
        key=secrets.token_urlsafe(45),
    )


def prepare(version: str, tree: Path, wheels: Path, root: Path) -> None:
    """Install one release completely by its own upgrade.sh, so that servers can be copied from it."""
    make_folders(root, "prepared")
    current = root / "opt/netpoint"
    shutil.copytree(tree, current, copy_function=shutil.copy2)
    hidden = make_secrets()
    write_configuration(root, current, hidden, Ports(http=0, redis=0), "prepared")
    sqlite3.connect(root / "run/postgresql/netpoint.db").close()
    environment = {**command_environment(root), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    done = subprocess.run([current / "upgrade.sh"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the practice release {version} could not be installed:\n{done.stdout}{done.stderr}")
    fill_database(root / "run/postgresql/netpoint.db")


def fill_database(path: Path) -> None:
    """Give the database some rows to lose."""
    with sqlite3.connect(path) as database:
        sites = [(f"site-{number:02}",) for number in range(1, 41)]
        database.executemany("INSERT INTO dcim_site (name) VALUES (?)", sites)
        devices = [(f"switch-{number:03}", number % 40 + 1) for number in range(1, 121)]
        database.executemany("INSERT INTO dcim_device (name, site_id) VALUES (?, ?)", devices)
        changes = [(name, "create") for (name,) in sites]
        columns = "(time, user_name, object_repr, action)"
        log = f"INSERT INTO extras_objectchange {columns} VALUES ('2024-01-01', 'admin', ?, ?)"  # noqa: S608  ours
        database.executemany(log, changes)
        database.execute("INSERT INTO auth_user (username, password) VALUES ('admin', '!')")
        sessions = [("of-today", "admin", "2099-01-01"), ("of-long-ago", "admin", "2001-01-01")]
        database.executemany("INSERT INTO django_session VALUES (?, ?, ?)", sessions)
        database.execute("INSERT INTO django_content_type (app_label, model) VALUES ('stale', 'thing')")
    database.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a server is installed from: the prepared server, the tree and the repository of its release."""

    prepared: Path
    tree: Path
    repository: Path


def install(spec: ServerSpec, root: Path, source: Source, ports: Ports) -> Secrets:
    """Install a server into its folder, by the method its spec asks for."""
    make_folders(root, spec.name)
    hidden = make_secrets()
    link = root / "opt/netpoint"
    current = link if spec.git else root / f"opt/netpoint-{spec.version}"
    if spec.git:
        release.clone(source.repository, spec.version, current)
    else:
        shutil.copytree(source.tree, current, copy_function=shutil.copy2)
        link.symlink_to(f"{current}/")
    copy_installed(source.prepared / "opt/netpoint", current)
    shutil.copyfile(source.prepared / "run/postgresql/netpoint.db", root / "run/postgresql/netpoint.db")
    write_configuration(root, current, hidden, ports, spec.name)
    write_local_files(current)
    write_units(root, current)
    if Version(spec.version) >= EXPECTED_HOUSEKEEPING:
        write_housekeeping(root, current)
    return hidden


def make_folders(root: Path, name: str) -> None:
    """Make the folders of a server and put its stand-ins on their place."""
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    (root / "bin").mkdir()
    words = {"@ROOT@": str(root), "@PYTHON@": PYTHON, "@STANDINS@": str(HERE / "standins"), "@NAME@": name}
    for source in (HERE / "bin").iterdir():
        text = source.read_text("utf-8")
        for word, value in words.items():
            text = text.replace(word, shlex.quote(value))
        target = root / "bin" / source.name
        target.write_text(text, "utf-8")
        target.chmod(0o755)


def command_environment(root: Path) -> dict[str, str]:
    """Return all that a command on the server finds in its environment."""
    return {
        "HOME": str(root / "home/admin"),
        "LANG": "C.UTF-8",
        "LOGNAME": "admin",
        "PATH": f"{root}/bin:/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "TMPDIR": str(root / "tmp"),
        "USER": "admin",
    }


def copy_installed(source: Path, target: Path) -> None:
    """Copy what upgrade.sh made, and bind the environment to its new place."""
    for made in ("venv", "netpoint/static", "netpoint/project-static/docs"):
        if (source / made).exists():
            shutil.copytree(source / made, target / made, symlinks=True, copy_function=shutil.copy2)
    venv.make_environment(PYTHON, str(target / "venv"))
    for command in ("gunicorn", "mkdocs"):
        scripts.write_script(str(target / "venv"), command, command, "main")


def write_configuration(root: Path, current: Path, hidden: Secrets, ports: Ports, name: str) -> None:
    """Write configuration.py and gunicorn.py, and make the database's role known."""
    redis = {"HOST": "127.0.0.1", "PORT": ports.redis, "PASSWORD": hidden.redis, "SSL": False}
    database = {"NAME": "netpoint", "USER": "netpoint", "PASSWORD": hidden.database,
                "HOST": str(root / "run/postgresql"), "PORT": "5432", "CONN_MAX_AGE": 300}  # fmt: skip
    settings = {
        "ALLOWED_HOSTS": [f"{name}.example.org", "127.0.0.1", "localhost"],
        "DATABASE": database,
        "REDIS": {"tasks": {**redis, "DATABASE": 0}, "caching": {**redis, "DATABASE": 1}},
        "SECRET_KEY": hidden.key,
        "CENSUS_REPORTING_ENABLED": False,
    }
    configuration = current / "netpoint/netpoint/configuration.py"
    configuration.write_text("".join(f"{key} = {value!r}\n\n" for key, value in settings.items()), "utf-8")
    configuration.chmod(0o640)
    workers = "workers = 5\nthreads = 3\ntimeout = 120\nmax_requests = 5000\n"
    (current / "gunicorn.py").write_text(f"bind = '127.0.0.1:{ports.http}'\n{workers}", "utf-8")
    roles = root / "run/postgresql/roles"
    roles.write_text(f"netpoint:{hidden.database}\n", "utf-8")
    roles.chmod(0o600)


def write_local_files(current: Path) -> None:
    """Leave what an admin and users leave in an installation."""
    (current / "local_requirements.txt").write_text("# Plugins and django-auth-ldap would stand here.\n", "utf-8")
    media = current / "netpoint/media/image-attachments/site_1_rack.png"
    media.parent.mkdir(parents=True, exist_ok=True)
    media.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 16)
    (current / "netpoint/scripts/new_branch.py").write_text('"""Lay out a new branch."""\n', "utf-8")
    (current / "netpoint/reports/uplinks.py").write_text('"""Devices without an uplink."""\n', "utf-8")


def write_units(root: Path, current: Path) -> None:
    """Copy the units of contrib, as the guide says, with the paths and the user of this server; enable them."""
    user, group = user_and_group()
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    for name in ("netpoint.service", "netpoint-rq.service"):
        text = at_home((current / "contrib" / name).read_text("utf-8"), root)
        text = text.replace("User=netpoint", f"User={user}").replace("Group=netpoint", f"Group={group}")
        text = text.replace("RestartSec=30", f"RestartSec={RESTART_SECONDS}")
        (root / "etc/systemd/system" / name).write_text(text, "utf-8")
        (wants / name).symlink_to(f"../{name}")


def user_and_group() -> tuple[str, str]:
    """Return who we are; a container's user may have a number only."""
    user, group = str(os.getuid()), str(os.getgid())
    with contextlib.suppress(KeyError):
        user = pwd.getpwuid(os.getuid()).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(os.getgid()).gr_name
    return user, group


def write_housekeeping(root: Path, current: Path) -> None:
    """Schedule the nightly housekeeping; the path in its script is fixed in a copy, as the document asks."""
    target = root / "etc/cron.daily/netpoint-housekeeping"
    target.write_text(at_home((current / "contrib/netpoint-housekeeping.sh").read_text("utf-8"), root), "utf-8")
    target.chmod(0o755)


def at_home(text: str, root: Path) -> str:
    """Return a text of contrib with the paths of this server."""
    for place in ("/opt/netpoint", "/var/tmp/netpoint"):  # noqa: S108  as contrib's units have it
        text = text.replace(place, f"{root}{place}")
    return text
