"""A mirror that gives the workstation the release's archive as it is, and the server a damaged one."""

from __future__ import annotations

import threading
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.lab.netpoint.install import archives

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from tests.faults.ground import Ground


class Damage(Enum):
    """What is wrong with what the server gets."""

    TRUNCATED = "truncated"
    ALTERED = "altered"


class Mirror:
    """Answers on this machine's end of the server's cable."""

    def __init__(self, ground: Ground, damage: Damage) -> None:
        slot = ground.server.slot
        self._server = ThreadingHTTPServer((slot.gateway, 0), _handler(slot.address, damage))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where a release is found, as a hosts file says it."""
        return f"http://{self._server.server_address[0]!s}:{self._server.server_port}/v{{version}}.tar.gz"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(victim: str, damage: Damage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            whole = (archives() / self.path.lstrip("/")).read_bytes()
            body = _damaged(whole, damage) if self.client_address[0] == victim else whole
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _damaged(whole: bytes, damage: Damage) -> bytes:
    half = len(whole) // 2
    if damage is Damage.TRUNCATED:
        return whole[:half]
    return whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
