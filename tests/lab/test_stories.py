"""What operators live through, from their command line to the rows in the database, on real servers."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import (
    active,
    current,
    is_logged_in,
    log_in,
    migrations,
    page,
    rows,
    served_version,
    tree,
    wait_until_serving,
)
from tests.lab.lab import Lab
from tests.lab.netpoint.install import OWN_FILES, ROOT, USUAL_PAUSE, Installation
from tests.lab.netpoint.releases import Fault
from tests.lab.operator import Fab, Run, fab, start_upgrade, upgrade, wait_until
from tests.lab.rootfs import SUDO_PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.servers import Server

ARCHIVE = Installation("3.4.9")
GIT = Installation("3.4.9", method="git")
PROTECTED = Installation(
    "3.4.9", base_path="ipam/", login_required=True, allowed_hosts=("ipam.example.com",), housekeeping=False
)
UP = {"netpoint": "active", "netpoint-rq": "active"}
OWN_FOLDERS = ("netpoint/media", "netpoint/scripts", "netpoint/reports")
UNTOUCHED = ("dcim_site", "dcim_sitegroup", "dcim_cable", "extras_objectchange", "auth_user")
"""Tables whose rows no migration from 3.4.9 to 3.5.0 changes."""


@dataclass
class Memory:
    """What a server was like before, and its database, which may be another server's."""

    server: Server
    database: Server
    cookie: str = ""
    own_files: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[str, list[str]] = field(default_factory=dict)
    migrations: set[str] = field(default_factory=set)
    folder: str = ""

    @classmethod
    def of(cls, server: Server, *, database: Server | None = None) -> Memory:
        return cls(
            server=server,
            database=database or server,
            cookie=log_in(server),
            own_files=_own_files(server),
            rows=rows(database or server),
            migrations=migrations(database or server),
            folder=current(server),
        )

    def check_all_is_as_it_was(self) -> None:
        """Check that the old release serves the same rows, as if nothing had happened."""
        assert rows(self.database) == self.rows
        assert migrations(self.database) == self.migrations
        assert current(self.server) == self.folder
        assert active(self.server) == UP
        assert served_version(self.server) == "3.4.9"
        assert is_logged_in(self.server, self.cookie)
        assert _own_files(self.server) == self.own_files


def _own_files(server: Server) -> dict[str, dict[str, str]]:
    return {folder: _without_bytecode(tree(server, f"{ROOT}/{folder}")) for folder in OWN_FOLDERS}


def _without_bytecode(files: dict[str, str]) -> dict[str, str]:
    return {path: what for path, what in files.items() if "__pycache__" not in path}


def _boot(lab: Lab, *, restart_pause: int = 1, **installations: Installation) -> list[Memory]:
    for name, installation in installations.items():
        lab.server(name, installation, restart_pause=restart_pause)
    lab.boot()
    return [Memory.of(server) for server in lab.servers]


# --- three servers, upgraded once ---------------------------------------------------------------


@dataclass
class Upgraded:
    """Servers of both methods, what they were like, and the run that upgraded them."""

    lab: Lab
    before: list[Memory]
    run: Run

    @property
    def servers(self) -> list[Server]:
        return self.lab.servers


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    with Lab(tmp_path_factory.mktemp("upgraded")) as lab:
        before = _boot(lab, restart_pause=USUAL_PAUSE, np1=ARCHIVE, np2=GIT)
        lab.write_hosts_file()
        yield Upgraded(lab, before, upgrade(lab, "3.5.0"))


def test_both_methods_are_upgraded(upgraded: Upgraded) -> None:
    assert upgraded.run.statuses == {"np1": "upgraded", "np2": "upgraded"}, upgraded.run.reasons
    assert upgraded.run.exit_code == 0


