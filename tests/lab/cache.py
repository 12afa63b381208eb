"""What the lab builds once and keeps: root filesystems, packages, releases, installed servers.

An entry is a folder named by its kind and its recipe. Under that name it is always complete: it is built in a slot, and
moved to another one to be removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from typing import IO, TYPE_CHECKING

from tests.lab import slots
from tests.lab.errors import DiskFullError, LabError
from tests.lab.private import ENTRY, cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.slots import Slot

KEPT = 14 * 24 * 60 * 60
"""Seconds that an entry stays without being used."""

NEEDED = 1_000_000_000
"""Bytes that the largest entry takes while it is built."""

FULL = (errno.ENOSPC, errno.EDQUOT)


def digest(*parts: str) -> str:
    """Return a short name for what is built from these parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def built_once(name: str, build: Callable[[Slot], None]) -> Path:
    """Return the entry `name` of the cache; where it is missing, let `build` fill a slot's folder, one at a time.

    Raises:
        LabError: when there is no room for it.
    """
    target = cache_folder() / name
    with _locked(name):
        if not target.exists():
            with slots.scratch() as slot, _noticing_a_full_disk():
                slot.folder.chmod(0o755)
                build(slot)
                slot.folder.rename(target)
    return target


def remove_unused() -> None:
    """Remove what was not used for two weeks; nothing while this cache has servers."""
    if slots.in_use():
        return
    for name in _entries():
        with contextlib.suppress(BlockingIOError), _locked(name, use=False) as used:
            if time.time() - used > KEPT:
                _remove(name)


def empty() -> None:
    """Remove everything that the lab keeps; nothing may be in use."""
    for name in _entries():
        with _locked(name, use=False):
            _remove(name)


def _entries() -> set[str]:
    return {match[1] for path in cache_folder().iterdir() if (match := ENTRY.fullmatch(path.name))}


@contextlib.contextmanager
def _noticing_a_full_disk() -> Iterator[None]:
    """Name the disk when a build fails on a full one: what the build has written is still there.

    Programs fail each in its own way, and apt before the disk is full. So whatever goes wrong with little room says so.
    """
    try:
        yield
    except DiskFullError:  # another entry was built for this one
        raise
    except (LabError, OSError, subprocess.CalledProcessError) as error:
        folder = cache_folder()
        if getattr(error, "errno", 0) not in FULL and shutil.disk_usage(folder).free > NEEDED:
            raise
        raise DiskFullError(
            f"{folder} is full or has less than 1 GB free: "
            f"free space there, or set NETPOINT_LAB_CACHE to a folder on another disk\n{error}"
        ) from error


def _remove(name: str) -> None:
    with slots.scratch() as slot:
        for path in (cache_folder() / name, *cache_folder().glob(f".{name}.*")):
            if path.exists():
                path.rename(slot.folder / path.name)


@contextlib.contextmanager
def _locked(name: str, *, use: bool = True) -> Iterator[float]:
    """Hold the lock of an entry, whose time is when the entry was used last; give that time."""
    path = cache_folder() / f".{name}.lock"
    while True:
        with _open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if use else fcntl.LOCK_NB))
            if not _is_at(path, lock.fileno()):  # the entry was removed while we waited
                continue
            used = path.stat().st_mtime
            if use:
                os.utime(lock.fileno())
            yield used
            return


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError as error:
        advice = "free space there" if error.errno in FULL else "remove it"
        raise LabError(f"{path} cannot be opened: {error.strerror}: {advice}, or choose another folder") from error


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
