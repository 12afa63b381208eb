"""Root writes nowhere that somebody else could have a hand in, and follows no link that somebody else has made."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.remote.server import REAL_PATH, REMOTE

pytestmark = pytest.mark.promise(8)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, which only root may")
STRANGER = 65534
Plant = Callable[[Path], None]


def lib(script: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    text = (REMOTE / "lib.sh").read_text() + script
    return subprocess.run(
        ["sh", "-c", text, "sh", *words],
        env={"PATH": REAL_PATH, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def weak_spot(path: Path) -> str:
    done = lib('weak_spot "$1"', str(path))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return an ordinary folder of ours, with an awkward name."""
    folder = tmp_path / """it's a "$(touch x)" folder"""
    folder.mkdir(mode=0o755)
    return folder


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o711])
def test_a_folder_of_ours_is_safe_whether_or_not_it_is_there(base: Path, mode: int) -> None:
    base.chmod(mode)

    assert weak_spot(base) == weak_spot(base / "state/runs") == ""


@pytest.mark.parametrize("part", ["", "state", "state/runs"])
def test_a_folder_that_everybody_may_write_to_is_weak(base: Path, part: str) -> None:
    (base / "state/runs").mkdir(parents=True)
    (base / part).chmod(0o777)

    assert weak_spot(base / "state/runs") == f"everybody may write to {(base / part)}"


@needs_root
def test_a_folder_that_a_group_may_write_to_is_weak(base: Path) -> None:
    base.chmod(0o775)
    assert weak_spot(base / "state") == ""  # root's own group

    os.chown(base, 0, STRANGER)
    assert weak_spot(base / "state").endswith(f"may write to {base}")


@needs_root
def test_a_folder_of_somebody_else_is_weak(base: Path) -> None:
    (base / "state").mkdir()
    os.chown(base, STRANGER, 0)

    assert weak_spot(base / "state") == f"{base} belongs to nobody"


def test_in_a_sticky_folder_what_is_ours_is_safe_but_the_folder_itself_is_not(base: Path) -> None:
    base.chmod(0o1777)

    assert weak_spot(base / "state") == ""
    assert weak_spot(base) == f"everybody may write to {base}"


@needs_root
def test_what_somebody_else_put_into_a_sticky_folder_is_weak(base: Path) -> None:
    base.chmod(0o1777)
    (base / "state").mkdir()
    os.chown(base / "state", STRANGER, STRANGER)

    assert weak_spot(base / "state/runs") == f"{base / 'state'} belongs to nobody"


@needs_root
@pytest.mark.parametrize("target", ["elsewhere", "/etc", "nowhere"])
def test_a_link_of_somebody_else_is_weak_wherever_it_leads(base: Path, target: str) -> None:
    base.chmod(0o1777)
    (base / "elsewhere").mkdir()
    (base / "state").symlink_to(target)
    os.lchown(base / "state", STRANGER, STRANGER)

    assert weak_spot(base / "state") == f"{base / 'state'} belongs to nobody"


def test_a_link_of_ours_is_as_weak_as_where_it_leads(base: Path) -> None:
    (base / "open").mkdir()
    (base / "open/inner").mkdir()
    (base / "first").symlink_to("second/")
    (base / "second").symlink_to(base / "open/inner")
    assert weak_spot(base / "first/state") == ""

    (base / "open").chmod(0o777)
    assert weak_spot(base / "first/state") == f"everybody may write to {base / 'open'}"


def test_links_that_lead_round_in_circles_are_weak(base: Path) -> None:
    (base / "a").symlink_to("b")
    (base / "b").symlink_to("a")

    assert "round in circles" in weak_spot(base / "a")


def test_a_private_folder_is_made_with_all_that_leads_to_it(base: Path) -> None:
    done = lib('make_private "$1"', str(base / "a/b"))

    assert done.returncode == 0
    assert [(base / part).stat().st_mode & 0o777 for part in ("a", "a/b")] == [0o700, 0o700]


def test_the_mode_of_a_folder_that_was_there_stays(base: Path) -> None:
    """Else a state_dir of /var/lib would lock everybody out of /var/lib."""
    assert lib('make_private "$1"', str(base)).returncode == 0
    assert base.stat().st_mode & 0o777 == 0o755


def plant_folder(base: Path) -> None:
    (base / "state/runs").mkdir(parents=True)
    os.chown(base / "state", STRANGER, STRANGER)


def plant_link(base: Path) -> None:
    (base / "state").symlink_to(base.parent / "victim")
    os.lchown(base / "state", STRANGER, STRANGER)


def plant_link_of_ours(base: Path) -> None:
    """Make a link of root's own into a folder that belongs to somebody else."""
    (base.parent / "theirs").mkdir()
    os.chown(base.parent / "theirs", STRANGER, STRANGER)
    (base / "state").symlink_to(base.parent / "theirs")


@needs_root
@pytest.mark.parametrize("plant", [plant_folder, plant_link, plant_link_of_ours])
@pytest.mark.parametrize("script", ["start.sh", "receive.sh", "prune.sh"])
def test_nothing_is_written_where_somebody_else_has_been(base: Path, plant: Plant, script: str) -> None:
    base.chmod(0o1777)
    (base.parent / "victim").mkdir()
    plant(base)
    before = sorted(base.parent.rglob("*"))

    done = lib(
        (REMOTE / script).read_text(), STATE_DIR=str(base / "state"), RUN_ID="r1", ARCHIVE_NAME="a", ARCHIVE_SHA256="b",
        BACKUP_DIR=str(base / "backups"), ROOT="/opt/netpoint", PRODUCT="netpoint", BACKUPS="", TREES="", RUNS="",
        ARCHIVES="", LEFTOVERS="",
    )  # fmt: skip

    assert done.returncode != 0
    assert "is not safe to write to" in done.stdout
    assert sorted(base.parent.rglob("*")) == before


