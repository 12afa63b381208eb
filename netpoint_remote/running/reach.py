"""Sockets to a host: names looked up, addresses tried, each within its time; or a ProxyCommand's two ends."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from netpoint_remote.errors import Unreachable

Address = tuple[socket.AddressFamily, tuple[Any, ...]]
Opened = Callable[[socket.socket], None]
# what is silent this long is dead: probed after 15 s, every 5 s, given up after 45 s
KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
USER_TIMEOUT_MS = 45_000


def resolve(hostname: str, port: int, *, seconds: float) -> list[Address]:
    """Return the addresses of a host in the order of the system's preference.

    Raises:
        Unreachable: transient unless the name does not exist.
    """
    with suppress(socket.gaierror, UnicodeError):
        return _look_up(hostname, port, socket.AI_NUMERICHOST)
    answer: list[list[Address] | socket.gaierror] = []
    looking = threading.Thread(target=_answer, args=(hostname, port, answer), daemon=True)
    looking.start()  # the C library cannot be told to hurry
    looking.join(seconds)
    if not answer:
        raise Unreachable(f"looking up {hostname} took more than {seconds:.0f} s; ask again, or check the name server")
    if isinstance(answer[0], socket.gaierror):
        temporary = answer[0].errno in (socket.EAI_AGAIN, socket.EAI_SYSTEM)
        advice = "" if temporary else "; check the spelling, or set its address in the hosts file"
        raise Unreachable(f"{hostname} cannot be looked up: {answer[0].strerror}{advice}", transient=temporary)
    return answer[0]


def reach(addresses: list[Address], *, seconds: float, opened: Opened) -> socket.socket:
    """Connect to the first address that answers; each gets its share of the time.

    `opened` is told of each socket before it connects, so that another thread can shut it.

    Raises:
        Unreachable: when none answers.
    """
    deadline = time.monotonic() + seconds
    failures = []
    for left, (family, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connection = socket.socket(family, socket.SOCK_STREAM)
        opened(connection)
        try:
            _tune(connection)
            connection.settimeout(max(0.1, (deadline - time.monotonic()) / left))
            connection.connect(address)
        except (OSError, OverflowError) as error:
            connection.close()
            failures.append(f"{_written(address)}: {_reason(error, seconds)}")
        else:
            return connection
    raise Unreachable("; ".join(failures))


class ProxyCommand:
    """A command whose input and output are the connection, as ssh_config's ProxyCommand.

    Its two ends are one real socket, so that its death is an end of file to whoever reads.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed with the command
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=self._complaints,
                start_new_session=True,  # the operator's Ctrl-C is for us, not for the lines that still work
            )  # fmt: skip

    def complaint(self) -> str:
        """Return the last line it wrote to its standard error."""
        with suppress(OSError, ValueError):
            size = os.fstat(self._complaints.fileno()).st_size
            lines = os.pread(self._complaints.fileno(), 2000, max(0, size - 2000)).decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def close(self) -> None:
        """End the command and what it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._complaints.close()


def _answer(hostname: str, port: int, answer: list[list[Address] | socket.gaierror]) -> None:
    try:
        answer.append(_look_up(hostname, port, 0))
    except socket.gaierror as error:
        answer.append(error)
    except (OSError, UnicodeError) as error:
        answer.append(socket.gaierror(socket.EAI_NONAME, str(error)))


def _look_up(hostname: str, port: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def _written(address: tuple[Any, ...]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:.0f} s"
    return (getattr(error, "strerror", None) or str(error)).lower()
