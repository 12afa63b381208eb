"""Which hosts a run is about: `-H` and `--limit` against the inventory."""

import difflib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from netpoint_remote.errors import UsageError
from netpoint_remote.planning.host_sets import HostSetError, expand, split_names
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.patterns import Names

ALL = "all"
SSH_PORT = 22
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_USER = re.compile(r"[^\s:,/-][^\s:,/]*")
_WILD = frozenset("*?[]!")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One item of -H, taken apart: `user@name:port`."""

    name: str
    user: str | None = None
    port: int | None = None

    @property
    def label(self) -> str:
        """What the host is called in the report when the hosts file has no name for it."""
        if self.port is None:
            return self.name
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def parse_hosts_option(text: str) -> tuple[str, ...]:
    """Take `-H` apart at its commas, and sets such as np[1-3] into names.

    Blanks around names, empty items and repetitions mean nothing.

    Raises:
        UsageError: when no host is left, or one of them is not `user@name:port`.
    """
    names = tuple(dict.fromkeys(name for item in split_names(text) for name in _expanded("-H", item)))
    if not names:
        raise UsageError("-H names no host; give it names such as -H np1,np2, or leave it out to use the hosts file")
    for name in names:
        parse_place(name)
    return names


def _expanded(option: str, item: str) -> tuple[str, ...]:
    try:
        return expand(item)
    except HostSetError as fault:
        raise UsageError(f"{option}: {fault}; write a set as np[1-3,7]") from None


def parse_place(text: str) -> Place:
    """Read `np1`, `admin@np1:2222`, `[::1]:2222`, `fe80::1` and the like.

    Raises:
        UsageError: for anything else.
    """
    user, at, rest = text.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise UsageError(f"{text!r} has no login name before the @; write it as user@host:port")
    if rest.startswith("["):
        name, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise UsageError(f"{text!r} is not an address with port; write it as [::1]:2222")
        port = tail[1:] if tail else None
    elif rest.count(":") == 1:
        name, _, port = rest.partition(":")
    else:
        name, port = rest, None
    return Place(name=_checked_name(name, text), user=user or None, port=_checked_port(port, text))


def _checked_name(name: str, typed: str) -> str:
    if _NAME.fullmatch(name) or _is_ipv6(name):
        return name
    if _WILD & set(name):
        raise UsageError(f"{typed!r} is not a host; patterns choose from the hosts file: --limit {typed!r}")
    if any(character.isspace() for character in name):
        raise UsageError(f"{typed!r} is not a host; separate hosts with commas: {','.join(typed.split())}")
    raise UsageError(f"{typed!r} is not a host name or address; write it as user@host:port or [::1]:2222")


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return True


def _checked_port(port: str | None, typed: str) -> int | None:
    if port is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:  # noqa: PLR2004  the range of TCP
        raise UsageError(f"{typed!r} has no port from 1 to 65535 after the colon")
    return int(port)


def select(inventory: Inventory, names: Iterable[str] | None, limit: str | None) -> tuple[Host, ...]:
    """Return the hosts of a run, each once, in the operator's order.

    `names` are the items of -H; without them every host of the file is meant. A name that the file
    has brings its settings along, any other gets the file's defaults. `limit` then chooses among them.

    Raises:
        UsageError: for a name that cannot be a host, a limit that matches nothing, an empty selection.
    """
    hosts = inventory.hosts if names is None else _named(inventory, names)
    if not hosts:
        raise UsageError("no host is selected; name some with -H np1,np2 or in the hosts file")
    return hosts if limit is None else _limited(hosts, limit)


def _named(inventory: Inventory, names: Iterable[str]) -> tuple[Host, ...]:
    chosen: dict[str, Host] = {}
    known = _Known(inventory)
    for name in names:
        host = known.host(parse_place(name))
        if chosen.setdefault(host.name, host) != host:
            raise UsageError(f"-H names {host.name!r} twice in different ways; name it once")
    return tuple(chosen.values())


class _Known:
    """The hosts of the file, found by name or by address."""

    def __init__(self, inventory: Inventory) -> None:
        self._defaults = inventory.defaults
        self._groups = {group for host in inventory.hosts for group in host.groups}
        self._by_name = {host.name: host for host in inventory.hosts}
        self._by_address: dict[str, list[Host]] = {}
        for host in inventory.hosts:
            self._by_address.setdefault(host.address.lower(), []).append(host)

    def host(self, place: Place) -> Host:
        """Return the host of the file that is meant, else one made up from the defaults."""
        host = self._by_name.get(place.name)
        if host is None and place.name in self._groups:
            raise UsageError(f"{place.name!r} is a group, not a host; choose it with --limit {place.name}")
        host = host or self._at(place) or replace(self._defaults, name=place.label, address=place.name)
        return replace(host, user=place.user or host.user, port=place.port or host.port)

    def _at(self, place: Place) -> Host | None:
        """Return the one host of the file at this address, and at this port where one was typed."""
        there = self._by_address.get(place.name.lower(), [])
        meant = [host for host in there if place.port in (None, host.port or SSH_PORT)]
        if len(meant) > 1:
            raise UsageError(f"{place.name!r} is the address of {_some([host.name for host in meant])}; name one")
        return meant[0] if meant else None


def _limited(hosts: tuple[Host, ...], limit: str) -> tuple[Host, ...]:
    items = split_names(limit)
    if not items:
        raise UsageError(
            "--limit is empty; give it names, patterns or groups such as --limit 'np*,!np3', or leave it out"
        )
    known = _Chosen(hosts)
    wanted = {name for item in items if not item.startswith("!") for name in known.matching(item)}
    unwanted = {name for item in items if item.startswith("!") for name in known.matching(item[1:].strip())}
    everything = all(item.startswith("!") for item in items)
    left = tuple(host for host in hosts if (everything or host.name in wanted) and host.name not in unwanted)
    if not left:
        raise UsageError(f"--limit {limit!r} leaves no host of {len(hosts)}")
    return left


class _Chosen:
    """The hosts that `--limit` chooses from, by their names and groups."""

    def __init__(self, hosts: tuple[Host, ...]) -> None:
        self._hosts = hosts
        self._groups = {group for groups in {host.groups for host in hosts} for group in groups}
        self._names = Names({host.name for host in hosts} | self._groups)

    def matching(self, item: str) -> set[str]:
        """Return the names of the hosts that an item of `--limit` means.

        Raises:
            UsageError: when it means none.
        """
        names = _expanded("--limit", item)
        if ALL in names:
            return {host.name for host in self._hosts}
        meant = frozenset[str]().union(*map(self._names.matching, names))
        groups = meant & self._groups
        matching = {
            host.name for host in self._hosts if host.name in meant or (groups and not groups.isdisjoint(host.groups))
        }
        if not matching:
            there = sorted({host.name for host in self._hosts} | self._groups)
            near = difflib.get_close_matches(item, there, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {_some(there)}"
            raise UsageError(f"--limit: {item!r} is no host, group or pattern that matches one; {hint}")
        return matching


def _some(names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
