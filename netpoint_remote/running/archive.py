"""Reads the archive of a release, believing nothing it says about itself.

Theory. The archive is unpacked by root on every server, so whatever a hostile or broken one could do
there is refused here: names that lead out of its folder, links that do, one path given twice (first
a link, then a file through it), devices, set-user-id files, and sizes that would fill a disk.
The rules are stricter than any unpacker: each path has one meaning, so it does not matter whose. What two programs
could read differently is refused before that (`strict_tar.py`, `strict_zip.py`); a zip is always repacked.
Every byte is read, the checksum at the end included.

Entries of tar and zip archives come through one door, `_entries`; checking and repacking use it alike.
"""

import errno
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.word import Word
from netpoint_remote.running import strict_tar
from netpoint_remote.running.strict_tar import Content, Stream
from netpoint_remote.running.strict_zip import check_zip

SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".zip")

MAX_UNPACKED = 2 * 1024**3
MAX_MEMBERS = 100_000
MAX_TEXT = 2 * 1024**2
MAX_TEXTS = 32 * 1024**2  # of all that is kept
MAX_NAME = 1024  # characters of one name
MAX_DEPTH = 50  # folders in each other
MAX_NAMES = 16 * 1024**2  # characters of all names
_MEMORY = 128 * 1024**2  # bytes that xz may take: what `xz -9` packs needs 65 MB
_PIECE = 256 * 1024

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    ValueError,  # also names that are not UTF-8
    IndexError,
    NotImplementedError,  # a zip method unknown here
    OverflowError,
    RecursionError,
    RuntimeError,  # an encrypted zip
)


class Kind(Word):
    """What an entry of an archive is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    HARD_LINK = "hard link"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as the archive has it; `stream` is read before the next entry is asked for."""

    name: str
    kind: Kind
    mode: int
    size: int = 0
    mtime: int = 0
    target: str = ""
    attributes: bool = False
    stream: Content | IO[bytes] = field(default_factory=io.BytesIO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What an archive holds: paths inside its one top folder, sorted, and the texts asked for.

    `plain` says that a bare `tar -xzf` gives the tree as it should be; otherwise it wants repacking.
    """

    top: str
    members: tuple[str, ...]
    texts: tuple[tuple[str, str], ...]
    unpacked: int
    plain: bool


def read_archive(path: Path, keep: Callable[[str], bool], *, name: str | None = None) -> Tree:
    """Read an archive whole and return its tree, with the texts of the files that `keep` picks.

    Refusals call it `name`, by default its path.

    Raises:
        ReleaseError: when it is unreadable, damaged, hostile or has not exactly one top folder.
    """
    reading = _Reading(keep)
    with _refusing(name or str(path)), _entries(path) as entries:
        for entry in entries:
            reading.add(entry)
        return reading.tree(gzipped=_format(path) is _Format.TAR_GZ)


def repack(path: Path, target: IO[bytes]) -> None:
    """Write the archive's tree as a plain tar.gz, with sober modes and no owners.

    Only for archives that `read_archive` has passed.
    """
    packed = gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=6, mtime=0)
    with _refusing(str(path)), _entries(path) as entries, packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for entry in entries:
            if name := "/".join(_parts(entry.name)):
                tar.addfile(_plain_header(entry, name), entry.stream)


def archive_suffix(name: str) -> str | None:
    """Return the suffix by which we know an archive's kind."""
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)


