"""Lines, workstations, servers and the power fail in the middle of an upgrade, and other operators come."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.asking import (
    at_work,
    is_logged_in,
    is_migrating,
    is_serving,
    let_migrate,
    rows,
    served_version,
)
from tests.lab.lab import Lab
from tests.lab.memory import ARCHIVE, GIT, Memory, boot, own_files
from tests.lab.netpoint.releases import Fault
from tests.lab.operator import Fab, Run, fab, start_upgrade, upgrade, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.netpoint.install import Installation
    from tests.lab.servers import Server

BOTH = pytest.mark.parametrize("method", [ARCHIVE, GIT], ids=["archive", "git"])


def wait_until_migrating(server: Server, running: Fab) -> None:
    """Wait until the upgrade is in a migration that waits for `let_migrate`."""
    wait_until(lambda: is_migrating(server), fab=running)


# --- both methods, interrupted in the middle of their migrations --------------------------------


@dataclass
class Interrupted:
    """What was tried while two servers were in their migrations, and how it ended.

    `waited` is how many seconds of the window are known to have passed.
    """

    lab: Lab
    before: list[Memory]
    survived: bool
    second: Run
    other_machines: Run
    seen: Run
    waited: float
    attached: Run
    logs: list[str]
    status: Run
    named: Run
    again: Run


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interrupted]:
    """Drop lines, let other operators come, kill `fab`, and follow the run from another workstation."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with Lab(tmp_path_factory.mktemp("interrupted")) as lab:
        before = boot(lab, np1=ARCHIVE, np2=GIT)
        hosts_file = lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
        first = start_upgrade(lab, "3.5.0")
        for server in lab.servers:
            wait_until_migrating(server, first)
        began = time.monotonic()
        _disturb_lines(*lab.servers, first)
        second = upgrade(lab, "3.5.0", workstation=elsewhere)
        other_machines = _upgrade_as_other_machines(lab, hosts_file, elsewhere)
        survived = first.running
        first.kill()

        seen = fab(lab, "status", workstation=elsewhere)
        follower = Fab(lab, "attach", workstation=elsewhere)
        for server in lab.servers:
            follower.wait_for("step", server.name)
        waited = time.monotonic() - began
        let_migrate(*lab.servers)
        attached = follower.wait()
        logs = [(follower.folder / attached.host(server.name)["log"]).read_text() for server in lab.servers]
        status = fab(lab, "status", workstation=elsewhere)
        named = fab(lab, "attach", "--run", seen.host("np1")["run"]["id"], workstation=elsewhere)
        again = upgrade(lab, "3.5.0")
        yield Interrupted(
            lab, before, survived, second, other_machines, seen, waited, attached, logs, status, named, again
        )


def _disturb_lines(archive: Server, git: Server, running: Fab) -> None:
    """Pull the cable of one server; drop the connections of the other, and wait until the operator is back there."""
    git.unplug()
    archive.drop_connections()
    running.wait_for("line-back", archive.name)
    git.plug()


def _upgrade_as_other_machines(lab: Lab, hosts_file: Path, workstation: Path) -> Run:
    """Upgrade installations that have lock files of their own, as other machines have, and the same databases."""
    text = hosts_file.read_text()
    inventory = yaml.safe_load(text)
    inventory["hosts"] = {
        f"other-{name}": {**host, "state_dir": "/var/lib/another-machine"} for name, host in inventory["hosts"].items()
    }
    hosts_file.write_text(yaml.safe_dump(inventory, sort_keys=False))
    try:
        return upgrade(lab, "3.5.0", workstation=workstation)
    finally:
        hosts_file.write_text(text)


@pytest.mark.promise(3, method="both")
def test_a_run_survives_dropped_connections_and_a_pulled_cable(interrupted: Interrupted) -> None:
    assert interrupted.survived


@pytest.mark.promise(5, method="both")
def test_a_second_operator_is_refused(interrupted: Interrupted) -> None:
    second = interrupted.second
    assert (second.exit_code, second.statuses) == (3, {"np1": "refused", "np2": "refused"}), second.reasons
    for name in ("np1", "np2"):
        assert [problem["code"] for problem in second.host(name)["problems"]].count("lock") == 1


@pytest.mark.promise(5, method="both")
def test_another_machine_with_the_same_database_is_refused(interrupted: Interrupted) -> None:
    other = interrupted.other_machines
    assert (other.exit_code, other.statuses) == (3, {"other-np1": "refused", "other-np2": "refused"}), other.reasons
    for name in ("np1", "np2"):
        said = str(other.host(f"other-{name}")["problems"])
        assert re.search(rf"another run is using this database: netpoint-remote \S+ \S+ {name}", said), said


@pytest.mark.promise(4, method="both")
def test_the_run_is_seen_from_another_workstation(interrupted: Interrupted) -> None:
    for name in ("np1", "np2"):
        host = interrupted.seen.host(name)
        assert "users are without NetPoint for" in host["reason"]
        assert (host["from"], host["run"]["task"].endswith("from 3.4.9 to 3.5.0")) == ("3.4.9", True)


