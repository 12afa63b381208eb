"""What a run of the tests remembers of each test, whichever process ran it: its ring, its costs, what became of it.

The process that runs a test writes a `Note` into the test's reports; the process that prints reads them.
"""

from __future__ import annotations

import re
import resource
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.rings import ring_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from _pytest.fixtures import FixtureDef

NOTE = f"{__name__}.Note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One phase of one test: `test` is its plain id, `group` what must stay in one process, times are seconds.

    `fixtures` are those that were set up for it, with what each took without the fixtures it needs.
    """

    test: str
    group: str
    ring: str
    cpu: float = 0.0
    fixtures: tuple[tuple[str, float], ...] = ()


class Notes:
    """Reads the notes, in the process that prints."""

    def __init__(self) -> None:
        self._latest: dict[str, Note] = {}

    def of(self, report: pytest.TestReport) -> Note:
        """Return what was noted for a report; for that of a process that crashed, what was noted before."""
        noted = dict(report.user_properties).get(NOTE)
        if isinstance(noted, dict):
            note = Note(**{**noted, "fixtures": tuple((name, seconds) for name, seconds in noted["fixtures"])})
            self._latest[report.nodeid] = replace(note, cpu=0.0, fixtures=())
            return note
        test = plain_id(report.nodeid)
        return self._latest.get(report.nodeid, Note(test=test, group=test, ring="fast"))


def has_ended(report: pytest.TestReport) -> bool:
    """Tell whether nothing of a test comes after a report: it is that of its teardown or, by xdist, of a crash."""
    return report.when not in {"setup", "call"}


def plain_id(nodeid: str) -> str:
    """Return the id of a test without the name of its group, which pytest-xdist adds after an `@`."""
    return re.sub(r"@[^]]*$", "", nodeid)


class NoteTaker:
    """Writes the notes, in the process that runs the tests."""

    def __init__(self) -> None:
        self._fixtures: list[tuple[str, float]] = []
        self._cpu = _cpu_seconds()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Report a test before it begins: should it end our process, what it was is known."""
        item.ihook.pytest_runtest_logreport(
            report=pytest.TestReport(
                nodeid=item.nodeid,
                location=item.location,
                keywords={},
                outcome="passed",
                longrepr=None,
                when="setup",
                user_properties=[(NOTE, asdict(_note(item)))],
            )
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: FixtureDef[object]) -> Generator[None, object, object]:
        began = time.monotonic()
        try:
            return (yield)
        finally:
            self._fixtures.append((fixturedef.argname, time.monotonic() - began))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        fixtures, self._fixtures = self._fixtures, []
        before, self._cpu = self._cpu, _cpu_seconds()
        note = replace(_note(item), cpu=self._cpu - before, fixtures=tuple(fixtures))
        report.user_properties.append((NOTE, asdict(note)))
        return report


def _note(item: pytest.Item) -> Note:
    group = "_".join(sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")}))  # as pytest-xdist does
    return Note(
        test=item.nodeid.removesuffix(f"@{group}"),
        group=group or item.nodeid,
        ring=ring_of(mark.name for mark in item.iter_markers()),
    )


def total_by_name(times: Iterable[tuple[str, float]]) -> dict[str, tuple[int, float]]:
    """Return how often each name was there and the sum of its seconds."""
    totals: dict[str, tuple[int, float]] = {}
    for name, seconds in times:
        number, sum_so_far = totals.get(name, (0, 0.0))
        totals[name] = number + 1, sum_so_far + seconds
    return totals


def _cpu_seconds() -> float:
    """Return the CPU that this process and its ended children have used, those of lab servers included."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
