"""Reads a tar archive in the one way that all programs agree on, and refuses what they read in different ways.

Theory. Formats of tar grew by agreement, and programs differ where that is thin: a regular file whose name ends in a
slash is a folder to GNU tar; bytes 345 to 499 are a part of the name to some although the magic does not say so; of an
`L` and an `x` before one entry one wins here and the other there; a size may be a number in base 256, or underlined.
So every header is read here byte by byte, in ustar, in GNU's format or in that of Version 7, and what is neither plain
nor harmless is a refusal.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from netpoint_remote.errors import ReleaseError

BLOCK = 512
LARGEST_EXTENSION = 64 * 1024  # bytes of a long name, or of a pax header
FILE, HARD_LINK, SYMLINK, FOLDER = b"0", b"1", b"2", b"5"
_POSIX, _GNU = b"ustar\x0000", b"ustar  \0"
_ANYTHING, _NAME = re.compile(rb".*", re.DOTALL), re.compile(rb"[^\0]+")
_ACCOUNT, _TIME = re.compile(rb"[0-9]{1,10}"), re.compile(rb"-?[0-9]{1,12}(\.[0-9]*)?")
_FORMS = {"path": _NAME, "linkpath": _NAME, "uid": _ACCOUNT, "gid": _ACCOUNT, "mtime": _TIME, "atime": _TIME,
          "ctime": _TIME}  # fmt: skip
_NUMBER = re.compile(rb"\0*| *([0-7]+)[ \0]*")  # nothing but blanks is no number to GNU tar
_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([^=\0\n]+)=")
# what says nothing of the tree; the rest of pax would change what an entry is, or is not known
_HARMLESS = frozenset({"path", "linkpath", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"})
_ATTRIBUTES = ("SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "SCHILY.xattr.", "SCHILY.acl.", "SCHILY.fflags",
               "LIBARCHIVE.", "RHT.security.")  # fmt: skip


class Stream(Protocol):
    """What is read: up to so many bytes, none at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry; `attributes` says that it brings more than content and mode, which an unpacker may apply or not."""

    name: str
    kind: bytes
    mode: int
    size: int
    mtime: int
    target: str
    attributes: bool
    stream: "Content"


class Content:
    """The bytes of one entry."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._padding = -size % BLOCK
        self.left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self.left if size < 0 else min(size, self.left)
        data = _exactly(self._stream, wanted)
        self.left -= len(data)
        return data

    def skip(self) -> None:
        while self.left:
            self.read(BLOCK * BLOCK)
        _exactly(self._stream, self._padding)
        self._padding = 0


def members(stream: Stream) -> Iterator[Member]:
    """Yield the entries of an archive; each is to be read before the next is asked for.

    Raises:
        ReleaseError: where two programs could read it differently, or it is damaged.
    """
    extension = _Extension()
    first = True
    while any(block := _exactly(stream, BLOCK)):
        header = _Header(block)
        if header.kind in _Extension.KINDS:
            extension.add(header, _extension(stream, header), first=first)
        else:
            member = _member(header, extension, stream)
            yield member
            member.stream.skip()
            extension = _Extension()
        first = False
    if extension.is_there:
        raise ReleaseError("it ends in the middle of an entry")
    if any(_exactly(stream, BLOCK)):
        raise ReleaseError("there is more data after its end")
    while rest := stream.read(BLOCK * BLOCK):
        if any(rest):
            raise ReleaseError("there is more data after its end")


