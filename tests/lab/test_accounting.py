"""Process accounting, of which a machine has one, does not outlive the run that turned it on."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.lab import slots
from tests.lab.accounting import RECORDS, accounting, turn, turn_off_leftover
from tests.lab.errors import LabError
from tests.lab.operator import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("accounting")

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.lab.accounting import accounting
with accounting(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Path]:
    """Give a file to account to, while no other run of the lab turns accounting on or off."""
    with RECORDS.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path / "records"
        with suppress(LabError):  # a kernel without accounting
            turn(None)


def _writes_to(path: Path) -> bool:
    """Tell whether the kernel accounts to a file."""
    before = path.stat().st_size
    subprocess.run(["true"], check=True)
    return path.stat().st_size > before


def _leave_on(path: Path) -> None:
    """Turn accounting on, and be killed."""
    command = [sys.executable, "-c", KILLED, str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if "no process accounting" in done.stderr:
        pytest.skip("this kernel was built without process accounting (CONFIG_BSD_PROCESS_ACCT)")
    assert done.returncode == -signal.SIGKILL


def test_the_accounting_of_a_killed_run_is_turned_off_by_the_next(records: Path) -> None:
    _leave_on(records)
    assert _writes_to(records)
    turn_off_leftover(records)
    assert not _writes_to(records)


def test_a_sweep_turns_off_what_was_left() -> None:
    _leave_on(RECORDS)
    slots.sweep()
    assert not _writes_to(RECORDS)


def test_the_accounting_of_another_run_stays_on(records: Path) -> None:
    _leave_on(records)
    with accounting(records):
        turn_off_leftover(records)
        assert _writes_to(records)
    assert not _writes_to(records)


def test_the_accounting_of_another_program_stays_on(records: Path, tmp_path: Path) -> None:
    _leave_on(records)
    others = tmp_path / "others"
    others.touch()
    turn(others)
    turn_off_leftover(records)
    assert _writes_to(others)
