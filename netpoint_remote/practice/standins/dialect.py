"""The words of PostgreSQL that SQLite does not know, and the catalogues it does not have."""

import os
import re
import sqlite3
import time
import zlib
from typing import Any

from libpq import OWNER  # type: ignore[import-not-found,unused-ignore]

VERSION, VERSION_NUMBER = "15.6", 150006

# what no SQLite statement can do: left out, or done by emptying the database
IGNORED = re.compile(
    r"(SET|RESET|GRANT|REVOKE|COMMENT|ANALYZE|VACUUM|LISTEN|DISCARD|CREATE SCHEMA|CREATE EXTENSION"
    r"|ALTER (TABLE|DATABASE|SCHEMA|SEQUENCE)\b.*\bOWNER)\b|SELECT pg_catalog\.",
    re.IGNORECASE | re.DOTALL,
)
EMPTIED = re.compile(r"DO \$\w*\$.*\bDROP\b|DROP SCHEMA\b.*\bCASCADE", re.IGNORECASE | re.DOTALL)
WORDS = (
    (re.compile(r"\b(?:public|pg_catalog)\.", re.IGNORECASE), ""),
    (re.compile(r"::\s*[a-z_]+(?:\[\])?", re.IGNORECASE), ""),
    (re.compile(r"\b(pg_control_system|pg_stat_user_tables)\(\)", re.IGNORECASE), r"\1"),
    (re.compile(r"\b(current_user|session_user|current_catalog)\b(?!\()", re.IGNORECASE), r"\1()"),
    (re.compile(r"\bDROP TABLE (IF EXISTS )?([\w.\"]+) CASCADE", re.IGNORECASE), r"DROP TABLE \1\2"),
    (re.compile(r"\|\|\s*([\w.]+\((?:[^()]|\([^()]*\))*\)\s*[-+*/]\s*\w+)"), r"|| (\1)"),  # its || binds tighter
    (re.compile(r"\bSTART TRANSACTION\b", re.IGNORECASE), "BEGIN"),
    (re.compile(r"\bTRUNCATE (?:TABLE )?([\w.\"]+)(?: CASCADE)?", re.IGNORECASE), r"DELETE FROM \1"),
)


def translate(statement: str) -> str:
    """Exchange the words that SQLite does not know, but not inside of quotes."""
    parts = re.split(r"('(?:[^']|'')*')", statement)
    for index in range(0, len(parts), 2):
        for pattern, replacement in WORDS:
            parts[index] = pattern.sub(replacement, parts[index])
    return "".join(parts)


def statements(text: str) -> "list[tuple[int, str]]":
    """Split a text at the semicolons outside of quotes, dollar quotes and comments; with the line each ends on."""
    token = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|(\$\w*\$).*?\1|;|[^-/'\"$;]+|.", re.DOTALL)
    found, statement, line = [], "", 1
    for match in token.finditer(text):
        piece = match.group()
        line += piece.count("\n")
        if piece == ";":
            found.append((line, statement.strip()))
            statement = ""
        elif not piece.startswith(("--", "/*")):
            statement += piece
    found.append((line, statement.strip()))
    return [(number, statement) for number, statement in found if statement]


def spell(error: Exception) -> str:
    """Say an error of SQLite as PostgreSQL would, as far as somebody may look for it."""
    text = str(error)
    for pattern, replacement in (
        (r"no such table: (?:main\.)?(\w+)", r'relation "\1" does not exist'),
        (r"no such column: (?:\w+\.)?(\w+)", r'column "\1" does not exist'),
        (r"table (\w+) already exists", r'relation "\1" already exists'),
        (r"UNIQUE constraint failed: (.*)", r"duplicate key value violates unique constraint (\1)"),
    ):
        text = re.sub(pattern, replacement, text)
    return text


def offer_catalogue(database: sqlite3.Connection) -> None:
    """Offer the functions and views of PostgreSQL that are asked for."""
    path = database.execute("PRAGMA database_list").fetchone()[2]
    name, size, user = (
        os.path.basename(path).removesuffix(".db"),
        os.path.getsize(path),
        os.environ.get("PGUSER", OWNER),
    )
    settings = {"server_version_num": str(VERSION_NUMBER), "server_version": VERSION, "is_superuser": "off"}
    functions: dict[tuple[str, int], Any] = {
        ("current_database", 0): lambda: name,
        ("current_catalog", 0): lambda: name,
        ("current_user", 0): lambda: user,
        ("session_user", 0): lambda: user,
        ("current_schema", 0): lambda: "public",
        ("current_setting", 1): settings.get,
        ("version", 0): lambda: f"PostgreSQL {VERSION} on x86_64-pc-linux-gnu",
        ("pg_database_size", 1): lambda _: size,
        ("pg_is_in_recovery", 0): lambda: "false",
        ("has_schema_privilege", 2): lambda *_: "true",
        ("has_schema_privilege", 3): lambda *_: "true",
        ("has_database_privilege", 2): lambda *_: "true",
        ("pg_try_advisory_lock", 1): lambda _: "t",
        ("pg_advisory_lock", 1): lambda _: "",
        ("pg_stat_reset", 0): lambda: "",
        ("pg_backend_pid", 0): os.getpid,
        ("pg_sleep", 1): time.sleep,
        ("now", 0): lambda: time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime()),
    }
    for (function, count), body in functions.items():
        database.create_function(function, count, body)
    identity = 7_000_000_000_000_000_000 + zlib.crc32(os.path.realpath(path).encode())
    database.execute(f"CREATE TEMP VIEW pg_control_system AS SELECT {identity} AS system_identifier")
    database.execute(
        "CREATE TEMP VIEW pg_tables AS SELECT 'public' AS schemaname, name AS tablename,"  # noqa: S608  a constant
        f" '{OWNER}' AS tableowner FROM main.sqlite_master WHERE type = 'table'"
    )
    database.execute(
        "CREATE TEMP VIEW pg_stat_activity AS SELECT 0 AS pid, '' AS datname, '' AS usename, '' AS application_name,"
        " '' AS state, '' AS query WHERE 0"
    )


def offer_statistics(database: sqlite3.Connection) -> None:
    """Offer the count of rows as the count of those inserted: the nearest thing SQLite can say."""
    database.execute("DROP VIEW IF EXISTS temp.pg_stat_user_tables")
    names = "relname, schemaname, n_tup_ins, n_tup_upd, n_tup_del"
    rows = " UNION ALL ".join(
        f"SELECT '{name}', 'public', (SELECT count(*) FROM main.[{name}]), 0, 0"  # noqa: S608  names of our own tables
        for name, _ in table_list(database)
    )
    nothing = "SELECT '', '', 0, 0, 0 WHERE 0"
    database.execute(f"CREATE TEMP VIEW pg_stat_user_tables ({names}) AS {rows or nothing}")


def table_list(database: sqlite3.Connection) -> list[tuple[str, str]]:
    query = "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return database.execute(query).fetchall()


def empty(database: sqlite3.Connection) -> None:
    for name, _ in table_list(database):
        database.execute(f'DROP TABLE main."{name}"')
