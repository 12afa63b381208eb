"""A thousand mutations of everything that comes from strangers: read or refused, in bounded memory and time."""

import gzip
import io
import itertools
import math
import random
import re
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from release_builder import member, tree, write_release, write_tar, write_zip

from netpoint_remote.errors import InventoryError, ReleaseError, RemoteFailed
from netpoint_remote.planning.facts import Facts, parse_facts
from netpoint_remote.planning.goal import Upgrade, decide
from netpoint_remote.planning.hosts_file import parse_hosts_file
from netpoint_remote.reporting.clean import clean_report
from netpoint_remote.reporting.event import Kind
from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.report import FleetReport
from netpoint_remote.reporting.text import render_report
from netpoint_remote.running.archive import Tree, read_archive, repack
from netpoint_remote.running.host import _Follower
from netpoint_remote.running.journal import Record
from netpoint_remote.running.standing import parse_standing, report_of
from netpoint_remote.running.wire import Output
from tests.builders import host, target
from tests.reporting import samples

pytestmark = pytest.mark.promise(8)
COUNT = 1000
MB = 2**20
MOST_MEMORY = 64 * MB  # what any of them takes is far below
MOST_SECONDS = 20.0  # of CPU, for a single one; they take milliseconds
PROBES = sorted((Path(__file__).parents[1] / "data/probes").iterdir())
ODD = (
    b"\0", b"\n", b"\r", b"\x1b[2J", b"\xff\xfe", b"\xc3", "\u2028".encode(), "\x85".encode(), "\u202e".encode(),
    "\ud800".encode(errors="surrogatepass"), b"=", b" ", b"-1", b"nan", b"inf", b"1e999", b"9" * 400, b"[" * 2000,
    b"{", b'"', b"'", b"%s", b"$(x)", b"../", b"/", b"*", b"&a", b"*a", b"!!python/object:os.system", b"? ", b"<<: ",
)  # fmt: skip
HOSTS = b"""\
defaults:
  user: ops
  release: {url: 'https://example.org/{version}.tar.gz', sha256: {3.5.0: %s}}
  environment: {HTTPS_PROXY: 'http://proxy:3128', NO: yes}
hosts:
  np1:
  np2: {address: 192.0.2.2, port: 2222, services: [netpoint, netpoint-rq], become: no}
  np3: {identity: [~/.ssh/a, b], health: {url: 'https://np3/', headers: {Host: np3}}}
groups:
  lab: {hosts: ['np*'], gateway: 'bastion:22'}
  one: {hosts: [np3], root: /srv/netpoint}
last_minors: {4: 6}
""" % (b"0" * 64)
JOURNAL = (
    b"1795460590.5 started - 3 steps\n1795460590.6 step record_before\n1795460590.9 step-done record_before done\n"
    b"1795460591.0 window-open -\n1795460591.1 step run_upgrade\n1795460591.2 part run_upgrade Applying migrations\n"
    b"1795460591.3 attempt run_upgrade 2: no\n1795460595.0 step-failed run_upgrade it said no\n"
    b"1795460595.1 undo run_upgrade\n"
    b"1795460595.2 undo-failed run_upgrade it stuck\n1795460595.3 by-hand run_upgrade systemctl start netpoint\n"
    b"1795460595.4 window-closed -\n1795460595.5 warning - look\n1795460595.6 finished - failed\n"
)
WIRE = (
    b"Welcome\n\x01c reader\n\x01n begin\njournal " + JOURNAL.replace(b"\n", b"\njournal ") +
    b"\nalive\nstate done\nresult failed it said no\n\n\x01n 0\n"
)  # fmt: skip
STATUS = (
    b"status=1\ntime=1795460600\nowner=r1 ops 1795460590\nrun=r1\nrun.about=ops upgrade\nrun.steps=3\nrun.after=3\n"
    b"run.began=1795460590\njournal " + JOURNAL.replace(b"\n", b"\njournal ") +
    b"\nrun.state=done\nrun.result=failed it said no\nrun.ended=1795460596\nstatus.complete=yes\n"
)  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the data changed in one to six places: bytes, pieces, order, repetitions, ends."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(data))
        end = min(len(data), at + chance.choice((1, 1, 4, 30, 500)))
        piece = data[at:end]
        data = chance.choice((
            lambda data=data, at=at, end=end: data[:at] + bytes(chance.choices(range(256), k=end - at)) + data[end:],
            lambda data=data, at=at: data[:at] + chance.choice(ODD) + data[at:],
            lambda data=data, at=at, end=end: data[:at] + chance.choice(ODD) + data[end:],
            lambda data=data, at=at, end=end: data[:at] + data[end:],
            lambda data=data, at=at, piece=piece: data[:at] + piece * chance.choice((2, 50, 1000)) + data[at:],
            lambda data=data, piece=piece: data[: (cut := chance.randint(0, len(data)))] + piece + data[cut:],
            lambda data=data, at=at: data[:at] if chance.random() < 0.3 else data,
            lambda data=data, at=at: data[:at] + (chance.choice(ODD) * 9999)[: chance.choice((99, 20_000))] + data[at:],
        ))()[: MB // 4]  # fmt: skip
    return data


def try_all(read: Callable[[bytes], object], original: Callable[[int], bytes], *, change: object = mutated) -> None:
    """Read so many mutations; what it takes is measured, and printed where it is too much."""
    chance = random.Random(20_261_127)
    slowest = 0.0
    largest = 0
    for number in range(COUNT):
        data = change(original(number), chance)  # type: ignore[operator]  # as `mutated`
        held, begun = memory_from_here(), time.process_time()
        read(data)
        slowest = max(slowest, time.process_time() - begun)
        largest = max(largest, most_memory() - held)
    print(f"{slowest:.2f} s at most, {largest / MB:.1f} MB at most")
    assert largest < MOST_MEMORY
    assert slowest < MOST_SECONDS


# By the kernel: `tracemalloc` counts each object, which takes several times as long as what it measures.
def memory_from_here() -> int:
    """Forget the most memory that this process has had until now, and return what it has."""
    Path("/proc/self/clear_refs").write_text("5")
    return most_memory()


def most_memory() -> int:
    """Return the most memory (bytes) that this process has had since then."""
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) * 1024


