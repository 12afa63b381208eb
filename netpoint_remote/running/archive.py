"""Reads the archive of a release, believing nothing it says about itself.

Theory. The archive is unpacked by root on every server, so whatever a hostile or broken one could do
there is refused here: names that lead out of its folder, links that do, one path given twice (first
a link, then a file through it), devices, set-user-id files, and sizes that would fill a disk.
The rules are stricter than any unpacker: each path has one meaning, so it does not matter whose.
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
from pathlib import Path, PurePosixPath
from typing import IO

from netpoint_remote.errors import ReleaseError
from netpoint_remote.planning.word import Word

SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".zip")

MAX_UNPACKED = 2 * 1024**3
MAX_MEMBERS = 200_000
MAX_TEXT = 2 * 1024**2
_MAX_READ = 4 * 1024**2  # headers are far smaller; data is read in pieces
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
    stream: IO[bytes] = field(default_factory=io.BytesIO)


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
        self._kinds: dict[PurePosixPath, Kind] = {}
        self._texts: dict[str, str] = {}
        self._unpacked = 0
        self._plain = True

    def add(self, entry: Entry) -> None:
        parts = _parts(entry.name)
        if not parts and entry.kind is not Kind.FOLDER:
            raise ReleaseError(f"{entry.name!r} would take the place of its folder")
        if not parts:
            self._plain = False  # the entry "./": counted as a level by tar --strip-components
            return
        path = PurePosixPath(*parts)
        self._plain = self._plain and _is_plain(entry)
        self._check(entry, path)
        self._place(path, entry.kind)
        self._unpacked += entry.size
        self._read(entry, "/".join(parts[1:]))

    def tree(self, *, gzipped: bool) -> Tree:
        tops = {path.parts[0] for path in self._kinds}
        if len(tops) != 1:
            raise ReleaseError(f"it has {len(tops)} entries at its top; a release has one folder there")
        top = tops.pop()
        if self._kinds[PurePosixPath(top)] is not Kind.FOLDER:
            raise ReleaseError(f"{top!r} at its top is no folder")
        members = sorted("/".join(path.parts[1:]) for path in self._kinds if len(path.parts) > 1)
        return Tree(
            top=top,
            members=tuple(members),
            texts=tuple(sorted(self._texts.items())),
            unpacked=self._unpacked,
            plain=self._plain and gzipped,
        )

    def _check(self, entry: Entry, path: PurePosixPath) -> None:
        if entry.kind is Kind.LINK:
            _check_link(entry.target, path)
        if entry.kind is Kind.HARD_LINK:
            original = PurePosixPath(*_parts(entry.target))
            if self._kinds.get(original) is not Kind.FILE:
                raise ReleaseError(f"{entry.name!r} is a hard link to {entry.target!r}, which it does not have")
        if entry.kind is Kind.FILE and entry.mode & (stat.S_ISUID | stat.S_ISGID):
            raise ReleaseError(f"{entry.name!r} would run as somebody else (set-user-id)")
        if len(self._kinds) > MAX_MEMBERS:
            raise ReleaseError(f"it has more than {MAX_MEMBERS:,} entries")

    def _place(self, path: PurePosixPath, kind: Kind) -> None:
        """Give the path its one meaning: only a folder may be named again, or have something in it."""
        for parent in path.parents[:-1]:
            if self._kinds.setdefault(parent, Kind.FOLDER) is not Kind.FOLDER:
                raise ReleaseError(f"{str(path)!r} lies in something that is no folder")
        if path in self._kinds and not (kind is Kind.FOLDER is self._kinds[path]):
            raise ReleaseError(f"{str(path)!r} is in it twice")
        self._kinds[path] = kind

    def _read(self, entry: Entry, path: str) -> None:
        if entry.kind is Kind.FILE and self._keep(path):
            if entry.size > MAX_TEXT:
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
        raise ReleaseError(f"{name} cannot be read to its end ({error or type(error).__name__})") from error


@contextmanager
def _entries(path: Path) -> Iterator[Iterator[Entry]]:
    form = _format(path)
    if form is _Format.ZIP:
        with zipfile.ZipFile(path) as archive:
            yield _zip_entries(archive)
    else:
        with lzma.LZMAFile(path) if form is _Format.TAR_XZ else gzip.GzipFile(path) as stream:
            yield _tar_entries(_Bounded(stream))


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


def _tar_entries(stream: "_Bounded") -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors="strict") as tar:  # type: ignore[call-overload]  # it needs read, seek and tell only
        for member in tar:
            yield _tar_entry(tar, member)
    stream.check_end()


def _tar_entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    kind = _TAR_KINDS.get(member.type)
    if kind is None or member.issparse():
        raise ReleaseError(f"{member.name!r} is neither file, folder nor link")
    data = tar.extractfile(member) if kind is Kind.FILE else None
    return Entry(
        name=member.name,
        kind=kind,
        mode=member.mode,
        size=member.size if kind is Kind.FILE else 0,
        mtime=int(member.mtime),
        target=member.linkname,
        stream=data or io.BytesIO(),
    )


_TAR_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
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
    kind = Kind.FOLDER if member.is_dir() else _ZIP_KINDS.get(stat.S_IFMT(mode))
    if kind is None:
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


_ZIP_KINDS = {0: Kind.FILE, stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK}
_SOME_DAY = 946684800  # zip keeps local times without their zone; one repacking must equal the next
_TOO_LARGE = f"it would unpack to more than {MAX_UNPACKED // 1024**2:,} MB"


def _parts(name: str) -> tuple[str, ...]:
    """Split a name into its parts, none for the archive's own folder."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts:
        raise ReleaseError(f"{name!r} leads out of its folder")
    if not name.isprintable():
        raise ReleaseError(f"the name {name!r} has control characters in it")
    return parts


def _check_link(target: str, path: PurePosixPath) -> None:
    """Refuse a link that leaves the tree; `..` may stand at its beginning only, where no other link can bend it."""
    parts = [part for part in target.split("/") if part not in {"", "."}]
    climbs = next((count for count, part in enumerate(parts) if part != ".."), len(parts))
    inside = climbs < len(path.parts) - 1 and ".." not in parts[climbs:]
    if not target or target.startswith("/") or not inside or not target.isprintable():
        raise ReleaseError(f"{str(path)!r} is a link that leads out of its folder, to {target!r}")


def _is_plain(entry: Entry) -> bool:
    """Tell whether tar, as root, makes of the entry what it should be: scripts run, nobody else may write."""
    runnable = bool(entry.mode & stat.S_IXUSR) or not entry.name.endswith("/upgrade.sh")
    sober = entry.kind is Kind.LINK or not entry.mode & stat.S_IWOTH  # a link's own mode means nothing
    return runnable and sober and not entry.name.startswith("./")


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
    """The unpacked stream, read forward only and never past what a release can hold."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._at = 0
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise ReleaseError("it has a header of absurd size")
        self._last = self._stream.read(size)
        self._at += len(self._last)
        if self._at > MAX_UNPACKED:
            raise ReleaseError(_TOO_LARGE)
        return self._last

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> int:
        if position < self._at:
            raise ReleaseError("its entries overlap")
        while self._at < position and self.read(min(_PIECE, position - self._at)):
            pass
        return self._at

    def check_end(self) -> None:
        """Refuse what is behind the end mark, or the lack of one: a damaged header reads like an end."""
        if not self._last or self._last.strip(b"\0"):
            raise ReleaseError("it is damaged, or cut off")
        while piece := self.read(_PIECE):
            if piece.strip(b"\0"):
                raise ReleaseError("it goes on behind its end")
