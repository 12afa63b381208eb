"""Looks at the skeleton of a zip archive before anybody unpacks it: one directory, that tells what is there, once.

Theory. A zip has two descriptions of everything: a header before each entry, and a directory at its end. Programs
trust one or the other, look for the end in different ways, and jump over what lies between. So both have to agree,
entries follow each other without a gap from the first byte on, and whatever tells of large archives (zip64), of other
names or of other methods is refused. That is read piece by piece: a directory of millions of entries takes no memory.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from netpoint_remote.errors import ReleaseError

LARGEST_DIRECTORY = 32 * 1024**2  # bytes
_END = struct.Struct("<4s4H2LH")
_LOCATOR = 20  # bytes that zip64 has before the end
_LONGEST_COMMENT = 65535
_MANY = 65535  # entries: zip64 has their number
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_BEHIND, _UTF8 = 1, 8, 0x800
_OTHER_NAME, _ZIP64 = 0x7075, 0x0001
_BEHIND = (12, 16)  # bytes of the sizes behind an entry, with or without their signature


@dataclass(frozen=True, slots=True)
class _Entry:
    """What header and directory say alike, where the header is, and how many bytes the content has."""

    said: tuple[object, ...]
    offset: int
    size: int
    sizes_behind: bool


def check_zip(file: IO[bytes], most: int) -> None:
    """Refuse a zip archive that has more than one reading, or more than so many entries.

    Raises:
        ReleaseError: saying what is wrong with it.
    """
    count, begin, end = _directory(file)
    if count > most:
        raise ReleaseError(f"it has more than {most:,} entries")
    file.seek(begin)
    entries = sorted(_entries(file.read(end - begin), count), key=lambda entry: entry.offset)
    at = 0
    for number, entry in enumerate(entries):
        following = entries[number + 1].offset if number + 1 < len(entries) else begin
        if entry.offset != at:
            raise ReleaseError("its entries overlap, or do not follow each other")
        _check_local(file, entry, following)
        at = following
    if not entries:
        raise ReleaseError("it has nothing in it")


def _directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return how many entries the directory has, where it begins and where it ends."""
    size = file.seek(0, 2)
    start = max(0, size - _END.size - _LONGEST_COMMENT - _LOCATOR)
    file.seek(start)
    tail = file.read()
    ends = [
        at
        for at in _all(tail, b"PK\x05\x06")
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail)
    ]
    if len(ends) != 1 or b"PK\x05\x06" in tail[ends[0] + 4 :]:
        raise ReleaseError("it is damaged, cut off, or has more than one end")
    at = ends[0]
    _, disk, first_disk, here, count, length, begin, _ = _END.unpack_from(tail, at)
    zip64 = tail[max(at - _LOCATOR, 0) :].startswith(b"PK\x06\x07") or _MANY in {here, count}
    if disk or first_disk or here != count or zip64 or length > LARGEST_DIRECTORY:
        raise ReleaseError("it is larger than any release, or in several parts")
    if begin + length != start + at:
        raise ReleaseError("its directory is not where it says; it may be two archives in one")
    return count, begin, begin + length


def _all(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


def _entries(data: bytes, count: int) -> Iterator[_Entry]:
    at = 0
    for _ in range(count):
        if at + _ENTRY.size > len(data) or data[at : at + 4] != b"PK\x01\x02":
            raise ReleaseError("its directory is damaged")
        entry = _ENTRY.unpack_from(data, at)
        flags, method, crc, packed, size, name_size, extra_size, comment_size = entry[3], entry[4], *entry[7:13]
        at += _ENTRY.size
        name, extra = data[at : at + name_size], data[at + name_size : at + name_size + extra_size]
        at += name_size + extra_size + comment_size
        _check_entry(name, extra, flags, method)
        yield _Entry((flags, method, name, crc, packed, size), entry[16], packed, bool(flags & _SIZES_BEHIND))
    if at != len(data):
        raise ReleaseError("its directory has another number of entries than it says")


def _check_entry(name: bytes, extra: bytes, flags: int, method: int) -> None:
    text = name.decode()
    if flags & _ENCRYPTED or method not in {_STORED, _DEFLATED}:
        raise ReleaseError(f"{text!r} is encrypted, or packed in a way that is not known here")
    if not (name.isascii() or flags & _UTF8) or b"\\" in name or b"\0" in name:
        raise ReleaseError(f"the name {text!r} is another one to other programs")
    _check_extra(extra, text, {_OTHER_NAME, _ZIP64})


def _check_extra(extra: bytes, name: str, refused: set[int]) -> None:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind in refused:
            raise ReleaseError(f"{name!r} has another name or another size to other programs")
        at += 4 + length


def _check_local(file: IO[bytes], entry: _Entry, following: int) -> None:
    """Compare the header before an entry with what the directory says of it."""
    file.seek(entry.offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
        raise ReleaseError("it is damaged: an entry is not where it should be")
    _, _, flags, method, _, _, crc, packed, size, name_size, extra_size = _LOCAL.unpack(header)
    name, extra = file.read(name_size), file.read(extra_size)
    said: tuple[object, ...] = (flags, method, name, crc, packed, size)
    known = entry.said[: 3 if entry.sizes_behind else None]
    if said[: len(known)] != known:
        raise ReleaseError(f"{name!r} is one thing in its header and another in the directory")
    _check_extra(extra, repr(name), {_OTHER_NAME})
    gap = following - (entry.offset + _LOCAL.size + name_size + extra_size + entry.size)
    if gap not in (_BEHIND if entry.sizes_behind else (0,)):
        raise ReleaseError("its entries overlap, or do not follow each other")
