"""Keys and passwords are below folders that only root can read, or the lab does not run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import slots
from tests.lab.errors import LabError
from tests.lab.operator import PROJECT
from tests.lab.private import cache_folder, private_folder
from tests.lab.rootfs import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = 1000


def _refusal(path: Path) -> str:
    with pytest.raises(LabError) as refused:
        private_folder(path)
    return str(refused.value)


def test_a_new_folder_is_roots_alone(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "new/cache")
    assert (made.stat().st_mode & 0o777, made.stat().st_uid) == (0o700, 0)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o710, 0o701])
@pytest.mark.parametrize("entries", [(), ("running", "rootfs-0123456789ab", ".rootfs-0123456789ab.lock")])
def test_a_folder_of_the_lab_that_others_can_read_is_refused(
    tmp_path: Path, mode: int, entries: tuple[str, ...]
) -> None:
    for name in entries:
        (tmp_path / name).touch()
    tmp_path.chmod(mode)
    assert _refusal(tmp_path) == f"other users can read {tmp_path}: chmod 700 {tmp_path}"


def test_the_mode_of_a_folder_with_files_of_others_is_not_to_be_changed(tmp_path: Path) -> None:
    (tmp_path / "running").touch()
    (tmp_path / "page.html").touch()
    tmp_path.chmod(0o755)
    assert _refusal(tmp_path) == f"other users can read {tmp_path}: choose another folder"


@pytest.mark.parametrize("path", ["/", "/dev", "/etc", "/etc/opt", "/proc", "/sys", "/tmp", "/usr", "/var/tmp"])
def test_a_folder_of_the_system_is_neither_to_be_changed_nor_removed(path: str) -> None:
    assert _refusal(Path(path)).endswith(f" {path}: choose another folder")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """What is in it may be theirs, so that taking away their rights is not enough."""
    tmp_path.chmod(mode)
    assert _refusal(tmp_path) == f"other users can write to {tmp_path}: remove it, or choose another folder"


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)
    assert _refusal(tmp_path) == f"{tmp_path} belongs to user {OTHER}: remove it, or choose another folder"
    (tmp_path / "diary").touch()
    assert _refusal(tmp_path) == f"{tmp_path} belongs to user {OTHER}: choose another folder"


def test_the_default_folder_is_closed_unless_others_can_write_to_it(tmp_path: Path) -> None:
    (tmp_path / "files").touch()
    tmp_path.chmod(0o755)
    assert private_folder(tmp_path, ours=True).stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o775)
    with pytest.raises(LabError, match=f"other users can write to {tmp_path}: remove it, or choose another folder"):
        private_folder(tmp_path, ours=True)
    assert tmp_path.stat().st_mode & 0o777 == 0o775


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refusals = {name: _refusal(tmp_path / name) for name in ("file", "loop", "dangling")}
    assert refusals == {
        "file": f"{tmp_path}/file is not a folder: choose another one",
        "loop": f"{tmp_path}/loop is a link: name the folder itself, or choose another one",
        "dangling": f"{tmp_path}/dangling is a link: name the folder itself, or choose another one",
    }


@pytest.mark.parametrize("parent", ["file", "loop", "dangling", "n" * 300])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    path = tmp_path / parent / "cache"
    assert _refusal(path).startswith(f"{path} cannot be used: ")
    assert _refusal(path).endswith(": choose another folder")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Give a filesystem that can only be read, with an empty private folder in it."""
    (tmp_path / "kept").mkdir(mode=0o700)
    with slots.scratch() as slot:
        slot.run(["mount", "--bind", tmp_path, slot.folder])
        slot.run(["mount", "-o", "remount,bind,ro", slot.folder])
        yield slot.folder


def test_a_folder_that_cannot_be_written_to_is_refused(read_only: Path) -> None:
    kept, new = read_only / "kept", read_only / "new"
    assert [_refusal(path) for path in (kept, new)] == [
        f"{kept} cannot be used: it cannot be written to: choose another folder",
        f"{new} cannot be used: Read-only file system: choose another folder",
    ]


def test_a_refused_folder_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", OTHER, OTHER)
    _refusal(tmp_path / "home/lab/cache")
    assert list((tmp_path / "home").iterdir()) == []


def test_the_folders_above_a_new_one_are_made_without_rights_for_others_to_write(tmp_path: Path) -> None:
    usual = os.umask(0)
    try:
        made = private_folder(tmp_path / "new/cache")
    finally:
        os.umask(usual)
    assert [path.stat().st_mode & 0o777 for path in (made, made.parent)] == [0o700, 0o755]


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert _refusal(tmp_path / "link").startswith(f"{tmp_path / 'link'} is a link")


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_folder_that_others_can_replace_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    for parent in ("shared", "link"):
        assert "can be replaced by users who may write to" in _refusal(tmp_path / parent / "cache")


def test_a_folder_below_one_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    os.chown(tmp_path / "home", OTHER, OTHER)
    assert f"can be replaced by user {OTHER}" in _refusal(tmp_path / "home/cache")


def test_every_link_on_the_way_has_a_safe_place(tmp_path: Path) -> None:
    """Another user who owns the folder of a link in the middle can make it point elsewhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/link").symlink_to("../real")
    (tmp_path / "lab").symlink_to("home/link")
    assert private_folder(tmp_path / "lab/cache").is_dir()
    os.chown(tmp_path / "home", OTHER, OTHER)
    assert f"can be replaced by user {OTHER}, who owns {tmp_path}/home" in _refusal(tmp_path / "lab/cache")


RACE = """
import os, sys
from pathlib import Path
from tests.lab.errors import LabError
from tests.lab.private import private_folder

folder, other = Path(sys.argv[1]), int(sys.argv[2])

def be_faster(event, arguments):
    if event == "os.mkdir" and str(arguments[0]) == str(folder) and not folder.exists():
        os.system(f"mkdir -m 777 {folder} && chown {other} {folder}")

sys.addaudithook(be_faster)
try:
    private_folder(folder / "cache")
except LabError as error:
    print(error)
"""


def test_a_folder_that_another_user_makes_before_us_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    command = [sys.executable, "-c", RACE, str(tmp_path / "new"), str(OTHER)]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    assert f"can be replaced by user {OTHER}, who owns {tmp_path}/new" in done.stdout


def test_a_folder_where_only_owners_remove_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    assert private_folder(tmp_path / "shared/cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("character", [*":,\\ \n\t\"'%;$#*", "\udcff"])
def test_a_cache_that_mount_apt_git_or_a_shell_would_take_for_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    monkeypatch.setenv("NETPOINT_LAB_CACHE", str(tmp_path / f"a{character}b"))
    with pytest.raises(LabError) as refused:
        cache_folder()
    path = ascii(str(tmp_path / f"a{character}b"))
    assert (
        str(refused.value)
        == f"{path} has characters that mount, apt, git or a shell cannot take: use A-Z a-z 0-9 ._+@=-"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", [("tests.lab", "clean"), ("tests.lab", "up"), ("tests.faults",)])
def test_the_lab_does_not_run_with_an_open_cache(tmp_path: Path, program: tuple[str, ...]) -> None:
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", *program],
        cwd=PROJECT,
        env={**os.environ, "NETPOINT_LAB_CACHE": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, f"chmod 700 {tmp_path}\n" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", ["a:b", "a,b"])
def test_the_folder_of_temporary_files_does_not_keep_the_lab_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    assert why_not() is None
