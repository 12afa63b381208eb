"""What a killed run leaves, the next one takes away; a run that is asked to end leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import cache, slots
from tests.lab.operator import PROJECT, wait_until
from tests.lab.rootfs import rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY = "wheels-000000000000"
PROGRAM = """
import os, signal, subprocess, sys, threading
from tests.lab import cache, signals, slots
from tests.lab.servers import Keys, Server, close_all

def strike(frame, event, _):
    ours = "tests/lab" in frame.f_code.co_filename or frame.f_code.co_filename == "<string>"
    if event == "call" and ours and frame.f_code.co_name == sys.argv[2]:
        print(*(slot.number for slot in slots._owned), flush=True)
        for name in sys.argv[3:]:
            os.kill(os.getpid(), getattr(signal, name))

def strike_from_now_on():
    threading.setprofile(strike)
    sys.setprofile(strike)

def server():
    with slots.scratch() as slot:
        server = Server("np1", keys=Keys.make(slot.folder))
        try:
            server.boot()
            booted()
        finally:
            close_all([server])

def booted():
    pass

def take_down():
    with slots.scratch() as slot:
        server = Server("np1", keys=Keys.make(slot.folder))
        server.slot.start(["sleep", "1000"], stdout=subprocess.DEVNULL)
        strike_from_now_on()
        close_all([server])

def build():
    cache.built_once("wheels-000000000000", fill)

def fill(slot):
    (slot.folder / "half").touch()
    slot.start(["sleep", "1000"], stdout=subprocess.DEVNULL)
    half_built()

def half_built():
    pass

def stay():
    with slots.scratch() as slot:
        server = Server("np1", keys=Keys.make(slot.folder))
        sleep = server.slot.start(["sleep", "1000"], stdout=subprocess.DEVNULL)
        print(slot.number, server.slot.number, flush=True)
        sys.stdin.read()
        assert sleep.poll() is None
        server.close()

signals.end_in_order()
if sys.argv[1] in {"server", "build"}:
    strike_from_now_on()
globals()[sys.argv[1]]()
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache that no other run uses, with the usual root filesystem in it."""
    usual = rootfs()
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    (folder / usual.name).symlink_to(usual)
    monkeypatch.setenv("NETPOINT_LAB_CACHE", str(folder))
    return folder


def _run(*arguments: str) -> tuple[int, list[int]]:
    """Run a part of the program above; return what it ended with, and the slots that it had when it was struck."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, [int(number) for number in (done.stdout.splitlines() or [""])[0].split()]


