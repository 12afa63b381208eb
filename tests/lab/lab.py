"""A laboratory: some servers, the operator's keys to them and the hosts file that lists them.

For example:

    with Lab(folder) as lab:
        lab.server("np1", Installation("3.4.9"))
        lab.server("np2", Installation("3.4.9", method="git"), sudo_asks=True)
        lab.boot()
        hosts_file = lab.write_hosts_file()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.lab import asking
from tests.lab.netpoint.install import PIP, archives, git_folder, netpoint_server
from tests.lab.netpoint.releases import make_git, make_release
from tests.lab.servers import Keys, Server, boot_all, close_all

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from tests.lab.netpoint.install import Installation
    from tests.lab.netpoint.releases import Fault
    from tests.lab.operator import Fab


class Lab:
    """Some lab servers that come and go together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = Keys.make(folder)
        self.servers: list[Server] = []
        self.commands: list[Fab] = []
        self.sources = folder / "sources"
        self.sources.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for command in self.commands:
            if command.running:  # a test that failed has left it
                command.kill()
        close_all(self.servers)

    def server(
        self,
        name: str,
        installation: Installation,
        *,
        sudo_asks: bool = False,
        cloned: bool = False,
        restart_pause: int = 1,
        shares: dict[str, Path] | None = None,
    ) -> Server:
        """Add a switched-off server with NetPoint on it; see `netpoint_server`."""
        server = netpoint_server(
            name,
            keys=self.keys,
            installation=installation,
            sudo_asks=sudo_asks,
            cloned=cloned,
            restart_pause=restart_pause,
            shares={str(self.sources): self.sources, **(shares or {})},
        )
        self.servers.append(server)
        return server

    def boot(self) -> None:
        """Boot all servers that are off, and wait until NetPoint serves on each."""
        boot_all([server for server in self.servers if not server.running])
        self.wait()

    def wait(self) -> None:
        """Wait until NetPoint serves on every server."""
        for server in self.servers:
            asking.wait_until_serving(server)

    def publish(self, version: str, *faults: Fault) -> dict[str, str]:
        """Make a release with faults; return what a hosts file says to get it, as archive and from git."""
        make_release(version, self.sources, faults=faults)
        git = make_git([version], self.sources / "netpoint.git", faults={version: faults})
        return {"archive": str(self.sources), "git": f"file://{git}"}

    def write_hosts_file(
        self, *, release: dict[str, Any] | None = None, environment: dict[str, str] | None = None
    ) -> Path:
        """Write the inventory of these servers, as an operator would; releases come from this machine."""
        path = self.folder / "hosts.yaml"
        inventory = {
            "defaults": {
                "user": "admin",
                "identity": str(self.keys.private),
                "known_hosts": str(self.keys.known_hosts),
                "release": release or {"archive": str(archives()), "git": f"file://{git_folder()}/netpoint.git"},
                "environment": {**PIP, **(environment or {})},
            },
            "hosts": {server.name: {"address": server.address} for server in self.servers},
        }
        path.write_text(yaml.safe_dump(inventory, sort_keys=False))
        return path
