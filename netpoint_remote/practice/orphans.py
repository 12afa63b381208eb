"""Processes that our servers' commands left behind: adopted while we serve, ended when we end."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

SUBREAPER = 36  # prctl(2), PR_SET_CHILD_SUBREAPER
PATIENCE = 60.0  # seconds in which killed processes have to be gone
PAUSE = 0.05
SEEN = os.WEXITED | os.WNOHANG | os.WNOWAIT


@asynccontextmanager
async def adopted() -> AsyncIterator[None]:
    """Be the parent of whatever loses its own among our descendants; at the end of the block all of them end.

    Where the system does not offer that, only our own children end.
    """
    reaping = asyncio.create_task(_reap()) if _adopt() else None
    try:
        yield
    finally:
        await _end_all()
        if reaping:
            reaping.cancel()


def _adopt() -> bool:
    """Become the parent of orphans; not where asyncio waits in threads, for `_reap` could be quicker than these."""
    with contextlib.suppress(OSError, AttributeError):
        os.close(os.pidfd_open(os.getpid()))
        if sys.version_info < (3, 12):  # later versions use it by themselves
            watcher = asyncio.PidfdChildWatcher()
            watcher.attach_loop(asyncio.get_running_loop())
            asyncio.set_child_watcher(watcher)
        return bool(ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0) == 0)
    return False


async def _reap() -> None:
    """Take the status of adopted children as they end.

    asyncio takes the status of its own before it gives us a turn; what still is there at the second look was adopted.
    """
    before: set[int] = set()
    while True:
        await asyncio.sleep(PAUSE)
        ended = set(_ended_children())
        _take_status(ended & before)
        before = ended - before


def _take_status(ended: set[int]) -> None:
    for pid in ended:
        os.waitpid(pid, os.WNOHANG)


def _ended_children() -> Iterator[int]:
    with contextlib.suppress(ChildProcessError):
        if os.waitid(os.P_ALL, 0, SEEN):
            yield from (pid for pid, (parent, state) in _processes().items() if parent == os.getpid() and state == "Z")


async def _end_all() -> None:
    """End every process that descends from this one, however it got away."""
    deadline = time.monotonic() + PATIENCE
    while (pids := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(PAUSE)


def descendants(pid: int) -> list[int]:
    """Return the children of a process, and theirs."""
    processes = _processes()
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for child, (parent, _) in processes.items() if parent in level]
        found += level
    return found


def _processes() -> dict[int, tuple[int, str]]:
    """Return the parent and the state of each process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            found[int(stat.parent.name)] = int(parent), state
    return found