@contextmanager
def _another_run() -> Iterator[list[int]]:
    """Let another process own two slots for the time of a block."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "stay"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield [int(number) for number in process.stdout.readline().split()]
        process.stdin.close()
        assert process.wait(timeout=600) == 0


def _left(folder: Path, numbers: list[int]) -> list[str]:
    """Return what is on this machine of some slots and of everything below a cache."""
    below = f"{folder}/running"
    return [
        *(str(path) for path in (folder / "running").glob("*")),
        *(f"{path} is mounted" for path in slots._mounts([folder])),
        *(f"{path.parent} runs" for path in Path("/proc").glob("[0-9]*/cmdline") if below in _text(path)),
        *(f"{path.parent} runs" for path in Path("/proc").glob("[0-9]*/mountinfo") if below in _root_mount(path)),
        *(str(path) for number in numbers for path in _left_in_slot(folder, number)),
    ]


def _left_in_slot(folder: Path, number: int) -> list[Path]:
    """Return what is left of a slot, unless another run has or had it by now; its lock keeps that from changing."""
    slot = slots._locked(number)
    if slot is None:
        return []
    with slot.lock:
        last = slots._record(number)
        return [] if last and not Path(last[0]).is_relative_to(folder) else _places(number)


def _root_mount(path: Path) -> str:
    return "".join(line for line in _text(path).splitlines() if " / / " in line)


def _seen(folder: Path, numbers: list[int]) -> tuple[object, ...]:
    """Return what slots in use have on this machine: folders, mounts, cables and groups."""
    return sorted((folder / "running").iterdir()), slots._mounts([folder]), [_places(number) for number in numbers]


def _places(number: int) -> list[Path]:
    name = f"{slots.NAME}{number}"
    places = [slots.NAMESPACES / name, slots.CABLES / name, *slots._groups(name), *slots.NSPAWN.glob(f"*/{name}")]
    return [place for place in places if place.exists()]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def _sweep(folder: Path, numbers: list[int]) -> None:
    """Sweep as the next run does; a process that has just been killed may own its slots for a moment."""
    wait_until(lambda: slots.sweep() or not _left(folder, numbers))


@pytest.mark.parametrize(
    "moment",
    ["clear", "_mount", "_personalise", "lay_cable", "plug", "boot", "_wait_for_init", "_is_init", "_wait_for_sshd"],
)
def test_a_run_killed_while_a_server_is_made_and_booted_leaves_nothing_to_the_next(
    own_cache: Path, moment: str
) -> None:
    code, numbers = _run("server", moment, "SIGKILL")
    assert (code, len(numbers)) == (-9, 1 if moment == "clear" else 2)
    _sweep(own_cache, numbers)


def test_a_run_killed_while_its_server_runs_leaves_nothing_to_the_next(own_cache: Path) -> None:
    code, numbers = _run("server", "booted", "SIGKILL")
    assert (code, len(numbers)) == (-9, 2)
    assert _left(own_cache, numbers)
    _sweep(own_cache, numbers)


@pytest.mark.parametrize("moment", ["free", "_end_processes", "_unmount", "_remove_cable", "_remove_groups"])
def test_a_run_killed_while_a_server_is_taken_away_leaves_nothing_to_the_next(own_cache: Path, moment: str) -> None:
    code, numbers = _run("take_down", moment, "SIGKILL")
    assert (code, len(numbers)) == (-9, 2)
    assert _left(own_cache, numbers)
    _sweep(own_cache, numbers)


def test_a_run_killed_while_it_builds_leaves_no_half_of_it(own_cache: Path) -> None:
    code, numbers = _run("build", "half_built", "SIGKILL")
    assert (code, len(numbers)) == (-9, 1)
    assert _left(own_cache, numbers)
    _sweep(own_cache, numbers)
    built = cache.built_once(ENTRY, lambda slot: (slot.folder / "whole").touch())
    assert [path.name for path in built.iterdir()] == ["whole"]


def test_the_slots_of_another_run_are_left_alone(own_cache: Path) -> None:
    with _another_run() as numbers:
        before = _seen(own_cache, numbers)
        slots.sweep()
        with slots.scratch() as other:
            assert other.number not in numbers
        assert _seen(own_cache, numbers) == before
    assert _left(own_cache, numbers) == []


@pytest.mark.parametrize(
    ("moment", "signal"),
    [("_personalise", "SIGINT"), ("plug", "SIGTERM"), ("_wait_for_init", "SIGHUP"), ("_wait_for_sshd", "SIGINT")],
)
def test_a_signal_while_a_server_is_made_and_booted_ends_it_in_order(own_cache: Path, moment: str, signal: str) -> None:
    _, numbers = _run("server", moment, signal)
    assert len(numbers) == 2
    assert _left(own_cache, numbers) == []


@pytest.mark.parametrize("moment", ["free", "_end_processes", "_unmount", "_remove_cable", "_remove_groups"])
def test_signals_while_a_server_is_taken_away_leave_nothing(own_cache: Path, moment: str) -> None:
    code, numbers = _run("take_down", moment, "SIGINT", "SIGTERM", "SIGHUP", "SIGINT")
    assert (code != 0, len(numbers)) == (True, 2)
    assert _left(own_cache, numbers) == []


def test_what_was_not_used_for_two_weeks_is_removed(own_cache: Path) -> None:
    for name in (ENTRY, "wheels-111111111111"):
        cache.built_once(name, lambda slot: (slot.folder / "whole").touch())
    os.utime(own_cache / f".{ENTRY}.lock", (0, 0))
    cache.remove_unused()
    assert sorted(path.name for path in own_cache.glob("wheels-*")) == ["wheels-111111111111"]


def test_nothing_is_removed_while_servers_may_use_it(own_cache: Path) -> None:
    cache.built_once(ENTRY, lambda slot: (slot.folder / "whole").touch())
    os.utime(own_cache / f".{ENTRY}.lock", (0, 0))
    with slots.scratch():
        cache.remove_unused()
        done = subprocess.run(
            [sys.executable, "-m", "tests.lab", "clean"], cwd=PROJECT, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr.partition(" by ")[0]) == (1, f"{own_cache} is in use")
    assert (own_cache / ENTRY / "whole").exists()


def test_an_emptied_cache_keeps_what_is_not_of_the_lab(own_cache: Path) -> None:
    cache.built_once(ENTRY, lambda slot: (slot.folder / "whole").touch())
    (own_cache / "image-of-a-cat").touch()
    done = subprocess.run([sys.executable, "-m", "tests.lab", "clean"], cwd=PROJECT, check=False)
    assert (done.returncode, sorted(path.name for path in own_cache.iterdir())) == (0, ["image-of-a-cat", "running"])