def shown(report: object) -> None:
    """Render what came of it in every format: that raises nothing, and no line of a server stands at its beginning."""
    fleet = FleetReport(
        run_id="r1", command="check", target=None, started=samples.UPGRADE.started, seconds=1.0,
        hosts=(report,),  # type: ignore[arg-type]  # of a host
    )  # fmt: skip
    cleaned = clean_report(fleet)
    assert all(line.isprintable() for line in render_report(cleaned).split("\n"))
    text = to_json(fleet)
    assert text.isprintable() or "\n" in text


def test_mutations_of_the_wire() -> None:
    def read(data: bytes) -> None:
        record = Record(host="np1")
        follower = _Follower(_Quiet(), record)  # type: ignore[arg-type]  # it is told of events only
        output = Output("n", challenge="c", on_line=follower.on_line, limit=MB)
        with suppress(RemoteFailed):  # a journal that does not end
            for at in range(0, len(data), 5000):
                output.feed(data[at : at + 5000])
        assert output.status is None or 0 <= output.status <= 999
        assert len(output.text.encode()) <= 4 * MB

    try_all(read, lambda _: WIRE)


class _Quiet:
    def tell(self, *_: object) -> None:
        pass

    emit = tell


def test_mutations_of_a_status() -> None:
    try_all(lambda data: shown(report_of("np1", parse_standing(data.decode(errors="replace")))), lambda _: STATUS)


def test_mutations_of_a_journal() -> None:
    def read(data: bytes) -> None:
        record = Record(host="np1")
        for line in data.decode(errors="replace").split("\n"):
            event = record.add(line)
            assert event is None or event.kind in Kind
        assert all(math.isfinite(step.seconds) and step.seconds >= 0 for step in record.steps)
        assert record.window_seconds is None or record.window_seconds >= 0
        assert record.seconds is None or record.seconds >= 0
        assert record.by_hand is not None
        assert record.warnings is not None

    try_all(read, lambda _: JOURNAL)


