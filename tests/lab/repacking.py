"""Smaller wheels for the lab servers: tests install them all day, and need little of what is in them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

SCRIPT = Path(__file__).with_name("repack_wheel.py").read_text()
UNNEEDED = (
    r"/locale/(?!en/|__init__\.py)",
    r"\.po$",
    r"/tests/",
    r"^django/contrib/(admin|admindocs|flatpages|gis|humanize|postgres|redirects|sitemaps|syndication)/",
    r"^django/db/backends/(mysql|oracle)/",
)
"""What no lab NetPoint imports: translations, tests, and parts of Django."""

Bytecode = Literal["none", "installed", "zipped"]
"""None at all; where Python looks for it once the wheel is installed; also for a wheel that runs as it is."""


def repack(wheel: Path, root: Path, *, bytecode: Bytecode = "installed") -> None:
    """Take what is not needed out of a wheel, and add the bytecode of the Python in a root filesystem."""
    command = ["chroot", str(root), "python3", "-c", SCRIPT, "|".join(UNNEEDED), bytecode]
    repacked = subprocess.run(command, input=wheel.read_bytes(), stdout=subprocess.PIPE, check=True).stdout
    wheel.write_bytes(repacked)


def recipe() -> tuple[str, ...]:
    """Return what the result depends on, besides the wheel and the Python."""
    return SCRIPT, *UNNEEDED
