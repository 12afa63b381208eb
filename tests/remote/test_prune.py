"""Whatever a prune is told to remove, it looks for itself and leaves what is needed, or is not this program's."""

import fcntl
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from netpoint_remote.running.bundle import assignments, visit_script
from tests.remote.server import Server, differences, look, release, write_files

if TYPE_CHECKING:
    import subprocess


@pytest.fixture
def server(server: Server) -> Server:
    """Return a server with a release, a backup and a run that a prune may take."""
    tree = server.folder / "opt/netpoint-3.3.0"
    write_files(tree, release("3.3.0"))
    manifest = f"root={server.root}\ntree={tree}\n"
    write_files(server.folder / "var/backups/b1", {"manifest": manifest, "database.dump": "PGDMP\n"})
    write_files(server.state, {
        "runs/r0/bundle/vars.sh": assignments([("ROOT", str(server.root))]), "archives/a.tar.gz": "x", "current": "r1\n"
    })  # fmt: skip
    return server


def pruning(server: Server, **named: str) -> "subprocess.CompletedProcess[str]":
    variables = {
        "STATE_DIR": str(server.state), "BACKUP_DIR": str(server.folder / "var/backups"), "ROOT": str(server.root),
        "PRODUCT": "netpoint", "BACKUPS": "", "TREES": "", "RUNS": "", "ARCHIVES": "", **named,
    }  # fmt: skip
    return server.sh(["-c", visit_script("prune.sh", variables.items())])


def prune(server: Server, **named: str) -> list[str]:
    """Prune what is named and return what is gone."""
    before = entries(server)
    done = pruning(server, **named)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "pruned"), done.stdout
    return sorted(before - entries(server))


def entries(server: Server) -> set[str]:
    """Return what lies where a prune removes something."""
    folders = ("opt", "var/backups", "var/state", "var/state/runs")
    return {f"{folder}/{path.name}" for folder in folders for path in (server.folder / folder).iterdir()}


def test_what_is_named_goes(server: Server) -> None:
    tree = server.folder / "opt/netpoint-3.3.0"

    gone = prune(server, BACKUPS="b1", TREES=str(tree), RUNS="r0", ARCHIVES="yes")

    assert gone == ["opt/netpoint-3.3.0", "var/backups/b1", "var/state/archives", "var/state/runs/r0"]


@pytest.mark.parametrize("named", ["../backups", "b1/../b1", "/etc", ".", "..", "-rf", "b1 b1", "b2"])
def test_what_is_no_name_of_a_backup_or_a_run_stays(server: Server, named: str) -> None:
    assert prune(server, BACKUPS=named, RUNS=named) == []


@pytest.mark.parametrize(
    "named",
    ["{opt}/x/../netpoint-3.3.0", "{opt}/../opt/netpoint-3.3.0", "{opt}//netpoint-3.3.0", "{opt}/netpoint-3.3.0/.",
     "{opt}", "{opt}/netpoint-3.3.0/netpoint", "{opt}/not-a-release", "/etc"],
)  # fmt: skip
def test_a_tree_is_named_by_its_plain_path_beside_the_current_one(server: Server, named: str) -> None:
    (server.folder / "opt/x").mkdir()
    (server.folder / "opt/not-a-release").mkdir()

    assert prune(server, TREES=named.format(opt=server.folder / "opt")) == []


def test_a_link_is_not_taken_for_the_tree_it_leads_to(server: Server) -> None:
    (server.folder / "opt/old").symlink_to("netpoint-3.3.0")

    assert prune(server, TREES=str(server.folder / "opt/old")) == []


def test_the_current_tree_stays_whatever_is_named(server: Server) -> None:
    assert prune(server, TREES=f"{server.old}\n{server.root}") == []


def test_a_checkout_is_not_pruned_itself(checkout: Server) -> None:
    assert prune(checkout, TREES=str(checkout.root)) == []


def test_the_last_run_stays_whatever_is_named(server: Server) -> None:
    assert prune(server, RUNS="r1\nr0") == ["var/state/runs/r0"]


def test_a_backup_behind_a_link_stays(server: Server) -> None:
    (server.folder / "elsewhere").mkdir()
    (server.folder / "var/backups/b1").rename(server.folder / "elsewhere/b1")
    (server.folder / "var/backups/b1").symlink_to(server.folder / "elsewhere/b1")

    assert prune(server, BACKUPS="b1") == []


def test_nothing_goes_while_a_run_is_at_work(server: Server) -> None:
    before = look(server.folder, "opt", "var")
    server.replace("flock", "exit 1")  # as the real one does after ten seconds
    with (server.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = pruning(server, BACKUPS="b1", TREES=str(server.folder / "opt/netpoint-3.3.0"), RUNS="r0", ARCHIVES="yes")

    assert (done.returncode, done.stdout) == (0, "locked\n")
    assert differences(before, look(server.folder, "opt", "var")) == ["var/state/lock is new"]


def dangling(server: Server) -> None:
    server.root.unlink()
    server.root.symlink_to("netpoint-9.9.9/")


def gone(server: Server) -> None:
    server.root.unlink()


def no_release(server: Server) -> None:
    (server.old / "netpoint/manage.py").unlink()


@pytest.mark.parametrize("breaks", [dangling, gone, no_release])
def test_where_nobody_can_tell_what_is_current_nothing_goes(server: Server, breaks: Callable[[Server], None]) -> None:
    breaks(server)
    before = look(server.folder, "opt", "var")

    done = pruning(server, BACKUPS="b1", TREES=str(server.old), RUNS="r0", ARCHIVES="yes")

    assert (done.returncode, "nothing was removed" in done.stdout) == (1, True)
    assert set(differences(before, look(server.folder, "opt", "var"))) <= {"var/state/lock is new"}
