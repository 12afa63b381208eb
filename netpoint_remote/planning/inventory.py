"""The hosts of a run as values, whatever file or option they came from."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The names that follow from what the product is called (NetPoint is NetBox, renamed)."""

    name: str = "netpoint"

    @property
    def services(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}-rq")

    @property
    def root(self) -> PurePosixPath:
        return PurePosixPath("/opt") / self.name

    @property
    def environment_prefix(self) -> str:
        """What the product's own environment variables begin with, such as NETPOINT_CONFIGURATION."""
        return self.name.upper()

    @property
    def release_url(self) -> str:
        """Where GitHub serves a release's archive; `{version}` stands for 3.5.0."""
        owner = {"netpoint": "khulnasoft", "netbox": "netbox-community"}[self.name]
        return f"https://github.com/{owner}/{self.name}/archive/v{{version}}.tar.gz"


NETPOINT = Product()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSource:
    """Where releases come from.

    `url` is a template with `{version}`; `archive` a local archive, or a folder of archives, which
    wins over the URL; `git` is the remote that checkouts fetch from (None: the checkout's own
    `origin`); `sha256` maps a version to the digest its archive must have.
    """

    url: str | None = None
    archive: str | None = None
    git: str | None = None
    sha256: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One server and how it is reached; None means "as ssh_config or the server itself says".

    `known_hosts` is a file that stands instead of the user's own and the system's.
    """

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    identity: tuple[str, ...] = ()
    known_hosts: str | None = None
    gateway: str | None = None
    become: bool = True
    product: Product = NETPOINT
    root: PurePosixPath = PurePosixPath("/opt/netpoint")
    python: str | None = None
    services: tuple[str, ...] = NETPOINT.services
    health_url: str | None = None
    health_headers: tuple[tuple[str, str], ...] = ()
    backup_dir: PurePosixPath = PurePosixPath("/var/backups/netpoint-remote")
    state_dir: PurePosixPath = PurePosixPath("/var/lib/netpoint-remote")
    cron_dir: PurePosixPath = PurePosixPath("/etc/cron.daily")
    release: ReleaseSource = field(default_factory=ReleaseSource)
    environment: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All hosts of the hosts file in its order, and the version rows it adds to the path rule.

    `last_minors` extends the table in `version.py`: major to its last minor, such as {4: 6}.
    `defaults` is what a host named on the command line gets that the file does not have.
    """

    hosts: tuple[Host, ...] = ()
    last_minors: tuple[tuple[int, int], ...] = ()
    defaults: Host = Host(name="", address="")
