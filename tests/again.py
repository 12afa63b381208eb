"""What failed in the ssh and lab rings is run once more, alone, when everything else has ended.

Real servers on a busy machine can fail for reasons that are not ours. A test that passes then is FLAKY: the run is
green, its last lines name the test, and both outputs are kept. Nothing is run again where a run is red for anything
else: a test of the fast ring, a test that did not run, a file that cannot be imported, a process that was lost.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import signals
from tests.support.processes import STOPS_WITH_US

if TYPE_CHECKING:
    from tests.accounts import Account
    from tests.progress import Progress

RETRIED = {"ssh", "lab"}
MOST = 5
"""Where more groups of tests fail, that is no chance."""

PASSED = "failed, and passed when it was run again alone"
FOLDER = Path("build/flaky")


@dataclass(slots=True)
class Failure:
    """A group of tests that share their fixtures, and what failed of it."""

    reports: list[pytest.TestReport] = field(default_factory=list)
    tests: dict[str, None] = field(default_factory=dict)
    became: str = ""
    """What the second run showed: nothing where there was none."""
    output: Path | None = None

    @property
    def reason(self) -> str:
        """What was wrong in the first run, on one line: a log has it where the run's folder does not stay."""
        found = re.search(r"(?m)^E +(.+)", "\n".join(report.longreprtext for report in self.reports))
        return found[1][:200].encode("ascii", "backslashreplace").decode() if found else ""


@dataclass(slots=True, eq=False)
class Again:
    """Collects the failures, runs them again, and turns those that pass into flaky tests."""

    config: pytest.Config
    account: Account
    progress: Progress
    _failures: dict[str, Failure] = field(default_factory=dict)
    _rings: set[str] = field(default_factory=set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            note = self.account.notes.of(report)
            self._rings.add(note.ring)
            failure = self._failures.setdefault(note.group, Failure())
            failure.reports.append(report)
            failure.tests[note.test] = None

    @pytest.hookimpl(trylast=True)  # when the processes of the tests have ended
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus != pytest.ExitCode.TESTS_FAILED or not self._may_be_chance(session):
            return
        for failure in self._failures.values():
            try:
                self._run_again(failure)
            except KeyboardInterrupt:
                session.exitstatus = pytest.ExitCode.INTERRUPTED
                return
            if failure.became == PASSED:
                self._forgive(failure)
        if all(failure.became == PASSED for failure in self._failures.values()):
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for failure in self._failures.values():
            for test in failure.tests if failure.became else ():
                flaky = "FLAKY " * (failure.became == PASSED)
                first = f" (first: {failure.reason})" if flaky and failure.reason else ""
                outputs = f". Both outputs: {failure.output}" if failure.output else ""
                terminalreporter.write_line(f"{flaky}{test}: {failure.became}{first}{outputs}", yellow=True, bold=True)

    def _may_be_chance(self, session: pytest.Session) -> bool:
        """Tell whether all that makes the run red is a few tests that failed, of the rings that are run again."""
        known = sum(len(failure.reports) for failure in self._failures.values())
        only_tests = session.testsfailed == known and not self.account.broken
        return only_tests and 0 < len(self._failures) <= MOST and self._rings <= RETRIED

    def _run_again(self, failure: Failure) -> None:
        """Run a failure's tests alone, and write down what became of them.

        Raises:
            KeyboardInterrupt: a signal ended it; what it said until then is kept.
        """
        with (
            self.progress.during(f"{', '.join(failure.tests)}, again and alone"),
            subprocess.Popen(
                [*STOPS_WITH_US, sys.executable, "-m", "pytest", *_options(self.config), *failure.tests],
                cwd=self.config.rootpath,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            output = ""
            try:
                output, _ = process.communicate()
                failure.became = _what_became(failure, process.returncode, output)
            except KeyboardInterrupt:
                with signals.held_back():  # it takes its servers away
                    process.terminate()
                    output, _ = process.communicate()
                failure.became = "was being run again when a signal ended the run"
                raise
            finally:
                _keep(failure, output)

    def _forgive(self, failure: Failure) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        for category in ("failed", "error"):
            kept = [report for report in terminal.stats.pop(category, []) if report not in failure.reports]
            if kept:
                terminal.stats[category] = kept
        terminal.stats.setdefault("flaky", []).extend(failure.reports)
        for test in failure.tests:
            self.account.forgive(test)


def _keep(failure: Failure, second: str) -> None:
    """Write both outputs to a file. Where that fails, the failure is one."""
    first = "\n".join(f"{report.nodeid}\n{_text(report)}" for report in failure.reports)
    name = re.sub(r"[^\w.-]+", "_", next(iter(failure.tests)), flags=re.ASCII)[:120]
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix=f"{name}-", suffix=".txt", dir=FOLDER, delete=False
        ) as file:
            file.write(f"FIRST, with other tests at the same time\n\n{first}\n\nAGAIN, alone\n\n{second}")
    except OSError as error:
        failure.became = f"its outputs cannot be kept: {error}"
    else:
        failure.output = FOLDER / Path(file.name).name


def _text(report: pytest.TestReport) -> str:
    return "\n".join([report.longreprtext, *(f"{title}\n{text}" for title, text in report.sections)])


def _what_became(failure: Failure, exit_code: int, output: str) -> str:
    """Return what the second run showed. A test that was skipped has not passed, though pytest ends with 0."""
    if exit_code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return f"could not be run again (pytest ended with {exit_code})"
    missing = {f"PASSED {test}" for test in failure.tests} - {*output.splitlines()}
    return PASSED if exit_code == pytest.ExitCode.OK and not missing else "did not pass when it was run again alone"


def _options(config: pytest.Config) -> list[str]:
    """Return the options of the first run, and after them what is different in the second one."""
    given = [each for each in config.invocation_params.args if each not in config.option.file_or_dir]
    places = ["-c", str(config.inipath), "--rootdir", str(config.rootpath)] if config.inipath else []
    return [
        *map(str, given),
        *places,
        "--no-again",
        "-n0",
        "--junitxml=",
        "-p",
        "no:cacheprovider",
        "-rp",
        "--color=no",
    ]
