"""An archive has one meaning: what two programs could read differently is refused, or repacked, and takes no memory."""

import gzip
import io
import lzma
import shutil
import struct
import subprocess
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from release_builder import member, tree, write_release, write_tar, write_zip

from netpoint_remote.errors import ReleaseError
from netpoint_remote.running.archive import Tree, read_archive, repack

pytestmark = pytest.mark.promise(8)
MB = 2**20
TOP = "NetPoint-3.5.0"


def read(path: Path) -> Tree:
    return read_archive(path, lambda name: name == "requirements.txt")


def resealed(header: bytes) -> bytes:
    """Return a header with the checksum that it should have."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + f"{sum(blank):06o}\0 ".encode() + header[156:]


def header(name: str, kind: bytes = b"0", size: int = 0, **fields: tuple[int, bytes]) -> bytes:
    """Return a ustar header, some of whose bytes are others: a place and what is there."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.mode = kind, size, 0o644
    block = entry.tobuf(tarfile.USTAR_FORMAT)[-512:]
    for at, data in fields.values():
        block = block[:at] + data + block[at + len(data) :]
    return resealed(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def with_blocks(folder: Path, *blocks: bytes) -> Path:
    """Return a release with more blocks behind its entries."""
    path = write_release(folder / "odd.tar.gz")
    plain = gzip.decompress(path.read_bytes()).rstrip(b"\0")
    path.write_bytes(gzip.compress(padded(plain) + b"".join(blocks) + bytes(1024), 1))
    return path


def pax(*records: str) -> bytes:
    data = b""
    for record in records:
        text = f" {record}\n".encode()
        size = next(size for size in range(len(text), len(text) + 9) if len(str(size)) + len(text) == size)
        data += str(size).encode() + text
    return data


def before(kind: bytes, data: bytes) -> bytes:
    return header("././@X", kind, len(data)) + padded(data)


FILE = f"{TOP}/x"
MAGIC = 257
ODD = {
    "a file whose name ends in a slash": [header(f"{FILE}/", size=5), padded(b"hello")],
    "an old file whose name ends in a slash": [header(f"{FILE}/", b"\0", 512), header("evil")],
    "a prefix without the magic": [header(FILE, magic=(MAGIC, bytes(8)), prefix=(345, b"other"))],
    "a prefix behind GNU's magic": [header(FILE, magic=(MAGIC, b"ustar  \0"), prefix=(345, b"other"))],
    "a long name before a pax header": [before(b"L", b"a\0"), before(b"x", pax(f"path={FILE}")), header(FILE)],
    "a pax header before a long name": [before(b"x", pax(f"path={FILE}")), before(b"L", b"a\0"), header(FILE)],
    "two long names": [before(b"L", b"a\0"), before(b"L", b"b\0"), header(FILE)],
    "two pax headers": [before(b"x", pax(f"path={FILE}")), before(b"x", pax("path=b")), header(FILE)],
    "a pax header that says a path twice": [before(b"x", pax(f"path={FILE}", "path=b")), header(FILE)],
    "a size in a pax header": [before(b"x", pax("size=512")), header(FILE), header("evil")],
    "a sparse file of GNU": [before(b"x", pax("GNU.sparse.major=1", "GNU.sparse.name=b")), header(FILE)],
    "a path with a NUL": [before(b"x", pax(f"path={FILE}\0b")), header(FILE)],
    "an empty path": [before(b"x", pax("path=")), header(FILE)],
    "another encoding": [before(b"x", pax("hdrcharset=BINARY")), header(FILE)],
    "a pax header with a wrong length": [before(b"x", b"99 path=x\n"), header(FILE)],
    "a pax header with a signed length": [before(b"x", b"+9 path=x\n"), header(FILE)],
    "a global path": [before(b"g", pax("path=b")), header(FILE)],
    "a folder with content": [header(f"{FILE}/", b"5", 512), header("evil")],
    "a link with content": [header(FILE, b"2", 512, target=(157, b"upgrade.sh")), header("evil")],
    "a hard link with content": [header(FILE, b"1", 512, target=(157, f"{TOP}/upgrade.sh".encode())), header("evil")],
    "a size in base 256": [header(FILE, size_=(124, b"\x80" + bytes(9) + b"\x02\0")), header("evil")],
    "a size with an underline": [header(FILE, size_=(124, b"00000_00100\0"))],
    "a size as Python writes it": [header(FILE, size_=(124, b"0o000000012\0"))],
    "a size that is negative": [header(FILE, size_=(124, b"-0000000012\0"))],
    "a size that goes on behind a NUL": [header(FILE, size_=(124, b"0\x001000000000"))],
    "a name that goes on behind a NUL": [header(FILE, name_=(len(FILE), b"\0/../../etc/x"))],
    "an account that is no number": [header(FILE, uid=(108, b"K000000\0"))],
    "a time that is no number": [before(b"x", pax("mtime=now")), header(FILE)],
    "an account in pax that is no number": [before(b"x", pax("uid=-1")), header(FILE)],
    "a contiguous file": [header(FILE, b"7", 512), header("evil")],
    "a kind that nobody knows": [header(FILE, b"9", 512), header("evil")],
    "a file of several volumes": [header(FILE, b"M", 512), header("evil")],
    "a signed checksum": [header(FILE)[:148] + b"-00001\0 " + header(FILE)[156:]],
    "an extension at the end": [before(b"x", pax(f"path={FILE}"))],
    "a long name without an end": [before(b"L", b"a" * 70_000), header(FILE)],
    "a path of a million folders": [before(b"x", pax("path=" + "a/" * 30_000)), header(FILE)],
}  # fmt: skip


@pytest.mark.parametrize("blocks", ODD.values(), ids=ODD)
def test_a_tar_that_programs_read_differently_is_refused(tmp_path: Path, blocks: list[bytes]) -> None:
    with pytest.raises(ReleaseError, match=r"odd\.tar\.gz"):
        read(with_blocks(tmp_path, *blocks))


COMMON = {
    "as git archive": [before(b"g", pax("comment=0123456789"))],
    "an entry of Version 7": [header(FILE, magic=(MAGIC, bytes(255)))],
    "GNU's long name": [before(b"L", f"{TOP}/{'d/' * 40}{'x' * 90}\0".encode()), header("short")],
    "a pax path and times": [before(b"x", pax(f"path={TOP}/é", "mtime=1.5", "uid=99999999")), header("short")],
    "an account beyond octal": [header(FILE, uid=(108, b"\x80\0\0\0\x7f\xff\xff\xff"))],
    "a time beyond octal": [header(FILE, mtime=(136, b"\x80" + bytes(7) + b"\xff\xff\xff\xff"))],
}


@pytest.mark.parametrize("name", COMMON)
def test_what_common_programs_write_is_read(tmp_path: Path, name: str) -> None:
    blocks = COMMON[name]
    if name == "as git archive":
        path = write_release(tmp_path / "odd.tar.gz")
        path.write_bytes(gzip.compress(b"".join(blocks) + gzip.decompress(path.read_bytes()), 1))
    else:
        path = with_blocks(tmp_path, *blocks)

    assert read(path).plain


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7"])
def test_what_gnu_tar_writes_is_read_and_plain(tmp_path: Path, form: str) -> None:
    if not shutil.which("tar"):
        pytest.skip("NOT TESTED: there is no tar here")
    for path, text in tree().items():
        (tmp_path / TOP / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / TOP / path).write_text(text)
    (tmp_path / TOP / "upgrade.sh").chmod(0o755)
    if form != "v7":
        (tmp_path / TOP / ("é" * 40)).touch()
    (tmp_path / TOP / "link").symlink_to("upgrade.sh")
    subprocess.run(["tar", f"--format={form}", "-czf", "made.tar.gz", TOP], cwd=tmp_path, check=True)

    if form == "v7":  # whose folders are files with a slash at their end
        with pytest.raises(ReleaseError):
            read(tmp_path / "made.tar.gz")
    else:
        found = read(tmp_path / "made.tar.gz")
        assert (found.top, found.plain) == (TOP, True)
        assert {"link", "upgrade.sh", "netpoint/netpoint/settings.py", "é" * 40} <= set(found.members)


def test_attributes_that_an_unpacker_may_apply_are_left_behind(tmp_path: Path) -> None:
    path = with_blocks(tmp_path, before(b"x", pax("SCHILY.xattr.security.capability=x")), header(FILE))
    packed = tmp_path / "packed.tar.gz"
    assert not read(path).plain
    with packed.open("wb") as file:
        repack(path, file)

    assert b"SCHILY" not in gzip.decompress(packed.read_bytes())
    assert read(packed).plain


@pytest.mark.parametrize("name", [f"{TOP}//x", f"{TOP}/./x", f"./{TOP}/x"])
def test_a_name_in_another_spelling_is_repacked(tmp_path: Path, name: str) -> None:
    assert not read(write_tar(tmp_path / "a.tar.gz", [*_entries(), member(name)])).plain


def _entries() -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(f"{TOP}/{path}", text) for path, text in tree().items()]


