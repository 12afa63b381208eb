"""What a run of the tests prints of itself: what did not run, what is running."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.faults.ground import Ground
from tests.faults.journeys import JOURNEYS
from tests.faults.judging import Result
from tests.faults.lanes import Job, Lanes, Reference
from tests.faults.orders import Orders
from tests.faults.states import State
from tests.progress import Progress, PytestProgress
from tests.rings import Ring, ring_of

ROOT = Path(__file__).parents[1]
CONFTEST = """
import threading
from tests.progress import Progress, PytestProgress, past_the_capture

def pytest_configure(config):
    progress, write = Progress(noun="test"), past_the_capture()
    config.printed = threading.Event()

    def print_and_note(line):
        write(line)
        if "running" in line:
            config.printed.set()

    config.pluginmanager.register(PytestProgress(progress))
    progress.print_every_minute(print_and_note, interval=0.01)
"""


def test_a_test_without_a_mark_is_in_the_fast_ring() -> None:
    assert [ring_of(marks) for marks in ((), ("parametrize",), ("ssh",), ("lab", "ssh"))] == [
        "fast", "fast", "ssh", "lab",
    ]  # fmt: skip


def test_a_ring_that_could_not_run_is_named_with_its_reasons() -> None:
    ring = Ring(name="ssh")
    ring.count("skipped", "there is no sshd here")
    ring.count("skipped", "there is no sshd here")

    assert list(ring.lines()) == [
        "THE RING ssh (real SSH on loopback) DID NOT RUN",
        "    2 not run: there is no sshd here",
    ]


def test_a_ring_that_ran_tells_what_it_left_out() -> None:
    ring = Ring(name="fast")
    for outcome in ("passed", "passed", "failed"):
        ring.count(outcome)
    ring.count("skipped", "no IPv6")

    assert list(ring.lines()) == ["ring fast (no root, no network): 2 passed, 1 failed", "    1 not run: no IPv6"]


def test_a_ring_without_tests_was_not_requested() -> None:
    assert (Ring(name="lab").could_not_run, *Ring(name="lab").lines()) == (
        False,
        "ring lab (real Debian servers): not requested",
    )


def test_a_flaky_test_is_counted_as_that() -> None:
    ring = Ring(name="lab")
    for outcome in ("passed", "flaky"):
        ring.count(outcome)

    assert list(ring.lines()) == ["ring lab (real Debian servers): 1 passed, 1 flaky"]


def _report(test: str, when: str) -> pytest.TestReport:
    return pytest.TestReport(test, (test, None, test), {}, "passed", None, when)  # type: ignore[arg-type]  xdist's


def test_a_test_whose_process_crashed_runs_no_longer() -> None:
    progress = Progress(noun="test")
    shown = PytestProgress(progress)
    shown.pytest_runtest_logstart("test_docs.py::test_one")
    shown.pytest_runtest_logreport(_report("test_docs.py::test_one", "???"))

    assert re.fullmatch(r"0:\d\d: 1 test done; cleaning up after the tests", progress.line(time.monotonic()))


def test_what_is_running_is_named_with_its_time() -> None:
    progress = Progress(noun="test")
    shown = PytestProgress(progress)
    shown.pytest_runtest_logstart("tests/lab/test_upgraded.py::test_one@a-group")
    shown.pytest_runtest_logstart("tests/test_docs.py::test_other")
    shown.pytest_runtest_logreport(_report("tests/test_docs.py::test_other", "setup"))
    shown.pytest_runtest_logreport(_report("tests/test_docs.py::test_other", "teardown"))

    line = progress.line(time.monotonic() + 130)

    assert re.fullmatch(r"2:1\d: 1 test done; running: tests/lab/test_upgraded.py::test_one \(2:1\d\)", line), line


def test_where_no_test_runs_the_phase_is_named() -> None:
    progress = Progress(noun="test")
    shown = PytestProgress(progress)

    before = progress.line(time.monotonic())
    shown.pytest_runtest_logstart("test_docs.py::test_one")
    shown.pytest_runtest_logreport(_report("test_docs.py::test_one", "teardown"))
    after = progress.line(time.monotonic())

    assert (before, after) == ("0:00: 0 tests done; collecting tests", "0:00: 1 test done; cleaning up after the tests")


def test_where_nothing_is_known_nothing_is_printed() -> None:
    assert Progress().line(time.monotonic()) == ""


def test_what_runs_is_printed_also_while_pytest_captures_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text("def test_one(pytestconfig): assert pytestconfig.printed.wait(60)\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, "running: test_some.py::test_one (0:" in done.stdout) == (0, True), done.stdout


def test_a_command_that_prints_nothing_is_named_every_minute(tmp_path: Path) -> None:
    minute = tmp_path / "sleep"
    minute.write_text("#!/bin/sh\nexec /bin/sleep 0.01\n")
    minute.chmod(0o755)
    waits = 'until grep -q "^== 2" "$1"; do /bin/sleep 0.01; done; exit 3'
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    with (tmp_path / "out").open("w") as out:
        command = ["sh", ROOT / "tests/minutes.sh", "sh", "-c", waits, "sh", out.name]
        done = subprocess.run(command, stdout=out, env=environment, check=False)

    said = (tmp_path / "out").read_text().splitlines()[:2]
    assert (done.returncode, said) == (3, [f"== {n} min: sh -c {waits} sh {out.name}" for n in (1, 2)])


@dataclass(frozen=True, slots=True)
class ServerOfNothing:
    """What a lane asks of a server whose job has no result."""

    start: State
    orders: Orders

    def prepare(self) -> None: ...
    def close(self) -> None: ...


def test_the_fault_matrix_names_the_job_and_the_server_that_is_made_for_it(tmp_path: Path) -> None:
    (tmp_path / "var/lib/faults/halves").mkdir(parents=True)
    progress, seen = Progress(noun="job"), list[str]()
    state = State(files={}, rows=Counter(), sequences={}, services={}, serves="3.4.9", backups=0)

    def line() -> str:
        return re.sub(r"\d+:\d\d:? ?", "", progress.line(time.monotonic()))

    def make(*_: object) -> Ground:
        seen.append(line())
        return cast("Ground", ServerOfNothing(state, Orders(tmp_path)))

    def work(*_: object) -> dict[tuple[str, str], Result]:
        seen.append(line())
        return {}

    job = Job(journey=JOURNEYS[0], fault="power cut, middle", step="run_upgrade", work=work)
    lanes = Lanes(tmp_path, [job], print, progress, make)
    lanes.references[JOURNEYS[0].name] = Reference(state, state, {})
    lanes.run(1)

    name = f"0 jobs done; running: {JOURNEYS[0].name} power cut, middle run_upgrade ()"
    assert seen == [f"{name}, making server 1 ({JOURNEYS[0].name}) ()", name]
    assert (line(), progress.done, lanes.results) == ("", 1, {})


def test_a_command_that_succeeds_is_a_success_where_its_output_cannot_be_written_to(tmp_path: Path) -> None:
    minute = tmp_path / "sleep"
    minute.write_text("#!/bin/sh\nexec /bin/sleep 0.01\n")
    minute.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    until_alone = 'until [ "$(wc -w <"/proc/$PPID/task/$PPID/children")" = 1 ]; do /bin/sleep 0.01; done'

    with Path("/dev/full").open("w") as full:
        command = ["sh", ROOT / "tests/minutes.sh", "sh", "-c", until_alone]
        done = subprocess.run(command, stdout=full, env=environment, check=False)

    assert done.returncode == 0
