"""Start practice servers, keep them until told to stop, and leave nothing running."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from netpoint_remote.errors import UsageError
from netpoint_remote.practice import install, orphans, release
from netpoint_remote.practice.redis import Redis
from netpoint_remote.practice.spec import ServerSpec
from netpoint_remote.practice.systemd import Systemd

PORTS = range(20000, 32000)  # below those that the kernel gives to clients, which could take one while it is not in use
PATIENCE = 20.0  # seconds until every server must answer
SERVICES = ("netpoint", "netpoint-rq")
ENDING = (signal.SIGINT, signal.SIGTERM)
WHERE = re.compile(r"[A-Za-z0-9/._+-]+")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the servers of one folder have in common."""

    directory: Path

    @property
    def key(self) -> Path:
        return self.directory / "key"

    @property
    def authorized_keys(self) -> Path:
        return self.directory / "key.pub"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def releases(self) -> Path:
        return self.directory / "releases"

    @property
    def repository(self) -> Path:
        return self.directory / "netpoint.git"

    @property
    def wheels(self) -> Path:
        return self.directory / "wheels"


@dataclass(slots=True)
class Server:
    """One server that is being served."""

    spec: ServerSpec
    root: Path
    http: int
    systemd: Systemd
    ssh_port: int = 0
    host_key: str = ""


