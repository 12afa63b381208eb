"""The kernel's process accounting, acct(2): a machine has one, and it stays on when the run that wants it is killed."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = Path("/run/netpoint-remote-lab.accounting")
"""What the kernel writes for the lab; who measures holds its lock. It stays, empty, as the locks of the slots do."""


@contextmanager
def accounting(path: Path = RECORDS) -> Iterator[Path]:
    """Have the kernel account for the processes of this machine to a file, when no other run does any more."""
    path.touch(mode=0o600)
    with path.open("r+") as records:
        fcntl.flock(records, fcntl.LOCK_EX)
        records.truncate(0)
        turn(path)
        try:
            yield path
        finally:
            turn(None)
            records.truncate(0)


def turn_off_leftover(path: Path = RECORDS) -> None:
    """Turn off what a killed run has turned on, unless another program accounts by now."""
    with suppress(FileNotFoundError, BlockingIOError), path.open("r+") as records:
        fcntl.flock(records, fcntl.LOCK_EX | fcntl.LOCK_NB)
        before = path.stat().st_size
        subprocess.run(["true"], check=False)  # the kernel does not say where it writes, but where it does is seen
        if path.stat().st_size > before:
            turn(None)
            records.truncate(0)


def turn(records: Path | None) -> None:
    """Let the kernel write to a file, or not at all."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.acct(records and os.fsencode(records)) != 0:
        raise LabError(f"this kernel has no process accounting: {os.strerror(ctypes.get_errno())}")