def test_the_report_says_from_where_to_where_and_how_long(upgraded: Upgraded) -> None:
    for name, method in (("np1", "archive"), ("np2", "git")):
        host = upgraded.run.host(name)
        assert (host["from"], host["to"], host["method"]) == ("3.4.9", "3.5.0", method)
        assert 0 < host["window_seconds"] < upgraded.run.report["seconds"]
        assert {step["status"] for step in host["steps"]} <= {"done", "unchanged"}


def test_the_parts_of_the_upgrade_script_are_timed(upgraded: Upgraded) -> None:
    parts = [part["name"] for step in upgraded.run.host("np1")["steps"] for part in step["parts"]]
    assert any(part.startswith("Applying database migrations") for part in parts)


def test_the_new_release_serves(upgraded: Upgraded) -> None:
    assert [served_version(server) for server in upgraded.servers] == ["3.5.0", "3.5.0"]
    assert [active(server) for server in upgraded.servers] == [UP, UP]
    assert all('"rq-workers-running": 1' in page(server, "/api/status/").text for server in upgraded.servers)


def test_every_row_is_still_there(upgraded: Upgraded) -> None:
    for memory in upgraded.before:
        now = rows(memory.server)
        assert {table: now[table] for table in UNTOUCHED if table in now} == {
            table: memory.rows[table] for table in UNTOUCHED if table in now
        }
        assert len(now["dcim_device"]) == len(memory.rows["dcim_device"])


