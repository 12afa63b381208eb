"""Archives: what is read from them, and what is refused."""

import gzip
import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release_builder import member, members, tree, write_release, write_tar, write_zip

from netpoint_remote.errors import ReleaseError
from netpoint_remote.running import archive
from netpoint_remote.running.archive import Tree, read_archive, repack

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path) -> Tree:
    return read_archive(path, lambda name: name == "requirements.txt")


def hostile(folder: Path, *extra: tuple[tarfile.TarInfo, bytes]) -> Path:
    return write_release(folder / "hostile.tar.gz", "3.5.0", *extra)


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def test_a_release_is_read_whatever_its_top_folder_is_called(tmp_path: Path) -> None:
    found = read(write_release(tmp_path / "a.tar.gz"))

    assert (found.top, found.texts, found.plain) == ("NetPoint-3.5.0", (("requirements.txt", "Django==4.1.8\n"),), True)
    assert "netpoint/dcim/migrations/0130_sitegroup.py" in found.members
    assert "netpoint/dcim" in found.members


def test_links_inside_the_tree_are_fine(tmp_path: Path) -> None:
    entries = [
        link("NetPoint-3.5.0/docs/notes", "../upgrade.sh"),
        link("NetPoint-3.5.0/scripts", "docs/./installation"),
        member("NetPoint-3.5.0/again.sh", type=tarfile.LNKTYPE, linkname="NetPoint-3.5.0/upgrade.sh"),
    ]

    assert {"docs/notes", "scripts", "again.sh"} <= set(read(hostile(tmp_path, *entries)).members)


@pytest.mark.parametrize(
    "entry",
    [
        member("/etc/cron.d/x"),
        member("../x"),
        link(".", "docs"),
        member("NetPoint-3.5.0/../../x"),
        member("NetPoint-3.5.0/docs/.."),
        member("other/x"),
        member("x"),
        member("NetPoint-3.5.0/a\nb"),
        member("NetPoint-3.5.0/\x1b[2Jb"),
        member("NetPoint-3.5.0/upgrade.sh", "#!/bin/sh\nelse\n"),
        member("NetPoint-3.5.0/./upgrade.sh"),
        member("NetPoint-3.5.0/upgrade.sh/x"),
        member("NetPoint-3.5.0/docs"),
        member("NetPoint-3.5.0/su", mode=0o4755),
        member("NetPoint-3.5.0/sg", mode=0o2755),
        member("NetPoint-3.5.0/null", type=tarfile.CHRTYPE),
        member("NetPoint-3.5.0/sda", type=tarfile.BLKTYPE),
        member("NetPoint-3.5.0/pipe", type=tarfile.FIFOTYPE),
        member("NetPoint-3.5.0/sparse", type=tarfile.GNUTYPE_SPARSE),
        member("NetPoint-3.5.0/hard", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
        member("NetPoint-3.5.0/hard", type=tarfile.LNKTYPE, linkname="NetPoint-3.5.0/no"),
        link("NetPoint-3.5.0/l", "/etc"),
        link("NetPoint-3.5.0/l", ".."),
        link("NetPoint-3.5.0/docs/l", "../../x"),
        link("NetPoint-3.5.0/docs/l", "sub/../../../x"),
        link("NetPoint-3.5.0/l", "docs/.."),
        link("NetPoint-3.5.0/docs", "/etc"),
        link("NetPoint-3.5.0", "/opt"),
        member("NetPoint-3.5.0/requirements.txt/", type=tarfile.DIRTYPE),
    ],
    ids=lambda entry: f"{entry[0].name!r} {entry[0].linkname}",
)
def test_a_hostile_entry_is_refused(tmp_path: Path, entry: tuple[tarfile.TarInfo, bytes]) -> None:
    with pytest.raises(ReleaseError, match=r"hostile\.tar\.gz"):
        read(hostile(tmp_path, entry))


def test_a_file_through_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="no folder"):
        read(hostile(tmp_path, link("NetPoint-3.5.0/l", "docs"), member("NetPoint-3.5.0/l/x")))


def test_a_folder_that_becomes_a_link_is_refused(tmp_path: Path) -> None:
    folder = member("NetPoint-3.5.0/l", type=tarfile.DIRTYPE)

    with pytest.raises(ReleaseError, match="twice"):
        read(hostile(tmp_path, folder, link("NetPoint-3.5.0/l", "docs")))


PARTS = st.sampled_from(["..", ".", "", "a", "b", "NetPoint-3.5.0", "upgrade.sh", "docs", "~", "\\", "$(x)"])


@QUICK
@given(name=st.lists(PARTS, min_size=1, max_size=6).map("/".join), target=st.lists(PARTS, max_size=6).map("/".join))
def test_whatever_is_let_through_stays_in_its_folder_when_unpacked(tmp_path: Path, name: str, target: str) -> None:
    """The judge is the file system: the link, placed where it says, resolves to somewhere inside."""
    path = hostile(tmp_path, link(name, target))
    try:
        read(path)
    except ReleaseError:
        return
    root = Path(os.path.normpath("/jail/deep"))
    place = Path(os.path.normpath(root / name))
    resolved = Path(os.path.normpath(place.parent / target))
    assert place.is_relative_to(root / "NetPoint-3.5.0")
    assert resolved.is_relative_to(root / "NetPoint-3.5.0")


