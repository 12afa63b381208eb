"""The first installation of NetPoint on a lab server, as its documentation tells, with data in it.

An installation takes half a minute, so it is made once and kept as a filesystem layer:

    server = netpoint_server("np1", keys=keys, installation=Installation("3.4.9", method="git"))
    server.boot()                                  # NetPoint 3.4.9 serves its pages
"""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.version import Version
from tests.lab.cache import built_once, digest
from tests.lab.netpoint.releases import VERSIONS, generator, make_git, make_release, top_folder
from tests.lab.servers import Keys, LabError, Server
from tests.lab.slots import Slot, scratch
from tests.lab.wheels import recipe, wheels

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "6"
"""Raise it when installations are made in another way."""

ROOT = "/opt/netpoint"
PIP = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": "/srv/wheels",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_COMPILE": "0",  # pip takes that for yes; the wheels have their bytecode
}
"""What upgrade.sh needs in its environment on a lab server, where no package index can be reached."""

USUAL_PAUSE = 30
"""Seconds that NetPoint's units wait before they start again, as its documentation has them."""

USER = "operator"
PASSWORD = "operator's own password"
OWN_FILES = {
    "netpoint/media/image-attachments/site_1_rack.png": "\x89PNG lab",
    "netpoint/scripts/audit.py": "NAME = 'audit'\n",
    "netpoint/reports/cabling.py": "NAME = 'cabling'\n",
}
"""Files the users of NetPoint brought, owned by its service user."""

CONFIGURATION = """\
ALLOWED_HOSTS = {allowed_hosts!r}
DATABASE = {{
    "NAME": "netpoint",
    "USER": "netpoint",
    "PASSWORD": {database_password!r},
    "HOST": "localhost",
    "PORT": "",
    "CONN_MAX_AGE": 300,
}}
REDIS = {{
    "tasks": {{"HOST": "localhost", "PORT": 6379, "PASSWORD": "", "DATABASE": 0, "SSL": False}},
    "caching": {{"HOST": "localhost", "PORT": 6379, "PASSWORD": "", "DATABASE": 1, "SSL": False}},
}}
SECRET_KEY = "made new for each server"
BASE_PATH = {base_path!r}
LOGIN_REQUIRED = {login_required!r}
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """How a server's NetPoint was installed, and what it holds."""

    version: str
    method: Literal["archive", "git"] = "archive"
    housekeeping: bool = True
    base_path: str = ""
    login_required: bool = False
    allowed_hosts: tuple[str, ...] = ("*",)
    database_password: str = 'it\'s a "lab" \\ $1'
    sites: int = 50
    devices: int = 2000

    @property
    def folder(self) -> str:
        return ROOT if self.method == "git" else f"/opt/netpoint-{self.version}"


def netpoint_server(
    name: str,
    *,
    keys: Keys,
    installation: Installation,
    sudo_asks: bool = False,
    cloned: bool = False,
    restart_pause: int = 1,
    shares: Mapping[str, Path] | None = None,
) -> Server:
    """Return a switched-off server with NetPoint on it, its SECRET_KEY and its database cluster its own.

    A `cloned` server keeps the cluster identifier of the others, as virtual machines copied from one template do.
    `restart_pause` is how many seconds its units wait before they start again; NetPoint's own pause is
    `USUAL_PAUSE`. An upgrade watches them five seconds longer than that.
    """
    everything = {**usual_shares(), **(shares or {})}
    layers = (image(installation),)
    server = Server(name, keys=keys, layers=layers, shares=everything, sudo_asks=sudo_asks)
    try:
        _renew_secret_key(server.root / installation.folder.lstrip("/") / "netpoint/netpoint/configuration.py")
        if restart_pause != USUAL_PAUSE:
            _set_restart_pause(server.root, restart_pause)
        if not cloned:
            _renew_cluster(server.root)
    except BaseException:
        server.close()
        raise
    return server


def image(installation: Installation) -> Path:
    """Return the filesystem layer of an installation, making it when it is not in the cache."""
    name = f"image-{digest(FORMAT, recipe(), generator(), repr(installation))}"
    return built_once(name, lambda slot: _make_image(installation, slot.folder))


