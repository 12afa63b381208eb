"""The sessions of a practice database that hold advisory locks; what one holds ends with its process.

Each is a file in the folder `backends`, locked by its process for as long as that lives.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any


class Backend:
    """One session, written down from its first advisory lock on."""

    def __init__(self, folder: str, database: str, user: str) -> None:
        self.folder = os.path.join(folder, "backends")
        self.about: dict[str, Any] = {
            "pid": os.getpid(),
            "database": database,
            "user": user,
            "application": os.environ.get("PGAPPNAME", "psql"),
            "locks": [],
        }
        self.descriptor = -1

    def try_lock(self, first: int, second: int, *, shared: bool) -> bool:
        """Take an advisory lock unless another session's excludes it; asking again for what one has is harmless."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder, 0o700)
        with quiet_moment(self.folder):
            others = [about for about in living(self.folder, tidy=True) if about["pid"] != self.about["pid"]]
            held = [
                lock[2] for about in others for lock in about["locks"]
                if about["database"] == self.about["database"] and lock[:2] == [first, second]
            ]  # fmt: skip
            if not all(shared and theirs for theirs in held):
                return False
            self.about["locks"].append([first, second, shared])
            self.write_down()
            return True

    def write_down(self) -> None:
        if self.descriptor < 0:
            path = os.path.join(self.folder, str(self.about["pid"]))
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        os.pwrite(self.descriptor, json.dumps(self.about).encode() + b"\n", 0)


def sessions(folder: str) -> "list[dict[str, Any]]":
    """Return the sessions that hold a lock; looking leaves nothing behind."""
    place = os.path.join(folder, "backends")
    if not os.path.isdir(place):
        return []
    with quiet_moment(place):
        return living(place, tidy=False)


@contextlib.contextmanager
def quiet_moment(folder: str) -> Iterator[None]:
    """Keep every other session from looking or locking meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def living(folder: str, *, tidy: bool) -> "list[dict[str, Any]]":
    """Read the sessions whose process still holds its file; `tidy` removes the others' files."""
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(json.loads(file.readline()))
                continue
        if tidy:
            os.unlink(path)
    return found
