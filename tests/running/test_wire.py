"""Whatever a server sends in a visit is read, in bounded memory and bounded time, and raises nothing."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.running.wire import LONGEST_LINE, Conversation, Output

NONCE = "6e6f6e6365"
MARK = f"\x01{NONCE} ".encode()
LIMIT = 100
pieces = st.binary(max_size=40) | st.sampled_from(
    [MARK, b"\n" + MARK, MARK + b"begin\n", MARK + b"0\n", MARK + b"9" * 5000 + b"\n", MARK + b"-1\n",
     MARK + "\u0663\n".encode(), b"\x01refused ", b"\x01refused needs-password\n", b"\n", b"\n" * 300,
     b"x" * (LONGEST_LINE + 9)]
)  # fmt: skip


@given(st.lists(pieces, max_size=12))
def test_any_bytes_are_read_and_bounded(sent: list[bytes]) -> None:
    said: list[str] = []
    output = Output(NONCE, on_line=said.append, limit=LIMIT)
    for data in sent:
        output.feed(data)

    assert output.status is None or 0 <= output.status <= 999
    assert len(output.text.encode(errors="replace")) <= 3 * LIMIT
    assert not any("\n" in line for line in said)
    assert output.begun or not said


@given(st.lists(pieces, max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_it_does_not_matter_how_the_bytes_come(sent: list[bytes], sizes: list[int]) -> None:
    whole, cut = Output(NONCE, limit=10_000_000), Output(NONCE, limit=10_000_000)
    data = b"".join(sent)[:5000]
    whole.feed(data)
    for piece in _cut(data, sizes):
        cut.feed(piece)

    assert (whole.begun, whole.refused, whole.status, whole.text) == (cut.begun, cut.refused, cut.status, cut.text)


def _cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = turn = 0
    while at < len(data):
        yield data[at : at + sizes[turn % len(sizes)]]
        at, turn = at + sizes[turn % len(sizes)], turn + 1


class Chatterbox:
    """A channel whose other side talks for ever and reads nothing."""

    def settimeout(self, timeout: float | None) -> None:
        assert timeout is not None
        assert timeout > 0

    def send(self, s: bytes) -> int:  # noqa: ARG002  the signature is a channel's
        raise TimeoutError

    def recv(self, nbytes: int) -> bytes:  # noqa: ARG002  as above
        return b"still at it\n"

    def recv_ready(self) -> bool:
        return True

    def send_ready(self) -> bool:
        return False

    def shutdown_write(self) -> None:
        pass


def test_a_server_that_talks_for_ever_is_not_listened_to_for_ever() -> None:
    conversation = Conversation(Chatterbox(), iter((b"script",)), Output(NONCE, limit=LIMIT), silence=60, seconds=0.05)

    assert conversation.hold() == "did not come to an end within 0 s"


class Cut(Chatterbox):
    """A channel that can make no room for more: as it reads it tells the other side of it, over a line that is gone."""

    def recv(self, nbytes: int) -> bytes:  # noqa: ARG002  as above
        raise EOFError


def test_a_line_that_is_cut_as_it_is_read_has_hung_up() -> None:
    conversation = Conversation(Cut(), iter((b"script",)), Output(NONCE, limit=LIMIT), silence=60, seconds=60)

    assert conversation.hold() == "hung up"
