"""psql, pg_dump and pg_restore of a practice server, over databases that are SQLite files in their socket folder.

Statements go to SQLite after a few words that it does not know are exchanged. What PostgreSQL keeps
in its catalogues is offered as views and functions, as far as NetPoint's admins and tools ask for it.
"""

import contextlib
import gzip
import json
import os
import re
import sqlite3
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

VERSION, VERSION_NUMBER = "15.6", 150006
BANNER = f"(PostgreSQL) {VERSION} (Debian {VERSION}-0+deb12u1)"
MAGIC = b"PGDMP\x01\x0e\x00"
OWNER = "netpoint"

# what no SQLite statement can do, and what stands in its place (None: nothing)
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


class Refused(Exception):  # noqa: N818  what PostgreSQL does, not an error of ours
    """A connection that was refused, or a file that cannot be read; ends the program."""


def main() -> int:
    root, program, *arguments = sys.argv[1:]
    if {"--version", "-V"} & set(arguments):
        print(f"{program} {BANNER}")
        return 0
    try:
        return PROGRAMS[program](root, arguments)
    except Refused as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return 2 if program == "psql" else 1


def psql(root: str, arguments: list[str]) -> int:
    options, names = parse(arguments, "cfdUhpvFo", PSQL_LONG)
    database = connect(root, options, names)
    stop = any(value.replace(" ", "").upper() in {"ON_ERROR_STOP=1", "ON_ERROR_STOP=ON"} for value in options["v"])
    session = Session(database, stop=stop, separator=(options["F"] or ["|"])[-1], bare="t" in options["flags"])
    single = "1" in options["flags"]
    texts = [(None, text) for text in options["c"]] + [(path, read(path)) for path in options["f"]]
    if not texts:
        texts = [("-", sys.stdin.read())]
    if single:
        session.run("BEGIN", None)
    for path, text in texts:
        if not session.run(text, "<stdin>" if path == "-" else path):
            return 3 if path else 1
    if single:
        session.run("COMMIT", None)
    return 0


PSQL_LONG = {"command": "c", "file": "f", "dbname": "d", "username": "U", "host": "h", "port": "p", "set": "v",
             "variable": "v", "field-separator": "F", "output": "o", "single-transaction": "1", "tuples-only": "t",
             "no-align": "A", "quiet": "q", "no-psqlrc": "X", "no-password": "w"}  # fmt: skip


class Session:
    """One connection that runs texts of several statements, as psql does."""

    def __init__(self, database: sqlite3.Connection, *, stop: bool, separator: str, bare: bool) -> None:
        self.database = database
        self.stop = stop
        self.separator = separator
        self.bare = bare
        self.broken = False  # a transaction that had an error takes nothing more

    def run(self, text: str, path: "str | None") -> bool:
        """Run every statement; False when one failed and that ends the run."""
        for line, statement in statements(text):
            try:
                self.execute(statement)
            except (sqlite3.Error, Refused) as error:  # noqa: PERF203  each statement may fail by itself
                place = f"psql:{path}:{line}: " if path else ""
                print(f"{place}ERROR:  {spell(error)}", file=sys.stderr)
                self.broken = self.database.in_transaction
                if self.stop or not path:
                    return False
        return True

    def execute(self, statement: str) -> None:
        word = statement.split(None, 1)[0].upper().rstrip(";")
        if word.startswith("\\"):
            return
        if self.broken and word not in {"ROLLBACK", "COMMIT", "END", "ABORT"}:
            raise Refused("current transaction is aborted, commands ignored until end of transaction block")
        if word in {"COMMIT", "END", "ROLLBACK", "ABORT"}:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK" if self.broken or word in {"ROLLBACK", "ABORT"} else "COMMIT")
            self.broken = False
            return
        if EMPTIED.match(statement):
            empty(self.database)
        elif not IGNORED.match(statement):
            self.show(statement)

    def show(self, statement: str) -> None:
        shown = re.match(r"SHOW\s+(\w+)", statement, re.IGNORECASE)
        translated = f"SELECT current_setting('{shown.group(1)}')" if shown else translate(statement)
        if re.search(r"\bpg_stat_user_tables\b", translated):
            offer_statistics(self.database)
        if re.search(r"/\s*0\b", translated):
            raise Refused("division by zero")  # SQLite makes it NULL
        cursor = self.database.execute(translated)
        if cursor.description and not self.bare:
            print(self.separator.join(column[0] for column in cursor.description))
        for row in cursor:
            print(self.separator.join("" if value is None else str(value) for value in row))


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


def pg_dump(root: str, arguments: list[str]) -> int:
    options, names = parse(arguments, "fFdUhpnNtTZj", {"file": "f", "format": "F", "dbname": "d", "username": "U",
                                                     "host": "h", "port": "p", "no-password": "w"})  # fmt: skip
    database = connect(root, options, names)
    database.execute("BEGIN")
    tables = [
        {"name": name, "sql": sql, "rows": [list(row) for row in database.execute(f'SELECT * FROM "{name}"')]}  # noqa: S608
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
        session = Session(connect(root, options, []), stop="e" in options["flags"], separator="|", bare=True)
        return 0 if session.run(f"BEGIN;{text}COMMIT;", "<dump>") else 1
    if not options["f"]:
        raise Refused("one of -d/--dbname and -f/--file must be specified")
    output(options["f"][-1], text.encode())
    return 0


RESTORE_LONG = {"file": "f", "format": "F", "dbname": "d", "use-list": "L", "list": "l", "clean": "c",
                "username": "U", "host": "h", "port": "p"}  # fmt: skip


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
    database = sqlite3.connect(path, timeout=60, isolation_level=None)
    offer_catalogue(database, folder, name, user)
    return database


def database_name(options: dict[str, list[str]], names: list[str]) -> str:
    return (options["d"] or names[:1] or [os.environ.get("PGDATABASE", OWNER)])[-1]


def offer_catalogue(database: sqlite3.Connection, folder: str, name: str, user: str) -> None:
    """Offer the functions and views of PostgreSQL that are asked for."""
    size = os.path.getsize(os.path.join(folder, f"{name}.db"))
    settings = {"server_version_num": str(VERSION_NUMBER), "server_version": VERSION, "is_superuser": "off"}
    functions: dict[tuple[str, int], Callable[..., Any]] = {
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
    identity = 7_000_000_000_000_000_000 + zlib.crc32(os.path.realpath(folder).encode())
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


PROGRAMS = {"psql": psql, "pg_dump": pg_dump, "pg_restore": pg_restore}

if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
