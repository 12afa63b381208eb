"""Whatever a server sends in a visit is read, in bounded memory and bounded time, and raises nothing."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.running.wire import LONGEST_LINE, Bounds, Conversation, Endless, NoReader, Output, sent

NONCE, CHALLENGE = "6e6f6e6365", "6368616c"
MARK = f"\x01{NONCE} ".encode()
READER = f"\x01{CHALLENGE} reader\n".encode()
BEGIN = READER + MARK + b"begin\n"
LIMIT = 100
MB = 2**20
BOUNDS = Bounds(shell=60, silence=60, seconds=60, size=MB)
pieces = st.binary(max_size=40) | st.sampled_from(
    [MARK, b"\n" + MARK, MARK + b"begin\n", MARK + b"0\n", MARK + b"9" * 5000 + b"\n", MARK + b"-1\n",
     MARK + "\u0663\n".encode(), b"\x01refused ", b"\x01refused needs-password\n", b"\n", b"\n" * 300, BEGIN, READER,
     READER.replace(b"reader", b"password"), READER.replace(b"reader", b"refused x"), "\u2028\x85\r\x0b\x0c".encode(),
     b"x" * (LONGEST_LINE + 9)]
)  # fmt: skip


def output(limit: int = LIMIT, said: list[str] | None = None) -> Output:
    return Output(NONCE, challenge=CHALLENGE, on_line=None if said is None else said.append, limit=limit)


@given(st.lists(pieces, max_size=12))
def test_any_bytes_are_read_and_bounded(data: list[bytes]) -> None:
    said: list[str] = []
    read = output(said=said)
    for each in data:
        read.feed(each)

    assert read.status is None or 0 <= read.status <= 999
    assert len(read.text.encode(errors="replace")) <= 3 * LIMIT
    assert not any("\n" in line or len(line) > LONGEST_LINE for line in said)
    assert read.begun or not said
    assert read.invited or not read.begun


@given(st.lists(pieces, max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_it_does_not_matter_how_the_bytes_come(data: list[bytes], sizes: list[int]) -> None:
    said: tuple[list[str], list[str]] = ([], [])
    whole, cut = (output(10_000_000, each) for each in said)
    joined = b"".join(data)[:5000]
    whole.feed(joined)
    for piece in _cut(joined, sizes):
        cut.feed(piece)

    assert (whole.begun, whole.refused, whole.status, whole.text) == (cut.begun, cut.refused, cut.status, cut.text)
    assert said[0] == said[1]


def _cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = turn = 0
    while at < len(data):
        yield data[at : at + sizes[turn % len(sizes)]]
        at, turn = at + sizes[turn % len(sizes)], turn + 1


@pytest.mark.parametrize("size", [977, 30_000, LONGEST_LINE - 1, LONGEST_LINE + 7, 3 * LONGEST_LINE])
def test_no_part_of_a_line_is_taken_for_a_line(size: int) -> None:
    """What comes behind 64 KB of a line cannot be what a server says at the beginning of one."""
    said: list[str] = []
    read = output(MB, said)
    read.feed(BEGIN)
    for piece in _cut(b"journal " + b"x" * (LONGEST_LINE - 8) + b"state done" * 30_000 + b"\nresult\n", [size]):
        read.feed(piece)

    assert [line[:10] for line in said] == ["journal xx", "result"]
    assert len(said[0]) == LONGEST_LINE


@pytest.mark.parametrize("between", ["\u2028", "\u2029", "\x85", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_a_line_ends_at_a_line_feed_and_nowhere_else(between: str) -> None:
    said: list[str] = []
    read = output(MB, said)
    read.feed(BEGIN + f"journal 1.0 note - x{between}state done\n".encode())

    assert said == [f"journal 1.0 note - x{between}state done"]


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "data", [b"x\n", b"\n", b"", b"x", b"\xff\n", b"x" * 70_000 + b"\n"], ids=lambda data: repr(data[:4])
)
def test_a_flood_takes_no_more_memory_than_the_limit_says(data: bytes) -> None:
    """Lines of two bytes took 639 MB where 4 were allowed."""
    limit = MB // 4
    flood = data * (64 * 1024 // max(len(data), 1))
    read = Output(NONCE, challenge=CHALLENGE, on_line=lambda _: None, limit=limit)
    read.feed(BEGIN)
    tracemalloc.start()
    try:
        for _ in range(10):
            read.feed(flood)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8 * MB
    assert len(read.text) <= limit


class Chatterbox:
    """A channel whose other side talks for ever and reads nothing."""

    def __init__(self, data: bytes = b"still at it\n") -> None:
        self.data = data
        self.written: list[bytes] = []
        self.timeouts: list[float] = []

    def settimeout(self, timeout: float | None) -> None:
        assert timeout is not None
        assert timeout > 0
        self.timeouts.append(timeout)

    def send(self, s: bytes) -> int:
        self.written.append(s)
        raise TimeoutError

    def recv(self, nbytes: int) -> bytes:  # noqa: ARG002  the signature is a channel's
        return self.data

    def recv_ready(self) -> bool:
        return True

    def send_ready(self) -> bool:
        return False

    def shutdown_write(self) -> None:
        pass


def hold(channel: Chatterbox, bounds: Bounds, read: Output) -> str:
    return Conversation(channel, iter((b"script",)), read, bounds).hold()


def begun() -> Output:
    read = output()
    read.feed(BEGIN)
    return read


@pytest.mark.promise(8)
def test_a_server_that_talks_for_ever_is_not_listened_to_for_ever() -> None:
    with pytest.raises(Endless, match="did not come to an end within 0 s"):
        hold(Chatterbox(), replace(BOUNDS, seconds=0.05, size=2**60), begun())


@pytest.mark.promise(8)
def test_a_server_that_talks_quickly_is_not_listened_to_for_long() -> None:
    with pytest.raises(Endless, match="sent more than 1 MB"):
        hold(Chatterbox(b"x" * 60_000), BOUNDS, begun())


def test_nothing_is_written_to_what_has_not_spoken_as_our_reader_does() -> None:
    for data in (b"still at it\n", b"\x01reader\n", MARK + b"begin\n", READER[:-1], READER.replace(b"\x01", b"\\001")):
        channel = Chatterbox(data)
        with pytest.raises(NoReader):
            hold(channel, replace(BOUNDS, shell=0.05, size=2**60), output())
        assert channel.written == []


@pytest.mark.parametrize("silence", [0.01, 1000.0])
def test_our_reader_has_its_own_time_to_speak(silence: float) -> None:
    channel = Chatterbox()
    with pytest.raises(NoReader):
        hold(channel, replace(BOUNDS, shell=0.2, silence=silence, size=2**60), output())
    assert max(channel.timeouts) <= 0.2


def test_a_password_is_for_a_reader_that_asks_for_it() -> None:
    read = output()
    read.feed(READER)
    assert b"".join(sent(read, b"script", "secret", b"payload")) == b"scriptpayload"

    asking = output()
    asking.feed(READER.replace(b"reader", b"password"))
    assert b"".join(sent(asking, b"script", "secret", b"payload")) == b"secret\nscriptpayload"
    assert b"".join(sent(asking, b"script", None, b"payload")) == b"\n"


class Cut(Chatterbox):
    """A channel that can make no room for more: as it reads it tells the other side of it, over a line that is gone."""

    def recv(self, nbytes: int) -> bytes:  # noqa: ARG002  as above
        raise EOFError


def test_a_line_that_is_cut_as_it_is_read_has_hung_up() -> None:
    assert hold(Cut(), BOUNDS, begun()) == "hung up"
