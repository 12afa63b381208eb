"""What psql, pg_dump and pg_restore of a practice server share: finding a database, reading arguments and files.

A server is a folder: `roles` in it knows the passwords, and every database is one SQLite file.
"""

import os
import shlex
import sqlite3
import sys
from collections.abc import Collection, Iterator

OWNER = "netpoint"
SUPERUSER = "postgres"
ADMINISTRATION = "postgres"  # the database


class Refused(Exception):  # noqa: N818  what PostgreSQL does, not an error of ours
    """A connection that was refused, or a file that cannot be read; ends the program."""


class Place:
    """Which database of which server, and as whom."""

    def __init__(self, folder: str, user: str, name: str) -> None:
        self.folder = folder
        self.user = user
        self.name = name

    @property
    def path(self) -> str:
        """The file of the database; the one that every server has for its administration has no tables."""
        return ":memory:" if self.name == ADMINISTRATION else os.path.join(self.folder, f"{self.name}.db")


def find(root: str, options: dict[str, list[str]], names: list[str]) -> Place:
    """Return the database that options and environment name, as libpq finds it.

    Raises:
        Refused: for an unknown role, a wrong password or a missing database.
    """
    folder = (options["h"] or [os.environ.get("PGHOST", "")])[-1] or os.path.join(root, "run", "postgresql")
    us = SUPERUSER if os.environ.get("PRACTICE_USER") == SUPERUSER else OWNER
    place = Place(folder, (options["U"] or [os.environ.get("PGUSER", "")])[-1] or us, database_name(options, names))
    said = f'connection to server on socket "{folder}/.s.PGSQL.5432" failed: '
    try:
        with open(os.path.join(folder, "roles"), encoding="utf-8") as file:
            roles = dict(line.rstrip("\n").split(":", 1) for line in file)
    except OSError:
        raise Refused(said + "No such file or directory\n\tIs the server running locally?") from None
    if place.user == SUPERUSER:
        if us != SUPERUSER:
            raise Refused(said + f'FATAL:  Peer authentication failed for user "{SUPERUSER}"')
    elif roles.get(place.user) != os.environ.get("PGPASSWORD", None if "PGHOST" in os.environ else roles.get(OWNER)):
        raise Refused(said + f'FATAL:  password authentication failed for user "{place.user}"')
    if place.path != ":memory:" and not os.path.exists(place.path):
        raise Refused(said + f'FATAL:  database "{place.name}" does not exist')
    return place


def connect(place: Place) -> sqlite3.Connection:
    """Open a database; a practice server need not outlive a power cut."""
    database = sqlite3.connect(place.path, timeout=60, isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    return database


def database_name(options: dict[str, list[str]], names: list[str]) -> str:
    usual = os.environ.get("PGDATABASE", OWNER)
    name = (options["d"] or names[:1] or [usual])[-1]
    if "=" not in name:
        return name
    return dict(word.split("=", 1) for word in shlex.split(name) if "=" in word).get("dbname", usual)


def parse(
    arguments: list[str], valued: Collection[str], long: "dict[str, str]"
) -> tuple[dict[str, list[str]], list[str]]:
    """Split arguments: short options with a value each by their letter, the others under `flags`, and what is left."""
    options: dict[str, list[str]] = {letter: [] for letter in {*valued, *"hdUvLfF"}}
    options["flags"] = []
    names = []
    pending = iter(arguments)
    for argument in pending:
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            letter = long.get(name, name)
            if letter in valued:
                options[letter].append(value if equals else next(pending, ""))
            else:
                options["flags"].append(letter)
        elif argument.startswith("-") and len(argument) > 1:
            _parse_short(argument[1:], valued, pending, options)
        else:
            names.append(argument)
    return options, names


def _parse_short(letters: str, valued: Collection[str], pending: Iterator[str], options: dict[str, list[str]]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in valued:
            options[letter].append(letters or next(pending, ""))
            return
        options["flags"].append(letter)


def read(path: str) -> str:
    try:
        with open(0 if path == "-" else path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None


def output(path: str, body: bytes) -> None:
    if path == "-":
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    try:
        with open(path, "wb") as file:
            file.write(body)
    except OSError as error:
        raise Refused(f'could not open output file "{path}": {error.strerror}') from None
