"""All that must be as it was, or as an undisturbed run leaves it: files, rows, units, pages; and how two differ."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.asking import PASSING, page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.lab.servers import Server

TREES = ("/opt", "/etc/systemd/system", "/etc/cron.daily")
LOCK = "var/lib/netpoint-remote/lock"
UPLOADED = "netpoint/media/image-attachments/uploaded.txt"
"""A file that a user changes while packages are staged; whoever looks for it knows what must be in it."""

BYTECODE = re.compile(r"(^|/)__pycache__(/|$)|\.pyc$")
GIT = re.compile(r"/\.git/(?!HEAD$|netpoint-remote/)")
PASSING_FILES = re.compile(rf"/{re.escape(UPLOADED)}$|/\.git/netpoint-remote/[^/]+/complete$")
"""Git's own files hold times and what was fetched; `complete` holds the id of a run."""

SEQUENCE = re.compile(r"SELECT pg_catalog\.setval\('([^']+)', (\d+), ")

SHOWN = 8
"""So many differences are told."""


@dataclass(frozen=True, slots=True)
class State:
    """A server at one moment. Entries are texts that are equal where the things are."""

    files: Mapping[str, str] = field(repr=False)
    rows: frozenset[str] = field(repr=False)
    sequences: Mapping[str, int] = field(repr=False)
    services: Mapping[str, str]
    serves: str

    @classmethod
    def of(cls, server: Server) -> State:
        services, rows = _asked(server)
        return cls(
            files=dict(_files(server.root)),
            rows=frozenset(row for row in rows if not SEQUENCE.match(row)),
            sequences={found[1]: int(found[2]) for found in map(SEQUENCE.match, rows) if found},
            services=services,
            serves=served(server),
        )


def differences(was: State, now: State) -> list[str]:
    """Say how two moments differ, the first few of it."""
    found = [f"serves {now.serves or 'nothing'}, not {was.serves}"] if was.serves != now.serves else []
    found += [f"{unit} is {now.services.get(unit)}, not {was.services[unit]}" for unit in was.services
              if now.services.get(unit) != was.services[unit]]  # fmt: skip
    found += _shortened(f"row lost: {row[:160]}" for row in sorted(was.rows - now.rows))
    found += _shortened(f"row more: {row[:160]}" for row in sorted(now.rows - was.rows))
    # One that was cut off leaves numbers out; it must not give one out again.
    found += _shortened(f"the sequence {name} went back" for name, value in was.sequences.items()
                        if now.sequences.get(name, 0) < value)  # fmt: skip
    found += _shortened(_file_differences(was.files, now.files))
    return found


def served(server: Server, *, patience: float = 0) -> str:
    """Return the version on the login page as users get it, waiting for one so many seconds; '' without a page."""
    deadline = time.monotonic() + patience
    while True:
        with suppress(OSError):
            answer = page(server, "/login/")
            found = re.search(r"\.css\?v=([^\"]+)", answer.text)
            if answer.status == 200 and found:
                return found[1]
        if time.monotonic() >= deadline:
            return ""
        time.sleep(0.2)


def lock_is_free(server: Server, *, patience: float) -> bool:
    """Tell whether nobody holds the lock of the server, or lets go of it within so many seconds."""
    deadline = time.monotonic() + patience
    while _is_locked(server.root / LOCK):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _file_differences(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for path in sorted({*was, *now}):
        if was.get(path) != now.get(path):
            yield f"{path}: {was.get(path, 'not there')} -> {now.get(path, 'not there')}"


def _shortened(lines: Iterator[str]) -> list[str]:
    found = list(lines)
    return found[:SHOWN] + ([f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])


def _files(root: Path) -> Iterator[tuple[str, str]]:
    for tree in TREES:
        for folder, folders, files in os.walk(f"{root}{tree}"):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for name in (*folders, *files):
                path = os.path.join(folder, name)  # noqa: PTH118  a tree has ten thousand of them
                shown = path[len(str(root)) :]
                if not (BYTECODE.search(shown) or GIT.search(shown) or PASSING_FILES.search(shown)):
                    yield shown, _entry(path)


def _entry(path: str) -> str:
    about = os.lstat(path)
    kind = stat.S_IFMT(about.st_mode)
    if kind == stat.S_IFLNK:
        return f"-> {Path(path).readlink()}"
    owner = f"{stat.S_IMODE(about.st_mode):o} {about.st_uid}:{about.st_gid}"
    if kind != stat.S_IFREG:
        return f"folder {owner}"
    return f"{owner} {_digest(path, (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))}"


@lru_cache(maxsize=500_000)
def _digest(path: str, _unless_changed: tuple[int, ...]) -> str:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()


ASK = """\
for tries in $(seq 100); do
    [ -n "$(systemctl list-units --all --plain --no-legend 'netpoint-remote-*')" ] || break
    /bin/sleep 0.1
done
systemctl show -p Id,ActiveState netpoint netpoint-rq netpoint-housekeeping.timer | paste -s -d ' '
systemctl list-units --all --plain --no-legend 'netpoint-remote-*' | paste -s -d ' '
ls /var/lib/netpoint-remote/runs/*/database.env /var/lib/netpoint-remote/runs/*/unit.env 2>/dev/null | paste -s -d ' '
runuser -u postgres -- psql -qAtc "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'" netpoint
runuser -u postgres -- psql -qAtc "SELECT 'migration ' || app || '.' || name FROM django_migrations" netpoint
runuser -u postgres -- pg_dump --inserts netpoint
"""


def _asked(server: Server) -> tuple[dict[str, str], list[str]]:
    """Return what runs and what lies about, and every line of a dump but those of passing tables."""
    units, runs, secrets, locks, *dump = server.run(ASK, check=False).stdout.splitlines() + [""] * 4
    services = {
        "the units": units,
        "the units of runs": runs,
        "the list of secrets left behind": secrets,
        "the number of advisory locks": locks,
    }
    passing = tuple(f"INSERT INTO public.{table} " for table in PASSING)
    return services, [line for line in dump if not line.startswith((*passing, "--", "\\"))]
