"""Whole plans, as the planning makes them, carried out on servers in folders by every shell."""

import os
import signal
import subprocess
from pathlib import PurePosixPath

import pytest

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.plan import make_plan
from netpoint_remote.running.bundle import bundle_files
from netpoint_remote.running.journal import Record
from tests.builders import case, facts, host, target
from tests.remote.conftest import SHELLS, Make
from tests.remote.server import Server, differences, eventually, write_files

AFTER_DOCS = "Building documentation (mkdocs build)"


def case_of(server: Server) -> Case:
    folder = PurePosixPath(server.folder)
    on = host(
        root=PurePosixPath(server.root), state_dir=PurePosixPath(server.state),
        backup_dir=folder / "var/backups", cron_dir=folder / "etc/cron.daily",
        environment=(("PIP_INDEX_URL", "https://pip:hunter2@pip.example.org"),),
    )  # fmt: skip
    to = target(
        sha256=server.sha256, url="https://u:hunter2@example.org/v3.5.0.tar.gz", commit=server.changed.get("COMMIT", "")
    )
    return case(facts(git=server.git, real=str(server.old), link=None if server.git else server.link), to=to, on=on)


def send(server: Server) -> None:
    """Plan, and put the bundle of a new run on the server."""
    planned = case_of(server)
    server.run_id = f"r{int(server.run_id[1:]) + 1}"
    named = bundle_files(
        planned, make_plan(planned), run_id=server.run_id, operator="t", about="t upgrade", constraints=True
    )
    write_files(server.run, {**named, "journal": "", "log": ""})


def carry_out(server: Server) -> tuple[str, Record]:
    """Send a plan and run it; return how it ended and what was written down."""
    send(server)
    server.sh([str(server.run / "bundle/main.sh"), "run"])
    record = Record(host="np1")
    for line in (server.run / "journal").read_text().splitlines():
        record.add(line)
    return (server.run / "result").read_text().strip(), record


def with_shell(server: Server, shell: tuple[str, ...]) -> Server:
    """Let a shell be what every `sh` means on a server."""
    server.shell = shell
    server.replace("sh", f'exec {" ".join(shell)} "$@"')
    return server


@pytest.mark.parametrize(("git", "shell"), [(False, SHELLS[0]), (True, SHELLS[1])], ids=["archive", "git"])
def test_a_plan_ends_with_the_new_release_in_service(make_server: Make, shell: tuple[str, ...], *, git: bool) -> None:
    serving = with_shell(make_server(git=git), shell)

    result, record = carry_out(serving)

    assert result == "upgraded", (serving.run / "log").read_text()[-2000:]
    assert (serving.root / "netpoint/netpoint/settings.py").read_text() == "VERSION = '3.5.0'\n"
    assert (serving.active, serving.migrations) == (["netpoint", "netpoint-rq"], ["dcim|0001_initial", "dcim|0172_new"])
    assert (
        record.window_seconds is not None,
        [step.name for step in record.steps if step.status.value not in {"done", "unchanged"}],
    ) == (True, [])
    assert "hunter2" not in (serving.run / "log").read_text() + "\n".join(serving.said)


@pytest.mark.promise(2, 3, method="both")
@pytest.mark.parametrize(("git", "shell"), [(False, SHELLS[1]), (True, SHELLS[0])], ids=["archive", "git"])
def test_a_plan_that_fails_leaves_everything_as_it_was(make_server: Make, shell: tuple[str, ...], *, git: bool) -> None:
    serving = with_shell(make_server(git=git), shell)
    before = serving.look()
    serving.tell(upgrade_fails=AFTER_DOCS)

    result, _ = carry_out(serving)

    assert result.startswith("reverted run_upgrade: upgrade.sh ended with status 1 at: Building documentation"), result
    assert differences(before, serving.look()) == []


def test_a_plan_that_is_killed_in_the_middle_of_upgrade_sh_is_undone_and_carried_out_by_the_next_one(
    server: Server,
) -> None:
    server.tell(upgrade_hangs=AFTER_DOCS)
    send(server)
    command = ["sh", str(server.run / "bundle/main.sh"), "run"]
    with subprocess.Popen(command, env=server.environment, start_new_session=True) as process:
        assert eventually((server.world / "hangs").exists)
        os.killpg(process.pid, signal.SIGKILL)
    killed = server.run
    (server.world / "upgrade.hangs").unlink()

    result, _ = carry_out(server)

    assert (killed / "result").read_text().startswith("reverted it was interrupted in run_upgrade: the run was killed")
    assert result == "upgraded"
    assert (server.active, server.migrations) == (["netpoint", "netpoint-rq"], ["dcim|0001_initial", "dcim|0172_new"])
