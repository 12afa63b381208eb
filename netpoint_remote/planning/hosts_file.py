"""The hosts file: its text into an inventory, or everything that is wrong with it at once."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import PurePath, PurePosixPath
from typing import Any

from netpoint_remote.errors import InventoryError
from netpoint_remote.planning.host_sets import HostSetError, expand, how_many
from netpoint_remote.planning.hosts_schema import schema_faults
from netpoint_remote.planning.inventory import Host, Inventory, Product, ReleaseSource
from netpoint_remote.planning.located import Document, Fault, Path, read_yaml, spell
from netpoint_remote.planning.patterns import Names

Settings = Mapping[str, Any]

RESERVED = "all"
LARGEST = 8 * 1024**2  # characters: thousands of hosts with all that can be said of each
MOST_NAMES = 1_000_000  # that all sets of the file stand for
MOST_FAULTS = 100  # that are told at once
MOST_HINTS = 10  # of what may have been meant: each is compared with every host
OURS = frozenset(
    """ACCEPT_LOSS ARCHIVE_NAME ARCHIVE_SHA256 ARCHIVE_URL ASIDE ASIDE_BACK BACKUP_DIR BUNDLE COMMIT
    CRON_DIR FOLDERS FROM GIT_REMOTE GOAL HEALTH_HEADERS HEALTH_URL HOST METHOD NEW OFFSET OLD OLD_VERSION
    OPERATOR PLUGINS PRODUCT PURPOSE PYTHON ROOT RUN RUN_ID RUN_URL SERVICES STATE_DIR STEP TAG TREE_VERSION UPLOADS
    VERSION""".split()  # noqa: SIM905  easier to read
)  # what the scripts on a server call their own values
SHELLS = frozenset(
    """_ BASHOPTS BASH_VERSINFO EUID GROUPS IFS LC_ALL LINENO OLDPWD OPTIND PPID PWD RANDOM SECONDS SHELLOPTS SHLVL
    UID""".split()  # noqa: SIM905  as above
)  # what a shell sets by itself, or would be led astray by
TEXT_PLACES = (("environment",), ("health", "headers"), ("release", "sha256"))


def parse_hosts_file(text: str, name: str, *, folder: PurePath | None = None) -> Inventory:
    """Read a hosts file.

    `name` is what faults call the file; relative paths in it count from `folder` (left as they are
    without one). What a host says wins over its groups (the later group over the earlier), these
    over the defaults; mappings are merged key by key.

    Raises:
        InventoryError: with every fault of the file, as `name:line: sentence`.
    """
    if len(text) > LARGEST:
        raise InventoryError((f"{name}:1: the file is larger than {LARGEST // 1024**2} MB, which no hosts file is",))
    document = read_yaml(text, is_text=_is_text)
    faults = sorted({*document.faults, *_faults(document)})
    if faults:
        told = [f"{name}:{fault.line}: {fault.message}" for fault in faults]
        more = [f"{name}: and {len(told) - MOST_FAULTS} more"] if len(told) > MOST_FAULTS else []
        raise InventoryError((*told[:MOST_FAULTS], *more))
    keys = _keys_of_hosts(document)
    inventory = _inventory(_expanded(document.value, keys), folder or PurePath())  # type: ignore[arg-type]  # the schema has passed
    clashes = tuple(_clashes(inventory.hosts))
    if clashes:
        lines = ((document.line(("hosts", keys[later])), message) for later, message in clashes)
        raise InventoryError(tuple(f"{name}:{line}: {message}" for line, message in lines))
    return inventory


def _is_text(path: Path) -> bool:
    """Whether the values of this mapping are free text, to be taken as they are typed."""
    setting = path[1:] if path[:1] == ("defaults",) else path[2:]
    return setting in TEXT_PLACES


def _faults(document: Document) -> Iterator[Fault]:
    if document.value is None:
        if not document.faults:
            yield Fault(line=1, message="the file is empty; it needs 'hosts:' and under it one line such as '  np1:'")
        return
    yield from schema_faults(document)
    if sum(_sizes(document)) > MOST_NAMES:
        yield Fault(line=1, message=f"the sets of this file have more than {MOST_NAMES} names, which no fleet has")
        return
    yield from _set_faults(document)
    yield from _name_faults(document)
    yield from _variable_faults(document)


def _sizes(document: Document) -> Iterator[int]:
    """Return how many names each key of `hosts` and each member of a group stands for, before they are made."""
    groups = _mapping(document.value, "groups")
    lists = (_mapping(groups, group).get("hosts") for group in groups)
    members = (member for listed in lists if isinstance(listed, list) for member in listed if isinstance(member, str))
    for item in (*_mapping(document.value, "hosts"), *members):
        with suppress(HostSetError):  # reported later, with its line
            yield how_many(item)


def _set_faults(document: Document) -> Iterator[Fault]:
    """Say which sets of names mean nothing, and which hosts are in two of them."""
    seen: dict[str, str] = {}
    for key in _mapping(document.value, "hosts"):
        try:
            names = expand(key)
        except HostSetError as fault:
            yield Fault(line=document.line(("hosts", key)), message=f"hosts.{key}: {fault}")
            continue
        if "[" in names[0]:
            yield Fault(line=document.line(("hosts", key)), message=f"hosts.{key} is no set; write it as np[1-3,7]")
        twice = [name for name in names if seen.setdefault(name, key) != key]
        if twice:
            message = f"hosts.{key} has {twice[0]!r}, which is in {seen[twice[0]]!r} already"
            yield Fault(line=document.line(("hosts", key)), message=message)


def _names(item: str) -> tuple[str, ...]:
    """Return the names or patterns of a set; of one that is faulty, and said to be, the text itself."""
    try:
        return expand(item)
    except HostSetError:
        return (item,)


def _keys_of_hosts(document: Document) -> Mapping[str, str]:
    """Return every host with the key that it has in the file: np[1-3] are three."""
    return {name: key for key in _mapping(document.value, "hosts") for name in _names(key)}


def _expanded(file: Settings, keys: Mapping[str, str]) -> Settings:
    """Return the file with a name for each host of a set."""
    groups = {
        group: {**said, "hosts": [name for member in said["hosts"] for name in _names(member)]}
        for group, said in (file.get("groups") or {}).items()
    }
    return {**file, "hosts": {name: file["hosts"][key] for name, key in keys.items()}, "groups": groups}


def _name_faults(document: Document) -> Iterator[Fault]:
    """Say which names mean nothing, or two things."""
    keys, groups = _keys_of_hosts(document), _mapping(document.value, "groups")
    hosts = tuple(keys)
    for kind, names in (("hosts", hosts), ("groups", groups)):
        if RESERVED in names:
            yield Fault(line=document.line((kind, RESERVED)), message=f"'{RESERVED}' already means every host")
    for name in hosts:
        if name in groups:
            line = document.line(("groups", name))
            yield Fault(line=line, message=f"{name!r} is the name of a host and of a group; rename one")
    known, hints = Names(hosts), MOST_HINTS
    for group in groups:
        members = _mapping(groups, group).get("hosts")
        for index, member in enumerate(members if isinstance(members, list) else ()):
            if isinstance(member, str) and not any(map(known.matching, _names(member))):
                line, hint = document.line(("groups", group, "hosts", index)), _meant(member, hosts) if hints else ""
                hints = max(hints - 1, 0)
                message = f"group {group!r} names {member!r}, which is no host of this file{hint}"
                yield Fault(line=line, message=message)


def _variable_faults(document: Document) -> Iterator[Fault]:
    """Say which variables of an `environment` the server's scripts, or its shell, would not leave as they are."""
    for path, line in document.lines.items():
        if path[-2:-1] == ("environment",) and _is_text(path[:-1]) and path[-1] in OURS | SHELLS:
            instead = "; the setting 'python' chooses the interpreter" if path[-1] == "PYTHON" else ""
            whose = "this program's own" if path[-1] in OURS else "the shell's own"
            yield Fault(line=line, message=f"{spell(path)} cannot be set: the name is {whose} on the servers{instead}")


