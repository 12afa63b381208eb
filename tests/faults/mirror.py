"""A mirror of the releases' archives, which can give the workstation one as it is, and the server a damaged one."""

from __future__ import annotations

import threading
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.lab.netpoint.install import archives

if TYPE_CHECKING:
    from tests.lab.servers import Server


class Damage(Enum):
    """What is wrong with what the server gets."""

    TRUNCATED = "truncated"
    ALTERED = "altered"


class Mirror:
    """Answers on this machine's end of a server's cable; with `damage` the server gets what is not the release."""

    def __init__(self, server: Server) -> None:
        self.damage: Damage | None = None
        self._http = ThreadingHTTPServer((server.slot.gateway, 0), _handler(self, server.address))
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where a release is found, as a hosts file says it."""
        return f"http://{self._http.server_address[0]!s}:{self._http.server_port}/v{{version}}.tar.gz"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(mirror: Mirror, victim: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = (archives() / self.path.lstrip("/")).read_bytes()
            self._promise(len(whole))
            self.wfile.write(_damaged(whole, mirror.damage) if self.client_address[0] == victim else whole)

        def do_HEAD(self) -> None:
            self._promise((archives() / self.path.lstrip("/")).stat().st_size)

        def _promise(self, size: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _damaged(whole: bytes, damage: Damage | None) -> bytes:
    half = len(whole) // 2
    if damage is Damage.TRUNCATED:
        return whole[:half]
    if damage is Damage.ALTERED:
        return whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
    return whole
