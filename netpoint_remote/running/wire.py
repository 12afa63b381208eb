"""What goes over the line in a visit: the command, what is written to it, and how its output is read."""

import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import BinaryIO, Protocol

PIECE = 256 * 1024  # bytes read from a payload at once
PACKET = 32 * 1024  # bytes written at once: no channel takes more
READ = 64 * 1024
LONGEST_LINE = 64 * 1024  # bytes; what is longer is passed on in pieces
REFUSED = b"\x01refused "
STATUS = re.compile(rb"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Completed:
    """How a script ended, and what it printed (its last part where that was too much)."""

    status: int
    output: str


@lru_cache(maxsize=2)
def command(*, become: bool) -> str:
    """Return the one command that every visit runs; any login shell understands it, nothing in it is secret."""
    lines = files("netpoint_remote").joinpath("remote/become.sh").read_text(encoding="utf-8").splitlines()
    text = " ".join(line.strip() for line in lines if not line.lstrip().startswith("#"))
    return f"""exec sh -c 'eval "$2"' sh {"root" if become else "self"} '{text}'"""


def opening(script: str, *, nonce: str, password: str | None) -> bytes:
    r"""Return what is written first: the password's line, the script's size and name, the script.

    Raises:
        ValueError: when a shell could not hold the script (it has a NUL), or the password has a line break.
    """
    if "\0" in script or "\n" in (password or ""):
        raise ValueError("a script cannot hold a NUL, nor a password a line break")
    text = script.encode()
    return f"{password or ''}\nnetpoint-remote {len(text)} {nonce}\n".encode() + text


def pieces(first: bytes, payload: BinaryIO | bytes | None) -> Iterator[bytes]:
    """Yield all that is written in a visit."""
    if payload is None or isinstance(payload, bytes):
        yield first + (payload or b"")
        return
    yield first
    while piece := payload.read(PIECE):
        yield piece


class Output:
    """Reads the output of a visit as it comes: past what login scripts print, up to the end marker.

    `nonce` makes the markers unforgeable. Only the last `limit` bytes are kept.
    """

    def __init__(self, nonce: str, *, on_line: Callable[[str], None] | None = None, limit: int) -> None:
        self._mark = b"\x01" + nonce.encode() + b" "
        self._on_line = on_line
        self._limit = limit
        self._line = b""  # the line that has not ended yet
        self._continued = False  # a part of that line was passed on already
        self._blank_lines = 0  # held back: the last one may be the end marker's
        self._kept: list[bytes] = []
        self._size = 0
        self.begun = False
        self.refused = False
        self.status: int | None = None

    @property
    def text(self) -> str:
        """All that was kept, without the line break that belongs to the end marker."""
        kept = b"".join((*self._kept, self._line))
        kept = kept[:-1] if self.status is not None else kept
        return kept[-self._limit :].decode(errors="replace")

    def feed(self, data: bytes) -> None:
        """Take the next bytes; those behind the end marker are dropped."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if self.status is None:
                self._end_line(line)
        if len(self._line) > LONGEST_LINE:
            self._keep(self._line)
            self._say(self._line)
            self._line, self._continued = b"", True

    def _end_line(self, line: bytes) -> None:
        if not self.begun:
            self._before_begin(line)
        elif not self._continued and line.startswith(self._mark) and STATUS.fullmatch(line, len(self._mark)):
            self.status = int(line[len(self._mark) :])
            self._line = b""
            self._say_blank_lines(self._blank_lines - 1)
        else:
            self._keep(line + b"\n")
            if line:
                self._say(line)
            elif not self._continued:
                self._blank_lines += 1
        self._continued = False

    def _before_begin(self, line: bytes) -> None:
        if line.endswith(self._mark + b"begin"):
            self.begun = True
            self._kept, self._size = [], 0
        elif REFUSED in line:
            self.refused = True
            self._kept = [line.partition(REFUSED)[2] + b"\n"]
        else:
            self._keep(line + b"\n")

    def _keep(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)
        if self._size > 2 * self._limit:
            self._kept = [b"".join(self._kept)[-self._limit - 1 :]]
            self._size = len(self._kept[0])

    def _say(self, line: bytes) -> None:
        if self._on_line and self.begun:
            self._say_blank_lines(self._blank_lines)
            self._on_line(line.decode(errors="replace"))

    def _say_blank_lines(self, count: int) -> None:
        for _ in range(count if self._on_line else 0):
            self._on_line("")  # type: ignore[misc]  # checked a line above
        self._blank_lines = 0


class Channel(Protocol):
    """What a conversation needs of a channel; Paramiko's has it."""

    def settimeout(self, timeout: float | None) -> None: ...
    def send(self, s: bytes) -> int: ...
    def recv(self, nbytes: int) -> bytes: ...
    def recv_ready(self) -> bool: ...
    def send_ready(self) -> bool: ...
    def shutdown_write(self) -> None: ...


class Conversation:
    """Writes and reads in turns, so that neither side waits for the other for ever.

    While there is something to write, it is read whatever has come; a full window is waited for in short turns.
    """

    TURN = 0.05  # seconds

    def __init__(
        self,
        channel: Channel,
        source: Iterator[bytes],
        output: Output,
        silence: float,
        seconds: float = math.inf,
    ) -> None:
        self._channel = channel
        self._source = source
        self._output = output
        self._silence = silence
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._piece = b""
        self._written = 0  # of the piece
        self._writing = True
        self._heard = time.monotonic()

    def hold(self) -> str:
        """Talk until the end marker, and return nothing; else what kept it from coming."""
        try:
            return self._talk()
        except TimeoutError:
            if time.monotonic() >= self._end:
                return f"did not come to an end within {self._seconds:.0f} s"
            return f"said nothing for {self._silence:.0f} s"

    def _talk(self) -> str:
        while self._output.status is None:
            if time.monotonic() >= self._end:
                raise TimeoutError
            if self._writing and (self._channel.send_ready() or not self._channel.recv_ready()):
                self._write()
            if not self._writing or self._channel.recv_ready():
                if not (data := self._read()):
                    return "hung up"
                self._output.feed(data)
            elif time.monotonic() - self._heard > self._silence:
                raise TimeoutError
        return ""

    def _read(self) -> bytes:
        self._channel.settimeout(max(min(self._silence, self._end - time.monotonic()), self.TURN))
        try:
            data = self._channel.recv(READ)
        except TimeoutError:
            raise
        except (OSError, EOFError):  # as it is read the other side is told of the room, which a dead line does not take
            return b""
        self._heard = time.monotonic()
        return data

    def _write(self) -> None:
        try:
            if self._written == len(self._piece):
                self._piece, self._written = next(self._source, b""), 0
            if not self._piece:
                self._writing = False
                self._channel.shutdown_write()
                return
            self._channel.settimeout(self.TURN)
            sent = self._channel.send(self._piece[self._written : self._written + PACKET])
        except TimeoutError:
            return
        except (OSError, EOFError):
            sent = 0
        self._writing = sent > 0  # else the other side reads no more; what it said is still to be read
        self._written += sent
        self._heard = time.monotonic()