def test_the_migrations_moved_the_data(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        devices = rows(server, ["dcim_device"])["dcim_device"]
        assert all("/SN" in device for device in devices)


def test_media_scripts_and_reports_kept_their_owner_mode_and_content(upgraded: Upgraded) -> None:
    assert [_own_files(memory.server) for memory in upgraded.before] == [memory.own_files for memory in upgraded.before]


def test_scripts_were_in_place_before_the_migrations_looked_for_them(upgraded: Upgraded) -> None:
    """Those registered later would never be seen (netbox-community/netbox#12614)."""
    for server in upgraded.servers:
        registered = "\n".join(rows(server, ["extras_managedfile"])["extras_managedfile"])
        assert "audit.py" in registered
        assert "cabling.py" in registered


def test_sessions_survive(upgraded: Upgraded) -> None:
    assert all(is_logged_in(memory.server, memory.cookie) for memory in upgraded.before)


def test_the_configuration_stays_unreadable_for_others(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        found = server.run(f"stat -c '%U:%G %a' {ROOT}/netpoint/netpoint/configuration.py").stdout
        assert found == "root:netpoint 640\n"


def test_the_old_release_is_kept(upgraded: Upgraded) -> None:
    archive, _ = upgraded.servers
    assert current(archive) == "/opt/netpoint-3.5.0"
    assert archive.run("test -x /opt/netpoint-3.4.9/venv/bin/gunicorn").returncode == 0


def test_the_checkout_is_clean_and_at_the_tag(upgraded: Upgraded) -> None:
    _, git = upgraded.servers
    assert git.run(f"git -C {ROOT} describe --tags").stdout == "v3.5.0\n"
    assert git.run(f"git -C {ROOT} status --porcelain").stdout == ""


def test_the_dump_is_kept_and_for_root_alone(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        modes = server.run("find /var/backups/netpoint-remote -name '*.dump' -printf '%U %m\\n'").stdout
        assert modes == "0 600\n"


def test_no_secret_is_left_behind(upgraded: Upgraded) -> None:
    """Promise 7: neither the report nor a file of the run, here or there, holds the password or the key."""
    here = "".join(path.read_text() for path in (upgraded.lab.folder / "runs").rglob("*") if path.is_file())
    for server in upgraded.servers:
        configuration = server.run(f"cat {ROOT}/netpoint/netpoint/configuration.py").stdout
        secret_key = next(line.split('"')[1] for line in configuration.splitlines() if line.startswith("SECRET_KEY"))
        assert secret_key not in here
        for secret in (secret_key, ARCHIVE.database_password):
            kept = server.run(
                ["grep", "-rlF", "--file=-", "/var/lib/netpoint-remote", "/tmp", "/var/tmp"], text=secret, check=False
            )
            assert kept.stdout == ""


def test_housekeeping_is_scheduled(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        assert server.run("run-parts --test /etc/cron.daily").stdout.count("netpoint-housekeeping") == 1


def test_the_second_run_changes_nothing(upgraded: Upgraded) -> None:
    before = [_traces(server) for server in upgraded.servers]
    run = upgrade(upgraded.lab, "3.5.0")
    assert run.statuses == {"np1": "unchanged", "np2": "unchanged"}, run.reasons
    assert run.exit_code == 0
    assert [_traces(server) for server in upgraded.servers] == before


def test_check_calls_them_current(upgraded: Upgraded) -> None:
    run = fab(upgraded.lab, "check", "--version", "3.5.0")
    assert (run.exit_code, run.statuses) == (0, {"np1": "current", "np2": "current"}), run.reasons


def _traces(server: Server) -> tuple[str, dict[str, list[str]], str, str]:
    """Return what any change would show in: processes, rows, files, backups."""
    processes = server.run("systemctl show -p MainPID,NRestarts netpoint netpoint-rq").stdout
    files = server.run(
        f"find -L {ROOT} -newer {ROOT}/upgrade.sh -not -path '*/venv/*' -type f -printf '%p %T@\\n' | sort"
    )
    backups = server.run("find /var/backups /etc/systemd/system /etc/cron.daily | sort").stdout
    return processes, rows(server), files.stdout, backups


# --- refused before anything changed ------------------------------------------------------------


def test_a_violation_of_the_version_path_stops_the_whole_run(lab: Lab) -> None:
    before = _boot(lab, np1=ARCHIVE, np3=Installation("2.10.10"))
    lab.write_hosts_file()
    traces = [_traces(server) for server in lab.servers]
    run = upgrade(lab, "3.5.0")
    assert run.exit_code == 3
    assert run.statuses["np3"] == "refused"
    assert run.statuses["np1"] in {"refused", "not-started"}
    assert "2.11" in run.reasons
    assert [_traces(server) for server in lab.servers] == traces
    before[0].check_all_is_as_it_was()
    assert [server.run("ls /opt").stdout for server in lab.servers] == [
        "netpoint\nnetpoint-3.4.9\n",
        "netpoint\nnetpoint-2.10.10\n",
    ]


def test_servers_cloned_from_one_template_are_not_one_database(lab: Lab) -> None:
    lab.server("np1", ARCHIVE, cloned=True)
    lab.server("np2", ARCHIVE, cloned=True)
    lab.boot()
    lab.write_hosts_file()
    run = fab(lab, "check", "--version", "3.5.0")
    assert (run.exit_code, run.statuses) == (0, {"np1": "ready", "np2": "ready"}), run.reasons


def test_a_changed_checkout_is_refused(lab: Lab) -> None:
    (memory,) = _boot(lab, np2=GIT)
    lab.write_hosts_file()
    memory.server.run(f"echo '# mine' >> {ROOT}/netpoint/netpoint/views.py")
    run = upgrade(lab, "3.5.0")
    assert (run.exit_code, run.statuses) == (3, {"np2": "refused"})
    assert "views.py" in run.reasons
    memory.check_all_is_as_it_was()
    assert memory.server.run(f"tail -n 1 {ROOT}/netpoint/netpoint/views.py").stdout == "# mine\n"


# --- failures that are undone -------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [Fault.MIGRATION_FAILS, Fault.DOCS_FAIL, Fault.OLD_VERSION, Fault.SERVICE_DIES, Fault.WORKER_DIES],
    ids=lambda fault: fault.name.lower(),
)
def test_a_broken_release_is_undone_and_the_old_one_serves(lab: Lab, fault: Fault) -> None:
    dies = fault in {Fault.SERVICE_DIES, Fault.WORKER_DIES}
    before = _boot(lab, restart_pause=USUAL_PAUSE if dies else 1, np1=ARCHIVE, np2=GIT)
    lab.write_hosts_file(release=lab.publish("3.5.0", fault))
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "rolled-back", "np2": "rolled-back"}, run.reasons
    assert run.exit_code == 2
    for memory in before:
        wait_until_serving(memory.server)
        memory.check_all_is_as_it_was()


def test_a_release_that_pins_too_little_is_held_together(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.WORKER_UNPINNED))
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert active(memory.server) == UP


def test_after_a_broken_release_the_good_one_goes_through(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_FAILS))
    assert upgrade(lab, "3.5.0").statuses == {"np1": "rolled-back"}
    lab.write_hosts_file()
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert len(rows(memory.server, ["dcim_device"])["dcim_device"]) == ARCHIVE.devices


