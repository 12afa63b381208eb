"""The functions and tables of PostgreSQL that NetPoint's admins and tools ask for, over an SQLite file."""

import os
import re
import sqlite3
import time
import zlib
from collections.abc import Callable

from backends import Backend, sessions
from libpq import ADMINISTRATION, OWNER, SUPERUSER, Place

VERSION, VERSION_NUMBER = "15.6", 150006
PUBLIC = 2200
FIRST_OID = 16384
TABLE = re.compile(r"\b(pg_[a-z_]+)\b(?!\()")


def offer_functions(database: sqlite3.Connection, place: Place) -> None:
    """Let statements on a connection call the functions of PostgreSQL."""
    for (name, count), body in {**constants(place), **FUNCTIONS, **locking(place)}.items():
        database.create_function(name, count, body)
    database.create_aggregate("string_agg", -1, Joined)  # type: ignore[arg-type]  # mypy wants a fixed number of values
    database.create_aggregate("string_agg_distinct", 2, JoinedOnce)  # type: ignore[arg-type]  # the same


Functions = dict[tuple[str, int], Callable[..., str | int | float | None]]


def constants(place: Place) -> Functions:
    settings = {"server_version_num": str(VERSION_NUMBER), "server_version": VERSION,
                "port": "5432", "is_superuser": "on" if place.user == SUPERUSER else "off"}  # fmt: skip
    return {
        ("current_database", 0): lambda: place.name,
        ("current_catalog", 0): lambda: place.name,
        ("current_user", 0): lambda: place.user,
        ("session_user", 0): lambda: place.user,
        ("current_setting", 1): settings.get,
        ("pg_database_size", 1): lambda name: size_of(Place(place.folder, "", name).path),
        ("pg_export_snapshot", 0): snapshot_name,
        ("pg_postmaster_start_time", 0): lambda: stamp(os.path.getmtime(os.path.join(place.folder, "roles"))),
    }


def locking(place: Place) -> Functions:
    backend = Backend(place.folder, place.name, place.user)

    def take(*key: int, shared: bool = False) -> bool:
        first, second = (key[0] >> 32, key[0] & 0xFFFFFFFF) if len(key) == 1 else key
        return bool(backend.try_lock(first, second, shared=shared))

    def share(*key: int) -> bool:
        return take(*key, shared=True)

    return {
        (f"pg_try_advisory_{until}lock{mode}", count): body
        for until in ("", "xact_")
        for mode, body in (("", take), ("_shared", share))
        for count in (1, 2)
    }


def size_of(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def snapshot_name() -> str:
    """Return the name of this session's snapshot."""
    return f"{os.getpid():08X}-1"


def snapshot_path(folder: str, name: str) -> str:
    """Return where a session's snapshot lies for pg_dump to read."""
    return os.path.join(folder, f"snapshot-{name}")


def fill_in(template: str, *values: object) -> str:
    """Do as format() does with %s, %I and %L."""
    pending = iter(values)

    def one(sign: "re.Match[str]") -> str:
        if sign[1] == "%":
            return "%"
        text = str(next(pending))
        if sign[1] == "L":
            return "'" + text.replace("'", "''") + "'"
        return text if sign[1] == "s" or re.fullmatch("[a-z_][a-z0-9_]*", text) else '"' + text.replace('"', '""') + '"'

    return re.sub("%([sIL%])", one, template)


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(seconds))


def seconds_of(text: str) -> int:
    """Return the epoch of what `stamp` wrote."""
    from calendar import timegm  # noqa: PLC0415  a quick start

    return timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S+00"))


def md5(text: "str | None") -> "str | None":
    import hashlib  # noqa: PLC0415  a quick start

    return None if text is None else hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


FUNCTIONS: Functions = {
    ("current_schema", 0): lambda: "public",
    ("version", 0): lambda: f"PostgreSQL {VERSION} on x86_64-pc-linux-gnu",
    ("pg_is_in_recovery", 0): lambda: "false",
    ("has_schema_privilege", 2): lambda *_: "true",
    ("has_schema_privilege", 3): lambda *_: "true",
    ("pg_terminate_backend", 1): lambda _: "t",
    ("pg_has_role", 3): lambda user, role, _: user in {role, SUPERUSER},
    ("has_database_privilege", 2): lambda *_: "true",
    ("pg_stat_reset", 0): lambda: "",
    ("pg_backend_pid", 0): os.getpid,
    ("pg_sleep", 1): time.sleep,
    ("pg_table_size", 1): lambda _: 8192,
    ("pg_encoding_to_char", 1): lambda _: "UTF8",
    ("now", 0): lambda: stamp(time.time()),
    ("extract_epoch", 1): seconds_of,
    ("host", 1): lambda address: address,
    ("inet_client_addr", 0): lambda: None,
    ("inet_server_addr", 0): lambda: None,
    ("md5", 1): md5,
    ("regexp", 2): lambda pattern, text: text is not None and re.search(pattern, text) is not None,
    ("format", -1): fill_in,
}


