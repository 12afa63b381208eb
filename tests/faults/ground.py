"""A lab server that faults can be put into, at the beginning of a journey, and what it was like then."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.clock import install_clock
from tests.faults.disks import Disks
from tests.faults.mirror import Mirror
from tests.faults.orders import Orders
from tests.faults.states import UPLOADED, State, served
from tests.lab.asking import log_in
from tests.lab.lab import Lab
from tests.lab.netpoint.install import git_folder, image
from tests.lab.operator import TIMEOUT, Fab, Run
from tests.lab.rootfs import SUDO_PASSWORD
from tests.lab.servers import LabError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.journeys import Journey
    from tests.lab.servers import Server

NAME = "np1"
BEFORE, MEANWHILE = "uploaded before\n", "uploaded while packages were staged\n"

KEY = 'SECRET_KEY = "the same on every server of the matrix, so that their files can be compared"'
UPLOAD = f"run printf '%s' '{MEANWHILE}' >/opt/netpoint/{UPLOADED}; touch /var/lib/faults/uploaded"


OF_THE_DATABASE = """\
CREATE ROLE reader;
GRANT CONNECT ON DATABASE netpoint TO reader;
GRANT SELECT ON dcim_site TO reader;
ALTER DATABASE netpoint SET work_mem = '5MB';
"""
"""What belongs to the database and to no table, and a right that somebody else has: no dump is whole without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a server is set up.

    `restart_pause` is how many seconds the units wait before they start again: watching them takes
    five seconds longer than that.
    """

    restart_pause: int = 1
    sudo_asks: bool = False
    clock_turns: bool = False


USUAL = Setting()


@dataclass(slots=True)
class Ground:
    """One running server, its hosts file, its operator's session in the browser, and its state at the beginning."""

    lab: Lab
    server: Server
    journey: Journey
    orders: Orders
    disks: Disks
    mirror: Mirror
    environment: dict[str, str] = field(default_factory=dict)
    cookie: str = ""
    processes: str = ""
    start: State = field(init=False)
    _begun: list[Fab] = field(default_factory=list)

    def close(self) -> None:
        """Take the server away, and end whoever still works with it."""
        for fab in self._begun:
            if fab.running:
                fab.kill()
        self.mirror.close()
        self.lab.__exit__(None, None, None)

    def fab(self, *command: str) -> Fab:
        """Begin a command of the operator; without one: that of the journey."""
        begun = Fab(self.lab, *(command or self.journey.command), environment=self.environment)
        self._begun.append(begun)
        return begun

    def write_hosts_file(self, release: dict[str, Any] | None = None) -> None:
        """Write the inventory; without a release of its own, the server fetches it from the mirror or from git."""
        self.lab.write_hosts_file(
            release=release or {"url": self.mirror.url, "git": f"file://{git_folder()}/netpoint.git"}
        )

    def run(self, *command: str, patience: float = TIMEOUT) -> Run:
        """Run a command of the operator to its end."""
        return self.fab(*command).wait(timeout=patience)

    def prepare(self) -> None:
        """See that the next run has work for each of its steps, and nothing ordered to go wrong."""
        self.orders.withdraw()
        self._uploaded.write_text(BEFORE)
        (self.orders.folder / "uploaded").unlink(missing_ok=True)
        # An earlier run has fetched the release.
        for archive in self.server.root.glob("var/lib/netpoint-remote/archives/*"):
            archive.unlink()
        if self.journey.installation.method == "git" and not self.journey.begin:
            self.server.run(f"git -C /opt/netpoint tag --delete v{self.journey.forth}", check=False)
        # Users go on working: sync_files shall find something.
        self.orders.give("stage_packages", "before", UPLOAD, verb="check")
        self.processes = self._processes()

    def was_restarted(self) -> bool:
        """Tell whether NetPoint has other processes than when this was prepared, though the server was not booted."""
        before, now = self.processes.splitlines(), self._processes().splitlines()
        return before != now and before[0] == now[0]

    def _processes(self) -> str:
        return self.server.run("cut -d ' ' -f 22 /proc/1/stat; systemctl show -p MainPID netpoint netpoint-rq").stdout

    def upload_is_lost(self) -> bool:
        """Tell whether the release that serves lacks what a user uploaded last."""
        last = MEANWHILE if (self.orders.folder / "uploaded").exists() else BEFORE
        return self._uploaded.read_text() != last

    @property
    def _uploaded(self) -> Path:
        link = self.server.root / "opt/netpoint"
        folder = self.server.root / str(link.readlink()).strip("/") if link.is_symlink() else link
        return folder / UPLOADED


def make_ground(folder: Path, journey: Journey, setting: Setting) -> Ground:
    """Boot a fresh server and bring it to where the journey begins."""
    folder.mkdir(parents=True)
    lab = Lab(folder)
    try:
        return _booted(lab, journey, setting)
    except BaseException:
        lab.__exit__(None, None, None)
        raise


def _booted(lab: Lab, journey: Journey, setting: Setting) -> Ground:
    environment = image(journey.installation) / journey.installation.folder.lstrip("/") / "venv"
    server = lab.server(
        NAME,
        journey.installation,
        sudo_asks=setting.sudo_asks,
        restart_pause=setting.restart_pause,
        shares={"/srv/environment": environment},
    )
    ground = Ground(lab, server, journey, Orders(server.root), Disks(server.root), Mirror(server))
    if setting.sudo_asks:
        ground.environment["NETPOINT_REMOTE_SUDO_PASSWORD"] = SUDO_PASSWORD
    _settle_files(server.root, journey)
    if setting.clock_turns:
        install_clock(server.root)
    ground.disks.mount()
    ground.orders.install()
    server.boot()
    ground.write_hosts_file()
    if served(server, patience=600) != journey.installation.version:
        raise LabError(f"{journey.installation.version} does not serve on a fresh server")
    ground.cookie = log_in(server)
    server.run(["psql", "-q", "-d", "netpoint"], text=OF_THE_DATABASE, user="postgres")
    for command in journey.begin:
        begun = ground.run(*command)
        if begun.exit_code != 0:
            raise LabError(f"the journey {journey.name} did not begin: {begun.reasons}")
    ground.prepare()
    ground.start = State.of(server)
    return ground


def _settle_files(root: Path, journey: Journey) -> None:
    """Give a switched-off server work for the steps that seldom have any, and the same files as each other one."""
    folder = root / journey.installation.folder.lstrip("/")
    configuration = folder / "netpoint/netpoint/configuration.py"
    configuration.write_text(re.sub("^SECRET_KEY = .*$", KEY, configuration.read_text(), flags=re.MULTILINE))
    uploaded = folder / UPLOADED
    uploaded.write_text(BEFORE)
    owner = uploaded.parent.stat()
    os.chown(uploaded, owner.st_uid, owner.st_gid)
    # schedule_housekeeping shall find nothing, and update_units a unit from before virtual environments.
    (root / "etc/cron.daily/netpoint-housekeeping").unlink(missing_ok=True)
    unit = root / "etc/systemd/system/netpoint.service"
    unit.write_text(unit.read_text().replace("=/opt/netpoint/venv/bin/gunicorn", "=/usr/local/bin/gunicorn"))
    (root / "usr/local/bin/gunicorn").symlink_to("/opt/netpoint/venv/bin/gunicorn")