@needs_root
def test_nothing_is_read_or_stopped_where_somebody_else_has_been(base: Path) -> None:
    """A run that a stranger made up: root would follow its links."""
    (base / "state/runs/r1").mkdir(parents=True)
    (base / "state/current").symlink_to("/etc/hostname")
    (base / "state/runs/r1/stop.partial").symlink_to(base / "victim")
    os.chown(base / "state", STRANGER, STRANGER)
    known = {"STATE_DIR": str(base / "state"), "RUN_ID": "r1", "OPERATOR": "ann@desk"}

    looked = lib((REMOTE / "status.sh").read_text(), **{**known, "RUN_ID": ""})
    stopped = lib((REMOTE / "stop.sh").read_text(), **known)

    assert "cannot be trusted" in looked.stdout
    assert "\nrun=" not in looked.stdout
    assert stopped.stdout == "absent\n"
    assert not (base / "victim").exists()


# ---- access lists, processes and mounts of others


def give_by_list(path: Path, user: int, rights: int) -> None:
    """Let a user have rights by an access list, as setfacl writes it; the bits of the group show the most it gives."""
    nobody_in_particular = 0xFFFFFFFF
    given = {1: 7, 2: rights, 4: 5, 16: 7, 32: 5}  # owner, named user, group, most of all, others
    entries = [(kind, rwx, user if kind == 2 else nobody_in_particular) for kind, rwx in given.items()]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", value)
    except OSError:
        pytest.skip("this file system keeps no access lists")


@pytest.mark.parametrize("part", ["", "state"])
def test_a_folder_that_an_access_list_lets_others_write_to_is_weak(base: Path, part: str) -> None:
    (base / "state").mkdir()
    give_by_list(base / part, STRANGER, 7)

    assert weak_spot(base / "state") == f"an access list (getfacl) lets others write to {base / part}"


def test_an_access_list_that_lets_nobody_else_write_is_no_weak_spot(base: Path) -> None:
    give_by_list(base, STRANGER, 5)
    base.chmod(0o755)  # the mask

    assert weak_spot(base) == ""


def test_what_is_made_for_root_alone_inherits_no_rights(base: Path) -> None:
    give_by_list(base, STRANGER, 5)
    value = os.getxattr(base, "system.posix_acl_access")
    os.setxattr(base, "system.posix_acl_default", value)
    base.chmod(0o755)

    assert lib('make_private "$1"', str(base / "state")).returncode == 0
    assert (base / "state").stat().st_mode & 0o777 == 0o700


@needs_root
def test_a_process_of_somebody_else_is_no_run_whatever_its_arguments(base: Path) -> None:
    word = str(base / "bundle/main.sh")
    with subprocess.Popen(["sh", "-c", "read -r _", word], stdin=subprocess.PIPE, user=STRANGER) as stranger:
        told = lib('processes_with "$WORD"', WORD=word).stdout
        stranger.kill()

    assert told == ""


def test_a_process_of_ours_is_a_run(base: Path) -> None:
    (base / "main.sh").write_text("read -r _")
    with subprocess.Popen(["sh", base / "main.sh"], stdin=subprocess.PIPE) as ours:
        told = lib('processes_with "$WORD"', WORD=str(base / "main.sh")).stdout
        ours.kill()

    assert told.split() == [str(ours.pid)]


@needs_root
def test_a_program_that_runs_as_root_for_anybody_is_no_run(base: Path) -> None:
    """As sudo does while it asks for a password."""
    word = str(base / "bundle/main.sh")
    program = base / "sudo"
    shutil.copy("/bin/dash", program)
    program.chmod(0o4755)
    with subprocess.Popen([program, "-c", "read -r _", word], stdin=subprocess.PIPE) as stranger:
        told = lib('processes_with "$WORD"', WORD=word).stdout
        stranger.kill()

    assert told == ""


@pytest.mark.parametrize("place", ["", "netpoint/media", "a blank and \\ more"])
def test_a_tree_with_something_mounted_in_it_is_not_removed(base: Path, place: str) -> None:
    tree = base / "tree"
    (tree / place).mkdir(parents=True, exist_ok=True)
    (tree / place / "upload").touch()
    said = run_in_namespace('mount --bind "$2" "$2" && { remove_tree "$1"; echo "status $?"; }', tree, tree / place)

    assert "status 1" in said.stdout
    assert f"something is mounted at {tree / place}".rstrip("/") in said.stderr
    assert (tree / place / "upload").exists()


def test_what_is_mounted_beside_a_tree_keeps_nothing(base: Path) -> None:
    for name in ("tree", "tree two"):
        (base / name).mkdir()
    said = run_in_namespace('mount --bind "$2" "$2" && remove_tree "$1"', base / "tree", base / "tree two")

    assert (said.returncode, (base / "tree").exists(), (base / "tree two").exists()) == (0, False, True)


def run_in_namespace(script: str, *paths: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script with mounts of its own."""
    if subprocess.run(["unshare", "-r", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user may make mounts of his own here")
    text = (REMOTE / "lib.sh").read_text().replace("set -eu", "set -u", 1) + script
    return subprocess.run(
        ["unshare", "-r", "-m", "sh", "-c", text, "sh", *map(str, paths)],
        env={"PATH": REAL_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
