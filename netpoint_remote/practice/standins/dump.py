"""pg_dump and pg_restore of a practice server."""

import gzip
import json
import os
import sqlite3
import time
from typing import Any

from catalogue import VERSION, snapshot_path, table_list
from libpq import OWNER, Place, Refused, connect, database_name, find, output, parse, read
from session import Session

MAGIC = b"PGDMP\x01\x0e\x00"
DUMP_LONG = {"file": "f", "format": "F", "dbname": "d", "username": "U", "host": "h", "port": "p", "no-password": "w"}
RESTORE_LONG = {"file": "f", "format": "F", "dbname": "d", "use-list": "L", "list": "l", "clean": "c",
                "username": "U", "host": "h", "port": "p"}  # fmt: skip


def pg_dump(root: str, arguments: list[str]) -> int:
    options, names = parse(arguments, {*"fFdUhpnNtTZj", "snapshot"}, DUMP_LONG)
    database = open_snapshot(find(root, options, names), options["snapshot"])
    database.execute("BEGIN")
    tables = [
        {"name": name, "sql": sql, "rows": [list(row) for row in database.execute(f'SELECT * FROM "{name}"')]}  # noqa: S608  the name is one that SQLite told
        for name, sql in table_list(database)
    ]
    found = database.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    indexes = [sql for (sql,) in found]
    content = {"database": database_name(options, names), "time": time.time(), "tables": tables, "indexes": indexes}
    if (options["F"] or ["p"])[-1][0] == "c":
        body = MAGIC + gzip.compress(json.dumps(content).encode(), 1)
    else:
        body = to_sql(content, None, clean=False).encode()
    output((options["f"] or ["-"])[-1], body)
    return 0


def open_snapshot(place: Place, names: "list[str]") -> sqlite3.Connection:
    """Open the database as it is, or as it was for the session that exported a snapshot."""
    if not names:
        whole: sqlite3.Connection = connect(place)
        return whole
    path = snapshot_path(place.folder, names[-1])
    if not os.path.exists(path):
        raise Refused(f'query failed: ERROR:  invalid snapshot identifier: "{names[-1]}"')
    return sqlite3.connect(path, isolation_level=None)


def pg_restore(root: str, arguments: list[str]) -> int:
    options, names = parse(arguments, "fFdLUhpnNtTjIPS", RESTORE_LONG)
    content = load(names[0] if names else "-")
    if "l" in options["flags"]:
        print(table_of_contents(content), end="")
        return 0
    lines = [line for path in options["L"] for line in read(path).splitlines()]
    wanted = {int(line.split(";")[0]) for line in lines if line[:1].isdigit()}
    text = to_sql(content, wanted if options["L"] else None, clean="c" in options["flags"])
    if options["d"]:
        session = Session(find(root, options, []), stop="e" in options["flags"], separator="|", bare=True)
        return 0 if session.run(f"BEGIN;{text}COMMIT;".splitlines(keepends=True), "<dump>") else 1
    if not options["f"]:
        raise Refused("one of -d/--dbname and -f/--file must be specified")
    output(options["f"][-1], text.encode())
    return 0


def load(path: str) -> "dict[str, Any]":
    """Read a dump in the custom format.

    Raises:
        Refused: as pg_restore refuses what is no dump, or only a part of one.
    """
    try:
        with open(0 if path == "-" else path, "rb") as file:
            body = file.read()
    except OSError as error:
        raise Refused(f'could not open input file "{path}": {error.strerror}') from None
    if not body.startswith(MAGIC):
        raise Refused("input file does not appear to be a valid archive")
    try:
        content: dict[str, Any] = json.loads(gzip.decompress(body[len(MAGIC) :]))
    except (OSError, EOFError, ValueError):
        raise Refused("could not read from input file: end of file") from None
    return content


def entries(content: "dict[str, Any]") -> "list[tuple[int, str, str, str]]":
    """Return the table of contents: number, kind, name and the SQL behind it."""
    found = [(2, "SCHEMA", "public", "")]
    for table in content["tables"]:
        found.append((len(found) + 200, "TABLE", table["name"], table["sql"] + ";\n"))
    for table in content["tables"]:
        found.append((len(found) + 3000, "TABLE DATA", table["name"], rows_to_sql(table)))
    for sql in content["indexes"]:
        found.append((len(found) + 6000, "INDEX", sql.split()[2], sql + ";\n"))
    return found


def table_of_contents(content: "dict[str, Any]") -> str:
    listed = entries(content)
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(content["time"]))
    head = (
        f";\n; Archive created at {made}\n;     dbname: {content['database']}\n;     TOC Entries: {len(listed)}\n"
        f";     Compression: gzip\n;     Dump Version: 1.14-0\n;     Format: CUSTOM\n"
        f";     Dumped from database version: {VERSION}\n;     Dumped by pg_dump version: {VERSION}\n;\n;\n"
        "; Selected TOC Entries:\n;\n"
    )
    rows = (f"{number}; 1259 {16384 + number} {kind} public {name} {OWNER}\n" for number, kind, name, _ in listed)
    return head + "".join(rows)


def to_sql(content: "dict[str, Any]", wanted: "set[int] | None", *, clean: bool) -> str:
    """Write a dump as SQL, all of it or the wanted entries."""
    parts = ["--\n-- PostgreSQL database dump\n--\n\n", "SET statement_timeout = 0;\nSET client_encoding = 'UTF8';\n\n"]
    if clean:
        parts += [f'DROP TABLE IF EXISTS "{table["name"]}";\n' for table in content["tables"]]
    parts += [sql for number, _, _, sql in entries(content) if wanted is None or number in wanted]
    return "".join([*parts, "\n--\n-- PostgreSQL database dump complete\n--\n\n"])


def rows_to_sql(table: "dict[str, Any]") -> str:
    return "".join(
        f'INSERT INTO "{table["name"]}" VALUES ({", ".join(map(literal, row))});\n'  # noqa: S608  a dump is SQL
        for row in table["rows"]
    )


def literal(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"
