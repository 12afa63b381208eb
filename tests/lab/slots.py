"""Slots: whatever the lab puts on this machine is in one, and a slot can be emptied without knowing what is in it.

A slot is a number that no other process of this machine has, as long as its lock is held. It names a folder below
the cache, the control groups of its processes, a network namespace and a cable. A process that is killed lets go of
its locks: the next run finds slots with something in them and without an owner, and empties them.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.lab import signals
from tests.lab.accounting import turn_off_leftover
from tests.lab.errors import LabError
from tests.lab.private import cache_folder, private_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LOCKS = Path("/run/netpoint-remote-lab")
NUMBERS = range(1, 255)
NAME = "netpoint-lab"
NAMESPACES, CABLES = Path("/run/netns"), Path("/sys/class/net")
NSPAWN = Path("/run/systemd/nspawn")
"""Where a systemd-nspawn that was killed leaves a folder, in newer versions a mount, with its machine's name."""

CGROUPS = Path("/sys/fs/cgroup")
OURS = ".ours"
"""The group of processes outside of the server is a sibling: a group with groups in it may hold no processes."""

JOIN = 'for group in $1; do echo $$ >"$group/cgroup.procs" || exit; done; shift; exec "$@" </dev/null'
ORDERLY = 5
"""Seconds that systemd-nspawn may take to tidy up, once its server has no processes; it takes a few milliseconds."""

PATIENCE = 600
"""Seconds until what cannot be taken away is an error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slot:
    """A number and all that belongs to it, ours as long as the lock is open."""

    number: int
    folder: Path
    lock: IO[str]

    @property
    def name(self) -> str:
        """The name of the namespace, the cable, the machine and the control groups."""
        return f"{NAME}{self.number}"

    @property
    def address(self) -> str:
        """The server's address."""
        return f"198.18.{self.number}.2"

    @property
    def gateway(self) -> str:
        """The address of this machine, seen from the server."""
        return f"198.18.{self.number}.1"

    def start(self, command: Sequence[object], *, server: bool = False, **options: object) -> subprocess.Popen[Any]:
        """Start a process that is ended with the slot, also when we are killed: as the server, or outside of it."""
        return subprocess.Popen(
            self._joining(command, server=server), stdin=self.lock, start_new_session=True, **options
        )

    def run(self, command: Sequence[object]) -> None:
        """Run a command to its end, as `start` does; its output is shown if it fails."""
        done = subprocess.run(
            self._joining(command, server=False),
            stdin=self.lock,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}")

    def free(self) -> None:
        """Empty the slot and let others have it."""
        with signals.held_back():
            if self.lock.closed:
                return
            try:
                self.clear()
            finally:
                _owned.discard(self)
                self.lock.close()

    def clear(self) -> None:
        """Take away all that is in the slot.

        Raises:
            LabError: when something stays.
        """
        began = time.monotonic()
        while left := [*self._folders(), *self._others()]:
            waited = time.monotonic() - began
            if waited > PATIENCE:
                raise LabError(f"cannot be taken away: {', '.join(map(str, left))}")
            if not _end_processes(self.name, orderly=waited < ORDERLY):
                time.sleep(0.02)
                continue
            folders = self._folders()
            if _unmount(folders):
                for folder in folders:
                    shutil.rmtree(folder, ignore_errors=True)
            _remove_cable(self.name)
            _remove_groups(_groups(self.name))
        self.lock.truncate(0)

    def cpu_seconds(self) -> float:
        """Return the CPU that the slot's processes have used, those of its server and those outside of it."""
        found = (re.search(r"usage_usec (\d+)", _text(group / "cpu.stat")) for group in _groups(self.name))
        return sum(int(match[1]) for match in found if match) / 1_000_000

    def remove_server_groups(self) -> None:
        """Remove the control groups of a server that is switched off: it boots in fresh ones."""
        _remove_groups(self._groups(server=True))

    def _folders(self) -> list[Path]:
        """Return the folders that are there; the last owner's cache may have been another one."""
        recorded = [Path(line) for line in _record(self.number) if line.endswith(f"/running/{self.name}")]
        return [folder for folder in {self.folder, *recorded, *NSPAWN.glob(f"*/{self.name}")} if folder.exists()]

    def _others(self) -> list[Path]:
        places = (*_groups(self.name), NAMESPACES / self.name, CABLES / self.name)
        return [place for place in places if place.exists()]

    def _groups(self, *, server: bool) -> list[Path]:
        return [group for group in _groups(self.name) if group.name.endswith(OURS) != server]

    def _joining(self, command: Sequence[object], *, server: bool) -> list[str]:
        """Return a command that joins a control group first.

        Its standard input is the lock until then: if we are killed, the slot is ours until the group has the process.
        """
        groups = self._groups(server=server)
        for group in groups:
            group.mkdir(exist_ok=True)
        return ["sh", "-c", JOIN, "sh", " ".join(map(str, groups)), *map(str, command)]


_owned: set[Slot] = set()


def take_slot() -> Slot:
    """Return an empty slot; its folder is there."""
    for number in NUMBERS:
        if (slot := _locked(number)) is not None:
            _owned.add(slot)
            slot.clear()
            slot.lock.write(f"{slot.folder}\n{os.getpid()}\n")
            slot.lock.flush()
            _make_folder(slot)
            return slot
    raise LabError(f"{len(NUMBERS)} lab servers are running on this machine: no address is left")