def git_folder() -> Path:
    """Return a folder with the repository of all releases, `netpoint.git`."""
    return built_once(f"git-{generator()}", _make_git_folder)


def usual_shares() -> dict[str, Path]:
    """Return what every server sees of this machine; the repository under the same path as here."""
    return {"/srv/wheels": wheels(), "/srv/releases": archives(), str(git_folder()): git_folder()}


def archives() -> Path:
    """Return a folder with the archives of all releases, `v3.5.0.tar.gz` and so on."""
    return built_once(f"archives-{generator()}", _make_archives)


def install(server: Server, installation: Installation) -> None:
    """Install NetPoint on a running server that has the usual shares."""
    _prepare_database(server, installation)
    server.run("adduser --system --group --quiet netpoint")
    _unpack(server, installation)
    _configure(server, installation)
    upgrade_sh(server, installation.folder)
    _fill(server, installation)
    _enable_services(server, installation)


def upgrade_sh(server: Server, folder: str, **environment: str) -> str:
    """Run the upgrade script of a tree as its documentation says, and return what it printed."""
    settings = shlex.join(f"{name}={value}" for name, value in {**PIP, **environment}.items())
    done = server.run(f"cd / && env {settings} {folder}/upgrade.sh 2>&1")
    if "Upgrade complete!" not in done.stdout:
        raise LabError(f"upgrade.sh said nothing of its end:\n{done.stdout}")
    return done.stdout


def _make_image(installation: Installation, folder: Path) -> None:
    with scratch() as keys:
        server = Server("image", keys=Keys.make(keys.folder), shares=usual_shares())
        try:
            server.boot()
            install(server, installation)
            server.power_off()
            server.keep_disk(folder)
        finally:
            server.close()


def _make_git_folder(slot: Slot) -> None:
    make_git(VERSIONS, slot.folder / "netpoint.git")


def _make_archives(slot: Slot) -> None:
    for version in VERSIONS:
        make_release(version, slot.folder)


def _prepare_database(server: Server, installation: Installation) -> None:
    password = installation.database_password.replace("'", "''")
    server.run(
        ["psql", "--quiet", "--set=ON_ERROR_STOP=1"],
        user="postgres",
        text=f"CREATE ROLE netpoint LOGIN PASSWORD '{password}';\nCREATE DATABASE netpoint OWNER netpoint;\n",
    )


def _unpack(server: Server, installation: Installation) -> None:
    version = installation.version
    if installation.method == "git":
        server.run(
            f"git clone --quiet file://{git_folder()}/netpoint.git {ROOT} && git -C {ROOT} checkout --quiet v{version}"
        )
        return
    server.run(f"tar -xzf /srv/releases/v{version}.tar.gz -C /opt")
    if top_folder(version) != f"netpoint-{version}":
        server.run(f"mv /opt/{top_folder(version)} {installation.folder}")
    server.run(f"ln -sfn {installation.folder}/ {ROOT}")


def _configure(server: Server, installation: Installation) -> None:
    folder = installation.folder
    _write(server, f"{folder}/netpoint/netpoint/configuration.py", _configuration(installation), "root:netpoint 640")
    _write(server, f"{folder}/local_requirements.txt", "# nothing besides\n", "root:root 644")
    _write(server, f"{folder}/gunicorn.py", _gunicorn(), "root:root 644")
    for path, text in OWN_FILES.items():
        _write(server, f"{folder}/{path}", text, "root:root 640")
    server.run(f"cd {folder}/netpoint && chown --recursive netpoint:netpoint media scripts reports")


def _configuration(installation: Installation) -> str:
    text = CONFIGURATION.format(
        allowed_hosts=list(installation.allowed_hosts),
        database_password=installation.database_password,
        base_path=installation.base_path,
        login_required=installation.login_required,
    )
    return text.replace("made new for each server", secrets.token_urlsafe(48))


