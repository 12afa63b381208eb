"""The clock of one server: told wrongly to every process that starts from now on, by libfaketime."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.servers import LabError

LIBRARY = "faketime/libfaketime.so.1"
PLACE = "usr/lib/libfaketime.so.1"
SPARED = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKETIME_CACHE_DURATION": "1"}
"""What counts seconds goes on counting them, and files keep their times."""

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
    (root / "etc/environment").write_text(settings.replace(" ", "\n") + "\n")


def turn_clock(root: Path, seconds: int) -> None:
    """Let the clock be so many seconds ahead of the time."""
    (root / "etc/faketimerc").write_text(f"{seconds:+d}\n")
    (root / "etc/ld.so.preload").write_text(f"/{PLACE}\n")
