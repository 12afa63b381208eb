"""What runs on this machine."""

from pathlib import Path


def of_folder(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
