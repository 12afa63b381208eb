"""One upgrade as it is typed at a terminal: what the gate says, who is finished, and what Ctrl-C leaves."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_attend import Workstation, heard, through
from tests.running.test_practice import Practice, serve
from tests.support.flaky import STALL, Flaky
from tests.support.terminals import open_terminal, with_terminal

pytest.importorskip("asyncssh")
pytestmark = pytest.mark.ssh

PATIENCE = 600  # seconds for one command; on a quiet machine none takes more than 20


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    with serve(tmp_path_factory.mktemp("gate") / "practice", "np1=3.4.9,np2=3.4.9:git,old=2.10.10") as served:
        yield served


@pytest.fixture
def operator(practice: Practice, tmp_path: Path) -> Workstation:
    return Workstation(tmp_path / "operator", practice.folder / "hosts.yaml")


def finished(operator: Workstation) -> dict[str, list[str]]:
    """Return what the events of the newest run say each host ended as."""
    newest = max((operator.home / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    events = [json.loads(line) for line in (newest / "events.jsonl").read_text().splitlines()]
    ends: dict[str, list[str]] = {}
    for event in events:
        if event["kind"] == "finished":
            ends.setdefault(event["host"], []).append(event["detail"])
    return ends


def statuses(hosts: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    return {name: [host["status"]] for name, host in hosts.items()}


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    "typed",
    [("check",), ("check", "--version", "3.5.0"), ("plan", "--version", "3.5.0"), ("upgrade", "--version", "3.5.0")],
)
def test_every_host_is_finished_once_and_as_the_report_says(operator: Workstation, typed: tuple[str, ...]) -> None:
    hosts = operator.report(*typed, code=3 if len(typed) > 1 else 0)

    assert finished(operator) == statuses(hosts)
    plans = {name: [step["phase"] for step in host["plan"]["steps"]] for name, host in hosts.items() if "plan" in host}
    if typed[0] == "plan":
        assert {*plans} == {"np1", "np2"}
        assert all({*Counter(phases)} == {"stage", "window", "after"} for phases in plans.values())
    else:
        assert plans == {}


@pytest.mark.promise(9, 11)
def test_an_upgrade_says_whom_it_leaves_out_and_goes_on_when_it_is_left(operator: Workstation) -> None:
    typed = ("upgrade", "--version", "3.5.0", "--limit", "np1,old", "--skip-refused")
    with (
        open_terminal() as screen,
        operator.start(*typed, **with_terminal(screen)) as process,
    ):
        screen.wait_for("anything else stops here: ")
        screen.type("1\n")
        heard(process, "  begun")
        process.send_signal(signal.SIGINT)
        stopping = heard(process, "stopping:")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)

    summary = screen.shown.replace("\r\n", "\n").partition("Type the number")[0]
    assert summary.startswith("upgrade to 3.5.0: 1 host\n  3.4.9 → 3.5.0  archive  1 host: np1\n")
    assert "  left out: old (refused: " in summary
    assert "expected window: " in summary
    assert "plan --hosts-file" in summary
    assert summary.count("\n") < 15
    assert "runs in progress continue" in stopping
    assert (process.returncode, "detached; the runs continue on the servers" in err) == (130, True)
    assert "np1   running" in out
    assert f"attach --hosts-file {operator.hosts_file} --limit np1" in out
    assert finished(operator) == {"np1": ["running"], "old": ["refused"]}

    followed = operator.report("attach", "--limit", "np1")

    assert statuses(followed) == {"np1": ["upgraded"]} == finished(operator)


def test_a_check_that_is_stopped_talks_of_no_server_that_goes_on(operator: Workstation, practice: Practice) -> None:
    with Flaky(practice.hosts["np1"]["port"], [STALL]) as relay:
        through(relay, operator, practice)
        with operator.start("check", stderr=subprocess.STDOUT, stdout=subprocess.PIPE) as process:
            assert process.stdout
            said = ""
            for wanted in ("connecting", "no further host is probed"):
                while wanted not in said:
                    said += process.stdout.readline()
                process.send_signal(signal.SIGINT)
            said += process.communicate(timeout=PATIENCE)[0]

    assert process.returncode == 130
    assert "np1   not-started" in said
    assert not [words for words in ("continue", "attach", "by themselves", "detach") if words in said]