def test_mutations_of_facts() -> None:
    probes = [path.read_bytes() for path in PROBES]

    def read(data: bytes) -> None:
        facts = parse_facts(data.decode(errors="replace"))
        assert isinstance(facts, Facts)
        decide(Upgrade(target=target()), host(), facts, {})

    try_all(read, lambda number: probes[number % len(probes)])


def test_mutations_of_a_hosts_file() -> None:
    def read(data: bytes) -> None:
        try:
            inventory = parse_hosts_file(data.decode(errors="replace"), "hosts.yaml")
        except InventoryError as error:
            assert 0 < len(error.faults) <= 101  # noqa: PT017  it is read or refused
        else:
            assert inventory.hosts

    try_all(read, lambda _: HOSTS)


# ---- archives


def in_a_header(data: bytes, chance: random.Random) -> bytes:
    """Change a field of a tar's headers to what some program reads in its own way, and mostly seal it again."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice([at for at in range(0, len(data) - 1024, 512) if data[at + 257 : at + 262] == b"ustar"])
        place, size = chance.choice(FIELDS)
        value = chance.choice(VALUES)[:size]
        data[at + place : at + place + len(value)] = value
        if chance.random() < 0.9:
            blank = bytes(data[at : at + 148]) + b" " * 8 + bytes(data[at + 156 : at + 512])
            data[at + 148 : at + 156] = f"{sum(blank):06o}\0 ".encode()
    if chance.random() < 0.3:
        first, second = sorted(chance.choices(range(0, len(data), 512), k=2))
        data[first:first] = data[second : second + 512]
    return bytes(data)


FIELDS = ((0, 100), (98, 2), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (265, 32),
          (329, 8), (345, 155), (499, 13))  # fmt: skip
VALUES = (
    *[bytes([kind]) for kind in b"01234567xgLKSDMNVA\0 "], b"\0", b"\0" * 155, b"00000000000\0", b"00000001000\0",
    b"1000\0", b"\x80" + b"\0" * 9 + b"\2\0", b"\xff" * 12, b"-1\0", b"0o17\0", b"1_0\0", b"+17 \0", b"        ", b"/",
    b"evil/", b"NetPoint-3.5.0/x/\0", b"NetPoint-3.5.0/docs/\0", b"../x\0", b"/etc/x\0", b"./\0", b"upgrade.sh\0",
    b"ustar\x0000", b"ustar  \0", b"ustar\0\0\0", b"\0" * 8, b"0004755\0", b"0000644\0", b"\xc3\0",
)  # fmt: skip


def some_tars(folder: Path) -> tuple[bytes, bytes]:
    """Return two tars with all that a release may have: long names, links, folders, a comment."""
    entries = [
        member("NetPoint-3.5.0", type=tarfile.DIRTYPE, mode=0o755),
        *[member(f"NetPoint-3.5.0/{path}", text) for path, text in tree().items()],
        member(f"NetPoint-3.5.0/{'d' * 60}/{'x' * 90}", "long"),
        member("NetPoint-3.5.0/é", "accent"),
        member("NetPoint-3.5.0/link", type=tarfile.SYMTYPE, linkname="upgrade.sh"),
        member("NetPoint-3.5.0/hard", type=tarfile.LNKTYPE, linkname="NetPoint-3.5.0/upgrade.sh"),
    ]
    gnu = folder / "gnu.tar"
    with tarfile.open(gnu, "w", format=tarfile.GNU_FORMAT) as file:
        for header, data in entries:
            file.addfile(header, io.BytesIO(data))
    return write_tar(folder / "pax.tar", entries, "w").read_bytes(), gnu.read_bytes()


def read(path: Path) -> Tree | None:
    try:
        return read_archive(path, lambda name: name == "requirements.txt")
    except ReleaseError:
        return None


@pytest.mark.parametrize("change", [in_a_header, mutated], ids=["headers", "anything"])
def test_mutations_of_a_tar_mean_to_gnu_tar_what_they_mean_to_us(
    tmp_path: Path, change: Callable[[bytes, random.Random], bytes]
) -> None:
    """The judge is the program that unpacks it on the servers: what it makes of it, and of what we read in it."""
    if not shutil.which("tar"):
        pytest.skip("NOT TESTED: there is no tar here")
    forms = some_tars(tmp_path)
    path = tmp_path / "a.tar.gz"
    unpacked_ours = cache(lambda data: unpacked(data, tmp_path / "ours"))  # most are packed anew into the same bytes
    seen = {"plain": 0, "odd": 0, "refused": 0}

    def judge(data: bytes) -> None:
        path.write_bytes(gzip.compress(data, 1))
        found = read(path)
        seen["refused" if found is None else "plain" if found.plain else "odd"] += 1
        if found is None or not found.plain:
            return
        packed = io.BytesIO()
        repack(path, packed)
        theirs = unpacked(data, tmp_path / "theirs")
        assert theirs == unpacked_ours(gzip.decompress(packed.getvalue()))
        assert set(theirs) == {found.top, *(f"{found.top}/{name}" for name in found.members)}

    try_all(judge, lambda number: forms[number % 2], change=change)
    assert seen["plain"] > 10
    assert seen["refused"] > 100


def unpacked(data: bytes, folder: Path) -> dict[str, bytes | str]:
    """Let tar unpack what is in an archive as the servers do; return what is there: contents, links, folders."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = subprocess.run(
        ["tar", "-xf", "-", "-C", str(folder), "--no-same-owner"], input=data, capture_output=True, check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    complaints = [line for line in done.stderr.decode().split("\n") if line and "time stamp" not in line]
    assert (done.returncode, complaints) == (0, [])
    found: dict[str, bytes | str] = {}
    for each in folder.rglob("*"):
        assert not each.lstat().st_mode & 0o7000
        name = str(each.relative_to(folder))
        if each.is_symlink():
            found[name] = f"link to {each.readlink()}"
        else:
            found[name] = "folder" if each.is_dir() else each.read_bytes()
    return found


