"""Folders that only root can read: the lab's keys, and the passwords in its images, lie below them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.lab.errors import LabError

CACHE = Path("/var/cache/netpoint-remote-lab")


def cache_folder() -> Path:
    """Return the folder of everything the lab keeps on disk: NETPOINT_LAB_CACHE, or its default.

    Raises:
        LabError: see `private_folder`.
    """
    # An earlier version made the default folder readable for all. The mode of another folder is the admin's decision.
    return private_folder(Path(os.environ.get("NETPOINT_LAB_CACHE") or CACHE))


def private_folder(path: Path) -> Path:
    """Return a folder that only root can read and replace; make it where it is missing.

    Raises:
        LabError: when another user can read it, write to it or put another one in its place.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  resolve() follows links, and a link is refused
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    _check_parents(path)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise LabError(f"{path} is a link: name the folder itself, or remove the link")
    if found.st_uid != 0:
        raise LabError(f"{path} belongs to user {found.st_uid}: remove it, or chown root {path}")
    if path == CACHE:
        path.chmod(0o700)
    elif stat.S_IMODE(found.st_mode) & 0o077:
        raise LabError(f"{path} is open to other users: chmod 700 {path}")
    return path


def _check_parents(path: Path) -> None:
    for parent in {*path.parents, *path.parent.resolve().parents, path.parent.resolve()}:
        found = parent.lstat()
        if found.st_uid != 0:
            raise LabError(f"{path} can be replaced by user {found.st_uid}, who owns {parent}: choose another folder")
        shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if shared and not stat.S_ISLNK(found.st_mode):
            raise LabError(f"{path} can be replaced by users who may write to {parent}: choose another folder")