class _Header:
    """One header, each of its fields as every program reads it."""

    def __init__(self, block: bytes) -> None:
        magic = block[257:265]
        if magic not in {_POSIX, _GNU} and any(block[257:]):
            raise ReleaseError("it has a header of a kind that is not known, or is damaged")
        if _octal(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
            raise ReleaseError("it is damaged: the checksum of a header is wrong")
        self.kind = FILE if block[156:157] == b"\0" else block[156:157]
        prefix = _text(block[345:500]) if magic == _POSIX else b""
        self.name = (prefix + b"/" if prefix else b"") + _text(block[:100])
        self.target = _text(block[157:257])
        self.mode = _octal(block[100:108])
        self.size = _octal(block[124:136])
        self.mtime = _number(block[136:148])
        for account in (block[108:116], block[116:124]):
            _number(account)  # it is not used, but a program that cannot read it gives up
        if any(block[500 if magic == _POSIX else 345 :]):
            raise ReleaseError(f"the header of {self.name!r} has more in it than programs agree on")


class _Extension:
    """What stands before an entry and says more of it: a pax header, or GNU's long names, but not both."""

    KINDS = frozenset({b"x", b"g", b"L", b"K"})

    def __init__(self) -> None:
        self._said: dict[str, bytes] = {}
        self._kinds: list[bytes] = []

    @property
    def is_there(self) -> bool:
        return bool(self._kinds)

    @property
    def attributes(self) -> bool:
        return any(key not in _HARMLESS for key in self._said)

    def add(self, header: _Header, data: bytes, *, first: bool) -> None:
        kind = header.kind
        if kind == b"g":
            if not first or set(_pax(data)) - {"comment"}:
                raise ReleaseError("it has a global header, whose meaning programs do not agree on")
            return
        if kind in self._kinds or (self._kinds and b"x" in {kind, *self._kinds}):
            raise ReleaseError("it names an entry twice in different ways")
        self._kinds.append(kind)
        if kind == b"x":
            self._said = _pax(data)
        else:
            self._said["path" if kind == b"L" else "linkpath"] = _text(data)

    def path(self, header: _Header) -> bytes:
        return self._said.get("path", header.name)

    def target(self, header: _Header) -> bytes:
        return self._said.get("linkpath", header.target)


def _member(header: _Header, extension: _Extension, stream: Stream) -> Member:
    name = extension.path(header).decode()
    if header.kind not in {FILE, HARD_LINK, SYMLINK, FOLDER}:
        raise ReleaseError(f"{name!r} is neither file, folder nor link")
    if header.kind != FOLDER and name.endswith("/"):
        raise ReleaseError(f"{name!r} is a file to some programs and a folder to others")
    if header.kind != FILE and header.size:
        raise ReleaseError(f"{name!r} is no file, but has content")
    return Member(
        name=name,
        kind=header.kind,
        mode=header.mode & 0o7777,
        size=header.size,
        mtime=header.mtime,
        target=extension.target(header).decode() if header.kind in {HARD_LINK, SYMLINK} else "",
        attributes=extension.attributes,
        stream=Content(stream, header.size),
    )


def _extension(stream: Stream, header: _Header) -> bytes:
    if header.size > LARGEST_EXTENSION:
        raise ReleaseError("it has a header of absurd size")
    content = Content(stream, header.size)
    data = content.read()
    content.skip()
    return data


def _pax(data: bytes) -> dict[str, bytes]:
    """Read the records of a pax header, `LENGTH KEY=VALUE` a line."""
    said: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        found = _RECORD.match(data, at)
        end = at + int(found[1]) if found else 0
        if not found or not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ReleaseError("it has a pax header that is damaged")
        key, value = found[2].decode(), data[found.end() : end - 1]
        known = key in _HARMLESS or key.startswith(_ATTRIBUTES)
        form = _FORMS.get(key, _ANYTHING)
        if not known or key in said or not form.fullmatch(value):
            raise ReleaseError(f"it has a pax header ({key!r}) whose meaning programs do not agree on")
        said[key] = value
        at = end
    return said


def _text(field: bytes) -> bytes:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        raise ReleaseError(f"the name {text!r} has more data after its end")
    return text


def _number(field: bytes) -> int:
    """Read what may be beyond octal, as GNU writes it then; what is large is not of interest."""
    large = field[0] == 0x80 and not any(field[1:-4])  # noqa: PLR2004  the mark of base 256
    return int.from_bytes(field[-4:], "big") if large else _octal(field)


def _octal(field: bytes) -> int:
    found = _NUMBER.fullmatch(field)
    if not found:
        raise ReleaseError("it has a number in a header that programs do not read alike, or is damaged")
    return int(found[1] or b"0", 8)


def _exactly(stream: Stream, size: int) -> bytes:
    data = stream.read(size)
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise ReleaseError("it is damaged, or cut off")
        data += piece
    return data
