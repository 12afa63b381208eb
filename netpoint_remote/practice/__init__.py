"""NetPoint servers to practise on: real SSH on loopback, no root, nothing installed."""

from collections.abc import Callable
from pathlib import Path

from netpoint_remote.practice.spec import ServerSpec, parse_servers

__all__ = ["ServerSpec", "parse_servers", "serve"]


def serve(directory: Path, servers: tuple[ServerSpec, ...], *, ready: Callable[[str], None]) -> None:
    """Start the servers in a new folder, say so with one line, stay until SIGINT or SIGTERM, and leave nothing running.

    Raises:
        UsageError: when the folder is not empty, or the extra `practice` is not installed.
    """
    from netpoint_remote.practice.serving import run  # noqa: PLC0415  asyncssh only where servers are started

    run(directory, servers, ready=ready)
