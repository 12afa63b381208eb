"""The root filesystem all lab servers share: built once by mmdebstrap, kept in the lab's cache.

It is the distribution this machine itself runs, fetched from the mirror in this machine's own apt configuration;
where NETPOINT_LAB_SUITE names another release of it (`bullseye`), that one, from the same mirror.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.lab import repacking
from tests.lab.cache import built_once, digest
from tests.lab.errors import LabError
from tests.lab.private import cache_folder, private_folder
from tests.lab.repacking import repack
from tests.lab.slots import LOCKS, scratch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.slots import Slot

FORMAT = "7"
"""Raise it when the way the root filesystem is built changes."""

PACKAGES = (
    "ca-certificates",
    "cron",
    "curl",
    "dbus",
    "git",
    "iproute2",
    "libpam-systemd",
    "nginx-light",
    "openssh-server",
    "openssl",
    "pgbouncer",
    "postgresql",
    "procps",
    "python3",
    "python3-venv",
    "redis-server",
    "sudo",
    "systemd",
    "systemd-sysv",
    "wget",
)
TOOLS = {
    "git": "git",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
"""What the lab runs on this machine, and the package that brings it."""

KEYRINGS = {
    "Debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "Ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}
QUIET_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-timesyncd.service",
)
NEEDLESS_GENERATORS = (
    "systemd-cryptsetup-generator",
    "systemd-debug-generator",
    "systemd-getty-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-system-update-generator",
    "systemd-sysv-generator",
    "systemd-veritysetup-generator",
)
"""Of systemd: they find nothing on a lab server, and run at each boot and each daemon-reload."""
ENSURED_WHEELS = "usr/share/python-wheels"
"""Where Debian keeps the wheels that `venv` installs."""

SUDO_PASSWORD = "lab's own $password"


def why_not() -> str | None:
    """Say what keeps the lab from running on this machine, or None."""
    if platform.system() != "Linux":
        return "the lab needs Linux"
    if os.geteuid() != 0:
        return "the lab needs root: it mounts filesystems and boots servers with systemd-nspawn"
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"the lab needs these packages: apt-get install {' '.join(missing)}"
    try:
        cache_folder()
        private_folder(LOCKS, ours=True)
    except LabError as error:
        return f"the lab needs private folders (see NETPOINT_LAB_CACHE): {error}"
    with scratch() as slot:
        can_mount_and_link = _can_mount_and_link(slot.folder)
    if not can_mount_and_link:
        return "the lab needs overlay mounts and network namespaces, and this machine allows root neither or only one"
    return None


def key() -> str:
    """Return the name of the root filesystem's present recipe."""
    return digest(FORMAT, _suite(), *PACKAGES, *repacking.recipe())


def rootfs() -> Path:
    """Return the root filesystem, building it (about a minute) when it is not in the cache."""
    return built_once(f"rootfs-{key()}", _build)


def python_version(root: Path) -> str:
    """Return the version of the root filesystem's Python, as `3.11`."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


def _build(slot: Slot) -> None:
    slot.run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            *(f"--aptopt={option}" for option in _apt_options()),
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            _suite(),
            slot.folder,
            *_sources(),
        ]
    )
    slot.folder.chmod(0o755)
    _settle(slot.folder)


def _settle(root: Path) -> None:
    """Give the fresh root filesystem what every server has: the admin, quiet timers, no leftovers of the build."""
    shutil.rmtree(root / "etc/apt/sources.list.d", ignore_errors=True)
    for leftover in ("etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap", "etc/machine-id"):
        (root / leftover).unlink(missing_ok=True)
    for host_key in (root / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()
    masks = [root / "etc/systemd/system" / unit for unit in QUIET_UNITS]
    masks += [root / "etc/systemd/system-generators" / generator for generator in NEEDLESS_GENERATORS]
    for mask in masks:
        mask.parent.mkdir(exist_ok=True)
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/nginx/sites-enabled/default").unlink(missing_ok=True)
    for settings in (root / "etc/postgresql").glob("*/main/conf.d"):
        (settings / "lab.conf").write_text("ssl = off\nshared_buffers = 32MB\n")
    _make_venv_cheap(root)
    _chroot(root, "useradd", "--create-home", "--shell", "/bin/bash", "admin")
    _chroot(root, "systemctl", "disable", "--quiet", "pgbouncer")
    _chroot(root, "chpasswd", text=f"admin:{SUDO_PASSWORD}\n")


def _make_venv_cheap(root: Path) -> None:
    """Let `python3 -m venv` find bytecode in its wheels, and not compile it anew for each environment."""
    for wheel in (root / ENSURED_WHEELS).glob("pip-*.whl"):
        repack(wheel, root, bytecode="zipped")
    for wheel in (root / ENSURED_WHEELS).glob("setuptools-*.whl"):
        repack(wheel, root, bytecode="none")  # hardly ever imported
    for program in root.glob("usr/lib/python3.*/ensurepip/__init__.py"):
        text = program.read_text().replace('"--no-cache-dir", ', '"--no-cache-dir", "--no-compile", ')
        program.write_text(text)
        _chroot(root, "python3", "-m", "compileall", "-q", f"/{program.relative_to(root)}")


def _chroot(root: Path, *command: str, text: str = "") -> None:
    subprocess.run(["chroot", str(root), *command], input=text, text=True, check=True)


def _codename() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


def _suite() -> str:
    return os.environ.get("NETPOINT_LAB_SUITE") or _codename()


def _sources() -> list[str]:
    """Return this machine's own package sources, for the release that is wanted, as lines of a sources.list."""
    wanted = ("$(ORIGIN)", "$(CODENAME)", "$(REPO_URI)", "$(RELEASE)", "$(COMPONENT)")
    listing = _output("apt-get", "indextargets", "--format", "|".join(wanted), "Created-By: Packages")
    lines = []
    for target in sorted(set(listing.splitlines())):
        origin, codename, uri, release, component = target.split("|")
        if origin in KEYRINGS and codename.startswith(_codename()):
            wanted_release = release.replace(_codename(), _suite())
            lines.append(f"deb [signed-by={KEYRINGS[origin]}] {uri} {wanted_release} {component}")
    if not lines:
        raise RuntimeError("apt knows no source for this machine's own release: run apt-get update first")
    return lines


def _apt_options() -> list[str]:
    """Return how this machine reaches its mirror (proxy, certificates, validity), as options of apt."""
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    dump = _output("apt-config", "dump", "--format", '%f "%v"%n', "Acquire")
    return [line for line in dump.splitlines() if line.startswith(wanted) and not line.endswith('""')]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _can_mount_and_link(folder: Path) -> bool:
    try_both = """
        mkdir "$1/lower" "$1/upper" "$1/work" "$1/root" &&
        unshare --mount --net sh -c '
            mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" lab "$1/root" &&
            ip link add lab0 type veth peer name lab1' sh "$1" """
    return subprocess.run(["sh", "-c", try_both, "sh", folder], capture_output=True, check=False).returncode == 0
