"""`status`, `attach` and `stop` as they are typed, over real SSH; the run on the server is played by the test."""

import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pytest
import yaml

from tests.running.test_practice import PATIENCE, Practice, serve
from tests.support.flaky import STALL, Flaky
from tests.support.processes import DIES_WITH_US

pytest.importorskip("asyncssh")

pytestmark = pytest.mark.ssh

PROJECT = Path(__file__).parents[2]
OWN = ("-m", "netpoint_remote.cli.program")
STOCK = ("-c", "from fabric.main import program; program.run()", "--search-root", str(PROJECT))
PLAN = "one stage 30 1\ntwo window 30 1\nthree window 30 1\nfour after 30 1\n"
BEGIN = ("started - 4 steps", "step one ", "step-done one done", "step two ", "window-open two ")
END = ("step-done two done", "window-closed two ", "step four ", "step-done four done")


@dataclass
class Run:
    """A run on a practice server, whose every move the test makes."""

    state: Path
    run_id: str
    lock: TextIO | None = field(default=None)

    @property
    def folder(self) -> Path:
        return self.state / "runs" / self.run_id

    def begin(self, *lines: str) -> "Run":
        (self.folder / "bundle").mkdir(parents=True)
        files = {
            "about": "alice@ws1 from 3.4.9 to 3.5.0\n", "journal": "", "log": "all that was said\n",
            "bundle/plan": PLAN, "bundle/vars.sh": "OLD_VERSION=3.4.9\nTREE_VERSION=3.5.0\nMETHOD=archive\n",
        }  # fmt: skip
        for name, text in files.items():
            (self.folder / name).write_text(text)
        (self.state / "current").write_text(f"{self.run_id}\n")
        self.lock = (self.state / "lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.lock.write(f"{self.run_id} alice@ws1 {int(time.time())}\n")
        self.lock.flush()
        self.write(*lines)
        return self

    def write(self, *lines: str) -> None:
        with (self.folder / "journal").open("a") as journal:
            for line in lines:
                journal.write(f"{time.time():.3f} {line}\n")

    def end(self, result: str) -> None:
        self.write(f"finished - {result}")
        (self.folder / "result").write_text(f"{result}\n")
        self.vanish()

    def vanish(self) -> None:
        """End as by a power cut."""
        if self.lock:
            self.lock.close()


@dataclass
class Workstation:
    """Somebody's machine: a home, a folder to work in, and the hosts file of the fleet."""

    home: Path
    hosts_file: Path

    def start(self, *words: str, program: tuple[str, ...] = OWN, **how: Any) -> "subprocess.Popen[str]":  # noqa: ANN401  whatever Popen takes
        task, *options = words
        self.home.mkdir(exist_ok=True)
        environment = {**os.environ, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / "cache"),
                       "PYTHONPATH": str(PROJECT), "COLUMNS": "200"}  # fmt: skip
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        command = [*DIES_WITH_US, sys.executable, *program, task, "--hosts-file", str(self.hosts_file), *options]
        how = {"start_new_session": True, **pipes}
        return subprocess.Popen(command, cwd=self.home, env=environment, text=True, **how)

    def run(self, *words: str, **how: Any) -> "subprocess.CompletedProcess[str]":  # noqa: ANN401  whatever Popen takes
        with self.start(*words, **how) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def report(self, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """Run a task with --json; return its hosts by name."""
        done = self.run(*words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return {host["name"]: host for host in json.loads(done.stdout)["hosts"]}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    with serve(tmp_path_factory.mktemp("attended") / "practice", "np1=3.4.9,np2=3.4.9") as served:
        yield served


@pytest.fixture
def make_run(practice: Practice) -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def make(host: str = "np1") -> Run:
        state = Path(practice.hosts[host]["state_dir"])
        state.mkdir(parents=True, exist_ok=True)
        made.append(Run(state, f"r{time.monotonic_ns()}"))
        return made[-1]

    yield make
    for run in made:
        run.vanish()
        (run.state / "current").unlink(missing_ok=True)


@pytest.fixture
def bob(practice: Practice, tmp_path: Path) -> Workstation:
    """Return the workstation of somebody who has started nothing."""
    return Workstation(tmp_path / "bob", practice.folder / "hosts.yaml")


def through(relay: Flaky, bob: Workstation, practice: Practice) -> None:
    """Let the workstation reach np1 through a relay."""
    inventory = yaml.safe_load(bob.hosts_file.read_text())
    known = (practice.folder / "known_hosts").read_text()
    here = bob.home.parent / "known_hosts"
    here.write_text(known.replace(f":{inventory['hosts']['np1']['port']} ", f":{relay.port} "))
    inventory["defaults"]["known_hosts"] = str(here)
    inventory["hosts"] = {"np1": {**inventory["hosts"]["np1"], "port": relay.port}}
    bob.hosts_file = bob.home.parent / "relayed.yaml"
    bob.hosts_file.write_text(yaml.safe_dump(inventory))


def heard(process: "subprocess.Popen[str]", text: str) -> str:
    """Read what a command says until some words are in it."""
    said = ""
    assert process.stderr
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


# ---- status


@pytest.mark.parametrize("program", [OWN, STOCK], ids=["own", "fab"])
def test_what_runs_is_told_by_both_programs_and_nothing_is_left_behind(
    bob: Workstation, make_run: Callable[..., Run], program: tuple[str, ...]
) -> None:
    make_run().begin(*BEGIN)

    done = bob.run("status", program=program)

    assert done.returncode == 0, done.stderr
    assert "np1   running  2/4 two" in done.stdout
    assert "alice@ws1" in done.stdout
    assert "users are without NetPoint for" in done.stdout
    assert "np2   idle" in done.stdout
    assert [path.name for path in bob.home.iterdir() if path.name != "cache"] == []


def test_status_for_programs(bob: Workstation, make_run: Callable[..., Run]) -> None:
    run = make_run().begin(*BEGIN)

    reported = bob.report("status")["np1"]

    assert (reported["status"], reported["run"]["id"], reported["run"]["step"]) == ("running", run.run_id, "two")
    assert (reported["run"]["steps_done"], reported["run"]["total"], reported["run"]["operator"]) == (1, 4, "alice@ws1")


def test_a_run_that_was_cut_off_is_exit_2_and_says_what_to_do(bob: Workstation, make_run: Callable[..., Run]) -> None:
    make_run().begin(*BEGIN).vanish()

    done = bob.run("status")

    assert done.returncode == 2
    assert "interrupted" in done.stdout
    assert "was cut off in two" in done.stdout
    assert "run the same command again" in done.stdout


def test_a_host_out_of_reach_is_exit_4(bob: Workstation, practice: Practice) -> None:
    with Flaky(1) as relay:
        port = relay.port
    through(relay, bob, practice)
    inventory = yaml.safe_load(bob.hosts_file.read_text())
    assert inventory["hosts"]["np1"]["port"] == port
    inventory["hosts"]["np1"]["address"] = "no-such-host.invalid"
    bob.hosts_file.write_text(yaml.safe_dump(inventory))

    assert bob.report("status", code=4)["np1"]["status"] == "unreachable"


# ---- attach


def test_a_run_is_followed_from_its_beginning_by_somebody_else(bob: Workstation, make_run: Callable[..., Run]) -> None:
    run = make_run().begin(*BEGIN)
    with bob.start("attach", "--limit", "np1", "--json") as process:
        said = heard(process, "two  begun")
        run.write(*END)
        run.end("upgraded ")
        out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert "one  done" in said
    (reported,) = json.loads(out)["hosts"]
    assert (reported["status"], reported["from"], reported["to"], reported["method"]) == (
        "upgraded",
        "3.4.9",
        "3.5.0",
        "archive",
    )
    assert [step["name"] for step in reported["steps"]] == ["one", "two", "four"]
    assert reported["window_seconds"] is not None
    (folder,) = (bob.home / "runs").iterdir()
    assert (folder / reported["log"]).read_text() == "all that was said"


def test_a_run_is_followed_over_lines_that_break(
    bob: Workstation, make_run: Callable[..., Run], practice: Practice
) -> None:
    run = make_run().begin(*BEGIN)
    with Flaky(practice.hosts["np1"]["port"]) as relay:
        through(relay, bob, practice)
        with bob.start("attach", "--json") as process:
            heard(process, "two  begun")
            relay.cut_all()
            heard(process, "connection lost")
            run.write(*END)
            heard(process, "four  begun")
            relay.cut_all()
            run.end("upgraded ")
            out, _ = process.communicate(timeout=PATIENCE)

    (reported,) = json.loads(out)["hosts"]
    assert (process.returncode, [step["name"] for step in reported["steps"]]) == (0, ["one", "two", "four"])


def test_where_nothing_runs_the_last_end_is_told_at_once(bob: Workstation, make_run: Callable[..., Run]) -> None:
    make_run().begin(*BEGIN, "step-failed two no luck", "undo-done two ").end("reverted two: no luck")

    reported = bob.report("attach", "--limit", "np1", code=2)["np1"]

    assert reported["status"] == "reverted"
    assert "ended as reverted at" in reported["reason"]
    assert "two: no luck" in reported["reason"]


def test_a_run_can_be_named(bob: Workstation, make_run: Callable[..., Run]) -> None:
    first = make_run().begin(*BEGIN, *END)
    first.end("upgraded ")
    make_run().begin(*BEGIN)

    reported = bob.report("attach", "--run", first.run_id, code=3)

    assert {name: host["status"] for name, host in reported.items()} == {"np1": "upgraded", "np2": "not-started"}


def test_what_is_no_id_of_a_run_is_refused(bob: Workstation) -> None:
    done = bob.run("attach", "--run", "../../etc")

    assert (done.returncode, done.stdout) == (1, "")
    assert "is not the id of a run" in done.stderr


def test_ctrl_c_leaves_at_once_and_the_run_goes_on(bob: Workstation, make_run: Callable[..., Run]) -> None:
    run = make_run().begin(*BEGIN)
    with bob.start("attach", "--limit", "np1", "--json") as process:
        heard(process, "two  begun")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "Reconnect with `attach`" in err
    assert json.loads(out)["hosts"][0]["status"] == "running"
    assert not (run.folder / "stop").exists()


def test_ctrl_c_leaves_a_host_that_never_answers(bob: Workstation, practice: Practice) -> None:
    with Flaky(practice.hosts["np1"]["port"], [STALL]) as relay:
        through(relay, bob, practice)
        with bob.start("attach", "--json") as process:
            heard(process, "connecting")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=PATIENCE)

    (reported,) = json.loads(out)["hosts"]
    assert (process.returncode, reported["status"], reported["reason"]) == (
        130,
        "unreachable",
        "stopped by the operator",
    )


# ---- stop


@pytest.mark.promise(9)
def test_a_stop_is_asked_for_and_everybody_is_accounted_for(bob: Workstation, make_run: Callable[..., Run]) -> None:
    run = make_run().begin(*BEGIN)

    reported = bob.report("stop", "--yes")

    assert {name: host["status"] for name, host in reported.items()} == {"np1": "done", "np2": "idle"}
    assert "the run of alice@ws1" in reported["np1"]["reason"]
    assert "after the step two it undoes its changes" in reported["np1"]["reason"]
    assert "@" in (run.folder / "stop").read_text()
    assert "asked it to stop" in bob.report("status")["np1"]["reason"]


def test_what_is_in_use_already_is_not_stopped(bob: Workstation, make_run: Callable[..., Run]) -> None:
    run = make_run().begin(*BEGIN, *END[:3])

    reported = bob.report("stop", "--yes")["np1"]

    assert (reported["status"], reported["reason"].startswith("it is too late to stop it")) == ("running", True)
    assert not (run.folder / "stop").exists()


@pytest.mark.promise(11)
@pytest.mark.parametrize(("answer", "asked"), [("1\n", True), ("yes\n", False)])
def test_on_a_terminal_it_is_shown_first_and_has_to_be_confirmed(
    bob: Workstation, make_run: Callable[..., Run], answer: str, *, asked: bool
) -> None:
    run = make_run().begin(*BEGIN)
    ours, theirs = pty.openpty()
    with bob.start("stop", stdin=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = ""
        while "anything else stops here" not in said:
            said += os.read(ours, 4096).decode()
        os.write(ours, answer.encode())
        out, _ = process.communicate(timeout=PATIENCE)
    os.close(ours)

    assert "started by alice@ws1" in said
    assert (process.returncode, (run.folder / "stop").exists(), "done" in out) == (0 if asked else 1, asked, asked)


# ---- the workstation's own troubles


def test_a_full_disk_here_costs_the_report_and_nothing_else(bob: Workstation, make_run: Callable[..., Run]) -> None:
    """Files of this process may not grow beyond what the look at the folder needs."""
    make_run().begin(*BEGIN, *END).end("upgraded ")

    done = bob.run("attach", "--limit", "np1", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))

    assert done.returncode == 0
    assert "this screen is all there is" in done.stderr
    assert "np1   upgraded" in done.stdout
    assert "report.json could not be written" in done.stdout
    assert "report.json" not in done.stdout.replace("report.json could not be written", "")


def test_the_clock_of_the_workstation_does_not_matter(bob: Workstation, make_run: Callable[..., Run]) -> None:
    """What is shown of a run is the server's time, or a difference of its times."""
    make_run().begin(*BEGIN).end("upgraded ")
    wrong = ("-c", "import time; time.time = lambda: 5e8; from netpoint_remote.cli.program import main; main()")

    done = bob.run("status", "--limit", "np1", program=wrong)

    assert done.returncode == 0
    assert " ago" in done.stdout
    assert "1985" not in done.stdout