class _Reading:
    """What has been seen of an archive so far."""

    def __init__(self, keep: Callable[[str], bool]) -> None:
        self._keep = keep
        self._kinds: dict[str, Kind] = {}
        self._texts: dict[str, str] = {}
        self._names = 0  # characters
        self._text_size = 0
        self._unpacked = 0
        self._plain = True

    def add(self, entry: Entry) -> None:
        parts = _parts(entry.name)
        if not parts and entry.kind is not Kind.FOLDER:
            raise ReleaseError(f"{entry.name!r} would take the place of its folder")
        if not parts:
            self._plain = False  # the entry "./": counted as a level by tar --strip-components
            return
        path = "/".join(parts)
        self._plain = self._plain and _is_plain(entry, path)
        self._check(entry, parts)
        self._place(parts, entry.kind)
        self._unpacked += entry.size
        self._read(entry, "/".join(parts[1:]))

    def tree(self, *, gzipped: bool) -> Tree:
        tops = {path.partition("/")[0] for path in self._kinds}
        if len(tops) != 1:
            raise ReleaseError(f"it has {len(tops)} entries at its top; a release has one folder there")
        top = tops.pop()
        if self._kinds[top] is not Kind.FOLDER:
            raise ReleaseError(f"{top!r} at its top is no folder")
        return Tree(
            top=top,
            members=tuple(sorted(path.partition("/")[2] for path in self._kinds if path != top)),
            texts=tuple(sorted(self._texts.items())),
            unpacked=self._unpacked,
            plain=self._plain and gzipped,
        )

    def _check(self, entry: Entry, parts: tuple[str, ...]) -> None:
        if entry.kind is Kind.LINK:
            _check_link(entry.target, parts)
        if entry.kind is Kind.HARD_LINK and self._kinds.get("/".join(_parts(entry.target))) is not Kind.FILE:
            raise ReleaseError(f"{entry.name!r} is a hard link to {entry.target!r}, which it does not have")
        if entry.kind is Kind.FILE and entry.mode & (stat.S_ISUID | stat.S_ISGID):
            raise ReleaseError(f"{entry.name!r} would run as another user (set-user-id)")

    def _place(self, parts: tuple[str, ...], kind: Kind) -> None:
        """Give the path its one meaning: only a folder may be named again, or have something in it."""
        path = "/".join(parts)
        for depth in range(1, len(parts)):
            if self._kind("/".join(parts[:depth]), Kind.FOLDER) is not Kind.FOLDER:
                raise ReleaseError(f"{path!r} lies in something that is no folder")
        if path in self._kinds and not (kind is Kind.FOLDER is self._kinds[path]):
            raise ReleaseError(f"{path!r} is in it twice")
        self._kind(path, kind)

    def _kind(self, path: str, kind: Kind) -> Kind:
        """Return what a path is, from now on this where it was nothing."""
        if path not in self._kinds:
            self._names += len(path)
            if len(self._kinds) >= MAX_MEMBERS or self._names > MAX_NAMES:
                raise ReleaseError(f"it has more than {MAX_MEMBERS:,} entries, or longer names than any release")
        return self._kinds.setdefault(path, kind)

    def _read(self, entry: Entry, path: str) -> None:
        if entry.kind is Kind.FILE and self._keep(path):
            self._text_size += entry.size
            if entry.size > MAX_TEXT or self._text_size > MAX_TEXTS:
                raise ReleaseError(f"{path!r} has {entry.size:,} bytes, which is no text of a release")
            self._texts[path] = entry.stream.read(MAX_TEXT).decode("utf-8", errors="replace")


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Name the archive in every refusal, and let failures of this machine's disk through."""
    try:
        yield
    except ReleaseError as error:
        raise ReleaseError(f"{name}: {error}") from error
    except _BROKEN as error:
        # a damaged zip sends us to before its beginning: that is no fault of the disk
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        raise ReleaseError(f"{name} cannot be read completely ({error or type(error).__name__})") from error


@contextmanager
def _entries(path: Path) -> Iterator[Iterator[Entry]]:
    form = _format(path)
    with path.open("rb") as file:
        if form is _Format.ZIP:
            check_zip(file, MAX_MEMBERS)
            with zipfile.ZipFile(file) as archive:
                yield _zip_entries(archive)
        else:
            yield _tar_entries(_Bounded(_Xz(file) if form is _Format.TAR_XZ else gzip.GzipFile(fileobj=file)))


class _Format(Word):
    TAR_GZ = "tar.gz"
    TAR_XZ = "tar.xz"
    ZIP = "zip"


_MAGIC = {b"\x1f\x8b": _Format.TAR_GZ, b"\xfd7zXZ": _Format.TAR_XZ, b"PK": _Format.ZIP}


def _format(path: Path) -> _Format:
    """Tell what it is by what it begins with: a URL need not say."""
    with path.open("rb") as file:
        beginning = file.read(5)
    for magic, form in _MAGIC.items():
        if beginning.startswith(magic):
            return form
    raise ReleaseError(f"it is none of {', '.join(_Format)}")


def _tar_entries(stream: Stream) -> Iterator[Entry]:
    for member in strict_tar.members(stream):
        yield Entry(
            name=member.name,
            kind=_TAR_KINDS[member.kind],
            mode=member.mode,
            size=member.size,
            mtime=member.mtime,
            target=member.target,
            attributes=member.attributes,
            stream=member.stream,
        )


