"""What psql, pg_dump and pg_restore of a practice server share: finding a database, reading arguments and files.

A server is a folder: `roles` in it knows the passwords, and every database is one SQLite file.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator

OWNER = "netpoint"


class Refused(Exception):  # noqa: N818  what PostgreSQL does, not an error of ours
    """A connection that was refused, or a file that cannot be read; ends the program."""


def connect(root: str, options: dict[str, list[str]], names: list[str]) -> sqlite3.Connection:
    """Open the database that options and environment name, as libpq finds it.

    Raises:
        Refused: for an unknown role, a wrong password or a missing database.
    """
    folder = (options["h"] or [os.environ.get("PGHOST", "")])[-1] or os.path.join(root, "run", "postgresql")
    user = (options["U"] or [os.environ.get("PGUSER", "")])[-1] or OWNER
    name = database_name(options, names)
    said = f'connection to server on socket "{folder}/.s.PGSQL.5432" failed: '
    try:
        with open(os.path.join(folder, "roles"), encoding="utf-8") as file:
            roles = dict(line.rstrip("\n").split(":", 1) for line in file)
    except OSError:
        raise Refused(said + "No such file or directory\n\tIs the server running locally?") from None
    if roles.get(user) != os.environ.get("PGPASSWORD", roles.get(user) if "PGHOST" not in os.environ else None):
        raise Refused(said + f'FATAL:  password authentication failed for user "{user}"')
    path = os.path.join(folder, f"{name}.db")
    if not os.path.exists(path):
        raise Refused(said + f'FATAL:  database "{name}" does not exist')
    return sqlite3.connect(path, timeout=60, isolation_level=None)


def database_name(options: dict[str, list[str]], names: list[str]) -> str:
    return (options["d"] or names[:1] or [os.environ.get("PGDATABASE", OWNER)])[-1]


def parse(arguments: list[str], valued: str, long: "dict[str, str]") -> tuple[dict[str, list[str]], list[str]]:
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


def _parse_short(letters: str, valued: str, pending: Iterator[str], options: dict[str, list[str]]) -> None:
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
