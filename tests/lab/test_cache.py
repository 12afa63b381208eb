"""A cache that cannot be written to is an error that names its folder and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lab import cache, slots
from tests.lab.errors import LabError
from tests.lab.operator import PROJECT
from tests.lab.private import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.slots import Slot

ENTRY = "wheels-000000000000"
INODES = 20
WRITES = "head -c 9999999 /dev/zero >"


def _write(slot: Slot) -> None:
    (slot.folder / "large").write_bytes(bytes(9_999_999))


def _run_a_command(slot: Slot) -> None:
    slot.run(["sh", "-c", f"{WRITES} {slot.folder}/large"])


def _run_a_program(slot: Slot) -> None:
    subprocess.run(["sh", "-c", f"{WRITES} {slot.folder}/large"], check=True, stderr=subprocess.DEVNULL)


def _build_another(slot: Slot) -> None:
    cache.built_once("wheels-111111111111", _write)
    slot.folder.touch()


@pytest.fixture
def small_cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a cache on a disk that is soon full."""
    with slots.scratch() as slot:
        slot.run(["mount", "-t", "tmpfs", "-o", f"size=1m,mode=700,nr_inodes={INODES}", "small", slot.folder])
        monkeypatch.setenv("NETPOINT_LAB_CACHE", str(slot.folder))
        yield slot.folder
        monkeypatch.undo()


@pytest.mark.parametrize("build", [_write, _run_a_command, _run_a_program, _build_another])
def test_a_full_disk_is_named_once(small_cache: Path, build: Callable[[Slot], None]) -> None:
    with pytest.raises(LabError) as error:
        cache.built_once(ENTRY, build)
    assert str(error.value).splitlines()[0] == (
        f"{small_cache} is full or has less than 1 GB free: "
        "free space there, or set NETPOINT_LAB_CACHE to a folder on another disk"
    )
    assert str(error.value).count("is full") == 1
    assert list((small_cache / "running").iterdir()) == []
    cache.built_once(ENTRY, lambda slot: slot.folder.touch())


def test_another_fault_of_a_build_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETPOINT_LAB_CACHE", str(private_folder(tmp_path / "cache")))
    with pytest.raises(FileNotFoundError):
        cache.built_once(ENTRY, lambda slot: (slot.folder / "nothing").unlink())


@pytest.mark.parametrize(("free", "what"), [(0, "wheels-000000000000.lock cannot be opened"), (1, "cannot be made")])
def test_a_disk_without_room_for_another_file_is_an_error_with_its_cause(
    small_cache: Path, free: int, what: str
) -> None:
    (small_cache / "running").mkdir()
    for number in range(INODES - 2 - free):
        (small_cache / str(number)).touch()
    with pytest.raises(LabError) as error:
        cache.built_once(ENTRY, lambda slot: slot.folder.touch())
    assert str(error.value).endswith(f"{what}: No space left on device: free space there, or choose another folder")
    assert slots.in_use() == []


def test_a_lock_that_cannot_be_opened_is_an_error_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETPOINT_LAB_CACHE", str(private_folder(tmp_path / "cache")))
    lock = tmp_path / f"cache/.{ENTRY}.lock"
    lock.mkdir()
    with pytest.raises(LabError) as error:
        cache.built_once(ENTRY, lambda slot: slot.folder.touch())
    assert str(error.value) == f"{lock} cannot be opened: Is a directory: remove it, or choose another folder"


@pytest.mark.parametrize("program", [("tests.lab", "clean"), ("tests.lab", "up"), ("tests.faults",)])
def test_a_program_says_what_is_wrong_without_a_traceback(tmp_path: Path, program: tuple[str, ...]) -> None:
    (private_folder(tmp_path / "cache") / f".{ENTRY}.lock").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", *program],
        cwd=PROJECT,
        env={**os.environ, "NETPOINT_LAB_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.partition(".lock ")[2].splitlines()) == (
        1,
        ["cannot be opened: Is a directory: remove it, or choose another folder"],
    )
