"""Backups and the way back, on real servers: what was there is there again, row by row and file by file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import rows, served_version, wait_until_serving
from tests.lab.memory import ARCHIVE, GIT, Memory, add_rights_of_others, boot, rights, write_site
from tests.lab.netpoint.install import ROOT
from tests.lab.operator import fab, upgrade

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.netpoint.install import Installation


def _boot(lab: Lab, **installations: Installation) -> list[Memory]:
    memories = boot(lab, **installations)
    lab.write_hosts_file()
    return memories


@pytest.mark.thorough
@pytest.mark.promise(2, 6, method="both")
def test_a_way_back_and_forth(lab: Lab) -> None:
    """Both methods: up, back, up again, and back once more, though users had written."""
    before = _boot(lab, np1=ARCHIVE, np2=GIT)
    for memory in before:
        add_rights_of_others(memory.server)
    rights_before = [rights(memory.server) for memory in before]
    assert upgrade(lab, "3.5.0").statuses == {"np1": "upgraded", "np2": "upgraded"}

    back = fab(lab, "rollback", "--yes")
    assert (back.exit_code, back.statuses) == (0, {"np1": "rolled-back", "np2": "rolled-back"}), back.reasons
    for memory in before:
        wait_until_serving(memory.server)
        memory.check_all_is_as_it_was()
    assert [rights(memory.server) for memory in before] == rights_before

    again = fab(lab, "rollback", "--yes")
    assert (again.exit_code, again.statuses) == (3, {"np1": "refused", "np2": "refused"}), again.reasons

    up = upgrade(lab, "3.5.0")
    assert up.statuses == {"np1": "upgraded", "np2": "upgraded"}, up.reasons
    assert "was rolled back on this host before" in up.reasons
    for memory in before:
        assert write_site(memory.server, memory.cookie, "written-since")

    refused = fab(lab, "rollback", "--yes")
    assert (refused.exit_code, refused.statuses) == (3, {"np1": "refused", "np2": "refused"}), refused.reasons
    assert "discards the changes made since: 1 change" in refused.reasons
    assert [served_version(memory.server) for memory in before] == ["3.5.0", "3.5.0"]

    accepted = fab(lab, "rollback", "--yes", "--accept-loss", "--to", "3.4.9")
    assert accepted.statuses == {"np1": "rolled-back", "np2": "rolled-back"}, accepted.reasons
    for memory in before:
        wait_until_serving(memory.server)
        memory.check_all_is_as_it_was()


@pytest.mark.thorough
@pytest.mark.promise(6, method="archive")
def test_a_way_back_can_be_taken_back(lab: Lab) -> None:
    (memory,) = _boot(lab, np1=ARCHIVE)
    assert upgrade(lab, "3.5.0").statuses == {"np1": "upgraded"}
    assert write_site(memory.server, memory.cookie, "written-in-the-new-release")
    back = fab(lab, "rollback", "--yes", "--accept-loss")
    assert back.statuses == {"np1": "rolled-back"}, back.reasons
    listed = fab(lab, "backups").host("np1")["backups"]
    (left,) = (backup["id"] for backup in listed if backup["purpose"] == "rollback")

    forth = fab(lab, "rollback", "--yes", "--to", left)

    assert forth.statuses == {"np1": "rolled-back"}, forth.reasons
    assert served_version(memory.server) == "3.5.0"
    assert "written-in-the-new-release" in "\n".join(rows(memory.server, ["dcim_site"])["dcim_site"])


@pytest.mark.thorough
@pytest.mark.promise(6, method="both")
@pytest.mark.parametrize("installation", [ARCHIVE, GIT], ids=["archive", "git"])
def test_a_backup_brings_rows_and_files_back(lab: Lab, installation: Installation) -> None:
    (memory,) = _boot(lab, np1=installation)
    server = memory.server
    run = fab(lab, "backup", "--verify", "full")
    assert (run.exit_code, run.statuses) == (0, {"np1": "saved"}), run.reasons
    modes = server.run("find /var/backups/netpoint-remote -mindepth 1 -printf '%U %m %f\\n' | sort").stdout.split("\n")
    assert {line.rpartition(" ")[0] for line in modes if line} == {"0 700", "0 600"}
    (kept,) = fab(lab, "backups").host("np1")["backups"]
    assert (kept["purpose"], kept["version"], kept["verified"], kept["changes"]) == ("backup", "3.4.9", "full", 0)
    assert "netpoint_remote" not in server.run(["psql", "-l"], user="postgres").stdout

    server.run(
        f"rm {ROOT}/netpoint/media/image-attachments/site_1_rack.png; echo bad >{ROOT}/netpoint/scripts/audit.py"
    )
    assert write_site(server, memory.cookie, "written-since")
    back = fab(lab, "rollback", "--yes", "--accept-loss", "--to", kept["id"])

    assert back.statuses == {"np1": "rolled-back"}, back.reasons
    memory.check_all_is_as_it_was()

    fetched = fab(lab, "fetch-backup", "--backup", kept["id"], "--dir", str(lab.folder / "fetched"))
    assert (fetched.exit_code, fetched.statuses) == (0, {"np1": "done"}), fetched.reasons
    here = lab.folder / "fetched/np1" / kept["id"]
    there = server.run(f"sha256sum /var/backups/netpoint-remote/{kept['id']}/database.dump").stdout.split()[0]
    assert hashlib.sha256((here / "database.dump").read_bytes()).hexdigest() == there
    assert {oct(path.stat().st_mode & 0o777) for path in here.iterdir()} == {"0o600"}


BESIDE_NETPOINT = """
    CREATE EXTENSION file_fdw; CREATE SCHEMA words AUTHORIZATION netpoint; CREATE EXTENSION pg_trgm SCHEMA words;
    SET ROLE netpoint; CREATE SCHEMA plugin; CREATE TABLE plugin.notes (note text);
    CREATE INDEX ON plugin.notes USING gin (note words.gin_trgm_ops)
