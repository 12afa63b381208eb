"""What is typed, and what comes of it: the traps of `fab` closed, every mistake a sentence and an exit code."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import fabric.main
import pytest

from netpoint_remote import __version__
from netpoint_remote.cli.program import make_program

PROJECT = Path(__file__).parents[2]
TASKS = (
    "attach",
    "backup",
    "backups",
    "check",
    "fetch-backup",
    "plan",
    "practice",
    "prune",
    "rollback",
    "status",
    "stop",
    "upgrade",
)


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class CommandLine:
    """Types commands into both programs, in this process and in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def fab(self, *argv: str) -> Outcome:
        """Run stock `fab` on the project's fabfile; with its fabric.yaml, as an operator does there."""
        program = fabric.main.make_program()
        return self._run(program, ["fab", "--search-root", str(PROJECT), *argv])

    def own(self, *argv: str) -> Outcome:
        return self._run(make_program(), ["netpoint-remote", *argv])

    def _run(self, program: fabric.main.Fab, argv: list[str]) -> Outcome:
        code = 0
        try:
            program.run(argv)
        except SystemExit as left:
            code = int(left.code or 0)
        said = self.capsys.readouterr()
        return Outcome(code, said.out, said.err)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capsys)


def refused(outcome: Outcome, sentence: str) -> bool:
    """Whether a command ended as a wrong request does: exit 1, one error on standard error, nothing else."""
    assert "Traceback" not in outcome.err
    assert sentence in outcome.err
    assert outcome.err.startswith("error: ")
    return (outcome.code, outcome.out) == (1, "")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_help_with_an_example(cli: CommandLine, task: str) -> None:
    helped = cli.fab(task, "--help")

    assert helped.code == 0
    assert f"fab {'' if task == 'practice' else '-H np1,np2 '}{task}" in helped.out
    assert helped.err == ""


def test_short_help_after_a_task_is_help_too(cli: CommandLine) -> None:
    assert cli.fab("upgrade", "-h") == cli.fab("upgrade", "--help")


def test_help_in_the_place_of_a_release_runs_nothing(cli: CommandLine) -> None:
    assert "Usage: " in cli.fab("-H", "np1", "upgrade", "--help").out


def test_no_option_of_a_task_is_short_or_positional(cli: CommandLine) -> None:
    assert refused_by_parser(cli.fab("-H", "np1", "upgrade", "3.5.0"), "'3.5.0'")
    assert refused_by_parser(cli.fab("-H", "np1", "upgrade", "-v", "3.5.0"), "'-v'")


def refused_by_parser(outcome: Outcome, culprit: str) -> bool:
    return outcome.code == 1 and culprit in outcome.err and outcome.out == ""


@pytest.mark.parametrize("typed", [["--version", "3.5.0", "upgrade"], ["-V", "upgrade"], ["--version", "3.5.0"]])
def test_a_release_before_the_task_is_refused(cli: CommandLine, typed: list[str]) -> None:
    assert refused(cli.own("-H", "np1", *typed), "a release goes after the task: upgrade --version 3.5.0")


