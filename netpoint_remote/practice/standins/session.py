"""psql of a practice server."""

import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterable

from catalogue import offer_functions, offer_tables, snapshot_name, snapshot_path, table_list
from dialect import EMPTIED, IGNORED, spell, translate
from libpq import OWNER, SUPERUSER, Place, Refused, connect, find, parse, read
from scanner import Scanner

PSQL_LONG = {"command": "c", "file": "f", "dbname": "d", "username": "U", "host": "h", "port": "p", "set": "v",
             "variable": "v", "field-separator": "F", "output": "o", "single-transaction": "1", "tuples-only": "t",
             "no-align": "A", "record-separator-zero": "0", "quiet": "q", "no-psqlrc": "X",
             "no-password": "w"}  # fmt: skip
ENDED = re.compile(r"(COMMIT|END|ROLLBACK|ABORT)\b", re.IGNORECASE)
DATABASES = re.compile(r'(CREATE|DROP) DATABASE (IF EXISTS )?"?([\w-]+)"?', re.IGNORECASE)


def psql(root: str, arguments: list[str]) -> int:
    options, names = parse(arguments, "cfdUhpvFo", PSQL_LONG)
    place = find(root, options, names)
    stop = any(value.replace(" ", "").upper() in {"ON_ERROR_STOP=1", "ON_ERROR_STOP=ON"} for value in options["v"])
    session = Session(place, stop=stop, separator=(options["F"] or ["|"])[-1], bare="t" in options["flags"])
    session.row_end = "\0" if "0" in options["flags"] else "\n"
    session.variables.update(value.split("=", 1) for value in options["v"] if "=" in value)
    single = "1" in options["flags"]
    texts = [(None, text) for text in options["c"]] + [(path, path) for path in options["f"]]
    if single:
        session.run(["BEGIN;"], None)
    try:
        for path, text in texts or [("-", "-")]:
            lines = text.splitlines(keepends=True) if path is None else lines_of(path)
            if not session.run(lines, "<stdin>" if path == "-" else path):
                return 3 if path else 1
    finally:
        session.forget_snapshot()
    if single:
        session.run(["COMMIT;"], None)
    return 0


def lines_of(path: str) -> Iterable[str]:
    """Return the lines of a file; those of a pipe as they come."""
    return sys.stdin if path == "-" else read(path).splitlines(keepends=True)


