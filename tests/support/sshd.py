"""OpenSSH servers on loopback, each with its own configuration, host keys, port and PATH."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import DIES_WITH_US, of_environment

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
DEADLINE = 120.0  # seconds; a quiet machine needs less than one


def require_sshd() -> str:
    """Return the path of sshd; skip the test loudly where there is none, fail it where CI is set."""
    if PROGRAM is None:
        reason = "NOT TESTED: there is no sshd here (Debian: apt-get install openssh-server)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return PROGRAM


@dataclass(kw_only=True)
class Sshd:
    """A running server; its `bin` folder comes first in the PATH of its commands."""

    folder: Path
    address: str
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def client_key(self) -> Path:
        return self.folder / "client_ed25519"

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text(errors="replace")

    @property
    def name(self) -> str:
        """The server's name in a known_hosts file."""
        return f"[{self.address}]:{self.port}"

    def public_key(self, kind: str = "ed25519") -> str:
        """Return a host key as a known_hosts line has it: kind and key."""
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def known_hosts(self) -> Path:
        """Return a known_hosts file that knows this server."""
        path = self.folder / "known_hosts"
        path.write_text(f"{self.name} {self.public_key()}\n")
        return path

    def add_program(self, name: str, text: str) -> Path:
        """Put a program into the PATH of the server's commands."""
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def stop(self) -> None:
        """End the server, and whatever commands it has started and clients have left."""
        self.process.kill()
        self.process.wait()
        for pid in of_environment(f"PATH={self.bin}:"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def start_sshd(
    folder: Path, *, kinds: tuple[str, ...] = ("ed25519",), address: str = "127.0.0.1", options: tuple[str, ...] = ()
) -> Sshd:
    """Start a server that lets its client key in, and return it once it listens."""
    program = require_sshd()
    (folder / "bin").mkdir(parents=True)
    for kind in kinds:
        make_key(folder / f"host_{kind}", kind)
    make_key(folder / "client_ed25519")
    shutil.copy(folder / "client_ed25519.pub", folder / "authorized_keys")
    Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None  # where sshd separates its privileges
    for _ in range(5):  # another process may take the free port before sshd does
        port = _free_port(address)
        config = _write_config(folder, kinds, address, port, options)
        command = [*DIES_WITH_US, program, "-D", "-e", "-f", config]
        with (folder / "sshd.log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log)
        server = Sshd(folder=folder, address=address, port=port, process=process)
        if _listens(server):
            return server
        server.stop()
    raise RuntimeError(f"sshd did not start:\n{server.log}")


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", *options: str) -> Path:
    """Make a key pair as ssh-keygen does."""
    size = {"rsa": ["-b", "2048"], "ecdsa": ["-b", "256"]}.get(kind, [])
    # few rounds of the passphrase's hash: it is the format that is tested, not its strength
    rounds = ["-a", "1"] if passphrase else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, *rounds, "-N", passphrase, "-C", path.name, "-f", path, *options],
        check=True, stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    return path


def _write_config(folder: Path, kinds: tuple[str, ...], address: str, port: int, options: tuple[str, ...]) -> Path:
    config = folder / "sshd_config"
    lines = [
        *options,  # first: sshd takes the first value it reads
        f"Port {port}",
        f"ListenAddress {address}",
        *(f"HostKey {folder}/host_{kind}" for kind in kinds),
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"PidFile {folder}/sshd.pid",
        f"SetEnv PATH={folder}/bin:/usr/local/bin:/usr/bin:/bin SHLVL=9",  # bash reads no .bashrc of yours that deep
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
        "MaxStartups 200:30:400",
        "LogLevel VERBOSE",
    ]
    config.write_text("".join(f"{line}\n" for line in lines))
    return config


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(server: Sshd) -> bool:
    """Wait for a line of this server: another server may have taken the port."""
    deadline = time.monotonic() + DEADLINE
    while server.process.poll() is None and time.monotonic() < deadline:
        if f"listening on {server.address} port {server.port}." in server.log:
            return True
        time.sleep(0.01)
    return False
