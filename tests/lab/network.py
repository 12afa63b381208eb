"""A network of its own for each lab server: one namespace, one cable to this machine, no way out.

The addresses are those set aside for testing network devices (RFC 2544), so they collide with nobody's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.slots import Slot

TO_HERE, BETWEEN = "host0", "between"  # a server's cables: to this machine, to another server
OTHERS = "198.19.0.0/16"
"""The addresses of servers on the cables between them."""


def lay_cable(slot: Slot) -> Path:
    """Make the slot's network namespace and its link to this machine; return the namespace's path."""
    _ip(slot, "netns", "add", slot.name)
    _ip(slot, "link", "add", slot.name, "type", "veth", "peer", "name", TO_HERE, "netns", slot.name)
    _ip(slot, "address", "add", f"{slot.gateway}/24", "dev", slot.name)
    _ip(slot, "link", "set", slot.name, "up")
    _ip(slot, "-n", slot.name, "address", "add", f"{slot.address}/24", "dev", TO_HERE)
    _ip(slot, "-n", slot.name, "link", "set", "lo", "up")
    plug(slot)
    return Path("/run/netns") / slot.name


def unplug(slot: Slot, cable: str = TO_HERE) -> None:
    """Let every packet on this cable of the server vanish, as a pulled one does."""
    _ip(slot, "-n", slot.name, "link", "set", cable, "down")


def plug(slot: Slot, cable: str = TO_HERE) -> None:
    _ip(slot, "-n", slot.name, "link", "set", cable, "up")


def join(one: Slot, other: Slot) -> tuple[str, str]:
    """Lay a cable between two servers; return the address of each on it."""
    ends = {slot: f"198.19.{one.number}.{host}" for slot, host in ((one, 1), (other, 2))}
    _ip(one, "link", "add", BETWEEN, "netns", one.name, "type", "veth", "peer", "name", BETWEEN, "netns", other.name)
    for slot, address in ends.items():
        _ip(slot, "-n", slot.name, "address", "add", f"{address}/24", "dev", BETWEEN)
        _ip(slot, "-n", slot.name, "link", "set", BETWEEN, "up")
    return ends[one], ends[other]


def forget_connections(slot: Slot) -> None:
    """Let connections to other servers end without a word to them, as a power cut does; the cable must be unplugged.

    Processes that are killed leave their connections to the kernel, which keeps saying goodbye for minutes, and what
    it could not send waits until the cable is plugged in.
    """
    script = f"""
        echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries
        while [ -n "$(ss -Htn dst {OTHERS})" ]; do sleep 0.1; done
    """
    _ip(slot, "netns", "exec", slot.name, "sh", "-c", script)
    _ip(slot, "-n", slot.name, "neighbour", "flush", "dev", BETWEEN)


def _ip(slot: Slot, *arguments: str) -> None:
    slot.run(["ip", *arguments])
