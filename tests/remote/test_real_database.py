"""Dumps of a real PostgreSQL: whatever lies in one runs as NetPoint's role, and comes back with the rights it had."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.conftest import Make
from tests.remote.postgres import Cluster, find_programs, running_cluster
from tests.remote.server import Server

PROGRAMS = find_programs()
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL server is installed here")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become the superuser of a database")

HOSTILE = (
    """CREATE FUNCTION climb(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
        RESET ROLE;
        IF current_user <> 'netpoint' THEN ALTER ROLE netpoint SUPERUSER; END IF;
        RETURN true;
    END$$""",
    "ALTER TABLE dcim_site ADD CONSTRAINT climbs CHECK (public.climb(name))",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    assert PROGRAMS
    folder = Path(tempfile.mkdtemp(prefix="netpoint-remote-pg-"))  # the path of a socket must be short
    try:
        with running_cluster(folder, PROGRAMS) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def served(cluster: Cluster, make_server: Make) -> Server:
    """Return a server whose database is a real one, new for each test."""
    cluster.sql("ALTER ROLE netpoint NOSUPERUSER NOCREATEDB", database="postgres")
    cluster.make_database()
    server = make_server()
    cluster.serve(server)
    return server


def databases(cluster: Cluster) -> list[str]:
    asked = "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
    return cluster.sql(asked, database="postgres").splitlines()


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "may_create", [pytest.param(False, id="superuser creates", marks=needs_root), pytest.param(True, id="role creates")]
)
def test_what_lies_in_a_dump_makes_nobody_a_superuser(
    cluster: Cluster, served: Server, shell: tuple[str, ...], *, may_create: bool
) -> None:
    """A CHECK constraint runs its function while the rows are restored."""
    cluster.sql(*HOSTILE, role="netpoint")
    if may_create:
        cluster.sql("ALTER ROLE netpoint CREATEDB")
    served.shell = shell
    served.apply("dump_database")

    done = served.step("verify_restore", "apply")

    assert (done.returncode, served.reason) == (0, ""), done.stdout
    assert cluster.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'netpoint'") == "f"
    assert (served.run / "verified").read_text() == "full\n"
    assert databases(cluster) == ["netpoint", "postgres"]


@needs_root
@pytest.mark.promise(8)
def test_a_role_that_may_log_in_to_its_own_database_only_is_refused_with_the_way_out(
    cluster: Cluster, served: Server
) -> None:
    served.apply("dump_database")
    cluster.allow("local netpoint netpoint trust", "local all postgres trust")
    try:
        done, reason = served.step("verify_restore", "apply"), served.reason
        undone = served.step("verify_restore", "undo")
    finally:
        cluster.allow("local all all trust")

    assert (done.returncode, undone.returncode) == (4, 0), done.stdout
    assert reason.startswith("--verify full restores as NetPoint's role, which cannot log in to the scratch database")
    assert "pg_hba.conf" in reason
    assert databases(cluster) == ["netpoint", "postgres"]


@needs_root
def test_an_administrator_makes_only_the_database_and_its_extensions(cluster: Cluster, served: Server) -> None:
    cluster.sql(
        "CREATE SCHEMA words AUTHORIZATION netpoint",
        "CREATE EXTENSION file_fdw SCHEMA words",
        "ALTER DATABASE netpoint SET search_path = words, public, pg_catalog",
    )
    cluster.sql(
        "CREATE FUNCTION words.format(text, name, name, name) RETURNS text LANGUAGE plpgsql AS "
        "$$BEGIN IF session_user <> 'netpoint' THEN ALTER ROLE netpoint SUPERUSER; END IF; "
        "RETURN pg_catalog.format($1, $2, $3, $4); END$$",
        "CREATE SCHEMA plugin CREATE TABLE notes (note text)",
        role="netpoint",
    )
    served.apply("dump_database")

    done = served.step("verify_restore", "apply")

    assert (done.returncode, served.reason) == (0, ""), done.stdout
    assert cluster.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'netpoint'") == "f"
