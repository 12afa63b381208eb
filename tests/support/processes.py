"""What runs on this machine."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DIES_WITH_US: tuple[str, ...] = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
"""Words before a command: the kernel ends it should the thread that starts it end, as by a SIGKILL of the tests."""

STOPS_WITH_US = tuple(word.replace("KILL", "TERM") for word in DIES_WITH_US)
"""The same for a command that has something to clean up."""

AS_ON_A_TERMINAL = ("env", "--default-signal=INT,TERM,HUP")
"""The same for the signals of a terminal: under nohup, or in the background of a shell, we ignore some of them."""


def of_folder(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    lines = (text.replace(b"\0", b" ").decode(errors="replace") for _, text in _read_all("cmdline"))
    return [line for line in lines if str(folder) in line]


def of_environment(text: str) -> list[int]:
    """Return the numbers of all processes in whose environment something begins with a text."""
    return [pid for pid, found in _read_all("environ") if f"\0{text}".encode() in b"\0" + found]


def _read_all(name: str) -> Iterator[tuple[int, bytes]]:
    for place in Path("/proc").glob(f"[0-9]*/{name}"):
        with suppress(OSError):
            yield int(place.parent.name), place.read_bytes()
