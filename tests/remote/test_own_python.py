"""Programs of ours have a Python from the beginning of a run to its end, wherever the installation's own is moved."""

import sys
from pathlib import Path

import pytest

from tests.remote.server import BIN, REAL_PATH, Server

SET_ASIDE = 'mv "$ROOT/venv" "$ROOT/moved"; '


@pytest.fixture
def without_python(server: Server) -> str:
    """Return a PATH that has everything but a Python."""
    folder = server.base / "programs"
    folder.mkdir()
    for path in [program for place in (str(BIN), *REAL_PATH.split(":")) for program in Path(place).iterdir()]:
        if not path.name.startswith("python") and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    return str(folder)


def test_the_python_of_the_hosts_file_is_enough(server: Server, without_python: str) -> None:
    (Path(without_python) / "python3.11").symlink_to(sys.executable)
    server.record()
    (server.run / "python").unlink()
    server.bundle(PYTHON="python3.11")

    done = server.in_run(f"{SET_ASIDE}as_upgrade / echo done", PATH=without_python)

    assert done.stdout == "done\n"


def test_what_a_run_had_at_its_beginning_it_has_when_the_environment_is_moved(
    server: Server, without_python: str
) -> None:
    python = server.old / "venv/bin/python3"
    python.unlink()
    python.symlink_to(sys.executable)
    server.record()

    done = server.in_run(f'find_python >"$RUN/python"; {SET_ASIDE}as_upgrade / echo done', PATH=without_python)

    assert done.stdout == "done\n"


def test_a_run_without_any_python_ends_before_it_begins(server: Server, without_python: str) -> None:
    (server.old / "venv").rename(server.old / "moved")

    done = server.sh([str(server.run / "bundle/prepare.sh")], PATH=without_python)

    assert (done.returncode, server.reason) == (
        1, "no usable python3 was found: set python in the hosts file",
    )  # fmt: skip


def test_a_program_without_a_python_says_so(server: Server, without_python: str) -> None:
    done = server.in_run(f"{SET_ASIDE}own_python -c ''", PATH=without_python)

    assert (done.returncode, "no usable python3 was found" in done.stdout) == (127, True)


@pytest.mark.promise(8)
def test_root_does_not_start_a_python_that_others_can_write(server: Server, without_python: str) -> None:
    python = server.old / "venv/bin/python3"
    python.write_text('#!/bin/sh\n: >"$WORLD/started"\n')
    python.chmod(0o757)

    done = server.in_run('find_python || echo none; tree_python "$OLD"', PATH=without_python)

    assert done.stdout == f"none\n{python}"  # its service is asked by it all the same
    assert not (server.world / "started").exists()
