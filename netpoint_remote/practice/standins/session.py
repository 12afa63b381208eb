"""psql of a practice server."""

import re
import sqlite3
import sys

from dialect import EMPTIED, IGNORED, empty, offer_catalogue, offer_statistics, spell, statements, translate  # type: ignore[import-not-found,unused-ignore]
from libpq import Refused, connect, parse, read  # type: ignore[import-not-found,unused-ignore]

PSQL_LONG = {"command": "c", "file": "f", "dbname": "d", "username": "U", "host": "h", "port": "p", "set": "v",
             "variable": "v", "field-separator": "F", "output": "o", "single-transaction": "1", "tuples-only": "t",
             "no-align": "A", "quiet": "q", "no-psqlrc": "X", "no-password": "w"}  # fmt: skip


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


class Session:
    """One connection that runs texts of several statements, as psql does."""

    def __init__(self, database: sqlite3.Connection, *, stop: bool, separator: str, bare: bool) -> None:
        offer_catalogue(database)
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
