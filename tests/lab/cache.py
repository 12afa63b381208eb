"""What the lab builds once and keeps: root filesystems, packages, releases, installed servers.

An entry is a folder named by its kind and its recipe. Under that name it is always complete: it is built in a slot, and
moved to another one to be removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from typing import TYPE_CHECKING

from tests.lab import slots
from tests.lab.private import ENTRY, cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.slots import Slot

KEPT = 14 * 24 * 60 * 60
"""Seconds that an entry stays without being used."""


def digest(*parts: str) -> str:
    """Return a short name for what is built from these parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def built_once(name: str, build: Callable[[Slot], None]) -> Path:
    """Return the entry `name` of the cache; where it is missing, let `build` fill a slot's folder, one at a time."""
    target = cache_folder() / name
    with _locked(name):
        if not target.exists():
            with slots.scratch() as slot:
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
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if use else fcntl.LOCK_NB))
            if not _is_at(path, lock.fileno()):  # the entry was removed while we waited
                continue
            used = path.stat().st_mtime
            if use:
                os.utime(lock.fileno())
            yield used
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
