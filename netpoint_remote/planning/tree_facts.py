"""What the probe saw of everything that uses the releases on one server (`remote/tree_users.py`), as values.

Each line is a JSON object that a server printed, and as untrusted as all of its facts.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

MOST = 200  # lines of one kind that are read
LONGEST = 1000  # characters of one text


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that runs out of a release; `unit` is the systemd unit or scope it belongs to, `tree` the release.

    One of a `stranger` is neither root's, nor NetPoint's user's, nor of who owns the release.
    """

    number: int = 0
    unit: str = ""
    user: str = ""
    tree: str = ""
    command: str = ""
    stranger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeUnit:
    """A unit that may have to do with a release: its files name one or it runs out of one (`in_tree`).

    `kind` is its Type; `triggers` are the units that it starts, where it is a timer, a socket or a path; `seldom` is a
    timer that starts them at a few hours of a day.
    """

    name: str = ""
    active: str = ""
    kind: str = ""
    user: str = ""
    in_tree: bool = False
    seldom: bool = False
    triggers: tuple[str, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or would start something by itself."""
        return self.active in {"active", "activating", "reloading"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CronJob:
    """An entry of cron that runs something out of a release; `often`: at more than a few hours of a day."""

    file: str = ""
    line: int = 0
    often: bool = False
    housekeeping: bool = False
    user: str = ""
    stranger: bool = False

    @property
    def place(self) -> str:
        return f"{self.file} line {self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A place that names a release's own folder, or a link that is bypassed: `path` is what it names.

    `kind` is unit, web, cron, link, local (a file of the admin in the release) or other.
    """

    kind: str = ""
    tree: str = ""
    path: str = ""
    file: str = ""
    line: int = 0
    unit: str = ""

    @property
    def place(self) -> str:
        return f"{self.file} line {self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Sessions of NetPoint's role in its database: `address` is empty for a socket of the server.

    `process` is the number of the process of this server that holds them, with its unit, user and command, unless they
    are a service's or that cannot be known; `seconds` is how long the oldest of them has been open.
    """

    application: str = ""
    address: str = ""
    count: int = 1
    elsewhere: bool = False
    process: int = 0
    unit: str = ""
    user: str = ""
    command: str = ""
    seconds: int = 0


Fact = TypeVar("Fact", Process, TreeUnit, CronJob, Mention, Session)


def read_facts(kind: type[Fact], lines: Iterable[str]) -> tuple[Fact, ...]:
    """Read facts of one kind, a JSON object a line; what is of another type than it should be is left out."""
    return tuple(
        kind(**{field.name: READERS[field.type](known[field.name]) for field in fields(kind) if field.name in known})
        for known in _objects(lines)
    )


def _objects(lines: Iterable[str]) -> Iterator[Mapping[str, object]]:
    for line in list(lines)[:MOST]:
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(read, dict):
            yield read


def _text(value: object) -> str:
    """Return a text that can be printed: JSON may hold half of a letter."""
    return value[:LONGEST].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, value[:MOST])) if isinstance(value, list) else ()


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


READERS: Mapping[Any, Callable[[object], Any]] = {
    str: _text,
    int: _number,
    bool: lambda value: value is True,
    tuple[str, ...]: _texts,
}