class Session:
    """One connection that runs texts of several statements, as psql does."""

    def __init__(self, place: Place, *, stop: bool, separator: str, bare: bool) -> None:
        self.place = place
        self.database: sqlite3.Connection = connect(place)
        offer_functions(self.database, place)
        self.stop = stop
        self.separator = separator
        self.bare = bare
        self.row_end = "\n"
        self.broken = False  # a transaction that had an error takes nothing more
        self.variables = {"HOST": "/var/run/postgresql", "PORT": "5432"}
        self.exported = ""

    def run(self, lines: Iterable[str], path: "str | None") -> bool:
        """Run every statement as soon as its line is there; False when one failed and that ends the run."""
        scanner = Scanner()
        for line in lines:
            for number, statement, command in scanner.feed(line):
                if not self.try_one(statement, command, f"psql:{path}:{number}: " if path else ""):
                    return False
            sys.stdout.flush()
        rest = scanner.take()
        return not rest or self.try_one(rest, "", f"psql:{path}:{scanner.line}: " if path else "")

    def try_one(self, statement: str, command: str, place: str) -> bool:
        try:
            if command:
                self.obey(command, statement)
            else:
                self.show(self.rows_of(statement))
        except (sqlite3.Error, Refused) as error:
            print(f"{place}ERROR:  {spell(error)}", file=sys.stderr)
            self.broken = self.database.in_transaction
            return bool(place) and not self.stop
        return True

    def obey(self, command: str, statement: str) -> None:
        """Do what a backslash command says; those that only change how psql looks are left out."""
        name, _, words = command.partition(" ")
        if name == "!":
            sys.stdout.flush()
            os.system(words)  # noqa: S605  as psql does
        elif name == "setenv":
            variable, _, value = words.partition(" ")
            os.environ[variable] = self.insert_variables(value.strip())
        elif name == "set":
            variable, _, value = words.partition(" ")
            self.variables[variable] = "".join(shlex.split(value))
        elif name == "echo":
            print(self.insert_variables(words))
        elif name == "q":
            raise SystemExit(0)
        elif name in {"g", "gset", "gexec"}:
            self.send(name, statement)

    def send(self, name: str, statement: str) -> None:
        columns, rows = self.rows_of(statement)
        if name == "gset" and len(rows) == 1:
            self.variables.update(zip(columns, map(spelled, rows[0]), strict=True))
        elif name == "gexec":
            for cell in [cell for row in rows for cell in row if cell is not None]:
                self.show(self.rows_of(str(cell)))
        elif name == "g":
            self.show((columns, rows))

    def insert_variables(self, text: str) -> str:
        quoted = re.sub(r"(?<!:):'(\w+)'", lambda found: quote(self.variables.get(found[1])) or found[0], text)
        return re.sub(r"(?<!:):(\w+)", lambda found: self.variables.get(found[1], found[0]), quoted)

    def rows_of(self, statement: str) -> "tuple[list[str], list[tuple[object, ...]]]":
        """Run one statement; returns its columns and rows."""
        if self.broken and not ENDED.match(statement):
            raise Refused("current transaction is aborted, commands ignored until end of transaction block")
        for pattern, deed in self.deeds:
            if pattern.match(statement):
                deed(statement)
                return [], []
        return self.ask(statement)

    @property
    def deeds(self) -> "tuple[tuple[re.Pattern[str], Callable[[str], None]], ...]":
        """What is not a statement of SQLite's."""
        return (
            (ENDED, self.end),
            (EMPTIED, self.empty),
            (DATABASES, self.make_or_drop),
            (IGNORED, lambda _: None),
        )

    def end(self, statement: str) -> None:
        back = self.broken or statement.upper().startswith(("ROLLBACK", "ABORT"))
        if self.database.in_transaction:
            self.database.execute("ROLLBACK" if back else "COMMIT")
        self.broken = False
        self.forget_snapshot()

    def empty(self, _: str) -> None:
        for name, _sql in table_list(self.database):
            self.database.execute(f'DROP TABLE main."{name}"')

    def make_or_drop(self, statement: str) -> None:
        found = DATABASES.match(statement)
        assert found  # noqa: S101  it was asked just before
        deed, patient, name = found[1].upper(), found[2], found[3]
        path = Place(self.place.folder, "", name).path
        if self.place.user != SUPERUSER and (deed == "CREATE" or name == OWNER):
            raise Refused(f"permission denied to {deed.lower()} database")
        if os.path.exists(path) is (deed == "CREATE") and not patient:
            raise Refused(f'database "{name}" {"already exists" if deed == "CREATE" else "does not exist"}')
        if deed == "CREATE":
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif os.path.exists(path):
            os.unlink(path)

    def ask(self, statement: str) -> "tuple[list[str], list[tuple[object, ...]]]":
        shown = re.match(r"SHOW\s+(\w+)", statement, re.IGNORECASE)
        asked = f"SELECT current_setting('{shown.group(1)}')" if shown else self.insert_variables(translate(statement))
        offer_tables(self.database, self.place, asked)
        if re.search(r"/\s*0\b", asked):
            raise Refused("division by zero")  # SQLite makes it NULL
        if "pg_export_snapshot()" in asked:
            self.export()
        cursor = self.database.execute(asked)
        rows = cursor.fetchall()
        return [column[0].partition("(")[0] for column in cursor.description or ()], rows

    def export(self) -> None:
        """Copy the database as this transaction sees it to where pg_dump looks for it."""
        self.database.execute("SELECT count(*) FROM main.sqlite_master").fetchall()  # its view begins here
        self.exported = snapshot_path(self.place.folder, snapshot_name())
        with sqlite3.connect(self.exported) as copy:
            self.database.backup(copy)
        copy.close()

    def forget_snapshot(self) -> None:
        if self.exported:
            os.unlink(self.exported)
            self.exported = ""

    def show(self, answer: "tuple[list[str], list[tuple[object, ...]]]") -> None:
        columns, rows = answer
        if columns and not self.bare:
            print(self.separator.join(columns), end=self.row_end)
        for row in rows:
            print(self.separator.join(map(spelled, row)), end=self.row_end)


def quote(text: "str | None") -> str:
    return "" if text is None else "'" + text.replace("'", "''") + "'"


def spelled(value: object) -> str:
    return "" if value is None else str(value)
