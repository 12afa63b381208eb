"""What is running: printed every minute, on a terminal and in a log."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netpoint_remote.reporting.layout import clock, count
from tests.outcomes import has_ended, plain_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

INTERVAL = 60.0
"""Seconds."""


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Progress:
    """What runs now, each with how long it has been running; where nothing has a name, the phase.

    `noun` names what `done` counts. Without a name and a phase there is nothing to print.
    """

    def __init__(self, phase: str = "", *, noun: str = "") -> None:
        self.phase = phase
        self.done = 0
        self._noun = noun
        self._began = time.monotonic()
        self._running: dict[str, float] = {}

    def begin(self, name: str) -> None:
        self._running[name] = time.monotonic()

    def end(self, name: str) -> None:
        self._running.pop(name, None)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Name what runs for the time of a block."""
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)

    def line(self, now: float) -> str:
        """Return the line of progress at a moment of the monotonic clock, or nothing."""
        running = sorted(self._running.copy().items(), key=lambda item: item[1])
        names = ", ".join(f"{name} ({clock(now - began)})" for name, began in running)
        what = f"running: {names}" if names else self.phase
        done = f"{count(self.done, self._noun)} done; " if self._noun else ""
        return f"{clock(now - self._began)}: {done}{what}" if what else ""

    def print_every_minute(self, write: Callable[[str], object] = to_stderr, interval: float = INTERVAL) -> None:
        """Write the line every minute from now on, as long as the process lives."""
        threading.Thread(target=self._print, args=(write, interval), daemon=True).start()

    def _print(self, write: Callable[[str], object], interval: float) -> None:
        while True:
            time.sleep(interval)
            if line := self.line(time.monotonic()):
                write(line)


class PytestProgress:
    """The part of pytest: tells a progress which tests run, and the phase when none does."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        progress.phase = "collecting tests"

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._progress.phase = "cleaning up after the tests"
        self._progress.begin(plain_id(nodeid))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if has_ended(report):
            self._progress.end(plain_id(report.nodeid))
            self._progress.done += 1


def past_the_capture() -> Callable[[str], object]:
    """Return what writes a line to the standard output of now, also while pytest captures that of a test."""
    output = os.dup(1)
    # The dots of the tests may stand before it. A thread that ends in the middle of a print could hold up the exit.
    return lambda line: os.write(output, f"\n{line}\n".encode(errors="replace"))
