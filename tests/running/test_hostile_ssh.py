"""A server that breaks the rules of SSH itself takes no memory here and breaks nothing: the line to it is cut."""

import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import paramiko
import pytest

from netpoint_remote.running.ssh import GONE, LARGEST_PACKET, _Transport

pytestmark = pytest.mark.promise(8)
MB = 2**20
PATIENCE = 120.0  # seconds for what takes less than one; the machine may be busy
ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
KEY = paramiko.ECDSAKey.generate()


class Anybody(paramiko.ServerInterface):
    def check_auth_none(self, username: str) -> int:  # noqa: ARG002  the signature is Paramiko's
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002  as above
        return paramiko.OPEN_SUCCEEDED


@contextmanager
def line() -> Iterator[tuple[_Transport, paramiko.Transport]]:
    """Yield our end of a line that is logged in, and the server's."""
    ours, theirs = socket.socketpair()
    client, server = _Transport(ours, ALGORITHMS), paramiko.Transport(theirs)
    server.add_server_key(KEY)
    try:
        server.start_server(event=threading.Event(), server=Anybody())
        client.start_client(timeout=PATIENCE)
        client.auth_none("ops")
        yield client, server
    finally:
        client.close()
        server.close()
        ours.close()
        theirs.close()


def data(channel: paramiko.Channel, size: int, *, errors: bool = False) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(b"\x5f" if errors else b"\x5e")  # SSH_MSG_CHANNEL_EXTENDED_DATA, SSH_MSG_CHANNEL_DATA
    message.add_int(channel.remote_chanid)
    if errors:
        message.add_int(1)
    message.add_string(b"x" * size)
    return message


@pytest.mark.parametrize("errors", [False, True], ids=["output", "errors"])
@pytest.mark.parametrize("combined", [False, True], ids=["apart", "combined"])
def test_a_server_that_ignores_the_window_is_hung_up_on(errors: bool, combined: bool) -> None:  # noqa: FBT001  a parameter
    with line() as (client, server):
        ours = client.open_session(timeout=PATIENCE)
        ours.set_combine_stderr(combined)
        theirs = server.accept(PATIENCE)
        tracemalloc.start()
        try:
            with suppress(*GONE):
                for _ in range(2000):  # 64 MB
                    server._send_message(data(theirs, 32768, errors=errors))
            client.join(PATIENCE)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert not client.is_active()
        assert held < 24 * MB
        assert "window" in str(client.get_exception())


def test_a_server_that_keeps_to_the_window_may_send_any_amount() -> None:
    with line() as (client, server):
        ours = client.open_session(timeout=PATIENCE)
        theirs = server.accept(PATIENCE)
        sending = threading.Thread(target=theirs.sendall, args=(b"x" * 8 * MB,))
        sending.start()
        received = 0
        while received < 8 * MB:
            ours.settimeout(PATIENCE)
            received += len(ours.recv(50_000))
        sending.join(PATIENCE)

        assert client.is_active()


def greeted(*words: bytes) -> tuple[_Transport, int]:
    """Let a server say these words, again and again, in place of a handshake; return how it ended, and our memory."""
    ours, theirs = socket.socketpair()
    client, event = _Transport(ours, ALGORITHMS), threading.Event()

    def speak() -> None:
        with suppress(OSError):
            for word in words[:-1]:
                theirs.sendall(word)
            for _ in range(64):
                theirs.sendall(words[-1] * (MB // len(words[-1])))

    tracemalloc.start()
    try:
        client.start_client(event=event)
        speaking = threading.Thread(target=speak)
        speaking.start()
        assert event.wait(PATIENCE)
        client.join(PATIENCE)
        held = tracemalloc.get_traced_memory()[1]
        client.close()
        ours.close()
        speaking.join(PATIENCE)
    finally:
        tracemalloc.stop()
        theirs.close()
    return client, held


@pytest.mark.parametrize(
    "words",
    [
        (b"x",),
        (b"x" * 70 + b"\r\n",),
        (b"SSH-2.0-" + b"x" * 100,),
        (b"SSH-2.0-x\r\n", b"\xff\xff\xff\xf4" + bytes(4)),
        (b"SSH-2.0-x\r\n", LARGEST_PACKET.to_bytes(4, "big") + bytes(4)),
        (b"SSH-2.0-x\r\n", bytes(8)),
        (b"SSH-2.0-x\r\n", b"\0\0\0\x0c\x0a\x14" + bytes(10)),
        (b"SSH-2.0-x\r\n", b"\0\0\0\x0c\x0a\xc8" + bytes(10)),
    ],
    ids=[
        "no line",
        "lines",
        "long name",
        "huge packet",
        "large packet",
        "empty packet",
        "half a kex",
        "unknown message",
    ],
)
def test_a_server_that_greets_without_end_is_hung_up_on(words: tuple[bytes, ...]) -> None:
    client, held = greeted(*words)

    assert not client.is_active()
    assert held < 8 * MB
    assert isinstance(client.get_exception(), (*GONE, type(None)))


@pytest.mark.parametrize("kind", [199, 20], ids=["unknown", "half a KEXINIT"])
def test_whatever_a_server_breaks_is_told_as_a_line_that_is_gone(kind: int) -> None:
    message = paramiko.Message()
    message.add_byte(bytes([kind]))
    with line() as (client, server):
        client.open_session(timeout=PATIENCE)
        server._send_message(message)
        client.join(PATIENCE)

        with pytest.raises(GONE):
            client.open_session(timeout=PATIENCE)
