"""How long and how much is listened to, in each task alike; what a server writes down is counted byte by byte."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from netpoint_remote.errors import LineLost, RemoteFailed
from netpoint_remote.planning.facts import MOST_LINES, Backup, parse_facts
from netpoint_remote.reporting.event import Kind
from netpoint_remote.reporting.report import Status
from netpoint_remote.running.attend import look_at_run
from netpoint_remote.running.host import LONGEST_RUN, Line, fetch_log, follow, look, visit
from netpoint_remote.running.journal import Entry, Record
from netpoint_remote.running.keeping import FETCH_START, fetch_backup
from netpoint_remote.running.standing import parse_standing
from netpoint_remote.running.wire import Completed, Output
from tests.builders import host

pytestmark = pytest.mark.promise(8)
MB = 2**20
END = ("state done", "result upgraded ")


@dataclass
class Told:
    """A host that remembers what its visits may take, and answers each with the next lines."""

    answers: list[Iterable[str | Exception]] = field(default_factory=list)
    visits: list[dict[str, float]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    stopped: bool = False
    sudo_password: str | None = None

    def open(self, _host: object, **_: object) -> "Told":
        return self

    def visit(self, script: str, *, on_line: Callable[[str], None] | None = None, **bounds: float) -> Completed:
        self.scripts.append(script)
        self.visits.append(bounds)
        for each in self.answers.pop(0) if self.answers else ():
            if isinstance(each, Exception):
                raise each
            if on_line:
                on_line(each)
        return Completed(0, "status.complete=yes\nprobe.complete=yes\n")

    def pause(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


def told(*answers: Iterable[str | Exception]) -> tuple[Told, Line]:
    server = Told(list(answers))
    line: Any = Line(server, host(), lambda _event: None)  # type: ignore[arg-type]  # it opens and pauses
    return server, line


@pytest.mark.parametrize(
    ("task", "most_seconds", "most_bytes"),
    [
        (lambda line, _: look(line, None), 600, 4 * MB),
        (lambda line, _: look_at_run(line), 120, MB),
        (lambda line, _: visit(line, "stop.sh", ()), 3600, 4 * MB),
        (lambda line, folder: fetch_log(host(), "r1", folder, line), 3600, 4 * MB),
        (lambda line, folder: fetch_backup(line, Backup(id="b1"), folder), FETCH_START + 60, 2 * MB),
        (lambda line, _: follow(host(), "r1", line, Record(host="np1")), LONGEST_RUN, 64 * MB),
    ],
    ids=["check", "status", "stop", "log", "fetch-backup", "attach"],
)
def test_a_visit_has_a_longest_duration_and_a_most_of_bytes(
    tmp_path: Path, task: Callable[[Line, Path], object], most_seconds: float, most_bytes: int
) -> None:
    server, line = told(END)
    with suppress(RemoteFailed):  # there is no such backup
        task(line, tmp_path)

    defaults = {"seconds": 3600.0, "size": 64 * MB}
    bounds = {**defaults, **server.visits[0]}
    assert 0 < bounds["seconds"] <= most_seconds
    assert 0 < bounds["size"] <= most_bytes


def test_a_large_backup_has_the_time_that_a_slow_line_needs_and_no_more(tmp_path: Path) -> None:
    class Dripping(Told):
        def visit(self, script: str, *, on_line: Callable[[str], None] | None = None, **bounds: float) -> Completed:
            self.visits.append(bounds)
            if on_line and "FILE=manifest" in script:
                on_line("c2hhMjU2LmRhdGFiYXNlLmR1bXA9" + "MDAw" * 21 + "MAo=")
                return Completed(0, "")
            raise RemoteFailed("did not come to an end")

    server = Dripping()
    line: Any = Line(server, host(), lambda _event: None)  # type: ignore[arg-type]  # as above
    with pytest.raises(RemoteFailed, match="did not come to an end"):
        fetch_backup(line, Backup(id="b1"), tmp_path)

    assert [bounds["limit"] for bounds in server.visits] == [0, 0]


def test_what_is_not_kept_is_not_quoted() -> None:
    output = Output("n", challenge="c", limit=0)
    output.feed(b"\x01c reader\n\x01n begin\nsecret\nmore")

    assert output.text == ""


@pytest.mark.parametrize(
    "line",
    [
        "alive",
        "journal x",
        "journal ",
        "x",
        "",
        "journal 1.0 note - " + "x" * 1900,
        "journal 1.0 note - " + "x" * 70_000,
    ],
    ids=["alive", "no entry", "empty", "noise", "blank", "long", "longer"],
)
def test_a_journal_without_end_is_left(line: str) -> None:
    server, connection = told(line for _ in range(10**9))
    record = Record(host="np1")

    with pytest.raises(RemoteFailed, match="does not end"):
        follow(host(), "r1", connection, record)

    assert sum(len(entry.detail) for entry in record.entries) < 3 * MB
    assert len(server.visits) == 1


@pytest.mark.parametrize("detail", [b"\xff\xfe", b"caf\xc3", "\u2028 \U0001f600".encode(), b"\xed\xa0\x80"])
def test_the_journal_is_asked_for_from_the_very_byte(detail: bytes) -> None:
    """A detail is cut at 1,000 bytes, perhaps in the middle of a character."""
    entry = b"1.000 note - " + detail
    journal = f"journal {entry.decode(errors='surrogateescape')}"
    server, line = told([journal, LineLost("cut")], END)
    record = Record(host="np1")

    assert follow(host(), "r1", line, record)[0] is Status.UPGRADED
    assert f"OFFSET={len(entry) + 1}\n" in server.scripts[1]
    assert record.entries[0].detail.encode() == detail.decode(errors="replace").encode()


def test_facts_and_standings_of_many_lines_are_cut() -> None:
    many = "".join(f"{number}=\n" for number in range(300_000))

    assert not parse_facts(f"{many[: 8 * MOST_LINES]}probe.complete=yes\n").complete
    assert not parse_standing(f"{many}status.complete=yes\n").complete


def test_the_steps_of_any_journal_are_told_in_time() -> None:
    """A step that ends 5,000 times after 5,000 parts took half a minute."""
    record = Record(host="np1")
    kinds = (Kind.STEP, *[Kind.PART] * 5000, *[Kind.STEP_DONE] * 4900)
    record.entries.extend(Entry(at=float(at), kind=kind, step="a", detail="") for at, kind in enumerate(kinds))
    begun = time.process_time()

    assert len(record.steps) == 1
    assert time.process_time() - begun < 5
