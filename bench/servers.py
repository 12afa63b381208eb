"""OpenSSH servers on loopback that do little, so that what is measured is the client.

Each has an address and a host key of its own; port, user and client key are shared, as in a real fleet.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

DEADLINE = 15.0  # seconds until a server listens
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
# All that a server's commands find. No Python, database or systemctl: a server's own work would drown the client's.
TOOLS = (
    "awk", "basename", "cat", "date", "df", "dirname", "du", "flock", "grep", "head", "id", "readlink", "sed", "sh",
    "sort", "timeout", "tr",
)  # fmt: skip


class Unmeasurable(Exception):
    """Nothing can be measured here; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """How to reach the servers; `key` and `known_hosts` are files."""

    addresses: tuple[str, ...]
    port: int
    user: str
    key: str
    known_hosts: str


@contextmanager
def running_servers(folder: Path, count: int, *, kex: str | None = None) -> Iterator[Servers]:
    """Start so many servers, and stop them at the end; `kex` is the only key exchange they know.

    Raises:
        Unmeasurable: where there is no sshd, or one does not start.
    """
    _make_home(folder)
    addresses = tuple(f"127.83.{number // 250}.{number % 250 + 1}" for number in range(count))
    port = _free_port(addresses[0])
    with ExitStack() as stack:
        processes = {}
        for address in addresses:
            process = _start(folder / address, address, port, kex)
            stack.callback(_stop, process)
            processes[address] = process
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("".join(_known_line(folder / each, each, port) for each in addresses))
        for address, process in processes.items():
            _wait_until_it_listens(address, port, process, folder / address / "log")
        yield Servers(
            addresses=addresses,
            port=port,
            user=getpass.getuser(),
            key=str(folder / "client"),
            known_hosts=str(known_hosts),
        )


def _make_home(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "home").mkdir()  # without a .bashrc
    for tool in TOOLS:
        (folder / "bin" / tool).symlink_to(_program(tool))
    _make_key(folder / "client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd separates its privileges


def _program(name: str) -> str:
    path = shutil.which(name, path=SEARCHED)
    if path is None:
        raise Unmeasurable(f"there is no {name} here (Debian: apt-get install openssh-server openssh-client)")
    return path


def _make_key(path: Path) -> None:
    arguments = ("-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path))
    subprocess.run([_program("ssh-keygen"), *arguments], check=True, stdin=subprocess.DEVNULL)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def _start(folder: Path, address: str, port: int, kex: str | None) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    _make_key(folder / "host")
    shared = folder.parent
    lines = [
        f"Port {port}",
        f"ListenAddress {address}",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {shared}/client.pub",
        f"SetEnv PATH={shared}/bin HOME={shared}/home",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "LogLevel ERROR",
        *([f"KexAlgorithms {kex}"] if kex else []),
    ]
    config = folder / "sshd_config"
    config.write_text("".join(f"{line}\n" for line in lines))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([_program("sshd"), "-D", "-e", "-f", config], stderr=log)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait()


def _known_line(folder: Path, address: str, port: int) -> str:
    kind, key, *_ = (folder / "host.pub").read_text().split()
    return f"[{address}]:{port} {kind} {key}\n"


def _wait_until_it_listens(address: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:  # noqa: PERF203  it waits between two tries anyway
            time.sleep(0.01)
        else:
            return
    raise Unmeasurable(f"the sshd on {address} port {port} does not answer: {log.read_text(errors='replace').strip()}")