_TAR_KINDS = {
    strict_tar.FILE: Kind.FILE,
    strict_tar.FOLDER: Kind.FOLDER,
    strict_tar.SYMLINK: Kind.LINK,
    strict_tar.HARD_LINK: Kind.HARD_LINK,
}


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
        raise ReleaseError(_TOO_LARGE)
    for member in archive.infolist():
        with archive.open(member) as stream:
            yield _zip_entry(member, stream)
            while stream.read(_PIECE):  # the checksum comes at the end
                pass


def _zip_entry(member: zipfile.ZipInfo, stream: IO[bytes]) -> Entry:
    mode = member.external_attr >> 16
    kind = _ZIP_KINDS.get(stat.S_IFMT(mode) if member.create_system == _UNIX else 0)
    if kind is Kind.FILE and member.is_dir() and not stat.S_IFMT(mode):
        kind = Kind.FOLDER
    if kind is None or (kind is Kind.FOLDER) is not member.is_dir():
        raise ReleaseError(f"{member.filename!r} is neither file, folder nor link")
    return Entry(
        name=member.filename,
        kind=kind,
        mode=stat.S_IMODE(mode),
        size=member.file_size if kind is Kind.FILE else 0,
        mtime=_SOME_DAY,
        target=stream.read(4096).decode() if kind is Kind.LINK else "",
        stream=stream,
    )


_ZIP_KINDS = {0: Kind.FILE, stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK, stat.S_IFDIR: Kind.FOLDER}
_UNIX = 3  # whose modes say what an entry is
_SOME_DAY = 946684800  # zip keeps local times without their zone; one repacking must equal the next
_TOO_LARGE = f"it would unpack to more than {MAX_UNPACKED // 1024**2:,} MB"


def _parts(name: str) -> tuple[str, ...]:
    """Split a name into its parts, none for the archive's own folder."""
    if len(name) > MAX_NAME or name.count("/") > MAX_DEPTH:
        raise ReleaseError(f"{name[:40]!r}... is longer than any name in a release")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts:
        raise ReleaseError(f"{name!r} leads out of its folder")
    if not name.isprintable():
        raise ReleaseError(f"the name {name!r} has control characters in it")
    return parts


def _check_link(target: str, path: tuple[str, ...]) -> None:
    """Refuse a link that leaves the tree; `..` may stand at its beginning only, where no other link can bend it."""
    parts = [part for part in target.split("/") if part not in {"", "."}]
    climbs = next((count for count, part in enumerate(parts) if part != ".."), len(parts))
    inside = len(target) <= MAX_NAME and climbs < len(path) - 1 and ".." not in parts[climbs:]
    if not target or target.startswith("/") or not inside or not target.isprintable():
        raise ReleaseError(f"{'/'.join(path)!r} is a link that leads out of its folder, to {target[:MAX_NAME]!r}")


def _is_plain(entry: Entry, path: str) -> bool:
    """Tell whether tar, as root, makes of the entry what it should be: scripts run, nobody else may write."""
    runnable = bool(entry.mode & stat.S_IXUSR) or not entry.name.endswith("/upgrade.sh")
    sober = entry.kind is Kind.LINK or not entry.mode & (stat.S_IWOTH | 0o7000)  # a link's own mode means nothing
    named = entry.name in {path, f"{path}/"}
    return runnable and sober and named and not entry.attributes


def _plain_header(entry: Entry, name: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type = next(code for code, kind in _TAR_KINDS.items() if kind is entry.kind)
    runs = entry.kind is not Kind.FILE or entry.mode & stat.S_IXUSR or name.endswith(".sh")
    header.mode = 0o755 if runs else 0o644
    header.size = entry.size
    header.mtime = entry.mtime
    header.linkname = "/".join(_parts(entry.target)) if entry.kind is Kind.HARD_LINK else entry.target
    return header


class _Bounded:
    """The unpacked stream, never past what a release can hold."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._at = 0

    def read(self, size: int, /) -> bytes:
        piece = self._stream.read(min(size, _PIECE))
        self._at += len(piece)
        if self._at > MAX_UNPACKED:
            raise ReleaseError(_TOO_LARGE)
        return piece


class _Xz:
    """The unpacked content of one xz stream; it is the file that says how much memory that takes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)

    def read(self, size: int, /) -> bytes:
        while size and not self._decompressor.eof:
            data = self._file.read(_PIECE) if self._decompressor.needs_input else b""
            if self._decompressor.needs_input and not data:
                raise EOFError("it is cut off")
            if piece := self._decompressor.decompress(data, size):
                return piece
        if size and (self._decompressor.unused_data + self._file.read(_PIECE)).strip(b"\0"):
            raise ReleaseError("there is more data after its end")
        return b""
