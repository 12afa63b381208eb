"""Outputs that are closed, full, or read by a program that has ended: quiet, and the right exit code."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_attend import BEGIN, END, OWN, PROJECT, STOCK, Run, Workstation, bob, make_run, practice  # noqa: F401

pytest.importorskip("asyncssh")
pytestmark = pytest.mark.ssh

FULL = os.strerror(errno.ENOSPC)
PROGRAMS = pytest.mark.parametrize("program", [OWN, STOCK], ids=["own", "fab"])
NOISE = ("Traceback", "Exception ignored", "a defect of")


@contextmanager
def broken_pipe() -> Iterator[int]:
    """Give a pipe that is not read any more."""
    read, write = os.pipe()
    os.close(read)
    try:
        yield write
    finally:
        os.close(write)


def closed(*descriptors: int) -> dict[str, Any]:
    """Return how Popen starts a program without some standard streams."""
    return {"preexec_fn": lambda: [os.close(descriptor) for descriptor in descriptors]}


def quiet(done: "subprocess.CompletedProcess[str]") -> bool:
    return not any(noise in (done.stderr or "") + (done.stdout or "") for noise in NOISE)


@PROGRAMS
def test_a_reader_that_has_ended_changes_nothing(bob: Workstation, program: tuple[str, ...]) -> None:  # noqa: F811
    with broken_pipe() as pipe:
        out = bob.run("status", program=program, stdout=pipe)
        both = bob.run("status", program=program, stdout=pipe, stderr=pipe)

    assert (out.returncode, quiet(out), both.returncode) == (0, True, 0)


@pytest.mark.parametrize(
    ("program", "descriptors"), [(OWN, (1,)), (OWN, (2,)), (OWN, (1, 2)), (OWN, (0, 1, 2)), (STOCK, (0, 1, 2))]
)
def test_closed_streams_change_nothing(
    bob: Workstation,  # noqa: F811
    program: tuple[str, ...],
    descriptors: tuple[int, ...],
) -> None:
    done = bob.run("status", program=program, **closed(*descriptors))
    wrong = bob.run("status", "--jobs", "none", program=program, **closed(*descriptors))

    assert (done.returncode, quiet(done), wrong.returncode, quiet(wrong)) == (0, True, 1, True)
    assert ("np1" in done.stdout) is (1 not in descriptors)


@pytest.mark.parametrize(("program", "task"), [(OWN, "status"), (OWN, "attach"), (OWN, "backups"), (STOCK, "status")])
def test_a_result_that_cannot_be_written_is_no_success(
    bob: Workstation,  # noqa: F811
    make_run: Callable[..., Run],  # noqa: F811
    program: tuple[str, ...],
    task: str,
) -> None:
    for host in ("np1", "np2"):
        make_run(host).begin(*BEGIN, *END).end("upgraded ")
    with Path("/dev/full").open("w") as full:
        done = bob.run(task, program=program, stdout=full)

    assert (done.returncode, quiet(done)) == (2, True)
    assert f"error: the output could not be written: {FULL}" in done.stderr


@PROGRAMS
def test_messages_that_cannot_be_written_change_no_exit_code(bob: Workstation, program: tuple[str, ...]) -> None:  # noqa: F811
    with Path("/dev/full").open("w") as full:
        done = bob.run("status", program=program, stderr=full)
        wrong = bob.run("status", "--jobs", "none", program=program, stderr=full)
        stopped = bob.run("status", "--limit", "nowhere", program=program, stdout=full, stderr=full)

    assert (done.returncode, "np1" in done.stdout) == (0, True)
    assert (wrong.returncode, stopped.returncode) == (1, 1)


def test_help_that_cannot_be_written_is_no_success(tmp_path: Path) -> None:
    def listed(**streams: Any) -> "subprocess.CompletedProcess[str]":  # noqa: ANN401  whatever run takes
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, *OWN, "--list"]
        how = {"stderr": subprocess.PIPE, "text": True, "cwd": tmp_path, "env": environment, **streams}
        return subprocess.run(command, check=False, **how)

    with Path("/dev/full").open("w") as full:
        done = listed(stdout=full)
    with broken_pipe() as pipe:
        left = listed(stdout=pipe)

    assert (done.returncode, done.stderr) == (2, f"error: the output could not be written: {FULL}\n")
    assert (left.returncode, left.stderr) == (0, "")
