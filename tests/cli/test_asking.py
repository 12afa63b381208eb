"""What changes a server asks first, over whatever terminal there is; where there is none it ends with exit 1."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_attend import BEGIN, OWN, STOCK, Run, Workstation, make_run  # noqa: F401  a fixture
from tests.running.test_practice import Practice, eventually, serve
from tests.support.terminals import open_terminal, with_terminal

pytest.importorskip("asyncssh")
pytestmark = pytest.mark.ssh

CHANGING = {
    "upgrade": ("upgrade", "--version", "3.5.0", "--limit", "np1"),
    "rollback": ("rollback", "--to", "{backup}", "--limit", "np1"),
    "prune": ("prune", "--keep", "1", "--limit", "np1"),
    "stop": ("stop", "--limit", "np2"),
    "backup": ("backup", "--limit", "np3"),
}


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    """Serve one host with two backups, and two on which the tests play runs."""
    folder = tmp_path_factory.mktemp("asking")
    with serve(folder / "practice", "np1=3.4.9,np2=3.4.9,np3=3.4.9") as served:
        operator = Workstation(folder / "home", served.folder / "hosts.yaml")
        for _ in range(2):
            done = operator.run("backup", "--limit", "np1")
            assert done.returncode == 0, done.stdout + done.stderr
        # The server still removes a run's secrets when the run's end is reported.
        assert eventually(lambda: not list(runs_of(served, "np1").glob("*/secrets")))
        yield served


@pytest.fixture
def operator(practice: Practice, tmp_path: Path) -> Workstation:
    return Workstation(tmp_path / "operator", practice.folder / "hosts.yaml")


@pytest.fixture
def runs(make_run: Callable[..., Run]) -> None:  # noqa: F811  the fixture above
    """Let a run be in progress on np2, and leave one interrupted on np3."""
    make_run("np2").begin(*BEGIN)
    make_run("np3").begin(*BEGIN).vanish()


def backups(practice: Practice) -> list[str]:
    return sorted(path.name for path in Path(practice.hosts["np1"]["backup_dir"]).iterdir())


def runs_of(practice: Practice, host: str) -> Path:
    return Path(practice.hosts[host]["state_dir"]) / "runs"


def state(practice: Practice) -> list[object]:
    """Return what the commands would change."""
    runs = [sorted(runs_of(practice, host).rglob("*")) for host in ("np1", "np2", "np3")]
    return [backups(practice), runs, (practice.root("np1") / "opt/netpoint").resolve()]


def typed(task: str, practice: Practice) -> list[str]:
    return [word.format(backup=backups(practice)[0]) for word in CHANGING[task]]


@pytest.mark.promise(11)
@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("program", "task"), [*((OWN, task) for task in CHANGING), (STOCK, "upgrade")], ids=[*CHANGING, "upgrade by fab"]
)
def test_without_a_terminal_nothing_changes_and_the_option_is_named(
    operator: Workstation, practice: Practice, task: str, program: tuple[str, ...]
) -> None:
    before = state(practice)

    done = operator.run(*typed(task, practice), program=program)

    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no terminal" in done.stderr
    assert "--yes" in done.stderr
    assert state(practice) == before
    assert not list((operator.home / "runs").glob("*"))


@pytest.mark.promise(11)
@pytest.mark.parametrize("task", ["upgrade", "prune"])
def test_an_output_that_goes_to_a_pipe_takes_neither_the_question_nor_the_answer_away(
    operator: Workstation, practice: Practice, task: str
) -> None:
    before = state(practice)
    with (
        open_terminal() as screen,
        operator.start(*typed(task, practice), stderr=subprocess.STDOUT, **with_terminal(screen)) as process,
    ):
        screen.wait_for("anything else stops here: ")
        screen.type("no\n")
        said, _ = process.communicate()

    assert (process.returncode, "not confirmed: nothing was changed" in said) == (1, True)
    assert "anything else stops here" not in said
    assert state(practice) == before


@pytest.mark.promise(11)
def test_the_answer_is_taken_from_the_terminal(operator: Workstation, practice: Practice) -> None:
    newest = backups(practice)[-1]
    with (
        open_terminal() as screen,
        operator.start(*typed("prune", practice), stderr=subprocess.STDOUT, **with_terminal(screen)) as process,
    ):
        screen.wait_for("anything else stops here: ")
        screen.type("1\n")
        said, _ = process.communicate()

    assert process.returncode == 0, said
    assert backups(practice) == [newest]


def test_what_adds_a_backup_and_settles_nothing_does_not_ask(operator: Workstation) -> None:
    assert operator.run("backup", "--limit", "np1").returncode == 0


def test_a_backup_settles_an_interrupted_backup_without_a_question(
    operator: Workstation,
    make_run: Callable[..., Run],  # noqa: F811  the fixture above
) -> None:
    run = make_run("np3").begin(*BEGIN)
    (run.folder / "about").write_text("alice@ws1 backup of 3.4.9\n")
    run.vanish()

    done = operator.run("backup", "--limit", "np3")

    assert "there is no terminal" not in done.stderr


def test_where_there_is_nothing_to_change_nothing_is_asked(operator: Workstation) -> None:
    assert operator.run("prune", "--keep", "9", "--limit", "np1").returncode == 0
    assert operator.run("stop", "--limit", "np1").returncode == 0
