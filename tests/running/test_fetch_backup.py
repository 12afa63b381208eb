"""A backup comes from a server that may send anything: it writes nowhere else, no more than announced, and ends."""

import base64
import hashlib
import itertools
import random
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpoint_remote.errors import LineLost, RemoteFailed
from netpoint_remote.planning.facts import Backup
from netpoint_remote.running.host import Line
from netpoint_remote.running.keeping import TRIES, fetch_backup
from netpoint_remote.running.wire import Completed
from tests.builders import host
from tests.running.test_ssh import connector
from tests.running.test_ssh import host as reachable
from tests.support.flaky import Flaky
from tests.support.sshd import start_sshd

DUMP = b"a dump"
MANIFEST = f"sha256.database.dump={hashlib.sha256(DUMP).hexdigest()}\nsize.database.dump={len(DUMP)}\n"


class Sender:
    """A line to a server that answers each visit with the next lines."""

    def __init__(self, *answers: Iterable[str]) -> None:
        self.host = host()
        self.tell = lambda *_: None
        self._answers = iter(answers)

    def session(self) -> "Sender":
        return self

    def visit(self, _script: str, *, on_line: Callable[[str], None], **_: object) -> Completed:
        for line in next(self._answers, ()):
            on_line(line)
        return Completed(0, "")


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def fetched(place: Path, *answers: Iterable[str]) -> int:
    line: Any = Sender(*answers)
    return fetch_backup(line, Backup(id="b1"), place)


def test_what_a_manifest_names_arrives(tmp_path: Path) -> None:
    fetched(tmp_path / "b1", [coded(MANIFEST.encode())], [coded(DUMP)])

    assert (tmp_path / "b1/database.dump").read_bytes() == DUMP
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "b1").iterdir()} == {
        "manifest": 0o600,
        "database.dump": 0o600,
    }


@pytest.mark.parametrize("line", [coded(b"x" * 1000), "no base64", "=" * 10, "\x80"])
def test_a_server_that_sends_for_ever_is_not_listened_to_for_ever(tmp_path: Path, line: str) -> None:
    with pytest.raises(RemoteFailed):
        fetched(tmp_path / "b1", [coded(MANIFEST.encode())], itertools.repeat(line))
    assert sum(path.stat().st_size for path in (tmp_path / "b1").iterdir()) < 1000


# ---- lines that break


class Shaky:
    """A line to a server with a backup: on the n-th connection so many lines come before it is lost (None: all)."""

    def __init__(self, files: dict[str, bytes], lines: Iterable[int | None] = ()) -> None:
        self.host = host()
        self.offsets: list[int] = []
        self._files = files
        self._lines = itertools.chain(lines, itertools.repeat(None))

    def tell(self, *_: object) -> None:
        pass

    def session(self) -> "Shaky":
        return self

    def lose(self) -> None:
        pass

    def visit(self, script: str, *, on_line: Callable[[str], None], **_: object) -> Completed:
        said = dict(re.findall(r"^(FILE|OFFSET)=(.*)$", script, re.MULTILINE))
        left = self._files[said["FILE"]][int(said["OFFSET"]) :]
        pieces = [coded(left[at : at + PIECE]) for at in range(0, len(left), PIECE)]
        lines = None
        if said["FILE"] != "manifest":
            self.offsets.append(int(said["OFFSET"]))
            lines = next(self._lines)
        for piece in pieces[:lines]:
            on_line(piece)
        if lines is not None:
            raise LineLost("cut")
        return Completed(0, "")


PIECE = 100
LONG = bytes(range(256)) * 8  # 21 lines


def backup_with(dump: bytes) -> dict[str, bytes]:
    """Return a backup whose manifest names this dump."""
    told = f"sha256.database.dump={hashlib.sha256(dump).hexdigest()}\nsize.database.dump={len(dump)}\n"
    return {"manifest": told.encode(), "database.dump": dump}


def fetched_over(line: Shaky, place: Path) -> int:
    sender: Any = line
    return fetch_backup(sender, Backup(id="b1"), place)


def test_a_transfer_that_gets_on_is_not_given_up_however_often_it_is_cut(tmp_path: Path) -> None:
    line = Shaky(backup_with(LONG), [1] * 20)

    fetched_over(line, tmp_path / "b1")

    assert (tmp_path / "b1/database.dump").read_bytes() == LONG
    assert line.offsets == [PIECE * number for number in range(21)]


def test_a_transfer_that_does_not_get_on_is_given_up_and_keeps_what_it_has(tmp_path: Path) -> None:
    line = Shaky(backup_with(LONG), [2, 0, 0, 3, *[0] * 9])

    with pytest.raises(LineLost, match="cut"):
        fetched_over(line, tmp_path / "b1")

    assert line.offsets == [0, *[200] * 3, *[500] * 5]
    assert (tmp_path / "b1/database.dump.partial").read_bytes() == LONG[:500]


