"""The clock of one server: told wrongly to every process that starts from now on, by libfaketime."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.servers import LabError

LIBRARY = "faketime/libfaketime.so.1"
PLACE = "usr/lib/libfaketime.so.1"
SPARED = {"NO_FAKE_STAT": "1", "FAKETIME_CACHE_DURATION": "1"}
"""Files keep their times. To spare the counting of seconds as well breaks `time.sleep` of Python 3.11."""

NOTHING_SHARED = "[Service]\nReadOnlyPaths=/dev/shm\n"
"""The library shares the hour where it can, and tidies up when a process ends; for that, sshd's sandbox kills."""

HOUR = 3600


def clock_library() -> Path:
    """Return what tells a process here another time; the lab's packages bring it."""
    found = next(Path("/usr/lib").glob(f"*/{LIBRARY}"), None)
    if found is None:
        raise LabError("clocks cannot be turned: apt-get install libfaketime")
    return found


def install_clock(root: Path) -> None:
    """Bring the library to a switched-off server, whose distribution is this machine's."""
    shutil.copyfile(clock_library(), root / PLACE)
    settings = " ".join(f"{name}={value}" for name, value in SPARED.items())
    manager = root / "etc/systemd/system.conf.d/clock.conf"
    manager.parent.mkdir(parents=True, exist_ok=True)
    manager.write_text(f"[Manager]\nDefaultEnvironment={settings}\n")
    sshd = root / "usr/local/lib/systemd/system/ssh.service.d/clock.conf"
    sshd.parent.mkdir(parents=True, exist_ok=True)
    sshd.write_text(NOTHING_SHARED)
    (root / "etc/environment").write_text(settings.replace(" ", "\n") + "\n")


def turn_clock(root: Path, seconds: int) -> None:
    """Let the clock be so many seconds ahead of the time."""
    (root / "etc/faketimerc").write_text(f"{seconds:+d}\n")
    (root / "etc/ld.so.preload").write_text(f"/{PLACE}\n")
