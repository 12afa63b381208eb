"""A backup comes from a server that may send anything: it writes nowhere else, no more than announced, and ends."""

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpoint_remote.errors import RemoteFailed
from netpoint_remote.planning.facts import Backup
from netpoint_remote.running.keeping import fetch_backup
from netpoint_remote.running.wire import Completed
from tests.builders import host

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


@pytest.mark.parametrize("line", [coded(b"x" * 1000), "no base64", "=" * 10])
def test_a_server_that_sends_for_ever_is_not_listened_to_for_ever(tmp_path: Path, line: str) -> None:
    with pytest.raises(RemoteFailed):
        fetched(tmp_path / "b1", [coded(MANIFEST.encode())], itertools.repeat(line))
    assert sum(path.stat().st_size for path in (tmp_path / "b1").iterdir()) < 1000


names = st.sampled_from(["database.dump", "files.tar", "../../escaped", "/tmp/escaped", "manifest", "x"])
digests = st.just(hashlib.sha256(DUMP).hexdigest()) | st.text("0123456789abcdef", min_size=64, max_size=64) | st.text()
manifests = st.lists(
    st.builds("sha256.{}={}".format, names, digests)
    | st.builds("size.{}={}".format, names, st.integers().map(str) | st.text(max_size=5))
    | st.text(max_size=20)
).map("\n".join)
answers = st.lists(st.just(coded(DUMP)) | st.binary(max_size=9).map(coded) | st.text(max_size=9), max_size=4)


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
