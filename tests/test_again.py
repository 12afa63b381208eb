"""A run of the tests of its own: what fails in the rings with real servers gets a second chance, alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import AS_ON_A_TERMINAL

ROOT = Path(__file__).parents[1]
PROCESSES = ("-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder")
HOOKS = "pytest_plugins = ['tests.hooks']\n"
TESTS = """
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def shared():
    seen = Path({folder!r}, "seen")
    if {first_time!r} and not seen.exists():
        seen.touch()
        raise OSError("the machine is busy")

@pytest.mark.{ring}
@pytest.mark.xdist_group("shared")
def test_one(shared):
    assert {passes!r}

@pytest.mark.{ring}
@pytest.mark.xdist_group("shared")
def test_other(shared):
    pass
"""


FIRST_TIME = """
import os
import time
from pathlib import Path
import pytest

def first_time():
    seen = Path(__file__).with_name("seen")
    begun_before = seen.exists()
    seen.touch()
    return not begun_before

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("shared")]
"""
"""The beginning of a file of tests that do something else when they run a second time."""


def run(folder: Path, *options: str, ring: str, first_time: bool = True, passes: bool = True) -> tuple[int, str]:
    """Return the exit code and the output of a run over two tests that share a fixture."""
    (folder / "test_some.py").write_text(
        TESTS.format(folder=str(folder), first_time=first_time, passes=passes, ring=ring)
    )
    return run_pytest(folder, *options, ".")


def run_twice(folder: Path, *options: str, text: str) -> tuple[int, str]:
    """Return the exit code and the output of a run over tests of the lab ring that begin with FIRST_TIME."""
    (folder / "test_some.py").write_text(FIRST_TIME + text)
    return run_pytest(folder, "--again", *options, ".")


def run_pytest(folder: Path, *options: str) -> tuple[int, str]:
    """Return the exit code and the output of pytest with our hooks in a folder of tests."""
    with start_pytest(folder, *options) as process:
        output, _ = process.communicate()
    return process.returncode, output


def start_pytest(folder: Path, *options: str, added: str = "") -> subprocess.Popen[str]:
    (folder / "conftest.py").write_text(HOOKS)
    return subprocess.Popen(
        [
            *AS_ON_A_TERMINAL,
            sys.executable,
            "-m",
            "pytest",
            "-c",
            ROOT / "pyproject.toml",
            "--rootdir",
            folder,
            "-p",
            "no:hypothesispytest",  # to import it would take as long as all the rest
            *options,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": added},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_passes_alone_is_flaky_and_the_run_green(tmp_path: Path) -> None:
    exit_code, output = run(tmp_path, "--again", *PROCESSES, ring="lab")

    assert exit_code == 0, output
    last = output.splitlines()[-8:]
    flaky = [line for line in last if line.startswith("FLAKY test_some.py::test_")]
    assert len(flaky) == 2, output
    assert all("(first: OSError: the machine is busy)" in line for line in flaky), flaky
    kept = (tmp_path / flaky[0].rpartition(": ")[2]).read_text()
    assert "the machine is busy" in kept.partition("AGAIN, alone")[0]
    assert "2 passed" in kept.partition("AGAIN, alone")[2]
    assert "2 flaky in" in last[-1]


@pytest.mark.parametrize(
    ("options", "ring", "passes"),
    [(("--again",), "ssh", False), (("--again",), "fast", True), ((), "lab", True)],
    ids=["fails again", "fast ring", "not requested"],
)
def test_what_is_a_failure_stays_one(tmp_path: Path, options: tuple[str, ...], ring: str, passes: bool) -> None:  # noqa: FBT001  a parameter of the test
    exit_code, output = run(
        tmp_path, *options, ring="filterwarnings('default')" if ring == "fast" else ring, passes=passes
    )

    assert exit_code == 1, output
    assert "FLAKY" not in output


@pytest.mark.parametrize("ends", ["skip", "xfail"])
def test_only_a_test_that_passes_is_flaky(tmp_path: Path, ends: str) -> None:
    test = f"def test_one():\n    assert not first_time()\n    pytest.{ends}('no servers here')\n"
    exit_code, output = run_twice(tmp_path, text=f"{test}def test_other(): ...\n")

    assert exit_code == 1, output
    assert "FLAKY" not in output
    assert "ring lab (real Debian servers): 1 passed, 1 failed" in output.splitlines()


TEARDOWN = """
@pytest.fixture
def fails_at_its_end():
    yield
    assert not first_time()