@pytest.mark.promise(1)
@QUICK
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(1, 255))
def test_one_changed_byte_never_passes_unnoticed(tmp_path: Path, position: float, byte: int) -> None:
    """Either it is refused, or nothing of what is read differs (a byte of the header that means nothing)."""
    path = write_release(tmp_path / "good.tar.gz")
    good = read(path)
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= byte
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(data)
    with suppress(ReleaseError):
        assert read(damaged) == good


@QUICK
@given(header=st.binary(min_size=512, max_size=512))
def test_garbage_in_a_header_is_a_refusal_and_nothing_else(tmp_path: Path, header: bytes) -> None:
    path = write_release(tmp_path / "good.tar.gz")
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(plain[:1024] + header + plain[1536:]))

    with pytest.raises(ReleaseError):
        read(path)


def tampered(data: bytes, edits: list[tuple[float, bytes, int]]) -> bytes:
    """Return the data with some bytes put over others, or in between."""
    for place, piece, over in edits:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + over :]
    return data


edits = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 12)), min_size=1, max_size=4)


@QUICK
@given(form=st.sampled_from(["a.tar.gz", "a.tar.xz", "a.zip", "inside"]), changes=edits)
def test_a_damaged_archive_of_any_kind_is_read_or_refused(tmp_path: Path, form: str, changes: list[object]) -> None:
    path = tmp_path / (form if form != "inside" else "a.tar.gz")
    (write_zip if form == "a.zip" else write_release)(path)
    data = path.read_bytes()
    if form == "inside":
        data = gzip.compress(tampered(gzip.decompress(data), changes), 1)
    path.write_bytes(data if form == "inside" else tampered(data, changes))

    with suppress(ReleaseError):
        assert read(path).unpacked < 10_000_000


@QUICK
@given(
    magic=st.sampled_from([b"", b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"PK\x03\x04", b"PK\x05\x06"]),
    data=st.binary(max_size=300),
)
def test_a_file_of_anything_is_refused(tmp_path: Path, magic: bytes, data: bytes) -> None:
    (tmp_path / "anything").write_bytes(magic + data)

    with pytest.raises(ReleaseError):
        read(tmp_path / "anything")


@pytest.mark.parametrize("kept", [0, 1, 20, 200, -1])
def test_a_cut_archive_is_refused(tmp_path: Path, kept: int) -> None:
    path = write_release(tmp_path / "cut.tar.gz")
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(ReleaseError, match=r"cut\.tar\.gz"):
        read(path)


def test_a_tar_without_its_end_is_refused(tmp_path: Path) -> None:
    path = write_release(tmp_path / "cut.tar.gz")
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(plain.rstrip(b"\0") + bytes(512 - len(plain.rstrip(b"\0")) % 512)))

    with pytest.raises(ReleaseError):
        read(path)


def test_entries_behind_the_end_are_refused(tmp_path: Path) -> None:
    path = write_release(tmp_path / "two.tar.gz")
    path.write_bytes(path.read_bytes() + write_release(tmp_path / "b.tar.gz").read_bytes())

    with pytest.raises(ReleaseError, match="after its end"):
        read(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1024**2)
    header, _ = member("NetPoint-3.5.0/zeros", size=2 * 1024**2)

    with pytest.raises(ReleaseError, match="unpack to more than"):
        read(hostile(tmp_path, (header, bytes(2 * 1024**2))))


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)

    with pytest.raises(ReleaseError, match="more than 3 entries"):
        read(write_release(tmp_path / "a.tar.gz"))


def test_a_header_of_absurd_size_is_refused(tmp_path: Path) -> None:
    """A pax header is held in memory whole; one of a gigabyte must not be."""
    header, _ = member("x", type=tarfile.XHDTYPE, size=2**30)
    path = tmp_path / "pax.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf() + bytes(4096)))

    with pytest.raises(ReleaseError, match="absurd"):
        read(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.tar.gz"
    path.write_text("<html>Sign in</html>")

    with pytest.raises(ReleaseError, match="none of tar"):
        read(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.xz"])
def test_other_forms_are_repacked_into_the_same_tree(tmp_path: Path, name: str) -> None:
    original = write_zip(tmp_path / name) if name == "a.zip" else write_release(tmp_path / name)
    packed = tmp_path / "packed.tar.gz"
    with packed.open("wb") as file:
        repack(original, file)

    before, after = read(original), read(packed)
    assert (before.plain, after.plain) == (False, True)
    assert (after.top, after.members, after.texts) == (before.top, before.members, before.texts)


def test_repacking_makes_scripts_run_and_lets_nobody_else_write(tmp_path: Path) -> None:
    entries = members(tree(), "top")
    for header, _ in entries:
        header.mode, header.uid = 0o666, 1000
    original = write_tar(tmp_path / "a.tar.gz", entries)
    packed = io.BytesIO()
    repack(original, packed)

    with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as tar:
        modes = {header.name: (header.mode, header.uid) for header in tar}
    assert not read(original).plain
    assert (modes["top/upgrade.sh"], modes["top/requirements.txt"]) == ((0o755, 0), (0o644, 0))


def test_a_leading_dot_is_no_level_of_its_own(tmp_path: Path) -> None:
    """`tar --strip-components` would count it."""
    entries = [member("./", type=tarfile.DIRTYPE), *members(tree(), "./top")]
    found = read(write_tar(tmp_path / "a.tar.gz", entries))

    assert (found.top, found.plain) == ("top", False)


def test_repacking_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    original = write_zip(tmp_path / "a.zip")
    first, second = io.BytesIO(), io.BytesIO()
    repack(original, first)
    repack(original, second)

    assert first.getvalue() == second.getvalue()