def run(directory: Path, specs: tuple[ServerSpec, ...], *, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        UsageError: when the folder cannot be used, or the library is not installed.
    """
    try:
        import asyncssh  # noqa: F401, PLC0415  said before anything is written
    except ImportError:
        raise UsageError(
            "practice servers need asyncssh, which is not installed: run `make install` in the project's folder"
        ) from None
    try:
        asyncio.run(_run(Shared(new_folder(directory)), specs, ready))
    finally:
        for number in ENDING:  # one more, while the program ends, changes nothing about how
            signal.signal(number, signal.SIG_IGN)


def new_folder(directory: Path) -> Path:
    """Return the folder as a full path, made if need be; it must be empty, and its name plain."""
    folder = Path(os.path.abspath(directory))  # noqa: PTH100  resolve() would follow the operator's own links
    if not WHERE.fullmatch(str(folder)):
        raise UsageError(f"{folder} has characters that units and shells treat specially; choose a plainer --dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} cannot be used as --dir: {error.strerror}") from None
    if occupied:
        raise UsageError(f"{folder} is not empty; practice begins in a new folder: choose another --dir, or remove it")
    folder.chmod(0o700)
    return folder


async def _run(shared: Shared, specs: tuple[ServerSpec, ...], ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end(*_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)

    for number in ENDING:
        signal.signal(number, end)  # and not the loop's own, which goes with the loop
    servers: list[Server] = []
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(orphans.adopted())
        try:
            started = time.monotonic()
            await start_all(shared, specs, servers, stack, stop)
            if not stop.is_set():
                seconds = time.monotonic() - started
                ready(f"ready {len(servers)} servers in {seconds:.1f} s, hosts file {shared.directory / 'hosts.yaml'}")
                await stop.wait()
        finally:
            await asyncio.gather(*(server.systemd.close() for server in servers))


async def start_all(
    shared: Shared,
    specs: tuple[ServerSpec, ...],
    servers: list[Server],
    stack: contextlib.AsyncExitStack,
    stop: asyncio.Event,
) -> None:
    """Install and start every server; `servers` fills as they come, `stop` ends it early."""
    import asyncssh  # noqa: PLC0415  the extra

    with tempfile.TemporaryDirectory(prefix=".prepared-", dir=shared.directory) as scratch:
        trees = write_shared(shared, specs, Path(scratch))
        key = asyncssh.generate_private_key("ssh-ed25519", comment="practice")
        shared.key.touch(0o600)
        key.write_private_key(str(shared.key))
        key.write_public_key(str(shared.authorized_keys))
        for spec, port in zip(specs, free_ports(), strict=False):
            if stop.is_set():
                return
            prepared = Path(scratch) / f"prepared-{spec.version}"
            source = install.Source(prepared=prepared, tree=trees[spec.version], repository=shared.repository)
            servers.append(await start_server(shared, spec, source, port, stack))
            await asyncio.sleep(0)
    write_known_hosts(shared, servers)
    write_hosts_file(shared, servers)
    await asyncio.gather(*(start_services(server) for server in servers))
    await asyncio.gather(*(wait_for(server, stop) for server in servers))


def write_shared(shared: Shared, specs: tuple[ServerSpec, ...], scratch: Path) -> dict[str, Path]:
    """Write releases, repository and wheels, and install once each release that a server begins with."""
    release.write_wheels(shared.wheels)
    shared.releases.mkdir()
    trees = {}
    for version in sorted({*release.USUAL, *(spec.version for spec in specs)}):
        trees[version] = scratch / f"tree-{version}"
        release.write_release(version, trees[version])
        release.write_archive(trees[version], shared.releases / f"v{version}.tar.gz", f"netpoint-{version}")
    release.write_repository(trees, shared.repository)
    for version in sorted({spec.version for spec in specs}):
        install.prepare(version, trees[version], shared.wheels, scratch / f"prepared-{version}")
    return trees


async def start_server(
    shared: Shared, spec: ServerSpec, source: install.Source, port: int, stack: contextlib.AsyncExitStack
) -> Server:
    """Install one server and open its Redis, its systemd and its SSH."""
    import asyncssh  # noqa: PLC0415  the extra

    from netpoint_remote.practice import sshd  # noqa: PLC0415  needs the extra

    root = shared.directory / spec.name
    redis = Redis(password="")
    redis_server = await redis.listen()
    stack.callback(redis_server.close)
    redis_port = redis_server.sockets[0].getsockname()[1]
    hidden = install.install(spec, root, source, install.Ports(http=port, redis=redis_port))
    redis.password = hidden.redis
    environment = install.command_environment(root)
    server = Server(spec, root, port, Systemd(root, environment))
    stack.callback((await server.systemd.listen()).close)
    host_key = asyncssh.generate_private_key("ssh-ed25519", comment=spec.name)
    account = sshd.Account(
        user="admin", authorized_keys=shared.authorized_keys, home=root / "home/admin", environment=environment
    )
    acceptor = await sshd.listen(account, host_key)
    stack.callback(acceptor.close)
    server.ssh_port = acceptor.get_port()
    server.host_key = host_key.export_public_key().decode().strip()
    return server


def free_ports() -> Iterator[int]:
    """Yield ports of 127.0.0.1 that nobody listens on."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


def write_known_hosts(shared: Shared, servers: list[Server]) -> None:
    lines = [f"[127.0.0.1]:{server.ssh_port} {' '.join(server.host_key.split()[:2])}\n" for server in servers]
    shared.known_hosts.write_text("".join(lines), "utf-8")


def write_hosts_file(shared: Shared, servers: list[Server]) -> None:
    """Write the hosts file by which our own command line reaches the servers."""
    defaults = {
        "address": "127.0.0.1",
        "user": "admin",
        "identity": str(shared.key),
        "known_hosts": str(shared.known_hosts),
        "release": {"archive": str(shared.releases), "git": str(shared.repository)},
        "environment": {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shared.wheels)},
    }
    hosts = {
        server.spec.name: {
            "port": server.ssh_port,
            "root": f"{server.root}/opt/netpoint",
            "state_dir": f"{server.root}/var/lib/netpoint-remote",
            "backup_dir": f"{server.root}/var/backups/netpoint-remote",
            "cron_dir": f"{server.root}/etc/cron.daily",
        }
        for server in servers
    }
    text = yaml.safe_dump({"defaults": defaults, "hosts": hosts}, sort_keys=False)
    (shared.directory / "hosts.yaml").write_text(f"# Written by `practice`; the servers end with it.\n{text}", "utf-8")


async def start_services(server: Server) -> None:
    await server.systemd.command("systemctl", ["start", *SERVICES], root=True)


async def wait_for(server: Server, stop: asyncio.Event) -> None:
    """Wait until the server's NetPoint answers."""
    deadline = time.monotonic() + PATIENCE
    while not stop.is_set():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", server.http)
            writer.close()
            return
        if time.monotonic() > deadline:
            log = server.root / "var/log/journal/netpoint.log"
            raise RuntimeError(f"NetPoint of {server.spec.name} does not answer; see {log}")
        await asyncio.sleep(0.05)
