"""A run of the tests of its own: what fails in the rings with real servers gets a second chance, alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOOKS = "from tests.conftest import pytest_addoption, pytest_collection_modifyitems, pytest_configure\n"
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


def run(folder: Path, *options: str, ring: str, first_time: bool = True, passes: bool = True) -> tuple[int, str]:
    """Return the exit code and the output of a run over two tests that share a fixture."""
    (folder / "test_some.py").write_text(
        TESTS.format(folder=str(folder), first_time=first_time, passes=passes, ring=ring)
    )
    return run_pytest(folder, *options, ".")


def run_pytest(folder: Path, *options: str) -> tuple[int, str]:
    """Return the exit code and the output of pytest with our hooks in a folder of tests."""
    (folder / "conftest.py").write_text(HOOKS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", folder, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_what_passes_alone_is_flaky_and_the_run_green(tmp_path: Path) -> None:
    exit_code, output = run(tmp_path, "--again", "-n", "2", "--dist", "loadgroup", ring="lab")

    assert exit_code == 0, output
    last = output.splitlines()[-8:]
    flaky = [line for line in last if line.startswith("FLAKY test_some.py::test_")]
    assert len(flaky) == 2, output
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


def test_files_of_several_folders_can_be_named_in_one_call(tmp_path: Path) -> None:
    files = [tmp_path / name / f"test_{name}.py" for name in ("one", "other")]
    for file in files:
        file.parent.mkdir()
        file.with_name("conftest.py").write_text("def pytest_runtest_logreport(report): ...\n")
        file.write_text("def test_one(): ...\n")

    exit_code, output = run_pytest(tmp_path, *map(str, files))

    assert exit_code == 0, output