# --- the line, the workstation and the power fail -----------------------------------------------


def test_a_dropped_connection_in_the_middle_of_the_upgrade_script_is_survived(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW))
    running = start_upgrade(lab, "3.5.0")
    _wait_until_migrating(memory.server, running)
    memory.server.drop_connections()
    run = running.wait()
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(memory.server) == "3.5.0"


def test_a_pulled_cable_in_the_middle_of_the_upgrade_script_is_survived(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW))
    running = start_upgrade(lab, "3.5.0")
    _wait_until_migrating(memory.server, running)
    memory.server.unplug()
    time.sleep(10)  # it is time itself that is tested
    memory.server.plug()
    run = running.wait()
    assert run.statuses == {"np1": "upgraded"}, run.reasons


def test_a_killed_fab_leaves_the_server_to_finish_and_the_next_run_says_so(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW))
    running = start_upgrade(lab, "3.5.0")
    _wait_until_migrating(memory.server, running)
    running.kill()
    wait_until(lambda: is_serving(memory.server, "3.5.0"))
    wait_until(lambda: not at_work(memory.server))
    run = upgrade(lab, "3.5.0")
    assert (run.exit_code, run.statuses) == (0, {"np1": "unchanged"}), run.reasons
    assert "from 3.4.9 to 3.5.0 (upgraded)" in run.reasons
    assert len(rows(memory.server, ["dcim_device"])["dcim_device"]) == ARCHIVE.devices
    assert is_logged_in(memory.server, memory.cookie)


def test_a_second_operator_is_kept_out(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW))
    first = start_upgrade(lab, "3.5.0")
    _wait_until_migrating(memory.server, first)
    second = upgrade(lab, "3.5.0")
    assert second.exit_code != 0
    assert second.statuses["np1"] in {"refused", "failed"}, second.reasons
    assert first.wait().statuses == {"np1": "upgraded"}


@pytest.mark.parametrize("method", [ARCHIVE, GIT], ids=["archive", "git"])
def test_a_power_cut_in_the_window_is_undone_at_boot_and_the_same_command_converges(
    lab: Lab, method: Installation
) -> None:
    """NetPoint's units start only when the database is as it was, so nobody writes what would be lost."""
    (memory,) = _boot(lab, np1=method)
    source = lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW)
    lab.write_hosts_file(release=source)
    running = start_upgrade(lab, "3.5.0")
    _wait_until_migrating(memory.server, running)
    memory.server.power_cut()
    running.kill()
    memory.server.boot()
    wait_until(lambda: is_serving(memory.server, "3.4.9") and not at_work(memory.server))
    memory.check_all_is_as_it_was()
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(memory.server) == "3.5.0"
    assert len(rows(memory.server, ["dcim_device"])["dcim_device"]) == method.devices
    assert _own_files(memory.server) == memory.own_files


def test_a_runner_that_is_killed_in_the_window_is_settled_by_the_server(lab: Lab) -> None:
    """As the kernel does where memory is short: nobody has to come."""
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW))
    running = start_upgrade(lab, "3.5.0")
    _wait_until_migrating(memory.server, running)
    memory.server.run("systemctl kill --signal=KILL 'netpoint-remote-2*.service'")
    told = running.wait()
    assert told.statuses == {"np1": "rolled-back"}, told.reasons
    assert "it was interrupted" in told.reasons
    memory.check_all_is_as_it_was()
    assert upgrade(lab, "3.5.0").statuses == {"np1": "upgraded"}