def test_the_memory_that_xz_may_take_is_bounded(tmp_path: Path) -> None:
    """What packs an archive chooses the memory that it takes to unpack: up to 4 GB."""
    plain = gzip.decompress(write_release(tmp_path / "a.tar.gz").read_bytes())
    preset = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    (tmp_path / "usual.tar.xz").write_bytes(lzma.compress(plain, filters=preset))
    packed = bytearray(lzma.compress(plain, filters=preset))
    at = packed.index(b"\x21\x01")  # LZMA2, one byte of properties: the size of its dictionary
    packed[at + 2] = 36  # 1 GB
    end = 12 + (packed[12] + 1) * 4
    packed[end - 4 : end] = struct.pack("<I", zlib.crc32(bytes(packed[12 : end - 4])))
    (tmp_path / "large.tar.xz").write_bytes(packed)

    assert read(tmp_path / "usual.tar.xz").members
    with pytest.raises(ReleaseError, match="emory"):
        read(tmp_path / "large.tar.xz")


def measured(work: Callable[[], object]) -> tuple[int, float]:
    """Return the most memory (bytes) that some work took, and its seconds of CPU."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        work()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, time.process_time() - begun


def refused(path: Path, match: str) -> Callable[[], None]:
    def work() -> None:
        with pytest.raises(ReleaseError, match=match):
            read(path)

    return work


def many_in_a_zip(path: Path, count: int) -> Path:
    """Write a zip whose directory has so many entries; zip64 tells of them, for 65,535 is the most without it."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0x21, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0) + b"name"
    with path.open("wb") as file:
        file.write(b"PK\x03\x04" + bytes(26))
        for _ in range(count // 1000):
            file.write(entry * 1000)
        end = file.tell()
        size = end - 30
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, 30))
        file.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, min(size, 0xFFFFFFFF), 30, 0))
    return path


