"""Processes that our servers' commands left behind: adopted while we serve, ended when we end."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

SUBREAPER = 36  # prctl(2), PR_SET_CHILD_SUBREAPER
PATIENCE = 5.0  # seconds in which killed processes have to be gone
SEEN = os.WEXITED | os.WNOHANG | os.WNOWAIT


def adopt() -> None:
    """Become the parent of whatever loses its own among our descendants, where the system offers it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


async def reap() -> None:
    """Take the status of adopted children as they end.

    asyncio waits for its own and takes theirs at once; so one that is still there at the second look was adopted.
    """
    before = 0
    while True:
        await asyncio.sleep(0.05)
        ended = 0
        with contextlib.suppress(ChildProcessError):
            found = os.waitid(os.P_ALL, 0, SEEN)  # noqa: ASYNC222  returns at once
            ended = found.si_pid if found else 0
            if ended and ended == before:
                os.waitpid(ended, os.WNOHANG)  # noqa: ASYNC222  returns at once
        before = ended


async def end_all() -> None:
    """End every process that descends from this one, however it got away."""
    deadline = time.monotonic() + PATIENCE
    while (pids := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)  # whoever waits for one of them learns its end
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # noqa: ASYNC222  returns at once
                pass


def descendants(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found
