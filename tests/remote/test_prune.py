"""Whatever a prune is told to remove, it looks for itself and leaves what is needed, or is not this program's."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from netpoint_remote.planning.facts import Facts, parse_facts
from netpoint_remote.running.bundle import assignments, probe_script, visit_script
from tests.remote.server import BIRTHDAY, Server, differences, look, release, write_files
from tests.remote.test_probe import host_of, hush

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.promise(6)
SAVED, LEFT = "20290101T000000Z-bbbbbb", "20300101T000000Z-aaaaaa"


@pytest.fixture
def server(server: Server) -> Server:
    """Return a server with a release, a backup and a run that a prune may take."""
    tree = server.folder / "opt/netpoint-3.3.0"
    write_files(tree, release("3.3.0"))
    manifest = f"root={server.root}\ntree={tree}\n"
    write_files(server.folder / f"var/backups/{SAVED}", {"manifest": manifest, "database.dump": "PGDMP\n"})
    write_files(server.state, {
        "runs/r0/bundle/vars.sh": assignments([("ROOT", str(server.root))]), "archives/a.tar.gz": "x", "current": "r1\n"
    })  # fmt: skip
    return server


def pruning(
    server: Server, environment: dict[str, str] | None = None, **named: str
) -> "subprocess.CompletedProcess[str]":
    variables = {
        "STATE_DIR": str(server.state), "BACKUP_DIR": str(server.folder / "var/backups"), "ROOT": str(server.root),
        "PRODUCT": "netpoint", "BACKUPS": "", "TREES": "", "RUNS": "", "ARCHIVES": "",
        "LEFTOVERS": "", "PYTHON": os.path.realpath(sys.executable), **named,
    }  # fmt: skip
    return server.visit(visit_script("prune.sh", variables.items()), **(environment or {}))


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

    gone = prune(server, BACKUPS=SAVED, TREES=str(tree), RUNS="r0", ARCHIVES="yes")

    assert gone == ["opt/netpoint-3.3.0", f"var/backups/{SAVED}", "var/state/archives", "var/state/runs/r0"]


@pytest.mark.parametrize(
    "named", ["../backups", f"{SAVED}/../{SAVED}", "/etc", ".", "..", "-rf", f"{SAVED} {SAVED}", "b2"]
)
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
    (server.folder / f"var/backups/{SAVED}").rename(server.folder / "elsewhere" / SAVED)
    (server.folder / f"var/backups/{SAVED}").symlink_to(server.folder / "elsewhere" / SAVED)

    assert prune(server, BACKUPS=SAVED) == []


def test_nothing_goes_while_a_run_is_at_work(server: Server) -> None:
    before = look(server.folder, "opt", "var")
    server.replace("flock", "exit 1")  # as the real one does after ten seconds
    with (server.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = pruning(
            server, BACKUPS=SAVED, TREES=str(server.folder / "opt/netpoint-3.3.0"), RUNS="r0", ARCHIVES="yes"
        )

    assert (done.returncode, done.stdout) == (0, "locked\n")
    assert differences(before, look(server.folder, "opt", "var")) == ["var/state/lock is new"]


def leave_over(server: Server) -> list[str]:
    """Leave what a prune that is cut off leaves between taking a name away and removing, and what runs leave."""
    opt, backups = server.folder / "opt", server.folder / "var/backups"
    (server.state / "runs" / LEFT).mkdir()
    write_files(server.state, {f"runs/{LEFT}/result": "failed full\n"})
    write_files(server.state, {"releases/netpoint-3.2.0": f"pruned\nroot={server.root}\n"})
    left = [
        backups / f".{LEFT}.removed",
        backups / f"{LEFT}.partial",
        server.state / "runs/.r0.removed",
        server.state / "runs/r2.partial",
        server.state / ".archives.removed",
        opt / ".netpoint-3.2.0.removed",
    ]
    for path in left:
        path.mkdir()
    os.utime(server.state / "runs/r2.partial", (BIRTHDAY, BIRTHDAY))
    return sorted(map(str, left))


def told_leftovers(server: Server) -> list[str]:
    return sorted(path for path, _ in seen_of(server).leftovers)


def seen_of(server: Server) -> Facts:
    """Look at a server quickly, without its Pythons."""
    hush(server)
    told = server.visit(probe_script(host_of(server), None, backups=True)).stdout
    for path in (server.world / "bin").glob("python3*"):
        path.unlink()
    return parse_facts(told)


def test_what_a_prune_or_a_run_that_was_cut_off_has_left_goes_with_the_next_prune(server: Server) -> None:
    left = leave_over(server)
    assert told_leftovers(server) == left

    gone = prune(server, LEFTOVERS="\n".join(left))

    assert sorted(str(server.folder / name) for name in gone) == left
    assert told_leftovers(server) == []


def test_what_only_looks_like_a_leftover_stays(server: Server) -> None:
    """Others' names, links, a backup whose run may be at work, a run that is being sent."""
    opt, backups = server.folder / "opt", server.folder / "var/backups"
    (backups / f".{LEFT}.removed").symlink_to(SAVED)
    others = [
        opt / ".mine.removed",
        backups / ".mine.removed",
        backups / "mine.partial",
        backups / "r1.partial",
        server.state / "runs/r2.partial",
    ]
    for path in others:
        path.mkdir()

    assert told_leftovers(server) == []
    assert prune(server, LEFTOVERS="\n".join(map(str, [*others, backups / f".{LEFT}.removed", opt, "/etc"]))) == []


@pytest.mark.parametrize("number", range(1, 17))
def test_a_prune_that_is_killed_anywhere_is_finished_by_the_next(server: Server, number: int) -> None:
    tree = str(server.folder / "opt/netpoint-3.3.0")
    before = entries(server)
    write_files(server.world, {"trip.count": "0\n"})
    server.arm_trip()
    path = f"{server.world}/trips:{server.environment['PATH']}"
    done = pruning(server, {"PATH": path, "TRIP_AT": str(number)}, BACKUPS=SAVED, TREES=tree, RUNS="r0", ARCHIVES="yes")
    assert done.returncode in {0, -signal.SIGKILL}

    seen = seen_of(server)
    trees = "\n".join(release.path for release in seen.releases if release.ours)
    named = {"BACKUPS": SAVED, "TREES": trees, "RUNS": "r0", "ARCHIVES": "yes"}
    prune(server, **named, LEFTOVERS="\n".join(path for path, _ in seen.leftovers))

    gone = {"opt/netpoint-3.3.0", f"var/backups/{SAVED}", "var/state/archives", "var/state/runs/r0"}
    assert entries(server) - {"var/state/lock", "var/state/releases"} == before - gone


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

    done = pruning(server, BACKUPS=SAVED, TREES=str(server.old), RUNS="r0", ARCHIVES="yes")

    assert (done.returncode, "nothing was removed" in done.stdout) == (1, True)
    assert set(differences(before, look(server.folder, "opt", "var"))) <= {"var/state/lock is new"}