def _wait_until_migrating(server: Server, running: Fab) -> None:
    wait_until(lambda: server.run(["pgrep", "-f", "manage.py migrate"], check=False).returncode == 0, fab=running)


def is_serving(server: Server, version: str) -> bool:
    try:
        return served_version(server) == version
    except OSError:
        return False


def at_work(server: Server) -> bool:
    """Tell whether a plan still runs on the server: its lock is held."""
    return server.run("flock -n /var/lib/netpoint-remote/lock true", check=False).returncode != 0


# --- users go on working ------------------------------------------------------------------------


class Writer(threading.Thread):
    """A user who adds one site after another, and remembers which ones the server acknowledged."""

    def __init__(self, server: Server, cookie: str) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._cookie = cookie
        self._stop_asked = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._stop_asked.wait(0.1):
            number += 1
            if self._add(f"Written {number}", f"written-{number}"):
                self.acknowledged.append(f"written-{number}")

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()

    def _add(self, name: str, slug: str) -> bool:
        headers = {"Cookie": self._cookie, "Content-Type": "application/json"}
        body = json.dumps({"name": name, "slug": slug})
        try:
            return page(self._server, "/api/dcim/sites/", headers=headers, body=body).status == 201
        except OSError:
            return False


@pytest.mark.parametrize("faults", [(), (Fault.MIGRATION_FAILS,)], ids=["upgraded", "rolled_back"])
def test_no_acknowledged_write_is_lost(lab: Lab, faults: tuple[Fault, ...]) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", *faults))
    writer = Writer(memory.server, memory.cookie)
    writer.start()
    run = upgrade(lab, "3.5.0")
    writer.stop()
    assert run.statuses == {"np1": "rolled-back" if faults else "upgraded"}, run.reasons
    kept = "\n".join(rows(memory.server, ["dcim_site"])["dcim_site"])
    assert writer.acknowledged
    assert [slug for slug in writer.acknowledged if f",{slug}," not in kept] == []


# --- other ways to set a server up --------------------------------------------------------------


def test_a_base_path_a_login_wall_and_a_narrow_host_list_are_no_obstacle(lab: Lab) -> None:
    server = lab.server("np1", PROTECTED, sudo_asks=True)
    lab.boot()
    lab.write_hosts_file()
    run = upgrade(lab, "3.5.0", environment={"NETPOINT_REMOTE_SUDO_PASSWORD": SUDO_PASSWORD})
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    login = page(server, "/ipam/login/", headers={"Host": "ipam.example.com"})
    assert "?v=3.5.0" in login.text
    assert server.run("run-parts --test /etc/cron.daily").stdout.count("netpoint-housekeeping") == 1


def test_the_released_netpoint_that_calls_itself_a_development_version_is_installed(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    lab.write_hosts_file()
    run = upgrade(lab, "3.7.2")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(memory.server) == "3.7.3-dev"
    assert upgrade(lab, "3.7.2").statuses == {"np1": "unchanged"}


def test_local_files_the_document_does_not_name_come_along(lab: Lab) -> None:
    server = lab.server("np1", ARCHIVE)
    lab.boot()
    server.run(f"mkdir {ROOT}/netpoint/local && echo kept > {ROOT}/netpoint/local/notes.txt")
    server.run(f"echo 'NAME = 1' > {ROOT}/netpoint/netpoint/extra.py")
    lab.write_hosts_file()
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert (
        server.run(f"cat {ROOT}/netpoint/local/notes.txt {ROOT}/netpoint/netpoint/extra.py").stdout
        == "kept\nNAME = 1\n"
    )
    assert set(OWN_FILES) <= {f"netpoint/{path[2:]}" for path in tree(server, f"{ROOT}/netpoint")}