def test_mutations_of_a_tar_inside_any_packing(tmp_path: Path) -> None:
    forms = [write_release(tmp_path / name).read_bytes() for name in ("a.tar.gz", "a.tar.xz")]

    def judge(data: bytes) -> None:
        (tmp_path / "b").write_bytes(data)
        read(tmp_path / "b")

    try_all(judge, lambda number: forms[number % 2])


def test_mutations_of_a_zip_mean_what_its_two_descriptions_say(tmp_path: Path) -> None:
    original = write_zip(tmp_path / "a.zip").read_bytes()
    path, seen = tmp_path / "b.zip", {"read": 0, "refused": 0}

    def judge(data: bytes) -> None:
        path.write_bytes(data)
        found = read(path)
        seen["refused" if found is None else "read"] += 1
        if found is not None:
            packed = io.BytesIO()
            repack(path, packed)
            with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as tar, zipfile.ZipFile(path) as file:
                assert sorted(tar.getnames()) == sorted(name.rstrip("/") for name in file.namelist())

    counter = itertools.count()
    try_all(judge, lambda _: original, change=lambda data, chance: _in_a_zip(data, chance, next(counter)))
    assert seen["refused"] > 100


def _in_a_zip(data: bytes, chance: random.Random, number: int) -> bytes:
    """Change a number of one of the descriptions, or anything."""
    if number % 3 == 0:
        return mutated(data, chance)
    marks = [found.start() for found in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", data)]
    changed = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        at = chance.choice(marks) + chance.randint(4, 46)
        anything = bytes(chance.choices(range(256), k=2))
        changed[at : at + 2] = chance.choice((b"\0\0", b"\1\0", b"\xff\xff", b"/\0", b"\x75\x70", anything))
    return bytes(changed)