def _mapping(value: object, key: str) -> Mapping[str, object]:
    child = value.get(key) if isinstance(value, Mapping) else None
    return child if isinstance(child, Mapping) else {}


def _meant(name: str, hosts: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, tuple(hosts), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _inventory(file: Settings, folder: PurePath) -> Inventory:
    layers = _Layers(file)
    return Inventory(
        hosts=tuple(layers.host(name, own or {}, folder) for name, own in file["hosts"].items()),
        last_minors=tuple((int(major), minor) for major, minor in file.get("last_minors", {}).items()),
        defaults=_make_host("", file.get("defaults") or {}, (), folder),
    )


class _Layers:
    """The defaults and the groups of a file; hosts of the same groups share what these say, and its memory."""

    def __init__(self, file: Settings) -> None:
        self._defaults: Settings = file.get("defaults") or {}
        self._groups: Mapping[str, Settings] = file.get("groups") or {}
        self._hosts: Settings = file["hosts"]
        self._merged: dict[tuple[str, ...], tuple[tuple[str, ...], Settings]] = {}
        self._pairs: dict[int, tuple[tuple[str, str], ...]] = {}

    def host(self, name: str, own: Settings, folder: PurePath) -> Host:
        groups, shared = self._shared(tuple(self._members.get(name, ())))
        host = _make_host(name, _merge(shared, own), groups, folder)
        if "environment" in shared and "environment" not in own:
            environment = self._pairs.setdefault(id(shared), host.environment)  # `_merged` keeps what has this id
            host = replace(host, environment=environment)
        return host

    @cached_property
    def _members(self) -> Mapping[str, list[str]]:
        """Return the groups of each host, in the order of the file."""
        known = Names(self._hosts)
        groups: dict[str, list[str]] = {}
        for group, said in self._groups.items():
            for name in {name for pattern in said["hosts"] for name in known.matching(pattern)}:
                groups.setdefault(name, []).append(group)
        return groups

    def _shared(self, groups: tuple[str, ...]) -> tuple[tuple[str, ...], Settings]:
        if groups not in self._merged:
            settings: dict[str, Any] = {}
            for layer in (self._defaults, *(self._groups[group] for group in groups)):
                _merge_into(settings, layer)
            self._merged[groups] = (groups, settings)
        return self._merged[groups]


def _merge(below: Settings, above: Settings) -> Settings:
    """Return what both say, the upper one where they differ; what only one says is not copied."""
    result = dict(below)
    for key, value in above.items():
        before = below.get(key)
        result[key] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _merge_into(settings: dict[str, Any], layer: Settings) -> None:
    """Let a layer say what it says, without a copy of all that is there already: there may be thousands."""
    for key, value in layer.items():
        if isinstance(value, dict):
            before = settings.get(key)
            if not isinstance(before, dict):
                before = settings[key] = {}
            _merge_into(before, value)
        else:
            settings[key] = value


def _make_host(name: str, said: Settings, groups: tuple[str, ...], folder: PurePath) -> Host:
    product = Product(name=said.get("product", "netpoint"))
    health = said.get("health", {})
    folders = {key: PurePosixPath(said[key]) for key in ("backup_dir", "state_dir", "cron_dir") if key in said}
    return Host(
        name=name,
        address=said.get("address", name),
        port=said.get("port"),
        user=said.get("user"),
        identity=tuple(_beside(folder, path) for path in _listed(said.get("identity", ()))),
        known_hosts=_beside(folder, said["known_hosts"]) if "known_hosts" in said else None,
        gateway=said.get("gateway"),
        become=said.get("become", True),
        product=product,
        root=PurePosixPath(said.get("root", product.root)),
        python=said.get("python"),
        services=tuple(said.get("services", product.services)),
        health_url=health.get("url"),
        health_headers=tuple(health.get("headers", {}).items()),
        release=_make_source(said.get("release", {}), folder),
        environment=tuple(said.get("environment", {}).items()),
        groups=groups,
        **folders,
    )


def _make_source(said: Settings, folder: PurePath) -> ReleaseSource:
    return ReleaseSource(
        url=said.get("url"),
        archive=_beside(folder, said["archive"]) if "archive" in said else None,
        git=said.get("git"),
        sha256=tuple((version, digest.lower()) for version, digest in said.get("sha256", {}).items()),
    )


def _listed(paths: str | Iterable[str]) -> Iterable[str]:
    return (paths,) if isinstance(paths, str) else paths


def _beside(folder: PurePath, path: str) -> str:
    """Make a path relative to the hosts file, `~` (the operator's home) left to those who open it."""
    return path if path.startswith("~") else str(folder / path)


def _clashes(hosts: tuple[Host, ...]) -> Iterator[tuple[str, str]]:
    """Yield the hosts that are an earlier host under another name, each with a sentence."""
    first: dict[tuple[str | None, str, int | None], str] = {}
    for host in hosts:
        place = (host.gateway, host.address.lower(), host.port)
        earlier = first.setdefault(place, host.name)
        if earlier != host.name:
            yield host.name, f"hosts.{host.name} has the address and port of {earlier!r}: one server, one name"
