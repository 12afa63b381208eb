"""Which hosts a command is about: the hosts file from the disk, `-H`, `-i` and `--limit`."""

import difflib
import os
from dataclasses import replace
from pathlib import Path

from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.errors import UsageError
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.selection import parse_hosts_option, select

HOSTS_FILE = "hosts.yaml"


def choose_hosts(core: CoreOptions, *, hosts_file: str | None, limit: str | None) -> tuple[Inventory, tuple[Host, ...]]:
    """Return the inventory and the hosts of this run.

    Raises:
        RequestError: for whatever is wrong with -H, the hosts file or --limit.
    """
    names = None if core.hosts is None else parse_hosts_option(core.hosts)
    inventory = load_inventory(hosts_file, named=names is not None)
    hosts = select(inventory, names, limit)
    if core.identity:
        hosts = tuple(replace(host, identity=core.identity) for host in hosts)
    return inventory, hosts


def load_inventory(path: str | None, *, named: bool = False) -> Inventory:
    """Read the hosts file, which need not be there when hosts are named and it is the usual one.

    Raises:
        RequestError: when it cannot be read, or is wrong.
    """
    if path is None and not Path(HOSTS_FILE).exists():
        if named:
            return Inventory()
        raise UsageError(
            f"no hosts: name them with -H np1,np2 before the task, or list them in {HOSTS_FILE} "
            "(hosts.example.yaml shows how; --hosts-file takes one from elsewhere)"
        )
    file = Path(expand_home(path or HOSTS_FILE))
    text = _read(file)
    from netpoint_remote.planning.hosts_file import parse_hosts_file  # noqa: PLC0415  YAML only for who has a file

    inventory = parse_hosts_file(text, str(file), folder=file.parent)
    return replace(inventory, hosts=tuple(map(_at_home, inventory.hosts)), defaults=_at_home(inventory.defaults))


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        near = difflib.get_close_matches(file.name, _names_beside(file), n=1)
        raise UsageError(f"there is no hosts file {file}{f'; did you mean {near[0]}?' if near else ''}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the hosts file {file} is not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"the hosts file {file} cannot be read: {getattr(error, 'strerror', error)}") from None


def _names_beside(file: Path) -> list[str]:
    try:
        return [path.name for path in file.parent.iterdir()]
    except OSError:
        return []


def _at_home(host: Host) -> Host:
    """Return the host with `~` in paths of this machine replaced by the operator's home."""
    archive, known_hosts = host.release.archive, host.known_hosts
    return replace(
        host,
        identity=tuple(map(expand_home, host.identity)),
        known_hosts=known_hosts and expand_home(known_hosts),
        release=replace(host.release, archive=archive and expand_home(archive)),
    )


def expand_home(path: str) -> str:
    """Return a path with its `~` replaced; as it is where nobody has that home."""
    return os.path.expanduser(path)  # noqa: PTH111  pathlib's raises, and drops a trailing slash
