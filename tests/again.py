"""What failed in the ssh and lab rings is run once more, alone, when everything else has ended.

Real servers on a busy machine can fail for reasons that are not ours. A test that passes then is FLAKY: the run is
green, its last lines name the test, and both outputs are kept. A failure in the fast ring is never run again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.outcomes import note_of

if TYPE_CHECKING:
    from tests.accounts import Account
    from tests.progress import Progress

RETRIED = ("ssh", "lab")
MOST = 5
"""Where more groups of tests fail, that is no chance."""

FOLDER = Path("build/flaky")


@dataclass(slots=True)
class Failure:
    """A group of tests that share their fixtures, and what failed of it."""

    ring: str
    reports: list[pytest.TestReport] = field(default_factory=list)
    output: Path | None = None

    @property
    def tests(self) -> list[str]:
        return list(dict.fromkeys(note_of(report).test for report in self.reports))


@dataclass(slots=True, eq=False)
class Again:
    """Collects the failures, runs them again, and turns those that pass into flaky tests."""

    config: pytest.Config
    account: Account
    progress: Progress
    _failures: dict[str, Failure] = field(default_factory=dict)
    _flaky: list[Failure] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            note = note_of(report)
            self._failures.setdefault(note.group, Failure(note.ring)).reports.append(report)

    @pytest.hookimpl(trylast=True)  # when the processes of the tests have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and self._may_be_chance():
            for failure in self._failures.values():
                if self._passes_alone(failure):
                    self._flaky.append(failure)
                    self._forgive(failure)
            if len(self._flaky) == len(self._failures):
                session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for failure in self._flaky:
            for test in failure.tests:
                terminalreporter.write_line(
                    f"FLAKY {test}: failed, and passed when it was run again alone. Both outputs: {failure.output}",
                    yellow=True, bold=True,
                )  # fmt: skip

    def _may_be_chance(self) -> bool:
        return 0 < len(self._failures) <= MOST and all(each.ring in RETRIED for each in self._failures.values())

    def _passes_alone(self, failure: Failure) -> bool:
        name = f"{', '.join(failure.tests)}, again and alone"
        self.progress.begin(name)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *_options(self.config), *failure.tests],
            cwd=self.config.invocation_params.dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        self.progress.end(name)
        failure.output = self._keep(failure, done.stdout)
        return done.returncode == pytest.ExitCode.OK

    def _keep(self, failure: Failure, second: str) -> Path:
        first = "\n".join(f"{report.nodeid}\n{_text(report)}" for report in failure.reports)
        name = re.sub(r"[^\w.-]+", "_", failure.tests[0])[:120]
        path = FOLDER / f"{name}-{os.getpid()}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"FIRST, with other tests beside it\n\n{first}\n\nAGAIN, alone\n\n{second}")
        return path

    def _forgive(self, failure: Failure) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        for category in ("failed", "error"):
            kept = [report for report in terminal.stats.pop(category, []) if report not in failure.reports]
            if kept:
                terminal.stats[category] = kept
        terminal.stats.setdefault("flaky", []).extend(failure.reports)
        for _ in failure.tests:
            self.account.forgive(failure.ring)


def _text(report: pytest.TestReport) -> str:
    return "\n".join([report.longreprtext, *(f"{title}\n{text}" for title, text in report.sections)])


def _options(config: pytest.Config) -> list[str]:
    """Return what the run was started with and the second one needs too."""
    given = ["-c", str(config.inipath), "--rootdir", str(config.rootpath)] if config.inipath else []
    return [*given, "-p", "no:cacheprovider", "-p", "no:xdist"]
