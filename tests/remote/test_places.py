"""Root writes nowhere that somebody else could have a hand in, and follows no link that somebody else has made."""

import os
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

    assert "is not to be trusted" in looked.stdout
    assert "\nrun=" not in looked.stdout
    assert stopped.stdout == "absent\n"
    assert not (base / "victim").exists()
