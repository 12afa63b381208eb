"""Runs that an operator stops, and a workstation that has no room and a wrong clock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.clock import clock_library
from tests.faults.orders import Orders
from tests.lab.asking import is_migrating, let_migrate, served_version, wait_until_serving
from tests.lab.memory import ARCHIVE, GIT, Memory, boot
from tests.lab.netpoint.releases import Fault
from tests.lab.operator import Fab, fab, start_upgrade, wait_until
from tests.lab.slots import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.lab import Lab


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return the home of another workstation."""
    home = tmp_path / "elsewhere"
    home.mkdir()
    return home


@pytest.fixture
def small() -> Iterator[Path]:
    """Return the home of another workstation, on a disk of its own that is soon full."""
    with scratch() as slot:
        slot.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "small", slot.folder])
        yield slot.folder


def _status(lab: Lab, elsewhere: Path) -> dict[str, Any]:
    return fab(lab, "status", workstation=elsewhere).host("np1")


@pytest.mark.promise(3, method="git")
def test_a_run_is_stopped_while_it_stages_and_in_its_window(lab: Lab, elsewhere: Path) -> None:
    (memory,) = boot(lab, np1=GIT)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    orders = Orders(memory.server.root)
    orders.install("timeout")
    orders.give("stage_packages", "before", "pause")
    started = start_upgrade(lab, "3.5.0")
    wait_until(lambda: orders.reached() is not None, fab=started)
    _stop(lab, elsewhere, "stage_packages")
    orders.withdraw()
    _check_it_was_taken_back(lab, elsewhere, memory, started)

    started = start_upgrade(lab, "3.5.0")
    wait_until(lambda: is_migrating(memory.server), fab=started)
    _stop(lab, elsewhere, "run_upgrade")
    let_migrate(memory.server)
    _check_it_was_taken_back(lab, elsewhere, memory, started)
    assert (_status(lab, elsewhere)["status"], fab(lab, "stop", "--yes").statuses) == ("idle", {"np1": "idle"})


def _stop(lab: Lab, elsewhere: Path, step: str) -> None:
    stopped = fab(lab, "stop", "--yes", workstation=elsewhere)
    assert (stopped.exit_code, stopped.statuses) == (0, {"np1": "done"}), stopped.reasons
    assert f"after the step {step} it undoes its changes" in stopped.reasons
    assert "asked it to stop" in _status(lab, elsewhere)["reason"]


def _check_it_was_taken_back(lab: Lab, elsewhere: Path, memory: Memory, started: Fab) -> None:
    ended = started.wait()
    assert (ended.exit_code, ended.statuses) == (2, {"np1": "reverted"}), ended.reasons
    assert "stopped by" in ended.reasons
    wait_until_serving(memory.server)
    memory.check_all_is_as_it_was()
    after = _status(lab, elsewhere)
    assert (after["status"], after["run"]["result"], after["to"]) == ("idle", "reverted", "3.4.9")


@pytest.mark.thorough
@pytest.mark.promise(3, 9, method="archive")
def test_a_workstation_without_room_and_with_a_wrong_clock_brings_the_run_to_its_end(lab: Lab, small: Path) -> None:
    (memory,) = boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    clock = {"LD_PRELOAD": str(clock_library()), "FAKETIME": "-400d"}
    options = ("--version", "3.5.0", "--yes")
    started = Fab(lab, "upgrade", *options, environment=clock, workstation=small)
    wait_until(lambda: is_migrating(memory.server), fab=started)
    with suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    let_migrate(memory.server)

    run = started.wait()

    assert (run.exit_code, run.statuses) == (0, {"np1": "upgraded"}), run.reasons
    assert run.report["run_id"] < "2026"
    assert "No space left on device; this screen is all there is" in run.said
    assert served_version(memory.server) == "3.5.0"
    (small / "filler").unlink()
    again = fab(lab, "upgrade", *options, workstation=small)
    assert (again.exit_code, again.statuses) == (0, {"np1": "unchanged"}), again.reasons