def test_the_next_command_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    with pytest.raises(LineLost):
        fetched_over(Shaky(backup_with(LONG), [7, *[0] * 9]), tmp_path / "b1")
    line = Shaky(backup_with(LONG))

    fetched_over(line, tmp_path / "b1")

    assert line.offsets == [7 * PIECE]
    assert (tmp_path / "b1/database.dump").read_bytes() == LONG
    assert {path.name for path in (tmp_path / "b1").iterdir()} == {"manifest", "database.dump"}


@pytest.mark.parametrize(
    "left", [b"x" * 300, LONG[:300] + b"x", b"x" * len(LONG), b"x" * 9999], ids=["other", "torn", "whole", "too long"]
)
def test_what_is_left_of_another_transfer_is_fetched_anew(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "b1").mkdir()
    (tmp_path / "b1/database.dump.partial").write_bytes(left)

    fetched_over(Shaky(backup_with(LONG)), tmp_path / "b1")

    assert (tmp_path / "b1/database.dump").read_bytes() == LONG


@pytest.mark.parametrize("left", [b"", LONG[:300]], ids=["nothing left", "a part left"])
def test_a_dump_that_was_altered_is_refused_and_removed(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "b1").mkdir()
    (tmp_path / "b1/database.dump.partial").write_bytes(left)
    altered = {**backup_with(LONG), "database.dump": LONG[:-1] + b"x"}
    line = Shaky(altered)

    with pytest.raises(RemoteFailed, match=r"what arrived as database\.dump is not what the manifest of b1 says"):
        fetched_over(line, tmp_path / "b1")

    assert {path.name for path in (tmp_path / "b1").iterdir()} == {"manifest"}
    assert line.offsets == ([300, 0] if left else [0])


def test_what_is_here_already_needs_no_room(tmp_path: Path) -> None:
    """Else a transfer of most of a disk could not be gone on with."""
    size = shutil.disk_usage(tmp_path).free + 2**30
    (tmp_path / "b1").mkdir()
    with (tmp_path / "b1/database.dump.partial").open("wb") as sparse:
        sparse.truncate(size)
    files = backup_with(LONG)
    files["manifest"] = files["manifest"].replace(f"={len(LONG)}".encode(), f"={size + 1}".encode())

    with pytest.raises(LineLost):
        fetched_over(Shaky(files, [0] * 9), tmp_path / "b1")


@pytest.mark.ssh
def test_over_a_line_that_is_cut_again_and_again_a_backup_arrives_whole(tmp_path: Path) -> None:
    dump = random.Random(1).randbytes(3 * 2**20)
    there = tmp_path / "backups/b1"
    there.mkdir(parents=True)
    for name, data in backup_with(dump).items():
        (there / name).write_bytes(data)
    server = start_sshd(tmp_path / "np1")
    try:
        with Flaky(server.port, [600_000] * 7) as relay, connector() as shared:
            on = replace(reachable(server, relay.port), become=False, backup_dir=PurePosixPath(tmp_path / "backups"))
            with Line(shared, on, lambda _event: None) as line:
                fetch_backup(line, Backup(id="b1"), tmp_path / "here")
    finally:
        server.stop()

    assert (tmp_path / "here/database.dump").read_bytes() == dump
    assert relay.connections > TRIES


names = st.sampled_from(["database.dump", "files.tar", "../../escaped", "/tmp/escaped", "manifest", "x"])
digests = st.just(hashlib.sha256(DUMP).hexdigest()) | st.text("0123456789abcdef", min_size=64, max_size=64) | st.text()
manifests = st.lists(
    st.builds("sha256.{}={}".format, names, digests)
    | st.builds("size.{}={}".format, names, st.integers().map(str) | st.text(max_size=5))
    | st.text(max_size=20)
).map("\n".join)
answers = st.lists(st.just(coded(DUMP)) | st.binary(max_size=9).map(coded) | st.text(max_size=9), max_size=4)


@pytest.mark.promise(8)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(manifest=manifests, sent=st.lists(answers, max_size=3))
def test_whatever_a_server_sends_nothing_is_written_elsewhere(
    tmp_path: Path, manifest: str, sent: list[list[str]]
) -> None:
    try:
        fetched(tmp_path / "in/b1", [coded(manifest.encode(errors="replace"))], *sent)
    except RemoteFailed as error:
        assert str(error)  # noqa: PT017  either will do

    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"b1"}
    kept = {path.name.removesuffix(".partial") for path in (tmp_path / "in/b1").iterdir()}
    assert kept <= {"manifest", "database.dump", "files.tar"}