def test_a_zip_with_millions_of_entries_takes_no_memory(tmp_path: Path) -> None:
    """1.5 million took 718 MB before they were counted."""
    path = many_in_a_zip(tmp_path / "many.zip", 1_500_000)

    peak, seconds = measured(refused(path, "larger than any release"))

    assert peak < 16 * MB
    assert seconds < 20


def test_a_tar_with_millions_of_names_takes_no_memory(tmp_path: Path) -> None:
    names = b"".join(header(f"{TOP}/f{number}") for number in range(500))
    path = tmp_path / "many.tar.gz"
    deep = b"".join(
        before(b"x", pax(f"path={TOP}/{number}/" + "a/" * 40 + "x" * 800)) + header("short") for number in range(8000)
    )
    path.write_bytes(gzip.compress(names + deep, 1))

    peak, seconds = measured(refused(path, "entries, or longer names"))

    assert peak < 128 * MB
    assert seconds < 60


# ---- zip


def zipped(folder: Path, **changes: object) -> Path:
    path = write_zip(folder / "odd.zip")
    with zipfile.ZipFile(path, "a") as file:
        entry = zipfile.ZipInfo(str(changes.pop("name", "netpoint-3.5.0/x")))
        for key, value in changes.items():
            setattr(entry, key, value)
        file.writestr(entry, b"upgrade.sh")
    return path