"""


@pytest.mark.thorough
@pytest.mark.promise(6, method="archive")
@pytest.mark.parametrize("maker", ["superuser", "NetPoint's role"])
def test_a_database_with_more_than_netpoints_own_is_verified_in_full(lab: Lab, maker: str) -> None:
    """A role makes its schemas and what extensions it may; one that it may not make is left out."""
    (memory,) = _boot(lab, np1=ARCHIVE)
    memory.server.run(["psql", "-q", "-d", "netpoint", "-c", BESIDE_NETPOINT], user="postgres")
    if maker != "superuser":
        memory.server.run(["psql", "-q", "-c", "ALTER ROLE netpoint CREATEDB"], user="postgres")

    run = fab(lab, "backup", "--verify", "full")

    assert (run.exit_code, run.statuses) == (0, {"np1": "saved"}), run.reasons
    assert "netpoint_remote" not in memory.server.run(["psql", "-l"], user="postgres").stdout


HOSTILE = """
    SET ROLE netpoint;
    CREATE FUNCTION climb(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
        RESET ROLE;
        IF current_user <> 'netpoint' THEN ALTER ROLE netpoint SUPERUSER; END IF;
        RETURN true;
    END$$;
    ALTER TABLE dcim_site ADD CONSTRAINT climbs CHECK (public.climb(name)) NOT VALID
"""


@pytest.mark.thorough
@pytest.mark.promise(8, method="archive")
def test_what_lies_in_a_dump_makes_nobody_a_superuser(lab: Lab) -> None:
    """An administrator creates the database for --verify full; whatever the dump runs there is the role's."""
    (memory,) = _boot(lab, np1=ARCHIVE)
    memory.server.run(["psql", "-q", "-d", "netpoint", "-c", HOSTILE], user="postgres")

    run = fab(lab, "backup", "--verify", "full")

    assert (run.exit_code, run.statuses) == (0, {"np1": "saved"}), run.reasons
    asked = "SELECT rolsuper FROM pg_roles WHERE rolname = 'netpoint'"
    assert memory.server.run(["psql", "-XAtc", asked], user="postgres").stdout == "f\n"


DEFAULT_RIGHTS = """
    CREATE ROLE nosy; SET ROLE netpoint; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO nosy;
    CREATE TYPE mood AS ENUM ('fine'); CREATE FUNCTION rank(mood) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE CAST (mood AS int) WITH FUNCTION rank(mood);
    CREATE FUNCTION equals(int, mood) RETURNS boolean LANGUAGE sql AS 'SELECT $1 = rank($2)';
    CREATE OPERATOR === (LEFTARG = int, RIGHTARG = mood, FUNCTION = equals)
"""


@pytest.mark.thorough
@pytest.mark.promise(6, 8, method="archive")
def test_a_way_back_gives_nobody_rights_and_loses_no_operator(lab: Lab) -> None:
    """Default rights reach what is made after them, and no table of the backup was."""
    (memory,) = _boot(lab, np1=ARCHIVE)
    add_rights_of_others(memory.server)
    memory.server.run(["psql", "-q", "-d", "netpoint", "-c", DEFAULT_RIGHTS], user="postgres")
    before = rights(memory.server)
    assert upgrade(lab, "3.5.0").statuses == {"np1": "upgraded"}

    back = fab(lab, "rollback", "--yes")

    assert back.statuses == {"np1": "rolled-back"}, back.reasons
    assert rights(memory.server) == before
    memory.check_all_is_as_it_was()


@pytest.mark.thorough
@pytest.mark.promise(6, method="both")
def test_pruning_leaves_the_way_back_open(lab: Lab) -> None:
    """Two upgrades on, the first release and its backup go; the second is still one command away."""
    before = _boot(lab, np1=ARCHIVE, np2=GIT)
    for version in ("3.5.0", "3.7.2"):
        assert upgrade(lab, version).statuses == {"np1": "upgraded", "np2": "upgraded"}
    shown = fab(lab, "prune", "--keep", "1", "--dry-run")
    assert shown.statuses == {"np1": "ready", "np2": "ready"}, shown.reasons
    assert [len(fab(lab, "backups", "--limit", name).host(name)["backups"]) for name in ("np1", "np2")] == [2, 2]

    pruned = fab(lab, "prune", "--keep", "1", "--yes")

    assert (pruned.exit_code, pruned.statuses) == (0, {"np1": "done", "np2": "done"}), pruned.reasons
    archive, git = (memory.server for memory in before)
    assert archive.run("ls /opt").stdout == "netpoint\nnetpoint-3.5.0\nnetpoint-3.7.2\n"
    assert git.run(f"ls {ROOT}/.git/netpoint-remote").stdout == "3.5.0\n"
    assert fab(lab, "prune", "--keep", "1", "--yes").statuses == {"np1": "unchanged", "np2": "unchanged"}
    back = fab(lab, "rollback", "--yes")
    assert back.statuses == {"np1": "rolled-back", "np2": "rolled-back"}, back.reasons
    for memory in before:
        wait_until_serving(memory.server)
        assert served_version(memory.server) == "3.5.0"
