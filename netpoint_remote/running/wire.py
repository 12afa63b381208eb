"""What goes over the line in a visit: the command, what is written to it, and how its output is read."""

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
LONGEST_LINE = 64 * 1024  # bytes of a line that are passed on; the rest of it is dropped
LONGEST_MARK = 200  # bytes at the end of a line that a marker can be in
STATUS = re.compile(rb"[0-9]{1,3}")


class Endless(Exception):  # noqa: N818  never leaves `Session.visit`
    """The other side sends more, or goes on for longer, than what it was asked to run does."""


class NoReader(Exception):  # noqa: N818  as above
    """Our reader has not spoken: whatever the login shell begins with keeps it from that. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a script ended, and what it printed (its last part where that was too much)."""

    status: int
    output: str


def command(*, become: bool, challenge: str) -> str:
    """Return the command that every visit runs; any login shell understands it, nothing in it is secret."""
    return f"""exec sh -c 'eval "$2"' sh {"root" if become else "self"} '{_reader()}' {challenge}"""


@lru_cache(maxsize=1)
def _reader() -> str:
    lines = files("netpoint_remote").joinpath("remote/become.sh").read_text(encoding="utf-8").split("\n")
    return " ".join(line.strip() for line in lines if line and not line.lstrip().startswith("#"))


def readable(line: str) -> str:
    """Return a line as `on_line` gets it in characters that can be shown and stored."""
    return line.encode(errors="surrogateescape").decode(errors="replace")


def opening(script: str, *, nonce: str) -> bytes:
    r"""Return what our reader gets: the script's size and name, the script.

    Raises:
        ValueError: when a shell could not hold the script: it has a NUL.
    """
    if "\0" in script:
        raise ValueError("a script cannot hold a NUL")
    text = script.encode()
    return f"netpoint-remote {len(text)} {nonce}\n".encode() + text


def sent(output: "Output", first: bytes, password: str | None, payload: BinaryIO | bytes | None) -> Iterator[bytes]:
    """Yield all that is written in a visit; it is begun once our reader has spoken.

    The password goes only to one that asks for it; without a password it gets nothing else either.
    """
    if output.wants_password:
        yield f"{password or ''}\n".encode()
        if not password:
            return
    if payload is None or isinstance(payload, bytes):
        yield first + (payload or b"")
        return
    yield first
    while piece := payload.read(PIECE):
        yield piece


class Output:
    """Reads the output of a visit as it comes: past what login scripts print, up to the end marker.

    `challenge` came with the command, so that no echo and no recording is taken for our reader; `nonce` makes the
    markers of the script unforgeable. Lines end at line feeds and nowhere else. Only the last `limit` bytes are kept.
    """

    def __init__(self, nonce: str, *, challenge: str, on_line: Callable[[str], None] | None = None, limit: int) -> None:
        self._mark = b"\x01" + nonce.encode() + b" "
        self._reader = b"\x01" + challenge.encode() + b" "
        self._on_line = on_line
        self._limit = limit
        self._line = b""  # the line that has not ended yet
        self._continued = False  # the beginning of that line was passed on already
        self._blank_lines = 0  # held back: the last one may be the end marker's
        self._kept = bytearray()
        self.received = 0  # bytes, all in all
        self.invited = False
        self.wants_password = False
        self.begun = False
        self.refused = False
        self.status: int | None = None

    @property
    def text(self) -> str:
        """All that was kept, without the line break that belongs to the end marker."""
        kept = bytes(self._kept) + self._line
        kept = kept[:-1] if self.status is not None else kept
        return kept[-self._limit :].decode(errors="replace") if self._limit else ""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; those behind the end marker are dropped."""
        self.received += len(data)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if self.status is None:
                self._end_line(line)
        if len(self._line) > LONGEST_LINE + LONGEST_MARK:
            if not self._continued and self.begun:
                self._say(self._line)
            self._keep(self._line[:-LONGEST_MARK])
            self._line, self._continued = self._line[-LONGEST_MARK:], True

    def _end_line(self, line: bytes) -> None:
        if not self.begun:
            self._before_begin(line)
        elif not self._continued and line.startswith(self._mark) and STATUS.fullmatch(line, len(self._mark)):
            self.status = int(line[len(self._mark) :])
            self._line = b""
            self._say_blank_lines(self._blank_lines - 1)
        else:
            self._keep(line + b"\n")
            if self._continued:
                pass
            elif line:
                self._say(line)
            else:
                self._blank_lines += 1
        self._continued = False

    def _before_begin(self, line: bytes) -> None:
        """Look for our own words; what login scripts print may stand before them on the line."""
        if self.invited and line.endswith(self._mark + b"begin"):
            self.begun = True
            self._kept.clear()
        elif line.endswith((self._reader + b"reader", self._reader + b"password")):
            self.invited = True
            self.wants_password = line.endswith(b"password")
        elif self._reader + b"refused " in line:
            self.refused = True
            self._kept = bytearray(line.partition(self._reader + b"refused ")[2] + b"\n")
        else:
            self._keep(line + b"\n")

    def _keep(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit - 1]

    def _say(self, line: bytes) -> None:
        if self._on_line and self.begun:
            self._say_blank_lines(self._blank_lines)
            self._on_line(line[:LONGEST_LINE].decode(errors="surrogateescape"))

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long and how much is listened to: seconds until our reader speaks, without a byte, in all; bytes in all."""

    shell: float
    silence: float
    seconds: float
    size: int


class Conversation:
    """Writes and reads in turns, so that neither side waits for the other for ever; our reader has the first word.

    While there is something to write, it is read whatever has come; a full window is waited for in short turns.
    """

    TURN = 0.05  # seconds

    def __init__(self, channel: Channel, source: Iterator[bytes], output: Output, bounds: Bounds) -> None:
        self._channel = channel
        self._source = source
        self._output = output
        self._bounds = bounds
        self._heard = time.monotonic()
        self._invited_by = self._heard + bounds.shell
        self._end = self._heard + bounds.seconds
        self._piece = b""
        self._written = 0  # of the piece
        self._writing = True

    def hold(self) -> str:
        """Talk until the end marker, and return nothing; else what kept it from coming.

        Raises:
            NoReader: when our reader has not spoken in its time.
            Endless: when what is said does not come to an end.
        """
        try:
            return self._talk()
        except TimeoutError:
            self._check()
            return f"sent nothing for {self._bounds.silence:.0f} s"

    def _talk(self) -> str:
        while self._output.status is None:
            self._check()
            writing = self._writing and self._output.invited
            if writing and (self._channel.send_ready() or not self._channel.recv_ready()):
                self._write()
            if not writing or self._channel.recv_ready():
                if not (data := self._read()):
                    return "hung up"
                self._output.feed(data)
            elif time.monotonic() - self._heard > self._bounds.silence:
                raise TimeoutError
        return ""

    def _check(self) -> None:
        now = time.monotonic()
        if not self._output.invited and now >= self._invited_by:
            raise NoReader
        if now >= self._end:
            raise Endless(f"did not come to an end within {self._bounds.seconds:.0f} s")
        if self._output.received > self._bounds.size:
            raise Endless(f"sent more than {self._bounds.size // 2**20} MB, which no script of ours does")

    def _read(self) -> bytes:
        now = time.monotonic()
        left = self._bounds.silence if self._output.invited else self._invited_by - now
        self._channel.settimeout(max(min(left, self._end - now), self.TURN))
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
