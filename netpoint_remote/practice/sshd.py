"""The SSH server of one practice server: one account, one key, commands run by the real /bin/sh."""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

CHUNK = 65536
SIGNALS = {-number: name for name, number in ((item.name[3:], item.value) for item in signal.Signals)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who may log in, and what a command of theirs finds."""

    user: str
    authorized_keys: Path
    home: Path
    environment: Mapping[str, str]


class Login(asyncssh.SSHServer):
    """Let the one account in; asyncssh compares the key."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def begin_auth(self, username: str) -> bool:
        keys = self._account.authorized_keys if username == self._account.user else None
        self._connection.set_authorized_keys(str(keys) if keys else asyncssh.import_authorized_keys(""))
        return True

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn


async def listen(account: Account, host_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
    """Serve on a free loopback port."""

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        await run_command(process, account)

    return await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Login(account),
        server_host_keys=[host_key],
        process_factory=run,
        password_auth=False,
        kbdint_auth=False,
        encoding=None,
        line_editor=False,
        allow_scp=False,
        agent_forwarding=False,
    )


async def run_command(process: "asyncssh.SSHServerProcess[bytes]", account: Account) -> None:
    """Run one command, or a shell, as sshd does: its output ends when all who hold it have closed it."""
    shell = ["/bin/sh"] if process.command is None else ["/bin/sh", "-c", process.command]
    if process.get_terminal_type() is None:
        status = await _run_on_pipes(process, account, shell)
    else:
        status = await _run_on_terminal(process, account, shell)
    if status < 0:
        process.exit_with_signal(SIGNALS.get(status, "TERM"))
    else:
        process.exit(status)


async def _run_on_pipes(process: "asyncssh.SSHServerProcess[bytes]", account: Account, shell: list[str]) -> int:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *shell,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        cwd=account.home,
        env=dict(account.environment),
        start_new_session=True,
    )
    feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
    try:
        await asyncio.gather(_drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr))
        return await child.wait()
    finally:
        feeding.cancel()


async def _run_on_terminal(process: "asyncssh.SSHServerProcess[bytes]", account: Account, shell: list[str]) -> int:
    """Give an admin who looks around by hand a terminal; setsid(1) makes it the shell's own."""
    ours, theirs = os.openpty()
    _resize(ours, process.get_terminal_size())
    environment = {**account.environment, "TERM": process.get_terminal_type() or "dumb"}
    command = ["/usr/bin/setsid", "--ctty", *shell]
    with os.fdopen(theirs, "rb", 0) as terminal:
        child = await asyncio.create_subprocess_exec(
            *command, stdin=terminal, stdout=terminal, stderr=terminal, cwd=account.home, env=environment
        )
    output = asyncio.StreamReader()
    opened = os.fdopen(ours, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), opened)
    typing = asyncio.create_task(_type(process.stdin, ours))
    with contextlib.suppress(OSError):  # the terminal goes with the last who has it open
        await _drain(output, process.stdout)
    typing.cancel()
    return await child.wait()


async def _type(source: "asyncssh.SSHReader[bytes]", terminal: int) -> None:
    """Pass on what is typed, and the size of the window."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            try:
                typed = await source.read(CHUNK)
            except asyncssh.TerminalSizeChanged as change:
                _resize(terminal, (change.width, change.height, change.pixwidth, change.pixheight))
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            if not typed:
                return
            os.write(terminal, typed)


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    width, height, pixel_width, pixel_height = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixel_width, pixel_height))


async def _feed(source: "asyncssh.SSHReader[bytes]", target: asyncio.StreamWriter | None) -> None:
    """Pass input on until its end; a signal that a client asks for goes nowhere, as with most sshd."""
    if target is None:
        return
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            try:
                chunk = await source.read(CHUNK)
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            if not chunk:
                break
            target.write(chunk)
            await target.drain()
    target.close()


async def _drain(source: asyncio.StreamReader | None, target: "asyncssh.SSHWriter[bytes]") -> None:
    """Pass output on; when nobody listens any more, read it and let it go."""
    listening = True
    while source and (chunk := await source.read(CHUNK)):
        if not listening:
            continue
        try:
            target.write(chunk)
            await target.drain()
        except (OSError, asyncssh.Error):
            listening = False
