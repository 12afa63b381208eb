"""A relay to a port that fails when told to: refuses, cuts after so many bytes, or falls silent."""

import itertools
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

REFUSE = -1  # a fate: the connection is closed before a byte is passed on
STALL = -2  # a fate: the connection is accepted and nothing is ever passed on


class Flaky:
    """Relays connections to `port`; the n-th has the n-th fate, those after the last are relayed well.

    A fate is None (well), REFUSE, STALL, or how many bytes from the server pass before the cut.

        with Flaky(server.port, [1, 800, None]) as relay: ...
    """

    def __init__(self, port: int, fates: Iterable[int | None] = (), *, address: str = "127.0.0.1") -> None:
        self._target = (address, port)
        self._fates = itertools.chain(fates, itertools.repeat(None))
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.bytes_to_client = 0
        self.bytes_to_server = 0
        self._sockets: list[socket.socket] = []
        self._silent = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        """Pass nothing on any more, in either direction, and close nothing."""
        self._silent.set()

    def cut_all(self) -> None:
        """Cut every connection now."""
        for each in self._sockets:
            _cut(each)

    def close(self) -> None:
        _cut(self._listening)
        self.cut_all()

    def __enter__(self) -> "Flaky":  # noqa: PYI034  typing.Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                self._serve(client, next(self._fates))

    def _serve(self, client: socket.socket, fate: int | None) -> None:
        self._sockets.append(client)
        if fate == REFUSE:
            _cut(client)
        elif fate != STALL:
            server = socket.create_connection(self._target)
            self._sockets.append(server)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._upstream, args=(client, server), daemon=True).start()
            threading.Thread(target=self._downstream, args=(server, client, fate), daemon=True).start()

    def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._silent.is_set():
                    return
                server.sendall(data)
                self.bytes_to_server += len(data)
        _cut(server)

    def _downstream(self, server: socket.socket, client: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while (left is None or left > 0) and (data := server.recv(65536 if left is None else left)):
                if self._silent.is_set():
                    return
                client.sendall(data)
                self.bytes_to_client += len(data)
                left = None if left is None else left - len(data)
        _cut(client)
        _cut(server)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
