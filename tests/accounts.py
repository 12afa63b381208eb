"""The account at the end of a run: what became of each ring, and where the time went."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pytest

from netpoint_remote.reporting.layout import count, duration
from tests.outcomes import Note, Notes, has_ended, plain_id, total_by_name
from tests.rings import RINGS, Ring, plain_reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

SHOWN = 12
WORTH_SHOWING = 1.0
"""Seconds."""


class Outcome(NamedTuple):
    ring: str
    what: str
    reason: str = ""


@dataclass(slots=True, eq=False)
class Account:
    """Counts each test once: by its call, by what kept it from being called, or by a failure after it.

    A run that lacks a test is red, and so is one in which something broke outside of the tests.
    """

    notes: Notes = field(default_factory=Notes)
    broken: bool = False
    _collected: dict[str, None] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _processes_lost: int = 0
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _cpu: dict[str, float] = field(default_factory=dict)
    _tests: dict[str, float] = field(default_factory=dict)
    _fixtures: list[tuple[str, float]] = field(default_factory=list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.config.getoption("collectonly"):
            self._collected = dict.fromkeys(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._collected = dict.fromkeys(ids)

    def pytest_internalerror(self) -> None:
        self.broken = True  # pytest-xdist prints that of another process, and goes on

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object) -> None:
        self._processes_lost += bool(error)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if has_ended(report):
            self._ended.add(report.nodeid)
            self._processes_lost -= report.when != "teardown"  # the failure of its test stands for it
        note = self.notes.of(report)
        known = note.test in self._outcomes
        if report.failed or (not known and (report.skipped or report.when == "call")):
            reason = plain_reason(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
            self._outcomes[note.test] = Outcome(note.ring, report.outcome, reason)
        self._add_costs(note, report.duration)

    def forgive(self, test: str) -> None:
        """Count a failed test as flaky instead."""
        self._outcomes[test] = self._outcomes[test]._replace(what="flaky")

    def rings(self) -> list[Ring]:
        rings = {name: Ring(name=name) for name in RINGS}
        for outcome in self._outcomes.values():
            rings[outcome.ring].count(outcome.what, outcome.reason)
        return [*rings.values()]

    def not_run(self) -> list[str]:
        """Return the tests that were collected and have not ended."""
        return [plain_id(test) for test in self._collected if test not in self._ended]

    @pytest.hookimpl(trylast=True, wrapper=True)  # around `Again`, before the summary
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        self.broken |= bool(self.not_run() or self._processes_lost or session.shouldfail or session.shouldstop)
        if self.broken and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        result = yield
        incomplete = any(ring.could_not_run for ring in self.rings())
        if os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK and incomplete:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if sum(self._seconds.values()) > 1:
            terminalreporter.section("where the time went")
            for line in self._costs():
                terminalreporter.write_line(line)
        terminalreporter.section("rings")
        for ring in self.rings():
            for line in ring.lines():
                terminalreporter.write_line(line, yellow=ring.could_not_run, bold=ring.could_not_run)
        if missing := self.not_run():
            terminalreporter.write_line(f"{count(len(missing), 'test')} DID NOT RUN:", red=True, bold=True)
            for test in missing[:SHOWN]:
                terminalreporter.write_line(f"    {test}")

    def _add_costs(self, note: Note, seconds: float) -> None:
        self._seconds[note.ring] = self._seconds.get(note.ring, 0) + seconds
        self._cpu[note.ring] = self._cpu.get(note.ring, 0) + note.cpu
        self._tests[note.test] = self._tests.get(note.test, 0) + seconds
        self._fixtures += note.fixtures

    def _costs(self) -> Iterator[str]:
        for ring, seconds in self._seconds.items():
            yield f"ring {ring:4}  {duration(seconds):>12} of tests  {duration(self._cpu[ring]):>12} of CPU"
        yield "slowest tests, with the fixtures set up for them:"
        yield from _slowest({test: (seconds, test) for test, seconds in self._tests.items()})
        yield "fixtures, without the fixtures they need:"
        fixtures = total_by_name(self._fixtures)
        yield from _slowest({name: (seconds, f"{name}, {n} times") for name, (n, seconds) in fixtures.items()})


def _slowest(times: Mapping[str, tuple[float, str]]) -> Iterator[str]:
    slowest = sorted((each for each in times.values() if each[0] >= WORTH_SHOWING), reverse=True)
    return (f"    {duration(seconds):>12}  {what}" for seconds, what in slowest[:SHOWN])