class Joined:
    """string_agg(value, separator ORDER BY ...), where what orders comes as further arguments."""

    def __init__(self) -> None:
        self.rows: list[tuple[object, ...]] = []
        self.separator = ""

    def step(self, value: "str | None", separator: str, *keys: object) -> None:
        self.separator = separator
        if value is not None:
            self.rows.append((*keys, value))

    def finalize(self) -> "str | None":
        rows = sorted(self.rows) if self.rows and len(self.rows[0]) > 1 else self.rows
        return self.separator.join(str(row[-1]) for row in rows) if rows else None


class JoinedOnce(Joined):
    """string_agg(DISTINCT value, separator)."""

    def finalize(self) -> "str | None":
        self.rows = sorted(set(self.rows))
        return super().finalize()


Rows = list[tuple[object, ...]]


def offer_tables(database: sqlite3.Connection, place: Place, statement: str) -> None:
    """Offer the tables of PostgreSQL's catalogue that a statement asks, filled as of now."""
    for name in sorted({*TABLE.findall(statement)} & CATALOGUE.keys()):
        columns, rows_of = CATALOGUE[name]
        rows = rows_of(database, place)
        database.execute(f"DROP TABLE IF EXISTS temp.{name}")
        database.execute(f"CREATE TEMP TABLE {name} ({columns})")
        marks = ", ".join("?" for _ in columns.split(","))
        database.executemany(f"INSERT INTO temp.{name} VALUES ({marks})", rows)  # noqa: S608  names of our own


def table_list(database: sqlite3.Connection) -> list[tuple[str, str]]:
    query = "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return database.execute(query).fetchall()


def relations(database: sqlite3.Connection, _: Place) -> Rows:
    found = database.execute("SELECT rowid, name, type FROM main.sqlite_master WHERE type IN ('table', 'index')")
    return [(FIRST_OID + row, name, PUBLIC, OWNER, "r" if kind == "table" else "i") for row, name, kind in found]


def statistics(database: sqlite3.Connection, _: Place) -> Rows:
    """Return the count of rows as the count of those inserted: the nearest thing SQLite can say."""
    counts = [
        (name, database.execute(f'SELECT count(*) FROM main."{name}"').fetchone()[0])  # noqa: S608  a table's own name
        for name, _ in table_list(database)
    ]
    return [(name, "public", count, 0, 0) for name, count in counts]


def databases(_: sqlite3.Connection, place: Place) -> Rows:
    files = sorted(name.removesuffix(".db") for name in os.listdir(place.folder) if name.endswith(".db"))
    return [(oid(name), name, 6, "C.UTF-8", "C.UTF-8") for name in (*files, ADMINISTRATION)]


def oid(database: str) -> int:
    return FIRST_OID + zlib.crc32(database.encode()) % 1_000_000


def activity(_: sqlite3.Connection, place: Place) -> Rows:
    return [
        (about.pid, about.database, about.user, about.application, None, -1, stamp(time.time()), "idle", "")
        for about in sessions(place.folder)
    ]


def advisory_locks(_: sqlite3.Connection, place: Place) -> Rows:
    return [
        ("advisory", oid(about.database), first, second, about.pid, "ShareLock" if shared else "ExclusiveLock", 1)
        for about in sessions(place.folder)
        for first, second, shared in dict.fromkeys(about.locks)
    ]


CATALOGUE: dict[str, tuple[str, Callable[[sqlite3.Connection, Place], Rows]]] = {
    "pg_class": ("oid, relname, relnamespace, relowner, relkind", relations),
    "pg_namespace": ("oid, nspname", lambda *_: [(11, "pg_catalog"), (PUBLIC, "public")]),
    "pg_tables": (
        "schemaname, tablename, tableowner",
        lambda database, _: [("public", name, OWNER) for name, _ in table_list(database)],
    ),
    "pg_stat_user_tables": ("relname, schemaname, n_tup_ins, n_tup_upd, n_tup_del", statistics),
    "pg_database": ("oid, datname, encoding, datcollate, datctype", databases),
    "pg_roles": ("rolname, rolsuper, rolcreatedb", lambda *_: [(OWNER, 0, 0), (SUPERUSER, 1, 1)]),
    "pg_extension": ("oid, extname, extnamespace", lambda *_: [(14000, "plpgsql", 11)]),
    "pg_depend": ("classid, objid, deptype", lambda *_: []),
    "pg_stat_activity": (
        "pid, datname, usename, application_name, client_addr, client_port, backend_start, state, query",
        activity,
    ),
    "pg_locks": ("locktype, database, classid, objid, pid, mode, granted", advisory_locks),
    "pg_control_system": (
        "system_identifier",
        lambda _, place: [(7_000_000_000_000_000_000 + zlib.crc32(os.path.realpath(place.folder).encode()),)],
    ),
}