@pytest.mark.promise(3, method="both")
def test_the_run_of_a_killed_fab_is_followed_to_its_end(interrupted: Interrupted) -> None:
    attached = interrupted.attached
    assert (attached.exit_code, attached.statuses) == (0, {"np1": "upgraded", "np2": "upgraded"}), attached.reasons
    for name, log in zip(("np1", "np2"), interrupted.logs, strict=True):
        host = attached.host(name)
        assert host["to"] == "3.5.0"
        assert len(host["steps"]) == interrupted.seen.host(name)["run"]["total"]
        assert host["window_seconds"] >= interrupted.waited
        assert "== run_upgrade: apply" in log


@pytest.mark.promise(3, method="both")
def test_the_servers_of_a_killed_fab_have_the_new_release_and_all_their_data(interrupted: Interrupted) -> None:
    for memory in interrupted.before:
        assert served_version(memory.server) == "3.5.0"
        assert len(rows(memory.server, ["dcim_device"])["dcim_device"]) == ARCHIVE.devices
        assert is_logged_in(memory.server, memory.cookie)
        assert own_files(memory.server) == memory.own_files


@pytest.mark.promise(4, method="both")
def test_how_the_run_ended_is_known_to_everybody_who_asks_later(interrupted: Interrupted) -> None:
    ended: dict[str, Any] = {}
    for name in ("np1", "np2"):
        host = interrupted.status.host(name)
        ended[name] = (host["status"], host["run"]["result"], host["run"]["id"])
    run = interrupted.seen.host("np1")["run"]["id"]
    assert ended == {"np1": ("idle", "upgraded", run), "np2": ("idle", "upgraded", run)}
    assert (interrupted.named.exit_code, set(interrupted.named.statuses.values())) == (0, {"upgraded"})


@pytest.mark.promise(4, method="both")
def test_the_next_run_changes_nothing_and_says_how_the_last_one_ended(interrupted: Interrupted) -> None:
    again = interrupted.again
    assert (again.exit_code, again.statuses) == (0, {"np1": "unchanged", "np2": "unchanged"}), again.reasons
    assert all("from 3.4.9 to 3.5.0 (upgraded)" in str(again.host(name)) for name in ("np1", "np2"))


# --- each on its own, to the end ----------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.promise(3, method="both")
def test_fab_comes_back_after_dropped_connections_and_a_pulled_cable(lab: Lab) -> None:
    """The cable stays out until `fab` has noticed it."""
    archive, git = (memory.server for memory in boot(lab, np1=ARCHIVE, np2=GIT))
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    running = start_upgrade(lab, "3.5.0")
    for server in lab.servers:
        wait_until_migrating(server, running)
    git.unplug()
    archive.drop_connections()
    running.wait_for("line-lost", git.name)
    git.plug()
    for server in lab.servers:
        running.wait_for("line-back", server.name)
    let_migrate(archive, git)
    run = running.wait()
    assert run.statuses == {"np1": "upgraded", "np2": "upgraded"}, run.reasons
    assert [served_version(archive), served_version(git)] == ["3.5.0", "3.5.0"]


@pytest.mark.thorough
@pytest.mark.promise(3, method="archive")
def test_a_killed_fab_leaves_the_server_to_finish_with_nobody_watching(lab: Lab) -> None:
    (memory,) = boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    running = start_upgrade(lab, "3.5.0")
    wait_until_migrating(memory.server, running)
    running.kill()
    let_migrate(memory.server)
    wait_until(lambda: is_serving(memory.server, "3.5.0") and not at_work(memory.server))
    run = upgrade(lab, "3.5.0")
    assert (run.exit_code, run.statuses) == (0, {"np1": "unchanged"}), run.reasons
    assert "from 3.4.9 to 3.5.0 (upgraded)" in run.reasons


@pytest.mark.thorough
@pytest.mark.promise(3, 4, method="both")
@BOTH
def test_a_power_cut_in_the_window_is_undone_at_boot_and_the_same_command_converges(
    lab: Lab, method: Installation
) -> None:
    """NetPoint's units start only when the database is as it was, so no row is written that would be lost."""
    (memory,) = boot(lab, np1=method)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    running = start_upgrade(lab, "3.5.0")
    wait_until_migrating(memory.server, running)
    memory.server.power_cut()
    running.kill()
    memory.server.boot()
    wait_until(lambda: is_serving(memory.server, "3.4.9") and not at_work(memory.server))
    memory.check_all_is_as_it_was()
    assert "it was interrupted in run_upgrade: the server went down" in fab(lab, "status").reasons
    let_migrate(memory.server)
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(memory.server) == "3.5.0"
    assert len(rows(memory.server, ["dcim_device"])["dcim_device"]) == method.devices
    assert own_files(memory.server) == memory.own_files


@pytest.mark.thorough
@pytest.mark.promise(3, method="archive")
def test_a_runner_that_is_killed_in_the_window_is_settled_by_the_server(lab: Lab) -> None:
    """As the kernel does where memory is short: no operator has to come."""
    (memory,) = boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    running = start_upgrade(lab, "3.5.0")
    wait_until_migrating(memory.server, running)
    memory.server.run("systemctl kill --signal=KILL 'netpoint-remote-2*.service'")
    ended = running.wait()
    assert ended.statuses == {"np1": "reverted"}, ended.reasons
    assert "it was interrupted in run_upgrade: the run was killed on the server" in ended.reasons
    memory.check_all_is_as_it_was()
    let_migrate(memory.server)
    assert upgrade(lab, "3.5.0").statuses == {"np1": "upgraded"}
