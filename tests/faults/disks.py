"""Small disks for what a plan writes to, and which step writes where.

A disk is full from one moment to the next when it is made as small as what is on it, and has room again
when it is made larger.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab.servers import LabError

if TYPE_CHECKING:
    from pathlib import Path

PLACES = {
    "state": "/var/lib/netpoint-remote",
    "backup": "/var/backups/netpoint-remote",
    "opt": "/opt",
    "database": "/var/lib/postgresql",
    "units": "/etc/systemd/system",
    "cron": "/etc/cron.daily",
}
SIZE = "2g"
WRITES = {
    "backup": {"dump_database", "save_files", "seal_backup"},
    "opt": {
        "unpack_release",
        "carry_over",
        "copy_files",
        "sync_files",
        "fetch_tag",
        "set_aside",
        "checkout_tag",
        "run_upgrade",
        "flip_link",
        "take_from_aside",
    },
    "database": {"run_upgrade", "put_database_back"},
    "units": {"guard_boot", "update_units", "lift_guard", "put_units_back"},
    "cron": {"schedule_housekeeping"},
}
"""The steps that write to a disk; all of them write to `state`."""


@dataclass(frozen=True, slots=True)
class Disks:
    """The disks of one server; `root` is its filesystem as this machine sees it."""

    root: Path

    def mount(self) -> None:
        """Give the switched-off server a disk for each place, with what is there already on it."""
        for place in PLACES.values():
            target = self._path(place)
            fresh = not target.exists()
            target.mkdir(parents=True, exist_ok=True)
            if fresh:
                target.chmod(0o700)
            self._mount_over(target)

    def fill(self, name: str) -> None:
        """Leave no room on a disk."""
        target = self._path(PLACES[name])
        for _ in range(50):  # whoever writes meanwhile makes it larger than the size that was asked for
            disk = os.statvfs(target)
            used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
            with suppress(subprocess.CalledProcessError):
                # Without a size there is no limit at all; less than a page more is no room.
                self._resize(target, f"{max(used // 1024, 4)}k")
                return
        raise LabError(f"{target} cannot be filled")

    def free(self) -> None:
        """Let every disk have room again."""
        for place in PLACES.values():
            self._resize(self._path(place), SIZE)

    def _path(self, place: str) -> Path:
        return self.root / place.lstrip("/")

    def _mount_over(self, target: Path) -> None:
        """Mount an empty disk, and put on it what it hides: that is still seen from where the mount is not."""
        beside = self.root.parent / "disk"
        beside.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "lab", str(beside))
        _run("cp", "-a", f"{target}/.", str(beside))
        for change in ("chown", "chmod"):
            _run(change, f"--reference={target}", str(beside))
        _run("mount", "--bind", str(beside), str(target))
        _run("umount", str(beside))

    def _resize(self, target: Path, size: str) -> None:
        _run("mount", "-o", f"remount,size={size}", str(target))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