def test_version_alone_prints_our_own(cli: CommandLine) -> None:
    assert cli.own("--version") == Outcome(0, f"netpoint-remote {__version__}\n", "")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["-H", "np1", "check", "upgrade", "--version", "3.5.0"], "one task, not 2: check, upgrade"),
        (["-H", "np1", "upgrade", "-V"], "a release goes after the task"),
        (["-H", "np1", "upgrade", "--version", "3.5.0", "--dry"], "use upgrade --dry-run"),
        (["-R", "-H", "np1", "upgrade", "--version", "3.5.0"], "use upgrade --dry-run"),
        (["-H", "np1", "check", "-t", "5"], "ConnectTimeout"),
        (["-H", "np1", "check", "-T", "5"], "its own time limit"),
        (["-H", "np1", "check", "--", "reboot"], "'-- reboot' cannot be used"),
        (["-H", "", "check"], "-H names no host"),
        (["-H", " , ", "check"], "-H names no host"),
        (["-H=", "check"], "-H names no host"),
        (["-H", "np1 np2", "check"], "separate hosts with commas: np1,np2"),
        (["-H", "np1,np*", "check"], "--limit 'np*'"),
        (["-H", "np1:99999", "check"], "no port from 1 to 65535"),
        (["-H", "np1,root@np1", "check"], "'np1' twice"),
        (["check"], "-H np1,np2 before the task, or list them in hosts.yaml"),
        (["check", "--hosts-file", "nowhere.yaml"], "there is no hosts file nowhere.yaml"),
        (["check", "--hosts-file", "."], "cannot be read"),
        (["-H", "np1", "upgrade"], "upgrade needs a release"),
        (["-H", "np1", "plan"], "plan needs a release"),
        (["-H", "np1", "upgrade", "--version", ""], "'' is not a release"),
        (["-H", "np1", "upgrade", "--version", "3.5"], "'3.5' is not a release"),
        (["-H", "np1", "upgrade", "--version", "latest"], "'latest' is not a release"),
        (["-H", "np1", "upgrade", "--version", "-1"], "'-1' is not a release"),
        (["-H", "np1", "check", "--jobs", "abc"], "--jobs 'abc' is not a number from 1 to"),
        (["-H", "np1", "check", "--jobs", "0"], "--jobs '0' is not a number"),
        (["-H", "np1", "check", "--jobs", "-4"], "--jobs '-4' is not a number"),
        (["-H", "np1", "check", "--jobs", "٣"], "is not a number"),
        (["-H", "np1", "check", "--jobs", "9" * 5000], "is not a number"),
        (["-H", "np1", "check", "--limit", "np2"], "'np2' is no host, group or pattern"),
        (["-H", "np1", "check", "--limit", ""], "--limit is empty"),
        (["-H", "np1", "check", "--archive", "nowhere.tar.gz"], "nothing is there"),
        (["-H", "np1", "check", "--report-dir", "/proc/runs"], "reports cannot be written to /proc/runs"),
        (["-H", "np1", "check", "--report-dir", ""], "--report-dir is empty"),
        (["-H", "np1", "attach", "--run", "../etc"], "is not the id of a run"),
        (["-H", "np1", "attach", "--run", ""], "is not the id of a run"),
        (["-H", "np1", "attach", "--report-dir", "/proc/runs"], "reports cannot be written to /proc/runs"),
        (["-H", "np1", "status", "--jobs", "0"], "--jobs '0' is not a number"),
        (["-H", "np1,np*", "stop"], "--limit 'np*'"),
        (["-H", "np1", "backup", "--verify", "half"], "--verify 'half' is unknown"),
        (["-H", "np1", "backup", "--report-dir", "/proc/runs"], "reports cannot be written to /proc/runs"),
        (["-H", "np1", "rollback", "--to", "../etc"], "is neither a release nor the id of a backup"),
        (["-H", "np1", "rollback", "--to", ""], "is neither a release nor the id of a backup"),
        (["-H", "np1", "rollback", "--to", "-x"], "is neither a release nor the id of a backup"),
        (["-H", "np1", "fetch-backup", "--backup", "../etc"], "is no id of a backup"),
        (["-H", "np1", "fetch-backup", "--dir", ""], "--dir is empty"),
        (["-H", "np1", "fetch-backup", "--dir", "/proc/backups"], "cannot be made"),
        (["-H", "np1", "prune"], "prune needs --keep"),
        (["-H", "np1", "prune", "--keep", "0"], "prune needs --keep"),
        (["-H", "np1", "prune", "--keep", "-1"], "prune needs --keep"),
        (["backups"], "-H np1,np2 before the task, or list them in hosts.yaml"),
        (["status"], "-H np1,np2 before the task, or list them in hosts.yaml"),
        (["practice"], "--dir practice"),
        (["practice", "--dir", "x"], "--servers np1=3.4.9"),
        (["practice", "--dir", "x", "--servers", "np1"], "'np1' in --servers"),
        (["-H", "np1", "practice", "--dir", "x", "--servers", "np1=3.4.9"], "leave -H out"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_1(cli: CommandLine, typed: list[str], sentence: str) -> None:
    assert refused(cli.fab(*typed), sentence)
    assert refused(cli.own(*typed), sentence)


@pytest.mark.parametrize(
    "typed",
    [
        ["-H", "np1", "upgrde"],
        ["-H", "np1", "check", "--jbos", "3"],
        ["check", "--jobs"],
        ["-H", "np1,", "np2", "check"],
    ],
)
def test_an_unknown_word_is_refused(cli: CommandLine, typed: list[str]) -> None:
    assert cli.fab(*typed).code == 1
    assert refused(cli.own(*typed), "--help shows what is allowed")


def test_hosts_without_a_task_are_a_mistake(cli: CommandLine) -> None:
    assert refused(cli.own("-H", "np1"), "no task given")


def test_hosts_may_follow_the_task(cli: CommandLine) -> None:
    assert refused(cli.fab("check", "-H", "np1,np*"), "np*")


def test_our_program_takes_several_dash_h(cli: CommandLine) -> None:
    assert refused(cli.own("-H", "np1", "-H", "np*", "check"), "'np*' is not a host")


def test_every_fault_of_the_hosts_file_is_told(cli: CommandLine) -> None:
    Path("hosts.yaml").write_text("hosts:\n  np1: {prot: 22}\n  np2: {port: 0}\n", "utf-8")

    told = cli.fab("check")

    assert refused(told, "the hosts file has 2 faults")
    assert "hosts.yaml:2: hosts.np1.prot is not known" in told.err
    assert "hosts.yaml:3: hosts.np2.port is 0" in told.err


def test_a_wrong_hosts_file_is_told_to_named_hosts_too(cli: CommandLine) -> None:
    Path("hosts.yaml").write_text("hosts: 3\n", "utf-8")

    assert refused(cli.fab("-H", "np1", "check"), "hosts.yaml:1: hosts is 3")


def test_a_hosts_file_that_is_no_text_is_told(cli: CommandLine) -> None:
    Path("hosts.yaml").write_bytes(b"\xff\xfeh\x00o\x00")

    assert refused(cli.fab("check"), "is not UTF-8 text")


def test_a_misspelt_hosts_file_suggests_the_near_one(cli: CommandLine) -> None:
    Path("fleet.yaml").touch()

    assert refused(cli.fab("check", "--hosts-file", "flete.yaml"), "did you mean fleet.yaml?")


def process(*argv: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a real process without a terminal."""
    return subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        start_new_session=True,
        check=False,
    )


STOCK_FAB = "from fabric.main import program; program.run()"


def test_stock_fab_lists_the_tasks_without_loading_what_they_need() -> None:
    script = f"""
import sys
try:
    {STOCK_FAB}
finally:
    print(sorted({{"jsonschema", "rich", "asyncssh", "ClusterShell", "tenacity"}} & set(sys.modules)))
"""

    listed = process("-c", script, "--list", folder=PROJECT)

    assert listed.returncode == 0
    assert all(f"  {task} " in listed.stdout for task in TASKS)
    assert listed.stdout.endswith("[]\n")


def test_without_fabric_yaml_stock_fab_still_calls_a_task_once(tmp_path: Path) -> None:
    (tmp_path / "fabfile.py").write_bytes((PROJECT / "fabfile.py").read_bytes())

    refused = process("-c", STOCK_FAB, "-H", "a,b*", "check", folder=tmp_path)

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "'b*' is not a host" in refused.stderr


def test_a_sudo_password_is_not_read_from_anything_but_a_terminal(tmp_path: Path) -> None:
    asked = process("-m", "netpoint_remote.cli.program", "-H", "np1", "check", "--ask-sudo-pass", folder=tmp_path)

    assert asked.returncode == 1
    assert "needs a terminal" in asked.stderr
