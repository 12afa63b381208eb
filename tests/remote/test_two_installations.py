"""Two installations on one server, with the same state_dir and backup_dir: neither takes the other's for its own."""

import base64
import os
from pathlib import Path

import pytest

from netpoint_remote.planning.facts import Facts, parse_facts
from netpoint_remote.running.bundle import assignments, probe_script, visit_script
from tests.remote.conftest import Make
from tests.remote.server import Server, release, write_files
from tests.remote.test_places import STRANGER, needs_root
from tests.remote.test_probe import host_of, hush
from tests.remote.test_prune import prune


@pytest.fixture
def server(make_server: Make) -> Server:
    """Return a server of 3.4.9 beside which `np-lab` runs 3.3.1, upgraded from 3.3.0; ours came from 3.3.9."""
    server = hush(make_server())
    opt = server.root.parent
    for name in ("netpoint-3.3.9", "np-lab-3.3.0", "np-lab-3.3.1"):
        write_files(opt / name, release(name.rpartition("-")[2]))
    (opt / "np-lab").symlink_to("np-lab-3.3.1/")
    for id_, root, tree in (("b1", server.root, "netpoint-3.3.9"), ("b2", opt / "np-lab", "np-lab-3.3.0")):
        manifest = f"purpose=upgrade\nroot={root}\ntree={opt / tree}\nchanges.x=1 2030\n"
        write_files(server.folder / "var/backups" / id_, {"manifest": manifest})
        write_files(server.state, {f"runs/{id_}/bundle/vars.sh": assignments([("ROOT", str(root))])})
    write_files(server.state, {"releases/np-lab-3.3.1": f"sha\nroot={opt / 'np-lab'}\n", "current": "b2\n"})
    return server


def seen(server: Server, version: str | None = None) -> Facts:
    done = server.visit(probe_script(host_of(server), version, backups=True))
    assert done.returncode == 0, done.stdout
    return parse_facts(done.stdout)


def ours(server: Server) -> set[str]:
    return {Path(release.path).name for release in seen(server).releases if release.ours}


def note(server: Server, name: str, text: str) -> None:
    write_files(server.state, {name: text})


def test_backups_and_runs_of_the_other_do_not_count(server: Server) -> None:
    told = seen(server)

    assert ([backup.id for backup in told.backups], told.runs) == (["b1"], ("b1", "r1"))
    assert (told.run_id, told.run_root) == ("b2", str(server.root.parent / "np-lab"))


def test_a_release_is_ours_by_a_backup_or_a_note_of_ours(server: Server) -> None:
    assert ours(server) == {"netpoint-3.3.9"}

    write_files(server.root.parent / "netpoint-3.4.1", release("3.4.1"))
    note(server, "releases/netpoint-3.4.1", f"sha\nroot={server.root}\n")

    assert ours(server) == {"netpoint-3.3.9", "netpoint-3.4.1"}


def test_a_note_that_does_not_say_whose_it_is_counts_only_where_nobody_else_is(server: Server) -> None:
    write_files(server.root.parent / "netpoint-3.4.1", release("3.4.1"))
    note(server, "releases/netpoint-3.4.1", "sha\n")
    assert "netpoint-3.4.1" not in ours(server)

    (server.folder / "var/backups/b2/manifest").unlink()
    assert "netpoint-3.4.1" in ours(server)


@needs_root
@pytest.mark.parametrize("given_away", ["var/state", "var/backups", "var/backups/b1", "var/backups/b1/manifest"])
def test_what_somebody_else_may_have_written_is_not_read(server: Server, given_away: str) -> None:
    note(server, "rolled-back/3.5.0", "r1 by ann\n")
    os.chown(server.folder / given_away, STRANGER, STRANGER)

    told = seen(server)

    state_is_safe = given_away != "var/state"
    assert (told.backups, told.rolled_back != (), told.runs != ()) == ((), state_is_safe, state_is_safe)
    assert [release.ours for release in told.releases] == [False] * len(told.releases)


@needs_root
@pytest.mark.parametrize("given_away", ["var/backups", "var/backups/b1", "var/backups/b1/manifest"])
def test_what_somebody_else_may_have_written_is_not_sent(server: Server, given_away: str) -> None:
    variables = {"BACKUP_DIR": str(server.folder / "var/backups"), "FROM": "b1", "FILE": "manifest", "OFFSET": "0"}
    script = visit_script("send_backup.sh", variables.items())
    assert base64.b64decode(server.sh(["-c", script]).stdout).startswith(b"purpose=upgrade\n")
    os.chown(server.folder / given_away, STRANGER, STRANGER)

    done = server.sh(["-c", script])

    assert (done.returncode, "belongs to nobody" in done.stdout) == (1, True)


@pytest.mark.parametrize("target", ["netpoint-3.3.9", "netpoint-3.3.9/netpoint/media"])
def test_a_release_that_another_link_leads_into_is_not_ours(server: Server, target: str) -> None:
    (server.root.parent / "another").symlink_to(target)

    assert ours(server) == set()


def test_a_release_that_the_other_needs_for_its_way_back_is_not_ours(server: Server) -> None:
    manifest = server.folder / "var/backups/b2/manifest"
    manifest.write_text(manifest.read_text().replace("np-lab-3.3.0", "netpoint-3.3.9"))

    assert ours(server) == set()


def test_a_release_that_the_other_has_rolled_back_is_not_warned_of_here(server: Server) -> None:
    note(server, "rolled-back/3.5.0", f"r1 by ann\nroot={server.root.parent / 'np-lab'}\n")
    note(server, "rolled-back/3.4.9", f"r2 by ann\nroot={server.root}\n")
    note(server, "rolled-back/3.3.9", "r3 by ann\n")

    assert seen(server).rolled_back == (("3.3.9", "r3 by ann"), ("3.4.9", "r2 by ann"))


def test_a_prune_leaves_what_is_the_others_whatever_it_is_told(server: Server) -> None:
    opt = server.root.parent
    named = [opt / name for name in ("netpoint-3.3.9", "np-lab-3.3.0", "np-lab-3.3.1")]
    note(server, "current", "r1\n")

    gone = prune(server, BACKUPS="b1\nb2", TREES="\n".join(map(str, named)), RUNS="b1\nb2")

    assert gone == ["opt/netpoint-3.3.9", "var/backups/b1", "var/state/runs/b1"]


def test_a_prune_leaves_a_release_that_another_link_leads_to(server: Server) -> None:
    (server.root.parent / "netpoint-test").symlink_to("netpoint-3.3.9/")

    assert prune(server, TREES=str(server.root.parent / "netpoint-3.3.9")) == []


def test_the_folder_of_another_is_in_the_way_of_a_release_and_stays(server: Server) -> None:
    """It has the name that ours would have, and the note of the other about it."""
    write_files(server.new, {**release("3.5.0"), "mine": "mine"})
    note(server, "releases/netpoint-3.5.0", f"{server.sha256}\nroot={server.root.parent / 'np-lab'}\n")
    note(server, "rolled-back/3.5.0", "r1 by ann\n")
    server.apply("fetch_release")

    assert [tree.ours for tree in seen(server, "3.5.0").beside] == [False]
    assert (server.step("unpack_release", "check").returncode, server.step("unpack_release", "apply").returncode) != (
        0,
        0,
    )
    server.step("unpack_release", "undo")

    assert (server.new / "mine").exists()
