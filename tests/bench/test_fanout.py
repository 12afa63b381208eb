"""The measure itself: what it says of its numbers, and that it still measures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.clients import Measured
from bench.fanout import FLOOR, Rounds, Spread, Wanted
from tests.support.sshd import require_sshd


def measured(cpu: float) -> Measured:
    return Measured(complete=2, start=0.2, cpu=cpu, wall=1.0)


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which all are slow says no less than one in which all are fast."""
    rounds = Rounds((FLOOR, "ours"))
    rounds.measured = {
        FLOOR: [measured(1), measured(10), measured(2)],
        "ours": [measured(2), measured(11), measured(3)],
    }

    assert rounds.ratio("ours", FLOOR) == Spread(1.5, 1.1, 2)


@pytest.mark.parametrize(("ratio", "verdict"), [(1.2, "met"), (1.4, "MISSED")])
def test_a_missed_target_is_said(ratio: float, verdict: str) -> None:
    said = Wanted("ours", FLOOR, 0, 1.3).judged(Spread(ratio, 1, 2))

    assert said.endswith(f"wanted at most 1.3: {verdict}")


@pytest.mark.ssh
def test_hosts_are_asked_and_the_clients_compared(tmp_path: Path) -> None:
    require_sshd()
    output = tmp_path / "fanout.json"
    options = ["--hosts", "2", "--rounds", "1", "--clients", "ours,our check,clush", "--output", output]

    done = subprocess.run(
        [sys.executable, "-m", "bench.fanout", *options], capture_output=True, text=True, check=False, timeout=600
    )

    clients = ["bare Paramiko", "ours", "our check", "clush"]
    assert (done.returncode, done.stderr.splitlines()) == (0, [f"round 1 of 1: {name}" for name in clients])
    found = json.loads(output.read_text())
    names = {row["name"] for row in found["rows"]}
    assert names | set(found["not_measured"]) == {FLOOR, "ours", "our check", "clush"}
    assert {FLOOR, "ours"} <= names
