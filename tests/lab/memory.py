"""What a server was like before a story, to compare with what it is like after it, and a user who writes."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.lab.asking import active, current, is_logged_in, log_in, migrations, page, rows, served_version, tree
from tests.lab.netpoint.install import ROOT, Installation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lab.lab import Lab
    from tests.lab.servers import Server

ARCHIVE = Installation("3.4.9")
GIT = Installation("3.4.9", method="git")
UP = {"netpoint": "active", "netpoint-rq": "active"}
DOWN = {"netpoint": "inactive", "netpoint-rq": "inactive"}
OWN_FOLDERS = ("netpoint/media", "netpoint/scripts", "netpoint/reports")
WRITTEN = "written-"
"""How the slug of each site begins that a `Writer` adds; no other row has it in it."""


@dataclass
class Memory:
    """What a server was like before, and its database, which may be another server's."""

    server: Server
    database: Server
    cookie: str = ""
    own_files: dict[str, dict[str, str]] = field(default_factory=dict)
    rows: dict[str, list[str]] = field(default_factory=dict)
    migrations: set[str] = field(default_factory=set)
    folder: str = ""

    @classmethod
    def of(cls, server: Server, *, database: Server | None = None) -> Memory:
        return cls(
            server=server,
            database=database or server,
            cookie=log_in(server),
            own_files=own_files(server),
            rows=rows(database or server),
            migrations=migrations(database or server),
            folder=current(server),
        )

    def check_all_is_as_it_was(self, *, but_for: str = "") -> None:
        """Check that the old release serves the same rows, as if nothing had happened.

        Rows with the text `but_for` in them do not count: a `Writer` added them.
        """
        assert without(but_for, rows(self.database)) == self.rows
        assert migrations(self.database) == self.migrations
        assert current(self.server) == self.folder
        assert active(self.server) == UP
        assert served_version(self.server) == "3.4.9"
        assert is_logged_in(self.server, self.cookie)
        assert own_files(self.server) == self.own_files


def without(text: str, tables: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the rows of tables that do not have a text in them."""
    return {name: [row for row in found if not text or text not in row] for name, found in tables.items()}


def boot(lab: Lab, *, restart_pause: int = 1, **installations: Installation) -> list[Memory]:
    """Boot servers with these installations, and remember what each is like."""
    for name, installation in installations.items():
        lab.server(name, installation, restart_pause=restart_pause)
    lab.boot()
    return [Memory.of(server) for server in lab.servers]


def own_files(server: Server) -> dict[str, dict[str, str]]:
    """Return the files of NetPoint's users, by folder and path, without bytecode."""
    return {folder: _without_bytecode(tree(server, f"{ROOT}/{folder}")) for folder in OWN_FOLDERS}


def _without_bytecode(files: dict[str, str]) -> dict[str, str]:
    return {path: what for path, what in files.items() if "__pycache__" not in path}


def traces(server: Server) -> tuple[str, dict[str, list[str]], str, str]:
    """Return what any change would show in: processes, rows, files, backups."""
    processes = server.run("systemctl show -p MainPID,NRestarts netpoint netpoint-rq").stdout
    files = server.run(
        f"find -L {ROOT} -newer {ROOT}/upgrade.sh -not -path '*/venv/*' -type f -printf '%p %T@\\n' | sort"
    )
    backups = server.run("find /var/backups /etc/systemd/system /etc/cron.daily | sort").stdout
    return processes, rows(server), files.stdout, backups


def write_site(server: Server, cookie: str, slug: str) -> bool:
    """Add a site as a user does; tell whether the server acknowledged it."""
    headers = {"Cookie": cookie, "Content-Type": "application/json"}
    body = json.dumps({"name": slug, "slug": slug})
    return page(server, "/api/dcim/sites/", headers=headers, body=body).status == 201


class Writer(threading.Thread):
    """A user who adds one site after another, and remembers which of them the server acknowledged."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(daemon=True)
        self._memory = memory
        self._stop_asked = threading.Event()
        self.acknowledged: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._stop_asked.wait(0.1):
            number += 1
            if self._add(f"{WRITTEN}{number}"):
                self.acknowledged.append(f"{WRITTEN}{number}")

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()

    def lost(self) -> list[str]:
        """Return the acknowledged sites that the database does not have."""
        kept = "\n".join(rows(self._memory.database, ["dcim_site"])["dcim_site"])
        return [slug for slug in self.acknowledged if f",{slug}," not in kept]

    def _add(self, slug: str) -> bool:
        try:
            return write_site(self._memory.server, self._memory.cookie, slug)
        except OSError:
            return False


RIGHTS = """
    SELECT 'table', relname, relowner::regrole, relacl FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'schema', nspname, nspowner::regrole, nspacl FROM pg_namespace WHERE nspname = 'public'
    UNION ALL SELECT 'database', datname, datdba::regrole, datacl FROM pg_database WHERE datname = 'netpoint'
    ORDER BY 1, 2
"""

OF_OTHERS = """
    CREATE ROLE reader; GRANT SELECT ON dcim_site TO reader; GRANT CONNECT ON DATABASE netpoint TO reader;
    CREATE COLLATION natural_sort (provider = icu, locale = 'und-u-kn-true');
    ALTER COLLATION natural_sort OWNER TO netpoint;
    CREATE SCHEMA watch; GRANT USAGE ON SCHEMA watch TO netpoint;
    CREATE FUNCTION watch.explain(text) RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT $1';
    CREATE TABLE watch.seen (id int); INSERT INTO watch.seen VALUES (7); GRANT SELECT ON watch.seen TO netpoint;
    CREATE PUBLICATION watched FOR TABLE watch.seen;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;
"""
"""What a database's administrators keep in it; the collation is as releases since 4.2 make one."""


def add_rights_of_others(server: Server) -> None:
    """Let administrators of the database have objects and rights of their own in it."""
    server.run(["psql", "-q", "-d", "netpoint", "-c", OF_OTHERS], user="postgres")


def rights(server: Server) -> str:
    """Return who owns what, and all that is not NetPoint's tables."""
    owners = server.run(["psql", "-X", "-A", "-t", "-d", "netpoint", "-c", RIGHTS], user="postgres").stdout
    others = server.run("pg_dump --schema-only -T 'public.*' netpoint | grep -v -e '^--' -e restrict", user="postgres")
    return owners + others.stdout + server.run("psql -X -c 'TABLE watch.seen' netpoint", user="postgres").stdout