def _renew_secret_key(configuration: Path) -> None:
    key_line = f'SECRET_KEY = "{secrets.token_urlsafe(48)}"'
    configuration.write_text(re.sub("^SECRET_KEY = .*$", key_line, configuration.read_text(), flags=re.MULTILINE))


def _renew_cluster(root: Path) -> None:
    """Give the database cluster, cleanly shut down, a system identifier of its own."""
    for cluster in root.glob("var/lib/postgresql/*/main"):
        with (cluster / "global/pg_control").open("r+b") as control:
            control.write(secrets.token_bytes(8))
        version = cluster.parent.name
        reset = f"/usr/lib/postgresql/{version}/bin/pg_resetwal"
        subprocess.run(
            ["chroot", "--userspec=postgres:postgres", root, reset, "--force", f"/{cluster.relative_to(root)}"],
            check=True,
            capture_output=True,
        )


def _set_restart_pause(root: Path, seconds: int) -> None:
    for service in ("netpoint", "netpoint-rq"):
        drop_in = root / f"usr/local/lib/systemd/system/{service}.service.d/lab.conf"
        drop_in.parent.mkdir(parents=True)
        # With the pause that NetPoint's units really make, systemd never gives one up.
        drop_in.write_text(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec={seconds}\n")


def _gunicorn() -> str:
    return (Path(__file__).parent / "tree/contrib/gunicorn.py").read_text()


def _fill(server: Server, installation: Installation) -> None:
    """Add sites, devices and a user."""
    sites, devices = installation.sites, installation.devices
    columns, values = "name, slug", "'Site ' || n, 'site-' || n"
    if Version(installation.version) >= Version("3.0"):
        columns, values = f"{columns}, description", f"{values}, 'of the lab'"
    status = (", status", ", 'active'") if Version(installation.version) >= Version("3.0") else ("", "")
    serial = "label" if Version(installation.version) >= Version("3.5") else "serial"
    server.run(
        ["psql", "--quiet", "--set=ON_ERROR_STOP=1", "netpoint"],
        user="postgres",
        text=f"""
            INSERT INTO dcim_site ({columns}) SELECT {values} FROM generate_series(1, {sites}) n;
            INSERT INTO dcim_device (name, site_id, {serial}{status[0]})
                SELECT 'device-' || n, 1 + n % {sites}, 'SN' || n{status[1]} FROM generate_series(1, {devices}) n;
            INSERT INTO dcim_cable (label, length) SELECT 'cable-' || n, n % 5 FROM generate_series(1, 20) n;
            INSERT INTO extras_objectchange (time, action, changed_object_id, object_repr, changed_object_type_id)
                SELECT now(), 'create', s.id, s.name, t.id FROM dcim_site s
                CROSS JOIN (SELECT id FROM django_content_type WHERE app_label = 'dcim' AND model = 'site') t;
        """,
    )
    account = f"DJANGO_SUPERUSER_USERNAME={USER} DJANGO_SUPERUSER_PASSWORD={shlex.quote(PASSWORD)}"
    manage = f"{installation.folder}/venv/bin/python {installation.folder}/netpoint/manage.py"
    server.run(f"{account} DJANGO_SUPERUSER_EMAIL=lab@example.com {manage} createsuperuser --noinput")


def _enable_services(server: Server, installation: Installation) -> None:
    server.run(f"cp {ROOT}/contrib/netpoint.service {ROOT}/contrib/netpoint-rq.service /etc/systemd/system/")
    server.run(f"cp {ROOT}/contrib/nginx.conf /etc/nginx/sites-enabled/netpoint && systemctl reload nginx")
    server.run("systemctl daemon-reload && systemctl enable --quiet --now netpoint netpoint-rq")
    if installation.housekeeping and Version(installation.version) >= Version("3.0"):
        server.run(f"ln -s {ROOT}/contrib/netpoint-housekeeping.sh /etc/cron.daily/netpoint-housekeeping")


def _write(server: Server, path: str, text: str, owner_and_mode: str) -> None:
    owner, mode = owner_and_mode.split()
    server.run(f"cat > {path} && chown {owner} {path} && chmod {mode} {path}", text=text)
