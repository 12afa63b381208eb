"""Keys and passwords are below folders that only root can read, or the lab does not run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lab.errors import LabError
from tests.lab.operator import PROJECT
from tests.lab.private import private_folder

if TYPE_CHECKING:
    from pathlib import Path

OTHER = 1000


def _refusal(path: Path) -> str:
    with pytest.raises(LabError) as refused:
        private_folder(path)
    return str(refused.value)


def test_a_new_folder_is_roots_alone(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "new/cache")
    assert (made.stat().st_mode & 0o777, made.stat().st_uid) == (0o700, 0)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o710, 0o701, 0o770, 0o707])
def test_a_folder_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert _refusal(tmp_path) == f"{tmp_path} is open to other users: chmod 700 {tmp_path}"


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, OTHER)
    assert _refusal(tmp_path) == f"{tmp_path} belongs to user {OTHER}: remove it, or chown root {tmp_path}"


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


def test_a_folder_where_only_owners_remove_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    assert private_folder(tmp_path / "shared/cache").stat().st_mode & 0o777 == 0o700


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
