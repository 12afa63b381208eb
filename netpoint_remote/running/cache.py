"""The folder on this machine where releases are kept, safe between processes and power cuts."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from netpoint_remote.errors import ReleaseError

_PIECE = 1024**2


def default_cache() -> Path:
    """Return `$XDG_CACHE_HOME/netpoint-remote`, by default in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "netpoint-remote"


@contextmanager
def using(cache: Path) -> Iterator[None]:
    """Make the folder, and say it plainly when this machine's disk is what fails."""
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield
    except OSError as error:
        place = error.filename or cache
        raise ReleaseError(
            f"{place}: {error.strerror or error}; releases are kept in {cache}, "
            "which must be writable and have room (XDG_CACHE_HOME moves it)"
        ) from error


@contextmanager
def locked(
    path: Path, *, patience: float = 3600.0, on_wait: Callable[[str], None] = lambda _note: None
) -> Iterator[None]:
    """Let one process at a time deal with `path`, waiting for the others; `on_wait` hears of it.

    Raises:
        ReleaseError: when that took more than `patience` seconds.
    """
    with path.with_name(f"{path.name}.lock").open("a", encoding="utf-8") as lock:
        if not _is_taken(lock):
            on_wait(f"another command on this machine is busy with {path}; waiting for it")
            deadline = time.monotonic() + patience
            while not _is_taken(lock):
                if time.monotonic() > deadline:
                    raise ReleaseError(
                        f"another command on this machine has been busy with {path} for too long; end it"
                    )
                time.sleep(0.1)
        yield


def _is_taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write that takes the place of `path` only when all went well."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        beside = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
