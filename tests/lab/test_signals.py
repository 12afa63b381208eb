"""pytest, too, ends in order when it is asked to: its fixtures take away what they made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.lab.operator import PROJECT, wait_until
from tests.support.processes import AS_ON_A_TERMINAL, DIES_WITH_US

if TYPE_CHECKING:
    from pathlib import Path

TEST = """
import pathlib, pytest, time

MADE = pathlib.Path(__file__).with_name("made")

@pytest.fixture
def made():
    MADE.touch()
    yield
    MADE.unlink()

def test_waits(made):
    MADE.with_name("waits").touch()
    while True:  # a signal that comes just before signal.pause() would not end it
        time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_pytest_in_order(tmp_path: Path, number: int) -> None:
    (tmp_path / "test_one.py").write_text(TEST)
    with subprocess.Popen(
        [
            *DIES_WITH_US,
            *AS_ON_A_TERMINAL,
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.hooks",
            "-p",
            "no:cacheprovider",
            f"--rootdir={tmp_path}",
            tmp_path,
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            wait_until((tmp_path / "waits").exists, timeout=600)
            process.send_signal(number)
            assert (process.wait(timeout=600), (tmp_path / "made").exists()) == (2, False)
        finally:
            process.kill()
