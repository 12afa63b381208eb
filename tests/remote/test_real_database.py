"""Dumps of a real PostgreSQL: whatever lies in one runs as NetPoint's role, and comes back with the rights it had."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netpoint_remote.planning.facts import parse_facts
from tests.remote.conftest import Make
from tests.remote.postgres import Cluster, find_programs, running_cluster
from tests.remote.server import REMOTE, Server, eventually

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


@pytest.mark.promise(8)
def test_a_search_path_is_no_command_of_psql(cluster: Cluster, served: Server, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = f"SELECT set_config('search_path', E'public,\\n\\\\!\\\\touch$IFS{canary}', false)"
    cluster.sql("ALTER ROLE netpoint CREATEDB", path, "ALTER ROLE netpoint SET search_path FROM CURRENT")
    try:
        served.apply("dump_database")
        done = served.step("verify_restore", "apply")
    finally:
        cluster.sql("ALTER ROLE netpoint RESET ALL")

    assert (done.returncode, canary.exists()) == (0, False), done.stdout


@pytest.mark.parametrize("taken", [True, False])
def test_limits_of_the_role_do_not_end_a_migration(cluster: Cluster, served: Server, *, taken: bool) -> None:
    """What configuration.py gives to libpq comes before what we give."""
    cluster.sql("ALTER ROLE netpoint SET statement_timeout = '1s'", "ALTER DATABASE netpoint SET lock_timeout = '1s'")
    if not taken:
        (served.run / "database.env").open("a").write("export PGOPTIONS='-c statement_timeout=2s'\n")
    try:
        printed = served.in_run("variables_without_limits").stdout
    finally:
        cluster.sql("ALTER ROLE netpoint RESET ALL")

    assert printed == ("PGOPTIONS=-c lock_timeout=0 -c statement_timeout=0 \0" if taken else "")
    assert any("may end a long migration: lock_timeout statement_timeout" in line for line in served.journal) != taken


def test_what_a_role_has_in_its_search_path_gives_upgrade_sh_nothing(cluster: Cluster, served: Server) -> None:
    cluster.sql(
        "CREATE SCHEMA evil",
        "CREATE VIEW evil.pg_settings AS SELECT 'role=x -c statement_timeout'::text AS name, '1'::text AS reset_val",
        "ALTER DATABASE netpoint SET search_path = evil, pg_catalog, public",
    )

    assert served.in_run("variables_without_limits").stdout == ""


def test_a_role_without_limits_needs_nothing(served: Server) -> None:
    assert served.in_run("variables_without_limits").stdout == ""


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


OBJECTS = (
    "CREATE TYPE mood AS ENUM ('fine', 'bad')",
    "CREATE FUNCTION rank(mood) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
    "CREATE CAST (mood AS integer) WITH FUNCTION rank(mood) AS ASSIGNMENT",
    "CREATE FUNCTION equals(integer, mood) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = rank($2)'",
    "CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = mood, FUNCTION = equals)",
    "CREATE TEXT SEARCH CONFIGURATION words (COPY = english)",
    "CREATE TABLE tokens (id integer GENERATED ALWAYS AS IDENTITY, secret text, feeling mood)",
    "CREATE VIEW names AS SELECT name FROM dcim_site",
    "CREATE PUBLICATION shown FOR TABLE dcim_site",
)
"""What a plugin may make; none of it is in NetPoint's own tables."""
RIGHTS = (
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO reader WITH GRANT OPTION",
    "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
    "GRANT SELECT (name) ON dcim_site TO reader",
    "REVOKE EXECUTE ON FUNCTION rank(mood) FROM PUBLIC",
    "GRANT USAGE ON TYPE mood TO reader WITH GRANT OPTION",
)
"""Rights of others that were given after the tables were made, which none of them reached."""
LISTED = f"SELECT line FROM ({(REMOTE / 'objects.sql').read_text()}) AS listed ORDER BY 1"
DEFAULTS = "SELECT defaclnamespace, defaclobjtype, defaclacl FROM pg_default_acl ORDER BY 1, 2"
OF_OTHERS = (
    "CREATE VIEW sites AS SELECT name FROM dcim_site",
    "CREATE OPERATOR ==== (LEFTARG = integer, RIGHTARG = mood, FUNCTION = equals)",
    "CREATE TYPE span AS RANGE (subtype = integer)",
    "ALTER TYPE span OWNER TO netpoint",
    "CREATE CAST (span AS int4range) WITHOUT FUNCTION",
)
BUILT = ("view public.sites", "operator public.====(integer,public.mood)", "cast (public.span AS pg_catalog.int4range)")
MIGRATED = (
    "INSERT INTO django_migrations (app, name) VALUES ('dcim', '0172_new')",
    "DROP FUNCTION equals(integer, mood) CASCADE",
    "CREATE TABLE dcim_new (id integer)",
    "ALTER TABLE dcim_site ADD COLUMN slug text",
    "UPDATE dcim_site SET name = 'other'",
)


