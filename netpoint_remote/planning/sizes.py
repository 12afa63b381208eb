"""Sizes as people write them."""

from rich.filesize import pick_unit_and_suffix

MEBI = 2**20


def human_size(size: int) -> str:
    """Return a number of bytes as `1.2 GB`: in powers of 1,024, as `df -h` and PostgreSQL count."""
    unit, suffix = pick_unit_and_suffix(size, ["bytes", "kB", "MB", "GB", "TB"], 1024)
    return ("1 byte" if size == 1 else f"{size} bytes") if unit == 1 else f"{size / unit:.1f} {suffix}"


def human_mb(megabytes: int) -> str:
    """Return a number of MiB, in which servers count, in the same way."""
    return human_size(megabytes * MEBI)
