"""The commands that finish a failed undo by hand: typed as they stand, they lead where the undo would have led."""

import pytest

from netpoint_remote.planning.plan import Plan, make_rollback_plan
from netpoint_remote.running.bundle import bundle_files
from tests.remote.conftest import Make
from tests.remote.server import Server, differences, write_files
from tests.remote.test_plans import carry_out
from tests.remote.test_steps import LEFT, before
from tests.remote.test_way_back import BOTH, backup_of, case_of, save

STEPS = [
    *(("archive", name) for name in ("guard_boot", "stop_services", "run_upgrade", "flip_link", "update_units",
                                     "schedule_housekeeping")),
    *(("git", name) for name in ("set_aside", "checkout_tag")),
]  # fmt: skip


def type_all(server: Server, commands: list[str]) -> None:
    """Type commands one after the other; none may fail."""
    for command in commands:
        done = server.sh(["-c", command])
        assert done.returncode == 0, f"{command}: {done.stdout}"


@pytest.mark.parametrize(("method", "name"), STEPS)
def test_what_is_typed_undoes_a_step_and_leaves_its_undo_nothing_to_do(
    make_server: Make, method: str, name: str
) -> None:
    """The next run begins with the undo once more: it must not put a dump over what was written since."""
    server = before(make_server, method, name)
    untouched = server.look(*LEFT.get((method, name), ()))
    server.apply(name)

    type_all(server, server.step(name, "by_hand").stdout.splitlines())

    assert differences(untouched, server.look(*LEFT.get((method, name), ()))) == []
    (server.world / "restored").unlink(missing_ok=True)
    assert server.step(name, "undo").returncode == 0
    assert differences(untouched, server.look(*LEFT.get((method, name), ()))) == []
    assert not (server.world / "restored").exists()


@pytest.mark.parametrize("there", ["dangling", "not executable"])
def test_what_was_in_the_place_of_a_job_is_put_back_by_hand(server: Server, there: str) -> None:
    job = server.folder / "etc/cron.daily/netpoint-housekeeping"
    job.symlink_to("/nowhere") if there == "dangling" else job.write_text("#!/bin/sh\n")
    server.record()
    untouched = server.look()
    server.apply("schedule_housekeeping")

    type_all(server, server.step("schedule_housekeeping", "by_hand").stdout.splitlines())

    assert differences(untouched, server.look()) == []


def stick(server: Server, plan: Plan) -> list[str]:
    """Carry a plan out whose last step fails and cannot be undone; return the commands that it leaves."""
    server.run_id = f"r{int(server.run_id[1:]) + 1}"
    of = case_of(server)
    named = dict(bundle_files(of, plan, run_id=server.run_id, operator="t", about="t", constraints=True))
    named[f"bundle/steps/{plan.steps[-1].name}.sh"] += "apply() { fail 'no luck'; }\nundo() { fail 'stuck'; }\n"
    write_files(server.run, {**named, "journal": "", "log": ""})
    server.sh([str(server.run / "bundle/main.sh"), "run"])
    assert (server.run / "unsettled").exists(), (server.run / "log").read_text()[-2000:]
    told = [line.partition(" ")[2].partition(" ")[2] for line in server.journal if line.startswith("by-hand ")]
    return told[1:]


@BOTH
def test_a_way_back_that_is_stuck_is_taken_back_by_hand(make_server: Make, *, git: bool) -> None:
    server = make_server(git=git)
    server.unit("netpoint", "/usr/local/bin/gunicorn netpoint.wsgi")
    (server.folder / "etc/cron.daily/netpoint-housekeeping").write_text("#!/bin/sh\n")
    result, _ = carry_out(server)
    assert result == "upgraded", (server.run / "log").read_text()[-2000:]
    upgraded = server.look()
    plan = make_rollback_plan(case_of(server), backup_of(server, "r2"), accept_loss=False)

    commands = stick(server, plan)
    assert commands[0].startswith("systemctl stop netpoint-remote-recover.service "), "systemd would go back meanwhile"
    assert differences(upgraded, server.look()) != []
    type_all(server, commands)

    assert differences(upgraded, server.look()) == []
    assert not (server.state / "rolled-back/3.5.0").exists()


def test_files_that_were_put_back_are_taken_back_by_hand(server: Server) -> None:
    write_files(server.old, {"netpoint/media/deep/er/a 'quoted' name.png": "PNG"})
    save(server)
    (server.old / "netpoint/media/deep/er/a 'quoted' name.png").unlink()
    (server.old / "netpoint/media/deep/er").rmdir()
    (server.old / "gunicorn.py").write_text("bind = ''\n")
    saved = server.look()
    plan = make_rollback_plan(case_of(server), backup_of(server, "r2"), accept_loss=False)

    commands = stick(server, plan)
    assert differences(saved, server.look()) != []
    type_all(server, commands)

    assert differences(saved, server.look()) == []
