"""All that must be as it was, or as an undisturbed run leaves it: files, rows, units, pages; and how two differ."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.asking import PASSING, page
from tests.lab.slots import is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.lab.servers import Server

TREES = ("/opt", "/etc/systemd/system", "/etc/cron.daily")
LOCK = "var/lib/netpoint-remote/lock"
UPLOADED = "netpoint/media/image-attachments/uploaded.txt"
"""A file that a user changes while packages are staged; whoever looks for it knows what must be in it."""

BYTECODE = re.compile(r"(^|/)__pycache__(/|$)|\.pyc$")
GIT = re.compile(r"/\.git/(?!HEAD$|netpoint-remote/|.*\.lock$)")
PASSING_FILES = re.compile(rf"/{re.escape(UPLOADED)}$|/\.git/netpoint-remote/[^/]+/complete$")
"""Git's own files hold times and what was fetched; `complete` holds the id of a run."""

LAST_LOGIN = re.compile(r"(INSERT INTO public\.auth_user VALUES \(\d+, '(?:[^']|'')*', )(?:NULL|'[^']*')")
SEQUENCE = re.compile(r"SELECT pg_catalog\.setval\('([^']+)', (\d+), ")

SHOWN = 8
"""So many differences are told."""


@dataclass(frozen=True, slots=True)
class State:
    """A server at one moment. Entries are texts that are equal where the things are."""

    files: Mapping[str, str] = field(repr=False)
    rows: Counter[str] = field(repr=False)
    sequences: Mapping[str, int] = field(repr=False)
    services: Mapping[str, str]
    serves: str
    backups: int
    """So many are whole."""

    @classmethod
    def of(cls, server: Server) -> State:
        services, rows = _asked(server)
        return cls(
            files=dict(_files(server.root)),
            rows=Counter(LAST_LOGIN.sub(r"\1'one day'", row) for row in rows if not SEQUENCE.match(row)),
            sequences={found[1]: int(found[2]) for found in map(SEQUENCE.match, rows) if found},
            backups=int(services.pop(BACKUPS)),
            services=services,
            serves=served(server),
        )


def differences(was: State, now: State) -> list[str]:
    """Say how two moments differ, the first few of it."""
    found = [f"serves {now.serves or 'nothing'}, not {was.serves}"] if was.serves != now.serves else []
    found += [f"{unit} is {now.services.get(unit)}, not {was.services[unit]}" for unit in was.services
              if now.services.get(unit) != was.services[unit]]  # fmt: skip
    found += _shortened(f"row lost: {row[:160]}" for row in sorted((was.rows - now.rows).elements()))
    found += _shortened(f"row more: {row[:160]}" for row in sorted((now.rows - was.rows).elements()))
    found += [f"{was.backups - now.backups} backups fewer"] if now.backups < was.backups else []
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
    """Tell whether nobody holds the lock of the server, or lets go of it within so many seconds.

    Who holds a lock whose file was removed is seen by the work that it goes on with.
    """
    deadline = time.monotonic() + patience
    while is_locked(server.root / LOCK) or server.run("pgrep -f 'bundle/main[.]sh'", check=False).returncode == 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


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
        return f"-> {Path(path).readlink()} {about.st_uid}:{about.st_gid}"
    owner = f"{stat.S_IMODE(about.st_mode):o} {about.st_uid}:{about.st_gid}"
    if kind != stat.S_IFREG:
        return f"folder {owner}"
    return f"{owner} {_digest(path, (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))}"


@lru_cache(maxsize=500_000)
def _digest(path: str, _unless_changed: tuple[int, ...]) -> str:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()


BACKUPS = "the number of backups that are whole"

WHOLE = r"""for kept in /var/backups/netpoint-remote/*/manifest; do
    folder=${kept%/manifest} wanted=database.dump
    case $folder in *.partial | *'*') continue ;; *) ;; esac
    if grep -q -x purpose=backup "$kept"; then wanted="$wanted files.tar"; fi
    state=whole
    for file in $wanted; do
        sum=$(sha256sum <"$folder/$file" | cut -d ' ' -f 1)
        [ -n "$sum" ] && grep -q -x -F "sha256.$file=$sum" "$kept" || state=not
    done
    echo "$state $folder"
done"""
"""Said of each folder that has the name of a backup."""

ASKED = {
    "the units": "systemctl show -p Id,ActiveState netpoint netpoint-rq netpoint-housekeeping.timer",
    "the units of runs": "systemctl list-units --all --plain --no-legend 'netpoint-remote-*'",
    "the list of secrets left behind": "ls /var/lib/netpoint-remote/runs/*/database.env "
    "/var/lib/netpoint-remote/runs/*/upgrade.env",
    # What a run leaves in its own folder is pruned with it.
    "the list of what is half there": "find /opt /var/lib/netpoint-remote /var/backups/netpoint-remote "
    "-path /var/lib/netpoint-remote/runs -prune -o -name '*.partial' -print",
    "the list of marks of releases": "cd /var/lib/netpoint-remote && ls -d rolled-back/* releases/*",
    "the list of backups that are not whole": f"{WHOLE} | sed -n 's/^not //p'",
    BACKUPS: f"{WHOLE} | grep -c '^whole'",
    "the number of advisory locks": "runuser -u postgres -- psql -qAtc "
    "\"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'\" netpoint",
}
"""What stands in one line each, and how the server is asked for it."""

SQL = """\
SELECT 'migration ' || app || '.' || name FROM django_migrations;
SELECT concat_ws(' ', 'database', datname, datdba::regrole, datacl, datconnlimit) FROM pg_database
    WHERE NOT datistemplate;
SELECT concat_ws(' ', 'settings of', datname, rolname, setconfig) FROM pg_db_role_setting
    LEFT JOIN pg_database d ON d.oid = setdatabase LEFT JOIN pg_roles r ON r.oid = setrole;
SELECT concat_ws(' ', 'role', rolname, rolsuper, rolcreatedb, rolcanlogin) FROM pg_roles WHERE rolname !~ '^pg_';
"""

ASK = "\n".join((
    "for tries in $(seq 1000); do",
    """    [ -n "$(systemctl list-units --all --plain --no-legend 'netpoint-remote-*')" ] || break""",
    "    /bin/sleep 0.1",
    "done",
    *(f"echo $( ( {command} ) 2>/dev/null )" for command in ASKED.values()),
    f"runuser -u postgres -- psql -qAt netpoint <<'END'\n{SQL}END",
    "runuser -u postgres -- pg_dump --inserts netpoint",
))  # fmt: skip


def _asked(server: Server) -> tuple[dict[str, str], list[str]]:
    """Return what runs and what lies about, and every line of a dump but those of passing tables."""
    lines = server.run(ASK, check=False).stdout.splitlines()
    passing = tuple(f"INSERT INTO public.{table} " for table in PASSING - {"auth_user"})
    dump = [line for line in lines[len(ASKED) :] if not line.startswith((*passing, "--", "\\"))]
    return dict(zip(ASKED, lines, strict=False)), dump
