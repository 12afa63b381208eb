"""A network of its own for each lab server: one namespace, one cable to this machine, no way out.

The addresses are those set aside for testing network devices (RFC 2544), so they collide with nobody's.
"""

from __future__ import annotations

import fcntl
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.lab.private import private_folder

LOCKS = Path("/run/netpoint-remote-lab")
TO_HERE, BETWEEN = "host0", "between"  # a server's cables: to this machine, to another server


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A number no other lab server of this machine has, as long as its lock is open."""

    number: int
    lock: IO[str]

    @property
    def name(self) -> str:
        return f"lab{self.number}"

    @property
    def address(self) -> str:
        """The server's address."""
        return f"198.18.{self.number}.2"

    @property
    def gateway(self) -> str:
        """The address of this machine, seen from the server."""
        return f"198.18.{self.number}.1"

    def free(self) -> None:
        self.lock.close()


def take_slot() -> Slot:
    """Return the first slot nobody holds."""
    private_folder(LOCKS)
    for number in range(1, 255):
        lock = (LOCKS / str(number)).open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return Slot(number=number, lock=lock)
    raise RuntimeError("254 lab servers are running on this machine: no address is left")


def lay_cable(slot: Slot) -> Path:
    """Make the slot's network namespace and its link to this machine; return the namespace's path."""
    remove_cable(slot)
    _ip("netns", "add", slot.name)
    _ip("link", "add", slot.name, "type", "veth", "peer", "name", TO_HERE, "netns", slot.name)
    _ip("address", "add", f"{slot.gateway}/24", "dev", slot.name)
    _ip("link", "set", slot.name, "up")
    _ip("-n", slot.name, "address", "add", f"{slot.address}/24", "dev", TO_HERE)
    _ip("-n", slot.name, "link", "set", "lo", "up")
    plug(slot)
    return Path("/run/netns") / slot.name


def unplug(slot: Slot, cable: str = TO_HERE) -> None:
    """Let every packet on this cable of the server vanish, as a pulled one does."""
    _ip("-n", slot.name, "link", "set", cable, "down")


def plug(slot: Slot, cable: str = TO_HERE) -> None:
    _ip("-n", slot.name, "link", "set", cable, "up")


def join(one: Slot, other: Slot) -> tuple[str, str]:
    """Lay a cable between two servers; return the address of each on it."""
    ends = {slot: f"198.19.{one.number}.{host}" for slot, host in ((one, 1), (other, 2))}
    _ip("link", "add", BETWEEN, "netns", one.name, "type", "veth", "peer", "name", BETWEEN, "netns", other.name)
    for slot, address in ends.items():
        _ip("-n", slot.name, "address", "add", f"{address}/24", "dev", BETWEEN)
        _ip("-n", slot.name, "link", "set", BETWEEN, "up")
    return ends[one], ends[other]


def remove_cable(slot: Slot) -> None:
    for leftover in (("link", "delete", slot.name), ("netns", "delete", slot.name)):
        with suppress(subprocess.CalledProcessError):
            _ip(*leftover)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
