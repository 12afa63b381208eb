"""Folders that only root can read: the lab's keys, and the passwords in its images, lie below them."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path("/var/cache/netpoint-remote-lab")

ENTRY = re.compile(r"\.?((?:archives|git|image|rootfs|wheels)-[0-9a-f]{12})\b.*")
"""The names in the cache, with that of the entry; the lab removes nothing else there."""

PLAIN = re.compile(r"[A-Za-z0-9/._+@=-]+")
"""A path that all can take: overlay and nspawn (no `:,\\`), apt (no `"`), git's URLs (no `%`), shells, our records."""

SYSTEM = frozenset({"boot", "dev", "etc", "proc", "run", "sys", "usr", "var"})
"""Folders of `/` below which an empty folder, too, belongs to a package or to a program."""


MOST_LINKS = 40
"""The kernel follows no more of them on the way to a file."""


def cache_folder() -> Path:
    """Return the folder of everything the lab keeps on disk: NETPOINT_LAB_CACHE, or its default.

    Raises:
        LabError: see `private_folder`; or when the tools of the lab cannot take its path.
    """
    path = Path(os.environ.get("NETPOINT_LAB_CACHE") or CACHE).absolute()
    if not PLAIN.fullmatch(str(path)):
        shown = ascii(str(path))
        raise LabError(f"{shown} has characters that mount, apt, git or a shell cannot take: use A-Z a-z 0-9 ._+@=-")
    return private_folder(path, ours=path == CACHE)


def private_folder(path: Path, *, ours: bool = False) -> Path:
    """Return a folder that only root can read and replace; make it where it is missing.

    Args:
        path: the folder.
        ours: whether the lab has chosen it. An earlier version made the default folder readable for all, and the
            lab corrects that. The mode of another folder is the admin's decision.

    Raises:
        LabError: when another user can read it, write to it or put another one in its place, or it cannot be used.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  resolve() follows links, and a link is refused
    try:
        _check_parents(path)
        for folder in (*reversed(path.parents), path):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700 if folder == path else 0o755)
        _check_parents(path)  # of those that were missing another user may have made one
        _check(path, ours=ours)
    except OSError as error:
        raise LabError(f"{path} cannot be used: {error.strerror}: choose another folder") from error
    return path


def _check_parents(path: Path) -> None:
    for parent in _on_the_way(path.parent):
        found = parent.lstat()
        if found.st_uid != 0:
            raise LabError(f"{path} can be replaced by user {found.st_uid}, who owns {parent}: choose another folder")
        shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if shared and not stat.S_ISLNK(found.st_mode):
            raise LabError(f"{path} can be replaced by users who may write to {parent}: choose another folder")


def _on_the_way(path: Path) -> Iterator[Path]:
    """Give every folder and link that the kernel passes on its way to a path, as far as they exist."""
    here, ahead, links = Path("/"), [*reversed(path.parts[1:])], 0
    yield here
    while ahead:
        part = ahead.pop()
        entry = here.parent if part == ".." else here / part
        if not os.path.lexists(entry):
            return
        yield entry
        if not entry.is_symlink():
            here = entry
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = entry.readlink()
        here = Path("/") if target.is_absolute() else here
        ahead += [part for part in reversed(target.parts) if part != "/"]


def _check(path: Path, *, ours: bool) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise LabError(f"{path} is a link: name the folder itself, or choose another one")
    if not stat.S_ISDIR(found.st_mode):
        raise LabError(f"{path} is not a folder: choose another one")
    for_the_lab = ours or _holds_nothing_else(path)
    replace = f"{'remove it, or ' if for_the_lab else ''}choose another folder"
    if found.st_uid != 0:
        raise LabError(f"{path} belongs to user {found.st_uid}: {replace}")
    if found.st_mode & 0o022:
        raise LabError(f"other users can write to {path}: {replace}")
    if found.st_mode & 0o055 and not ours:
        close = f"chmod 700 {path}" if for_the_lab else replace
        raise LabError(f"other users can read {path}: {close}")
    if found.st_mode & 0o055:
        path.chmod(0o700)
    if not os.access(path, os.W_OK):
        raise LabError(f"{path} cannot be used: it cannot be written to: choose another folder")


def _holds_nothing_else(path: Path) -> bool:
    """Tell whether a folder is the lab's alone: there are only the lab's entries in it, or it is empty."""
    names = [entry.name for entry in path.iterdir()]
    if not names:
        real = Path(os.path.realpath(path))
        return len(real.parts) > 2 and real.parts[1] not in SYSTEM
    return all(name == "running" or ENTRY.fullmatch(name) for name in names)
