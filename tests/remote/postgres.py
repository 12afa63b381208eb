"""A real PostgreSQL for the steps that dump and restore: a cluster in a folder, without a network."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.remote.server import Server, assignments, write_files

PROGRAMS = ("psql", "pg_dump", "pg_restore")
SETTINGS = "listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\nport = 5499\n"


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's newest programs on this machine, those of a server included."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    path = found[-1] if found else shutil.which("initdb")
    return Path(path).resolve().parent if path else None


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL, whose roles log in by their name alone."""

    folder: Path
    programs: Path

    def sql(self, *statements: str, database: str = "netpoint", role: str = "postgres") -> str:
        """Run statements, each in a transaction of its own, and return what they answer."""
        commands = [word for statement in statements for word in ("-c", statement)]
        done = subprocess.run(
            [self.programs / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", "5499", "-U", role,
             "-d", database, *commands],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def allow(self, *lines: str) -> None:
        """Write pg_hba.conf; the first line that fits a connection decides."""
        (self.folder / "data/pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))
        self.sql("SELECT pg_reload_conf()", database="postgres")

    def make_database(self) -> None:
        """Make NetPoint's database anew, with one table."""
        self.sql(
            "DROP DATABASE IF EXISTS netpoint WITH (FORCE)",
            "CREATE DATABASE netpoint OWNER netpoint",
            database="postgres",
        )
        self.sql(
            "CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text, applied timestamptz)",
            "INSERT INTO django_migrations (app, name) VALUES ('dcim', '0001_initial')",
            "CREATE TABLE dcim_site (id serial PRIMARY KEY, name text)",
            "INSERT INTO dcim_site (name) VALUES ('ams'), ('fra')",
            role="netpoint",
        )

    def serve(self, server: Server) -> None:
        """Let a server in a folder have its database here; what runs as postgres is a superuser."""
        server.record()
        for program in PROGRAMS:
            server.replace(program, f'printf "%s\\n" "{program} ${{PGUSER-}} $*" >>"$WORLD/said"; '
                           f'exec {self.programs / program} "$@"')  # fmt: skip
        login = f"PGHOST={self.folder} PGPORT=5499"
        server.replace(
            "runuser",
            f'[ "$2" = postgres ] || exit 99; shift 3; exec env {login} PGUSER=postgres PGDATABASE=postgres "$@"',
        )
        variables = (
            ("PGHOST", str(self.folder)),
            ("PGPORT", "5499"),
            ("PGUSER", "netpoint"),
            ("PGDATABASE", "netpoint"),
        )
        write_files(server.run, {"database.env": assignments(variables, export=True)})


@contextmanager
def running_cluster(folder: Path, programs: Path) -> Iterator[Cluster]:
    """Start a PostgreSQL, as another user where we are root: it refuses to run as that."""
    as_other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    folder.chmod(0o755)
    if as_other:
        shutil.chown(folder, "nobody", "nogroup")
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def run(*words: str | Path) -> None:
        subprocess.run([*as_other, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)

    run(programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
    with (folder / "data/postgresql.conf").open("a") as file:
        file.write(SETTINGS.format(folder=folder))
    run(programs / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "start")
    cluster = Cluster(folder, programs)
    try:
        cluster.sql("CREATE ROLE netpoint LOGIN", "CREATE ROLE reader", database="postgres")
        yield cluster
    finally:
        run(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
