"""The display on real pseudo-terminals and on streams that fail."""

import io
import os
import pty
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timezone

import pytest
import samples
from hypothesis import given
from strategies import hostile

from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.stream import fit, say
from netpoint_remote.reporting.terminal import Display, is_live, terminal_width, wants_colour
from netpoint_remote.reporting.text import render_report


def step(host: str = "np1", name: str = "dump_database") -> Event:
    return Event(at=0.0, host=host, kind=Kind.STEP, step=name, position=1, total=9)


class BrokenPipe(io.StringIO):
    """Somebody piped us into `head`, which has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


class Slow(io.StringIO):
    """Counts how many writes it sees."""

    writes: tuple[str, ...] = ()

    def write(self, text: str) -> int:
        self.writes = (*self.writes, text)
        return len(text)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[io.TextIOWrapper, int]]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        try:
            yield stream, master
        finally:
            os.close(master)


def read_until(master: int, wanted: bytes, limit: float = 120.0) -> bytes:
    """Return what the terminal got, as soon as `wanted` is in it or `limit` seconds have passed."""
    seen, end = b"", time.monotonic() + limit
    while wanted not in seen and time.monotonic() < end:
        if select.select([master], [], [], 0.05)[0]:
            seen += os.read(master, 65536)
    return seen


def test_a_pipe_gets_plain_lines_with_the_host_before_each() -> None:
    stream = io.StringIO()
    with Display(stream, hosts=["np1", "np10"], zone=timezone.utc) as display:
        display.on_event(step())
        display.on_event(step("np10"))

    assert stream.getvalue() == "np1   00:00:00  dump_database  begun\nnp10  00:00:00  dump_database  begun\n"


def test_a_terminal_gets_a_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, master), Display(stream, hosts=["np1", "np2"], width=80) as display:
        display.on_event(step())

        seen = read_until(master, b"2/9")

    assert b"dump_database" in seen
    assert b"1 in progress, 1 waiting" in seen
    assert b"\x1b[36m" in seen


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, master):
        monkeypatch.setenv("NO_COLOR", "1")
        with Display(stream, width=80) as display:
            display.on_event(step())
            seen = read_until(master, b"dump_database")

        assert b"dump_database" in seen
        assert b"\x1b[36m" not in seen
        assert not wants_colour(stream)


def test_a_pause_leaves_the_screen_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, master), Display(stream, width=80) as display:
        display.on_event(step())
        read_until(master, b"dump_database")
        with display.paused():
            read_until(master, b"\x1b[?25h")
            display.on_event(step(name="flip_link"))
            quiet = read_until(master, b"flip_link", limit=0.6)

        assert b"flip_link" not in quiet
        assert b"flip_link" in read_until(master, b"flip_link")


def test_a_line_of_our_own_goes_above_the_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, master), Display(stream, width=80) as display:
        display.say("[bold]one[/bold] \x1b[2J")

        assert rb"[bold]one[/bold] \x1b[2J" in read_until(master, b"2J")


def test_what_is_no_terminal_is_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_live(io.StringIO(), {"TERM": "xterm"})
    assert terminal_width(io.StringIO()) is None
    with terminal(monkeypatch) as (stream, _):
        assert is_live(stream, {"TERM": "xterm"})
        assert not is_live(stream, {"TERM": "dumb"})
        assert not is_live(stream, {})


@pytest.mark.parametrize("live", [False, True])
def test_a_broken_pipe_does_not_stop_a_run(*, live: bool) -> None:
    with Display(BrokenPipe(), live=live, width=80) as display:
        display.on_event(step())
        display.say("still here")


@pytest.mark.parametrize("live", [False, True])
def test_a_closed_stream_does_not_stop_a_run(*, live: bool) -> None:
    stream = io.StringIO()
    stream.close()
    with Display(stream, live=live, width=80) as display:
        display.on_event(step())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
@pytest.mark.parametrize("live", [False, True])
def test_every_encoding_gets_something_legible(encoding: str, *, live: bool) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    with Display(stream, live=live, width=120) as display:
        display.on_event(Event(at=0.0, host="np1", kind=Kind.STEP, step="läuft → 日本"))
        display.on_event(Event(at=0.0, host="np1", kind=Kind.FINISHED, detail="upgraded"))

    assert b"upgraded" in raw.getvalue()


def test_an_ascii_terminal_gets_the_report_in_ascii() -> None:
    text = fit(render_report(samples.UPGRADE), "ascii")

    assert text.isascii()
    assert "3.4.9 -> 3.5.0" in text


@given(hostile)
def test_any_text_fits_any_encoding(text: str) -> None:
    for encoding in ("ascii", "latin-1", "utf-8", "no such encoding", None):
        fit(text, encoding).encode("utf-8" if encoding in (None, "no such encoding") else encoding)


def test_saying_something_never_fails() -> None:
    say(BrokenPipe(), "text")
    stream = io.StringIO()
    say(stream, "text\n")

    assert stream.getvalue() == "text\n"


def test_lines_of_many_threads_stay_whole() -> None:
    stream = Slow()
    display = Display(stream, live=False)
    threads = [
        threading.Thread(target=lambda name=f"np{number}": [display.on_event(step(name)) for _ in range(50)])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(stream.writes) == 400
    assert all(line.endswith("begun\n") and line.count("\n") == 1 for line in stream.writes)


def test_a_plain_line_does_not_run_over_the_edge_of_a_terminal() -> None:
    """A terminal would go on at its left edge, where a host's name belongs."""
    stream = io.StringIO()
    display = Display(stream, live=False, width=40)

    display.on_event(Event(at=0.0, host="np1", kind=Kind.NOTE, detail=" " * 40 + "np2  12:00:00  upgraded"))

    assert len(stream.getvalue()) <= 41