@pytest.fixture
def saved(cluster: Cluster, served: Server) -> Server:
    """Return a server whose database has objects and rights that a plain dump loses, dumped and then migrated."""
    cluster.sql(*OBJECTS, *RIGHTS, role="netpoint")
    dump(served)
    return served


def dump(server: Server) -> None:
    server.apply("dump_database", "seal_backup")
    (server.run / "before/migrations").write_text("dcim|0001_initial\n")


def listed(cluster: Cluster) -> list[str]:
    return cluster.sql(LISTED, DEFAULTS, role="netpoint").splitlines()


@pytest.mark.promise(2, 8)
def test_objects_and_rights_come_back_as_they_were(cluster: Cluster, saved: Server, shell: tuple[str, ...]) -> None:
    """The default rights of the role would give the reader what it never had: the secrets of all tables."""
    before = listed(cluster)
    cluster.sql(*MIGRATED, role="netpoint")
    saved.shell = shell

    done = saved.step("run_upgrade", "undo")

    assert (done.returncode, saved.reason) == (0, ""), done.stdout
    assert listed(cluster) == before
    assert cluster.sql("SELECT name FROM dcim_site ORDER BY 1", role="netpoint") == "ams\nfra"
    assert cluster.sql("SELECT has_table_privilege('reader', 'tokens', 'SELECT')") == "f"
    assert cluster.sql("SELECT 1 === 'fine'::mood", role="netpoint") == "t"


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("odd", "difference"),
    [
        ("GRANT SELECT ON tokens TO reader", "table public.tokens has gained SELECT to reader"),
        ("DROP OPERATOR === (integer, mood)", "operator public.===(integer,public.mood) is missing"),
        ("REVOKE USAGE ON TYPE mood FROM reader", "type public.mood lacks USAGE to reader with grant option"),
    ],
)
def test_what_comes_back_otherwise_is_not_committed(cluster: Cluster, saved: Server, odd: str, difference: str) -> None:
    """As an event trigger, or another version of PostgreSQL, could have it."""
    cluster.sql(*MIGRATED, role="netpoint")
    before = listed(cluster)
    programs = cluster.programs
    saved.replace(
        "pg_restore", f"""{programs}/pg_restore "$@" && case $* in *"-f -"*) echo "RESET search_path; {odd};" ;; esac"""
    )

    done = saved.step("run_upgrade", "undo")

    assert done.returncode == 1
    assert f"the restored database is not as it was: {difference}" in done.stdout
    assert listed(cluster) == before
    assert cluster.sql("SELECT count(*) FROM django_migrations", role="netpoint") == "2"


def test_what_others_have_built_on_it_is_told_where_it_is_lost(cluster: Cluster, served: Server) -> None:
    """NetPoint's role cannot give things to others; `check` has warned."""
    cluster.sql(*OBJECTS, role="netpoint")
    cluster.sql(*OF_OTHERS)
    dump(served)
    cluster.sql(MIGRATED[0], role="netpoint")
    asked = [line for line in (REMOTE / "facts.sql").read_text().splitlines() if "db.built_on" in line]
    warned = cluster.sql(*asked, role="netpoint").splitlines()

    done = served.step("run_upgrade", "undo")

    assert done.returncode == 0, done.stdout
    (told,) = [line for line in served.journal if line.startswith("warning")]
    assert [part for part in BUILT if f"{part} is missing" not in told] == []
    assert [part for part in BUILT if f"db.built_on=the {part}" not in warned] == []


def test_a_foreign_key_of_another_role_is_told(cluster: Cluster) -> None:
    """DROP ... CASCADE takes it, and no dump of NetPoint's role has it."""
    cluster.sql("CREATE TABLE keyed (id integer PRIMARY KEY)", role="netpoint")
    cluster.sql(
        "CREATE SCHEMA reports", "CREATE TABLE reports.notes (site integer CONSTRAINT of_site REFERENCES keyed)"
    )
    (asked,) = [line for line in (REMOTE / "facts.sql").read_text().splitlines() if "foreign key" in line]

    assert cluster.sql(asked, role="netpoint") == "db.built_on=the foreign key of_site of reports.notes"


def test_the_room_of_the_lock_table_is_told(cluster: Cluster) -> None:
    (asked,) = [line for line in (REMOTE / "facts.sql").read_text().splitlines() if "lock_table" in line]
    before = parse_facts(cluster.sql(asked, role="netpoint")).database.lock_table
    cluster.sql("CREATE TABLE one_more (id serial PRIMARY KEY)", role="netpoint")

    objects, room, each = parse_facts(cluster.sql(asked, role="netpoint")).database.lock_table

    # A table, its index, its sequence, the key, a default, and the types of all that have one.
    assert (objects - before[0] >= 6, each, room % each) == (True, 64, 0)


