"""The names of systemd's units: full, and as hosts files have them."""

import re

# A name that can stand in a list of words of a shell, and in the hosts file.
UNIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:.@\\-]*")


def with_ending(name: str) -> str:
    """Return a unit's full name, as systemd does."""
    return name if re.search(r"\.(service|timer|socket|path|target|mount)$", name) else f"{name}.service"


def shortened(name: str) -> str:
    """Return a service's name as hosts files have it."""
    return name.removesuffix(".service")