def edited(folder: Path, edit: Callable[[bytes], bytes]) -> Path:
    path = write_zip(folder / "odd.zip")
    path.write_bytes(edit(path.read_bytes()))
    return path


def other_local_name(data: bytes) -> bytes:
    at = data.index(b"upgrade.sh")
    return data[:at] + b"Upgrade.sh" + data[at + 10 :]


def another_end(data: bytes) -> bytes:
    """Put a second end into the comment of the first."""
    end = data[-22:]
    return data[:-2] + struct.pack("<H", 22) + end


ODD_ZIPS: dict[str, Callable[[bytes], bytes]] = {
    "something before it": lambda data: b"#!/bin/sh\n" + data,
    "something behind it": lambda data: data + b"x",
    "two archives in one": lambda data: data + data,
    "another end in the comment": another_end,
    "another name in the header": other_local_name,
    "an entry that the directory does not have": lambda data: (
        data[:-22] + data[-22:-14] + struct.pack("<2H", *[struct.unpack("<H", data[-12:-10])[0] - 1] * 2) + data[-10:]
    ),
    "another size in the header": lambda data: data[:22] + b"\1" + data[23:],
    "another method in the header": lambda data: data[:8] + b"\0" + data[9:],
    "it is cut off": lambda data: data[:-1],
    "nothing is in it": lambda data: data[-22:-14] + bytes(14),
}


@pytest.mark.parametrize("edit", ODD_ZIPS.values(), ids=ODD_ZIPS)
def test_a_zip_with_more_than_one_reading_is_refused(tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ReleaseError, match=r"odd\.zip"):
        read(edited(tmp_path, edit))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "netpoint-3.5.0\\x"},
        {"extra": struct.pack("<2H", 0x7075, 0)},
        {"compress_type": zipfile.ZIP_LZMA},
        {"compress_type": zipfile.ZIP_BZIP2},
        {"external_attr": 0o120777 << 16, "create_system": 3, "name": "netpoint-3.5.0/x/"},
        {"external_attr": 0o040755 << 16, "create_system": 3},
        {"external_attr": 0o020644 << 16, "create_system": 3},
    ],
    ids=["a backslash", "another name", "LZMA", "bzip2", "a link with a slash", "a folder without", "a device"],
)
def test_an_entry_of_a_zip_that_is_not_plain_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ReleaseError, match=r"odd\.zip"):
        read(zipped(tmp_path, **changes))


def test_a_link_is_one_only_where_modes_are_those_of_unix(tmp_path: Path) -> None:
    path = zipped(tmp_path, external_attr=0o120777 << 16, create_system=0)
    packed = io.BytesIO()
    repack(path, packed)

    with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as tar:
        assert tar.getmember("netpoint-3.5.0/x").isreg()


def test_zips_of_common_programs_are_read(tmp_path: Path) -> None:
    """With a comment (as GitHub's), with sizes behind the entries (as written to a pipe), with other names in UTF-8."""
    path = tmp_path / "piped.zip"

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as file:
        file.comment = b"0123456789012345678901234567890123456789"
        for name, text in tree().items():
            file.writestr(f"netpoint-3.5.0/{name}", text)
        file.writestr("netpoint-3.5.0/é", "")
    path.write_bytes(pipe.getvalue())

    assert "é" in read(path).members