def _make_folder(slot: Slot) -> None:
    try:
        slot.folder.mkdir(parents=True)
    except OSError as error:
        slot.free()
        advice = "free space there, or choose another folder"
        raise LabError(f"{slot.folder} cannot be made: {error.strerror}: {advice}") from error


@contextmanager
def scratch() -> Iterator[Slot]:
    """Give a slot for the time of a block: a folder and processes that the next run takes away if we are killed."""
    slot = take_slot()
    try:
        yield slot
    finally:
        slot.free()


def free_all() -> None:
    """Empty the slots that this process still has."""
    for slot in tuple(_owned):
        slot.free()


def sweep() -> None:
    """Empty every slot that has no owner, and turn off the accounting that has none."""
    turn_off_leftover()
    for number in _numbers_with_something():
        if (slot := _locked(number)) is not None:
            with slot.lock:
                slot.clear()


def in_use() -> list[str]:
    """Return the names of the slots of this cache that have an owner."""
    here = str(cache_folder() / "running")
    names = [Path(record[0]) for number in NUMBERS if (record := _record(number)) and has_owner(number)]
    return [name.name for name in names if str(name.parent) == here]


def has_owner(number: int) -> bool:
    """Tell whether a process has the slot of this number."""
    return is_locked(LOCKS / str(number))


def _locked(number: int) -> Slot | None:
    """Return a slot, not yet emptied, unless another process has it."""
    lock = (private_folder(LOCKS, ours=True) / str(number)).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return Slot(number=number, folder=cache_folder() / "running" / f"{NAME}{number}", lock=lock)


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock on a file; without the file none does."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _numbers_with_something() -> list[int]:
    places = [NAMESPACES, CABLES, cache_folder() / "running", *_hierarchies()]
    names = {path.name for place in places for path in place.glob(f"{NAME}*")}
    found = {int(match[1]) for name in names if (match := re.fullmatch(rf"{NAME}(\d+)(?:{re.escape(OURS)})?", name))}
    recorded = {int(lock.name) for lock in private_folder(LOCKS, ours=True).iterdir() if lock.stat().st_size}
    return sorted((found | recorded) & set(NUMBERS))


def _hierarchies() -> list[Path]:
    """Return the hierarchies of control groups that systemd uses."""
    return [CGROUPS / part for part in ("systemd", "unified") if (CGROUPS / part / "cgroup.procs").exists()] or [
        CGROUPS
    ]


def _groups(name: str) -> list[Path]:
    return [top / f"{name}{part}" for top in _hierarchies() for part in ("", OURS)]


def _end_processes(name: str, *, orderly: bool) -> bool:
    """End what runs in the control groups; say whether they are empty.

    In an orderly end systemd-nspawn is spared: it ends by itself with its server, and tidies up first.
    """
    found = [(folder, process) for group in _groups(name) for folder, process in _processes(group)]
    for folder, process in found:
        if not (orderly and folder.name == "supervisor"):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    return not found


def _processes(group: Path) -> Iterator[tuple[Path, int]]:
    for folder, _, _ in os.walk(group):
        with suppress(OSError):
            for line in (Path(folder) / "cgroup.procs").read_text().split():
                if int(line) > 0:  # 0 is a process that we cannot see, and would mean our own
                    yield Path(folder), int(line)


def _unmount(folders: Iterable[Path]) -> bool:
    """Unmount all that is mounted on the folders or below them; say whether nothing is."""
    mounts = _mounts(folders)
    for mount in reversed(mounts):  # what was mounted last first
        _run("umount", "--lazy", mount)
    return not mounts or not _mounts(folders)


def _mounts(folders: Iterable[Path]) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4]) for line in lines]
    return [point for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]


def _remove_cable(name: str) -> None:
    if (CABLES / name).exists():
        _run("ip", "link", "delete", name)
    if (NAMESPACES / name).exists():
        _run("ip", "netns", "delete", name)


def _remove_groups(groups: Iterable[Path]) -> None:
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _run(*command: str) -> None:
    """Run a command that may fail, for it is tried again; Ctrl-C does not reach it."""
    subprocess.run(command, capture_output=True, start_new_session=True, check=False)


def _leave_nothing() -> None:
    """Empty our own slots, those of our child processes (pytest-xdist) when these have ended, and all without owner."""
    if os.geteuid() != 0 or not LOCKS.exists():
        return
    signals.ignore_all()
    try:
        free_all()
        deadline = time.monotonic() + PATIENCE
        while any(map(_is_owned_by_a_child, NUMBERS)) and time.monotonic() < deadline:
            time.sleep(0.1)
        sweep()
    except LabError as error:
        print(error, file=sys.stderr)


def _is_owned_by_a_child(number: int) -> bool:
    with suppress(OSError, IndexError):
        parent = Path(f"/proc/{_record(number)[1]}/stat").read_text().rpartition(")")[2].split()[1]
        return int(parent) == os.getpid() and has_owner(number)
    return False


def _record(number: int) -> list[str]:
    """Return the folder and the process of a slot's last owner, if it had one and was not emptied since."""
    try:
        return (LOCKS / str(number)).read_text().splitlines()
    except FileNotFoundError:
        return []


atexit.register(_leave_nothing)
