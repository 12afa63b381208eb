"""The SSH server of one practice server: one account, one key, commands run by the real /bin/sh."""

import asyncio
import contextlib
import signal
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
    command = ["-c", process.command] if process.command is not None else []
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        *command,
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
        status = await child.wait()
    finally:
        feeding.cancel()
    if status < 0:
        process.exit_with_signal(SIGNALS.get(status, "TERM"))
    else:
        process.exit(status)


async def _feed(source: "asyncssh.SSHReader[bytes]", target: asyncio.StreamWriter | None) -> None:
    if target is None:
        return
    with contextlib.suppress(OSError, asyncssh.Error):
        while chunk := await source.read(CHUNK):
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