def test_casts_of_others_stay(cluster: Cluster, served: Server) -> None:
    """A cast has no owner in a dump; one that is not removed must not come twice."""
    cluster.sql("CREATE CAST (inet AS bytea) WITHOUT FUNCTION", "CREATE TYPE other AS ENUM ('x')")
    cluster.sql("CREATE CAST (other AS integer) WITH INOUT")
    dump(served)
    before = listed(cluster)
    cluster.sql(MIGRATED[0], role="netpoint")

    done = served.step("run_upgrade", "undo")

    assert (done.returncode, listed(cluster)) == (0, before), done.stdout


def test_a_backup_without_a_list_of_objects_is_put_back(cluster: Cluster, saved: Server) -> None:
    """It is of an earlier release of ours."""
    (saved.dump.parent / "objects").unlink()
    cluster.sql(*MIGRATED, role="netpoint")

    done = saved.step("run_upgrade", "undo")

    assert done.returncode == 0, done.stdout
    assert cluster.sql("SELECT has_table_privilege('reader', 'tokens', 'SELECT')") == "f"


# ---- the lock


HELD = """
. "$BUNDLE/locks.sh"
lock_database && hold_database
sql "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'relation' AND application_name LIKE 'netpoint-remote r1 %'"
sql "SELECT state FROM pg_stat_activity WHERE application_name LIKE 'netpoint-remote r1 %'"
(RUN_ID=r2 && lock_database || say "$answer")
"""


@pytest.mark.promise(5)
def test_the_lock_keeps_no_table_from_anybody(served: Server) -> None:
    assert served.in_run(HELD).stdout.splitlines() == ["0", "idle in transaction", "held by netpoint-remote r1 t np1"]


# ---- who holds the sessions of the role


@contextmanager
def connected(cluster: Cluster, *through: str, says: str = "") -> Iterator[int]:
    """Let a process hold a session of NetPoint's role."""
    command = [
        *through,
        cluster.programs / "psql",
        "-XqAt",
        "-h",
        cluster.folder,
        "-p",
        "5499",
        "-U",
        "netpoint",
        "netpoint",
    ]
    asked = f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'netpoint' AND query = '{says.strip()}'"
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        assert process.stdin
        process.stdin.write(says.encode())
        process.stdin.flush()
        try:
            assert eventually(lambda: cluster.sql(asked) == "1")
            yield process.pid
        finally:
            process.kill()


def strangers(server: Server) -> str:
    return server.in_run('. "$BUNDLE/steps/stop_services.sh"; ask_of_sessions strangers').stdout.strip()


@pytest.mark.promise(2)
def test_sessions_of_a_role_that_acts_as_another_one_are_seen(cluster: Cluster, served: Server) -> None:
    cluster.sql("GRANT reader TO netpoint", "ALTER ROLE netpoint SET role = reader")
    try:
        with connected(cluster):
            counted = served.in_run('. "$BUNDLE/steps/stop_services.sh"; sessions').stdout.strip()
            assert (counted, strangers(served)[:14]) == ("1", "psql (process ")
    finally:
        cluster.sql("ALTER ROLE netpoint RESET ALL")


@pytest.mark.promise(2)
def test_sessions_of_a_pooler_are_watched_in_one_transaction(cluster: Cluster, served: Server) -> None:
    """A session that has run no statement may have been opened in advance; one that has run any was lent."""
    script = '. "$BUNDLE/steps/stop_services.sh"; pooled=0; watch_sessions | head -n 2'

    with connected(cluster):
        opened = served.in_run(script).stdout.split()
    with connected(cluster, says="SELECT 1;\n"):
        used = served.in_run(script).stdout.split()

    assert (opened, used) == (["0", "0"], ["1", "1"])


@pytest.mark.promise(2)
def test_a_program_of_the_server_with_netpoints_role_is_named(cluster: Cluster, served: Server) -> None:
    with connected(cluster) as number:
        assert strangers(served).startswith(f"psql (process {number} of ")

    assert strangers(served) == ""


def test_a_session_of_a_service_is_no_strangers(cluster: Cluster, served: Server) -> None:
    with connected(cluster) as number:
        served.unit("netpoint-rq", "x", MainPID=str(number))

        assert strangers(served) == ""


def test_a_session_of_a_services_child_is_no_strangers(cluster: Cluster, served: Server) -> None:
    """A worker of gunicorn's is, and a job of rq's."""
    with connected(cluster, "sh", "-c", '"$@"; :', "sh") as number:
        assert "psql (process " in strangers(served)
        served.unit("netpoint", "x", MainPID=str(number))

        assert strangers(served) == ""