def test_one(fails_at_its_end): ...
"""
CRASH = "def test_one():\n    if first_time():\n        os._exit(1)\n"
AN_AT = "@pytest.mark.parametrize('where', ['a@b'])\n" + CRASH.replace("test_one()", "test_one(where)")


@pytest.mark.parametrize(
    ("options", "text"),
    [((), TEARDOWN), (PROCESSES, TEARDOWN), (PROCESSES, CRASH), (PROCESSES, AN_AT)],
    ids=["teardown", "teardown in a process", "crash", "crash of a test with an at sign"],
)
def test_a_test_is_counted_once(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    exit_code, output = run_twice(tmp_path, *options, text=text)

    assert exit_code == 0, output
    assert "ring lab (real Debian servers): 0 passed, 1 flaky" in output.splitlines()
    assert "ring fast (no root, no network): not requested" in output.splitlines()


def test_a_failure_stays_one_where_its_teardown_is_skipped(tmp_path: Path) -> None:
    text = TEARDOWN.replace("assert not first_time()", "pytest.skip('no servers here')").replace("...", "assert False")
    exit_code, output = run_twice(tmp_path, text=text)

    assert exit_code == 1, output
    assert "ring lab (real Debian servers): 0 passed, 1 failed" in output.splitlines()


def test_a_failure_after_the_test_is_counted_as_one(tmp_path: Path) -> None:
    exit_code, output = run_twice(tmp_path, text=TEARDOWN.replace("not first_time()", "False"))

    assert exit_code == 1, output
    assert "ring lab (real Debian servers): 0 passed, 1 failed" in output.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_run_that_is_ended_while_it_tries_again_tells_what_it_knows(tmp_path: Path, number: int) -> None:
    (tmp_path / "test_some.py").write_text(
        FIRST_TIME + "def test_one():\n    assert not first_time()\n    Path('waits').touch()\n    time.sleep(60)\n"
    )
    with start_pytest(tmp_path, "--again", ".") as process:
        while not (tmp_path / "waits").exists() and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(number)
        output, _ = process.communicate()

    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "assert not first_time()" in output
    assert "ring lab (real Debian servers): 0 passed, 1 failed" in output.splitlines()
    assert len([*(tmp_path / "build" / "flaky").iterdir()]) == 1


def test_options_of_the_environment_do_not_stop_the_second_time(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(FIRST_TIME + "def test_one():\n    assert not first_time()\n")
    with start_pytest(tmp_path, "--again", ".", added=" ".join(PROCESSES)) as process:
        output, _ = process.communicate()

    assert process.returncode == 0, output


def test_a_second_time_that_cannot_begin_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        FIRST_TIME + "def test_one():\n    Path(__file__).unlink()\n    assert False\n"
    )
    exit_code, output = run_pytest(tmp_path, "--again", ".")

    assert exit_code == 1, output
    assert "test_some.py::test_one: could not be run again (pytest ended with 4). Both outputs: build/flaky/" in output


def test_files_of_several_folders_can_be_named_in_one_call(tmp_path: Path) -> None:
    files = [tmp_path / name / f"test_{name}.py" for name in ("one", "other")]
    for file in files:
        file.parent.mkdir()
        file.with_name("conftest.py").write_text("def pytest_runtest_logreport(report): ...\n")
        file.write_text("def test_one(): ...\n")

    exit_code, output = run_pytest(tmp_path, *map(str, files))

    assert exit_code == 0, output


FAILS_ONCE = "def test_one():\n    assert not first_time()\n"
INTERNAL_ERROR = """
@pytest.fixture
def broken_plugin(request):
    class Plugin:
        def pytest_runtest_logfinish(self):
            raise RuntimeError("a defect of a plugin")
    request.config.pluginmanager.register(Plugin())
def test_other(broken_plugin): ...
"""
DEATH = INTERNAL_ERROR.replace("pytest_runtest_logfinish", "pytest_sessionfinish").replace(
    'raise RuntimeError("a defect of a plugin")', "os._exit(1)"
)
LEFT = """
from tests.lab import errors, slots
class Slot:
    def free(self):
        raise errors.LabError("cannot be taken away: a folder")
def test_other():
    slots._owned.add(Slot())
