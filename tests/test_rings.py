"""What a run of the tests prints of itself: what did not run, what is running."""

import re
import time

import pytest

from tests.progress import Progress
from tests.rings import Ring, ring_of


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


def test_what_is_running_is_named_with_its_time(pytestconfig: pytest.Config) -> None:
    progress = Progress(pytestconfig)
    progress.pytest_runtest_logstart("tests/lab/test_upgraded.py::test_one@a-group")
    progress.pytest_runtest_logstart("tests/test_docs.py::test_other")
    progress.pytest_runtest_logfinish("tests/test_docs.py::test_other")

    line = progress.line(time.monotonic() + 130)

    progress.pytest_unconfigure()
    assert re.fullmatch(r"2:1\d: 1 test done; running: tests/lab/test_upgraded.py::test_one \(2:1\d\)", line), line
