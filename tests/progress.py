"""What is running: printed every minute, on a terminal and in a log."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from netpoint_remote.reporting.layout import clock, count
from tests.outcomes import plain_id

if TYPE_CHECKING:
    import pytest

INTERVAL = 60.0
"""Seconds."""


class Progress:
    """Prints the tests that run now, each with how long it has been running."""

    def __init__(self, config: pytest.Config, interval: float = INTERVAL) -> None:
        self._config = config
        self._interval = interval
        self._began = time.monotonic()
        self._running: dict[str, float] = {}
        self._done = 0
        self._ended = threading.Event()
        threading.Thread(target=self._print, daemon=True).start()

    def begin(self, name: str) -> None:
        self._running[name] = time.monotonic()

    def end(self, name: str) -> None:
        self._running.pop(name, None)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.begin(nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.end(nodeid)
        self._done += 1

    def pytest_unconfigure(self) -> None:
        self._ended.set()

    def line(self, now: float) -> str:
        """Return the line of progress at a moment of the monotonic clock."""
        running = sorted(self._running.copy().items(), key=lambda item: item[1])
        tests = (f"{plain_id(name)} ({clock(now - began)})" for name, began in running)
        return f"{clock(now - self._began)}: {count(self._done, 'test')} done; running: {', '.join(tests) or 'no test'}"

    def _print(self) -> None:
        while not self._ended.wait(self._interval):
            terminal = self._config.pluginmanager.get_plugin("terminalreporter")
            if terminal is not None:
                terminal.ensure_newline()
                terminal.write_line(self.line(time.monotonic()))
