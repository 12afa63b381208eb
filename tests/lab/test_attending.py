"""Runs that are seen, followed and stopped by somebody who did not start them, on a real server."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.clock import clock_library
from tests.lab.asking import served_version, wait_until_serving
from tests.lab.netpoint.releases import Fault
from tests.lab.operator import Fab, Run, fab, start_upgrade, wait_until
from tests.lab.test_stories import ARCHIVE, Memory

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
def small(elsewhere: Path) -> Iterator[Path]:
    """Return the home of another workstation, on a disk of its own that is soon full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "small", elsewhere], check=True)
    yield elsewhere
    subprocess.run(["umount", "--lazy", elsewhere], check=True)


def _slow(lab: Lab) -> Memory:
    server = lab.server("np1", ARCHIVE)
    lab.boot()
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_IS_SLOW))
    return Memory.of(server)


def _status(lab: Lab, elsewhere: Path) -> dict[str, Any]:
    return fab(lab, "status", workstation=elsewhere).host("np1")


def _wait_for_step(lab: Lab, elsewhere: Path, memory: Memory, step: str, *, fab: Fab) -> dict[str, Any]:
    """Wait until a run is at some step; return how it stood."""
    newest = "$(ls -t /var/lib/netpoint-remote/runs/*/journal | head -n 1)"
    at_it = f"tail -n 20 {newest} | grep -q ' step {step} '"
    wait_until(lambda: memory.server.run(at_it, check=False).returncode == 0, fab=fab)
    return _status(lab, elsewhere)


def test_a_run_is_followed_from_another_workstation_when_its_own_is_gone(lab: Lab, elsewhere: Path) -> None:
    memory = _slow(lab)
    started = start_upgrade(lab, "3.5.0")
    seen = _wait_for_step(lab, elsewhere, memory, "run_upgrade", fab=started)
    started.kill()

    attached = fab(lab, "attach", workstation=elsewhere)

    assert "users are without NetPoint for" in seen["reason"]
    assert (seen["from"], seen["run"]["task"].endswith("from 3.4.9 to 3.5.0")) == ("3.4.9", True)
    host = attached.host("np1")
    assert (attached.exit_code, host["status"], host["to"]) == (0, "upgraded", "3.5.0"), host
    assert len(host["steps"]) == seen["run"]["total"]
    assert host["window_seconds"] > 20
    (folder,) = (elsewhere / "runs").iterdir()
    assert "== run_upgrade: apply" in (folder / host["log"]).read_text()
    assert served_version(memory.server) == "3.5.0"
    after = _status(lab, elsewhere)
    assert (after["status"], after["run"]["result"], after["run"]["id"]) == ("idle", "upgraded", seen["run"]["id"])
    again = fab(lab, "attach", "--run", seen["run"]["id"], workstation=elsewhere)
    assert (again.exit_code, again.statuses) == (0, {"np1": "upgraded"})


def test_a_run_is_stopped_in_its_staging_and_in_its_window(lab: Lab, elsewhere: Path) -> None:
    memory = _slow(lab)
    _stop_at(lab, elsewhere, memory, "stage_packages")
    _stop_at(lab, elsewhere, memory, "run_upgrade")
    assert (_status(lab, elsewhere)["status"], fab(lab, "stop", "--yes").statuses) == ("idle", {"np1": "idle"})


def _stop_at(lab: Lab, elsewhere: Path, memory: Memory, step: str) -> None:
    started = start_upgrade(lab, "3.5.0")
    seen = _wait_for_step(lab, elsewhere, memory, step, fab=started)
    stopped: Run = fab(lab, "stop", "--yes", workstation=elsewhere)
    assert (stopped.exit_code, stopped.statuses) == (0, {"np1": "done"}), stopped.reasons
    assert f"after the step {seen['run']['step']} it takes back what it did" in stopped.reasons
    assert "asked it to stop" in _status(lab, elsewhere)["reason"]
    ended = started.wait()
    assert (ended.exit_code, ended.statuses) == (2, {"np1": "rolled-back"}), ended.reasons
    assert "stopped by" in ended.reasons
    wait_until_serving(memory.server)
    memory.check_all_is_as_it_was()
    after = _status(lab, elsewhere)
    assert (after["status"], after["run"]["result"], after["to"]) == ("idle", "rolled-back", "3.4.9")


def test_a_workstation_without_room_and_with_a_wrong_clock_brings_the_run_to_its_end(lab: Lab, small: Path) -> None:
    memory = _slow(lab)
    clock = {"LD_PRELOAD": str(clock_library()), "FAKETIME": "-400d"}
    options = ("--version", "3.5.0", "--yes")
    started = Fab(lab, "upgrade", *options, environment=clock, workstation=small)
    _wait_for_step(lab, lab.folder, memory, "run_upgrade", fab=started)
    with suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))

    run = started.wait()

    assert (run.exit_code, run.statuses) == (0, {"np1": "upgraded"}), run.reasons
    assert run.report["run_id"] < "2026"
    assert "No space left on device; this screen is all there is" in run.said
    assert served_version(memory.server) == "3.5.0"
    (small / "filler").unlink()
    again = fab(lab, "upgrade", *options, workstation=small)
    assert (again.exit_code, again.statuses) == (0, {"np1": "unchanged"}), again.reasons
