"""What makes a backup count: a manifest that says what it is of, and a scratch copy that nobody forgets."""

import pytest

from tests.remote.conftest import Make
from tests.remote.server import Server

STAYS = (
    "warning verify_restore the scratch database, a copy of all data, may be left; as a superuser of its server: "
    "psql -d postgres -c 'DROP DATABASE IF EXISTS netpoint_remote_r1{force}'"
)


@pytest.fixture
def dumped(make_server: Make) -> Server:
    server = make_server()
    server.record()
    server.apply("dump_database")
    return server


@pytest.mark.parametrize("left_out", ["database_time", "migrations", "the end of migrations"])
def test_a_manifest_that_does_not_say_what_it_is_of_is_none(dumped: Server, left_out: str) -> None:
    """The disk of the run was full while psql wrote down what it had counted."""
    counted = dumped.run / "counted"
    lines = counted.read_text().splitlines()
    name = left_out.rpartition(" ")[2]
    kept = [line[:-5] for line in lines if line.startswith(name)] if left_out != name else []
    counted.write_text("\n".join([*(line for line in lines if not line.startswith(name)), *kept]) + "\n")

    assert dumped.step("seal_backup", "apply").returncode == 1
    assert dumped.reason == f"what the dump holds was not written down whole ({name}): is a disk full?"
    assert not dumped.dump.exists()


@pytest.mark.parametrize(("version", "force"), [("130004", " WITH (FORCE)"), ("120017", "")])
def test_a_scratch_database_that_stays_is_told_with_the_command_that_drops_it(
    dumped: Server, version: str, force: str
) -> None:
    (dumped.run / "scratch.begun").touch()
    dumped.replace("psql", f"case $* in *server_version_num*) echo {version} ;; *) exit 3 ;; esac")
    dumped.replace("runuser", "exit 1")

    status = dumped.step("verify_restore", "undo").returncode

    assert (status, dumped.journal[-1]) == (0, STAYS.format(force=force))


def test_where_no_scratch_database_was_begun_none_is_looked_for(dumped: Server) -> None:
    (dumped.world / "database.down").touch()
    before = dumped.journal

    assert (dumped.step("verify_restore", "undo").returncode, dumped.journal) == (0, before)
