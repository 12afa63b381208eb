"""A fleet task is called once, with everything that was typed."""

from pathlib import Path

import fabric
import pytest
from fabric import task
from fabric.main import Fab
from invoke.collection import Collection

from netpoint_remote.cli.executor import CoreOptions, FleetExecutor, FleetTask
from netpoint_remote.cli.options import CheckOptions
from netpoint_remote.cli.program import Config, Program
from netpoint_remote.errors import AuthenticationFailed, NetPointRemoteError, UsageError

Calls = list[tuple[CoreOptions, CheckOptions]]


def program(body: object, *others: object) -> Program:
    def run(core: CoreOptions, options: CheckOptions) -> None:
        body(core, options)

    namespace = Collection(*others, task=FleetTask(run, options=CheckOptions))
    return Program(name="test", version="1", namespace=namespace, executor_class=FleetExecutor, config_class=Config)


def calls(*argv: str) -> Calls:
    """Return how often the task was called, and with what."""
    made: Calls = []
    program(lambda core, options: made.append((core, options))).run(["test", *argv])
    return made


def failure(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Return the exit code and the words of a task that ends with an error."""

    def fail(*_: object) -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        program(fail).run(["test", "-H", "np1", "task"])
    return left.value.code, capsys.readouterr().err


def test_all_hosts_reach_one_call_as_they_were_typed() -> None:
    assert calls("-H", "np1, a@np2,[::1]:22,np1", "task") == [
        (CoreOptions(hosts="np1, a@np2,[::1]:22,np1"), CheckOptions())
    ]


def test_hosts_that_were_not_typed_are_none() -> None:
    assert calls("task")[0][0].hosts is None


def test_hosts_that_were_typed_empty_are_empty() -> None:
    assert calls("-H", "", "task")[0][0].hosts == ""


def test_identities_are_handed_on() -> None:
    assert calls("-i", "k1", "-i", "k2", "-H", "np1", "task")[0][0].identity == ("k1", "k2")


def test_options_are_text_and_switches() -> None:
    assert calls("task", "--version=3.5.0", "--jobs", "x", "--json")[0][1] == CheckOptions(
        version="3.5.0", jobs="x", json=True
    )


@pytest.mark.parametrize(
    "typed",
    [
        ("task", "task"),
        ("task", "--jobs", "1", "task"),
        ("other", "task"),
        ("task", "other"),
        ("-H", "np1", "task", "task"),
    ],
)
def test_more_than_one_task_is_refused(typed: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code of the first would be lost, and what the second one is for with it."""

    @task
    def other(_: object) -> None:
        pytest.fail("called")

    with pytest.raises(SystemExit) as left:
        program(lambda *_: pytest.fail("called"), other).run(["test", *typed])

    assert left.value.code == 1
    assert capsys.readouterr().err.startswith("error: one command runs one task, not 2: ")


def test_tasks_of_others_are_left_to_fabric() -> None:
    ran: list[str] = []

    @task
    def other(_: object) -> None:
        ran.append("other")

    program(lambda *_: pytest.fail("called"), other).run(["test", "other", "other"])

    assert ran == ["other", "other"]


def test_another_executor_is_told_to_make_room(capsys: pytest.CaptureFixture[str]) -> None:
    namespace = Collection(task=FleetTask(lambda *_: pytest.fail("called"), options=CheckOptions))
    stock = Fab(namespace=namespace, executor_class=fabric.Executor, config_class=fabric.Config)

    with pytest.raises(SystemExit) as left:
        stock.run(["test", "-H", "np1,np2", "task"])

    assert left.value.code == 1
    assert "netpoint_remote.cli.executor.FleetExecutor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("so"), 1), (AuthenticationFailed("so"), 4), (NetPointRemoteError("so"), 2)]
)
def test_a_failure_is_one_sentence_and_its_code(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(error, capsys) == (code, "error: so\n")


def test_a_stop_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(KeyboardInterrupt(), capsys) == (130, "stopped\n")


def test_a_full_disk_here_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(OSError(28, "No space left on device", "runs/x"), capsys) == (
        2,
        "error: runs/x: No space left on device\n",
    )


def test_a_defect_is_short_here_and_whole_in_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    code, said = failure(ZeroDivisionError("so"), capsys)

    (saved,) = tmp_path.glob("netpoint-remote-*.traceback")
    assert code == 2
    assert "Traceback" not in said
    assert str(saved) in said
    assert "ZeroDivisionError: so" in saved.read_text("utf-8")
    assert saved.stat().st_mode & 0o077 == 0
