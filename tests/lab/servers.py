"""A lab server: a real Debian with systemd, sshd, PostgreSQL, Redis and nginx, booted in seconds by systemd-nspawn.

Its filesystem is an overlay over the shared root filesystem, so nothing it does reaches another server.
Its network is its own (`network.py`), so every service listens where it does in real life.

    server = Server("np1", keys=Keys.make(folder))
    server.boot()
    server.run("systemctl is-active postgresql").stdout
    server.power_cut()
    server.boot()
    server.close()
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import network, signals
from tests.lab.errors import LabError
from tests.lab.rootfs import rootfs
from tests.lab.slots import take_slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BOOT_TIMEOUT = 300
"""Seconds a boot may take; on an idle machine it takes five."""

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The operator's key and the file of host keys the operator knows."""

    private: Path
    known_hosts: Path

    @classmethod
    def make(cls, folder: Path) -> Keys:
        private = folder / "id_ed25519"
        _make_key(private, comment="lab operator")
        known_hosts = folder / "known_hosts"
        known_hosts.touch()
        return cls(private=private, known_hosts=known_hosts)

    @property
    def public(self) -> str:
        return self.private.with_suffix(".pub").read_text()


class Server:
    """One lab server, from its first boot to the end of all it left on this machine."""

    def __init__(
        self,
        name: str,
        *,
        keys: Keys,
        layers: Sequence[Path] = (),
        shares: Mapping[str, Path] | None = None,
        sudo_asks: bool = False,
    ) -> None:
        """Prepare a server that is switched off.

        Args:
            name: its host name.
            keys: who may log in, and where its host key is made known.
            layers: prepared filesystem layers over the root filesystem, the uppermost first.
            shares: folders of this machine it sees read-only, by their path there.
            sudo_asks: whether `admin` has to give a password for sudo.
        """
        self.name = name
        self.keys = keys
        self.sudo_asks = sudo_asks
        self.shares = dict(shares or {})
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader: int | None = None
        self.slot = take_slot()
        self.folder = self.slot.folder
        self.root = self.folder / "root"
        try:
            self._mount([*layers, rootfs()])
            self._personalise()
            self._namespace = network.lay_cable(self.slot)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        return self.slot.address

    @property
    def running(self) -> bool:
        return self._nspawn is not None and self._nspawn.poll() is None

    def boot(self) -> None:
        """Start the server and wait until systemd has started everything and sshd answers."""
        console = (self.folder / "console").open("ab")
        with console:
            self._nspawn = self.slot.start(self._nspawn_command(), server=True, stdout=console, stderr=console)
        deadline = time.monotonic() + BOOT_TIMEOUT
        self._leader = self._wait_for_init(deadline)
        self._wait_for_sshd(deadline)
        state = self.run("systemctl is-system-running --wait", check=False, timeout=BOOT_TIMEOUT).stdout.strip()
        if state != "running":
            failed = self.run("systemctl list-units --failed --plain --no-legend", check=False).stdout
            raise LabError(f"{self.name} is {state} after its boot: {failed}")

    def run(
        self, command: str | Sequence[str], *, text: str = "", check: bool = True, timeout: float = 900, user: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the server as root, or as `user`, without SSH; a string goes through sh."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        if user:
            words = ["runuser", "-u", user, "--", *words]
        done = subprocess.run(
            [*self._enter(), "env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items()), *words],
            input=text,
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: {shlex.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def ssh(self, command: str, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command as `admin` over real SSH."""
        options = ("BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={self.keys.known_hosts}")
        return subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(self.keys.private)),
                *(f"-o{option}" for option in options),
                *(f"admin@{self.address}", command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def power_cut(self) -> None:
        """End every process of the server at once; its disk stays as it is."""
        self._end(signal.SIGKILL)

    def power_off(self) -> None:
        """Shut the server down in order."""
        self._end(signal.SIGRTMIN + 4)

    def unplug(self) -> None:
        """Cut the server from the network: packets vanish, nothing is told to either side."""
        network.unplug(self.slot)

    def plug(self) -> None:
        """Connect the server to the network again."""
        network.plug(self.slot)

    def drop_connections(self) -> None:
        """End every open SSH connection from the server's side; sshd goes on listening."""
        listener = self.run("systemctl show --value -p MainPID ssh").stdout.strip()
        # Each connection has two processes, and the one that is no child of the listener holds it open too.
        self.run(f"pgrep ^sshd | grep -v -x {listener} | xargs -r kill -KILL", check=False)

    def close(self) -> None:
        """Take away everything the server left on this machine."""
        with signals.held_back():
            self.slot.free()
            if self._nspawn is not None:
                self._nspawn.wait(timeout=BOOT_TIMEOUT)
                self._nspawn = None

    def keep_disk(self, target: Path) -> None:
        """Copy what this switched-off server changed into `target`, as a layer for others."""
        self.slot.run(["cp", "-a", f"{self.folder / 'upper'}/.", target])

    def _nspawn_command(self) -> list[str]:
        return [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            f"--directory={self.root}",
            f"--machine={self.slot.name}",
            f"--hostname={self.name}",
            f"--network-namespace-path={self._namespace}",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            *(f"--bind-ro={here}:{there}" for there, here in self.shares.items()),
        ]

    def _mount(self, layers: Iterable[Path]) -> None:
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir()
        options = (
            f"lowerdir={':'.join(map(str, layers))}",
            f"upperdir={self.folder / 'upper'}",
            f"workdir={self.folder / 'work'}",
            "redirect_dir=on",  # else moving a folder of an installation copies all of it
            "volatile",  # the lab never crashes this machine's own kernel: no need to wait for its disk
        )
        self.slot.run(["mount", "-t", "overlay", "-o", ",".join(options), "lab", self.root])

    def _personalise(self) -> None:
        """Write what no two servers share: name, identity, host key, who may log in."""
        etc = self.root / "etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        (etc / "machine-id").write_text(f"{secrets.token_hex(16)}\n")
        # The root of a container is mounted as it shall be, and mounting it again sometimes fails.
        remount = etc / "systemd/system/systemd-remount-fs.service"
        remount.unlink(missing_ok=True)
        remount.symlink_to("/dev/null")
        self._make_host_key()
        self._let_admin_in()

    def _make_host_key(self) -> None:
        host_key = self.root / "etc/ssh/ssh_host_ed25519_key"
        host_key.unlink(missing_ok=True)
        _make_key(host_key, comment=self.name)
        with self.keys.known_hosts.open("a") as known:
            known.write(f"{self.address} {host_key.with_suffix('.pub').read_text()}")

    def _let_admin_in(self) -> None:
        ssh_folder = self.root / "home/admin/.ssh"
        ssh_folder.mkdir(mode=0o700, exist_ok=True)
        (ssh_folder / "authorized_keys").write_text(self.keys.public)
        for path in (ssh_folder, ssh_folder / "authorized_keys"):
            os.chown(path, 1000, 1000)
        rule = self.root / "etc/sudoers.d/lab"
        rule.write_text(f"admin ALL=(ALL:ALL) {'' if self.sudo_asks else 'NOPASSWD: '}ALL\n")
        rule.chmod(0o440)

    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self._leader}", "-m", "-u", "-i", "-n", "-p", "--root", "--wd"]

    def _wait_for_init(self, deadline: float) -> int:
        while self.running and time.monotonic() < deadline:
            for child in _children(self._nspawn.pid if self._nspawn else 0):
                if _is_init(child):
                    return child
            time.sleep(0.05)
        raise LabError(f"{self.name} did not start: {self._console()}")

    def _wait_for_sshd(self, deadline: float) -> None:
        while self.running and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((self.address, 22), timeout=1) as line:
                if line.recv(4) == b"SSH-":
                    return
            time.sleep(0.1)
        raise LabError(f"sshd of {self.name} does not answer: {self._console()}")

    def _end(self, number: int) -> None:
        """Send a signal to init, and wait until the server is off."""
        if self.running and self._leader is not None:
            os.kill(self._leader, number)
        if self._nspawn is not None:
            self._nspawn.wait(timeout=BOOT_TIMEOUT)
            self._nspawn = self._leader = None
            self.slot.remove_server_groups()

    def _console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")[-2000:]


def boot_all(servers: Iterable[Server]) -> None:
    """Boot servers side by side."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Server.boot, servers))


def close_all(servers: Iterable[Server]) -> None:
    """Take away servers, all of them, whatever one of them says."""
    with signals.held_back(), ThreadPoolExecutor() as pool:
        list(pool.map(Server.close, servers))


def _make_key(path: Path, *, comment: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], check=True)


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _is_init(process: int) -> bool:
    """Tell whether a process is number 1 in a namespace of its own."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                return len(numbers) > 1 and numbers[-1] == "1"
    return False