"""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (PROCESSES, INTERNAL_ERROR),
        (PROCESSES, FAILS_ONCE + INTERNAL_ERROR),
        (PROCESSES, FAILS_ONCE + DEATH),
        ((), FAILS_ONCE + LEFT),
        (PROCESSES, LEFT),
    ],
    ids=["internal error", "internal error and failure", "death", "server left", "server left by a process"],
)
def test_a_run_is_red_also_for_what_is_no_failure_of_a_test(
    tmp_path: Path, options: tuple[str, ...], text: str
) -> None:
    exit_code, output = run_twice(tmp_path, *options, text=text)

    assert exit_code != 0, output
    assert "FLAKY" not in output


def test_a_file_that_cannot_be_imported_is_not_forgiven(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    exit_code, output = run_twice(tmp_path, *PROCESSES, text=FAILS_ONCE)

    assert exit_code == 1, output
    assert "FLAKY" not in output


TWENTY_MORE = "@pytest.mark.parametrize('n', range(20))\ndef test_other(n): ...\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [(("-x",), FAILS_ONCE + TWENTY_MORE), (("-n", "1", "--dist", "loadgroup"), CRASH + TWENTY_MORE)],
    ids=["stopped", "crash"],
)
def test_a_run_without_all_its_tests_is_red_and_names_them(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    exit_code, output = run_twice(tmp_path, *options, text=text)

    assert exit_code == 1, output
    assert "FLAKY" not in output
    assert "20 tests DID NOT RUN:" in output
    assert "    test_some.py::test_other[0]" in output.splitlines()


def test_a_crash_before_the_last_tests_does_not_hang_the_run(tmp_path: Path) -> None:
    waits = "@pytest.mark.parametrize('n', range(3))\ndef test_other(n):\n    time.sleep(1)\n"
    (tmp_path / "test_some.py").write_text(FIRST_TIME.rpartition("pytestmark")[0] + CRASH + waits)
    with start_pytest(tmp_path, *PROCESSES, ".") as process:
        try:
            output, _ = process.communicate(timeout=600)
        finally:
            process.kill()

    assert process.returncode == 1, output


def test_the_second_run_has_the_options_of_the_first(tmp_path: Path) -> None:
    text = "def test_one():\n    __import__('warnings').warn('a fault', DeprecationWarning)\n"
    exit_code, output = run_twice(tmp_path, "-W", "error", "-k", "one", text=text)

    assert exit_code == 1, output
    assert "did not pass when it was run again alone" in output


def test_a_test_of_the_fast_ring_is_not_run_again_with_its_group(tmp_path: Path) -> None:
    fixture = "@pytest.fixture(scope='module')\ndef shared():\n    assert not first_time()\n"
    tests = "@pytest.mark.ssh\ndef test_one(shared): ...\ndef test_other(shared): ...\n"
    (tmp_path / "test_some.py").write_text(FIRST_TIME.rpartition("pytestmark")[0] + fixture + tests)
    exit_code, output = run_pytest(tmp_path, "--again", ".")

    assert exit_code == 1, output
    assert "again" not in output


def test_a_crash_in_the_setup_is_run_again(tmp_path: Path) -> None:
    fixture = "@pytest.fixture\ndef crashes():\n    if first_time():\n        os._exit(1)\n"
    test = "@pytest.mark.ssh\ndef test_one(crashes): ...\n"
    (tmp_path / "test_some.py").write_text(FIRST_TIME.rpartition("pytestmark")[0] + fixture + test)
    exit_code, output = run_pytest(tmp_path, "--again", *PROCESSES, ".")

    assert exit_code == 0, output
    assert "ring ssh (real SSH on loopback): 0 passed, 1 flaky" in output.splitlines()


def test_each_failure_has_a_file_of_its_own_whatever_is_in_it(tmp_path: Path) -> None:
    """The names differ in what no file's name can have; the second message is no text that UTF-8 can encode."""
    text = """
@pytest.mark.parametrize("where", ["a/b", "a:b"])
def test_one(where, record_property):
    record_property("note", "of the test")
    seen = Path(__file__).with_name(f"seen-{ord(where[1])}")
    if not seen.exists():
        seen.touch()
        pytest.fail(f"{where} \\udcff")
"""
    # Without the mark of a group, each is a failure of its own.
    (tmp_path / "test_some.py").write_text(FIRST_TIME.replace(', pytest.mark.xdist_group("shared")', "") + text)
    exit_code, output = run_pytest(tmp_path, "--again", ".")

    assert exit_code == 0, output
    kept = sorted(path.read_text() for path in (tmp_path / "build/flaky").iterdir())
    assert [name for name, text in zip(("a/b", "a:b"), kept, strict=True) if f"{name} \\udcff" in text] == [
        "a/b",
        "a:b",
    ]


def test_where_the_outputs_cannot_be_kept_the_failure_is_shown(tmp_path: Path) -> None:
    (tmp_path / "build").touch()
    exit_code, output = run_twice(tmp_path, "-p", "no:cacheprovider", text=FAILS_ONCE)

    assert exit_code == 1, output
    assert "FAILED test_some.py::test_one - assert not True" in output
    assert "test_some.py::test_one: its outputs cannot be kept: " in output
    assert "ring lab (real Debian servers): 0 passed, 1 failed" in output.splitlines()
