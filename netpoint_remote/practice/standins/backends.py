"""The sessions of a practice database that hold advisory locks; what one holds ends with its process.

Each is a file in the folder `backends`, locked by its process for as long as that lives.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator


class About:
    """What is told of a session; a lock is two numbers and whether it is shared."""

    def __init__(self, pid: int, database: str, user: str, application: str) -> None:
        self.pid = pid
        self.database = database
        self.user = user
        self.application = application
        self.locks: list[tuple[int, int, bool]] = []

    def spelled(self) -> str:
        """Return it as a text: a line about the session, and one for each lock."""
        locks = [f"{first} {second} {shared:d}" for first, second, shared in self.locks]
        return "\n".join(["\t".join((str(self.pid), self.database, self.user, self.application)), *locks, ""])


def read_about(text: str) -> About:
    """Read what `spelled` wrote."""
    head, *locks = text.splitlines()
    pid, database, user, application = head.split("\t", 3)
    about = About(int(pid), database, user, application)
    for first, second, shared in (lock.split(" ") for lock in locks):
        about.locks.append((int(first), int(second), shared == "1"))
    return about


class Backend:
    """One session, written down from its first advisory lock on."""

    def __init__(self, folder: str, database: str, user: str) -> None:
        self.folder = os.path.join(folder, "backends")
        application = os.environ.get("PGAPPNAME", "psql").replace("\n", " ")
        self.about = About(os.getpid(), database, user, application)
        self.descriptor = -1

    def try_lock(self, first: int, second: int, *, shared: bool) -> bool:
        """Take an advisory lock unless another session's excludes it; asking again for what one has is harmless."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.folder, 0o700)
        with quiet_moment(self.folder):
            others = [about for about in living(self.folder, tidy=True) if about.pid != self.about.pid]
            held = [
                lock[2]
                for about in others
                for lock in about.locks
                if about.database == self.about.database and lock[:2] == (first, second)
            ]
            if not all(shared and theirs for theirs in held):
                return False
            self.about.locks.append((first, second, shared))
            self.write_down()
            return True

    def write_down(self) -> None:
        if self.descriptor < 0:
            path = os.path.join(self.folder, str(self.about.pid))
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        os.pwrite(self.descriptor, self.about.spelled().encode(), 0)


def sessions(folder: str) -> list[About]:
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


def living(folder: str, *, tidy: bool) -> list[About]:
    """Read the sessions whose process still holds its file; `tidy` removes the others' files."""
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(read_about(file.read().decode()))
                continue
        if tidy:
            os.unlink(path)
    return found
