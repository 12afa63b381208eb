"""Looking at the runs of a server, and asking one to stop: what is told, and that a look changes nothing."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netpoint_remote.running.bundle import visit_script
from netpoint_remote.running.standing import Standing, State, parse_standing, report_of
from tests.remote.conftest import Make
from tests.remote.server import Server, look, write_files

JOURNAL = """\
1000.000 started - 4 steps
1001.000 step record_before {}
1002.000 step-done record_before done
1003.000 step stop_services {}
1003.500 window-open stop_services {}
1004.000 part stop_services a line that nobody needs here
""".replace("{}", "")
PLAN = "record_before stage 30 1\nstop_services window 30 1\ndump_database window 30 1\nlift_guard after 30 1\n"


@pytest.fixture
def quiet(make_server: Make, shell: tuple[str, ...]) -> Server:
    """Return a server on which nothing was ever run."""
    server = make_server(shell=shell)
    shutil.rmtree(server.state)
    return server


def a_run(server: Server, run_id: str = "r1", *, journal: str = JOURNAL, **files: str) -> Path:
    """Give the server a run that got the lock."""
    variables = "OLD_VERSION=3.4.9\nTREE_VERSION=3.5.0\nMETHOD=archive\nOLD='/opt/it'\\''s'\n"
    write_files(server.state, {"current": f"{run_id}\n", "lock": ""})
    folder = server.state / "runs" / run_id
    write_files(folder, {
        "about": "alice@ws1 upgrade from 3.4.9 to 3.5.0\n", "journal": journal, "bundle/plan": PLAN,
        "bundle/vars.sh": variables, **files,
    })  # fmt: skip
    return folder


@contextmanager
def locked(server: Server, signed: str = "r1 alice@ws1 999") -> Iterator[None]:
    with (server.state / "lock").open("w") as lock:
        lock.write(f"{signed}\n" if signed else "")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def printed(server: Server, run_id: str = "") -> str:
    script = visit_script("status.sh", (("STATE_DIR", str(server.state)), ("RUN_ID", run_id)))
    done = server.sh(["-c", script])
    assert done.returncode == 0, done.stdout
    return done.stdout


def standing(server: Server, run_id: str = "") -> Standing:
    return parse_standing(printed(server, run_id))


def stop(server: Server, run_id: str = "r1", operator: str = "bob@ws2") -> str:
    variables = (("STATE_DIR", str(server.state)), ("RUN_ID", run_id), ("OPERATOR", operator))
    done = server.sh(["-c", visit_script("stop.sh", variables)])
    assert done.returncode == 0, done.stdout
    return done.stdout


# ---- status


def test_a_server_that_was_never_touched_says_so(quiet: Server) -> None:
    seen = standing(quiet)

    assert (seen.complete, seen.state, seen.run) == (True, None, None)
    assert not quiet.state.exists()


def test_a_run_at_work_is_told_with_its_owner_its_step_and_the_open_window(quiet: Server) -> None:
    a_run(quiet)
    with locked(quiet):
        seen = standing(quiet)

    assert seen.run is not None
    assert (seen.state, seen.run.operator, seen.run.task) == (
        State.RUNNING,
        "alice@ws1",
        "upgrade from 3.4.9 to 3.5.0",
    )
    assert (seen.run.step, seen.run.steps_done, seen.run.total) == ("stop_services", 1, 4)
    assert (seen.window_since, seen.run.began and seen.run.began.timestamp()) == (1003.5, 1000.0)
    assert (seen.from_version, seen.to_version, seen.method) == ("3.4.9", "3.5.0", "archive")


def test_a_run_that_has_written_nothing_yet_is_known_by_the_lock_that_it_signed(quiet: Server) -> None:
    a_run(quiet, "r1", result="upgraded \n")
    write_files(quiet.state / "runs/r2", {"about": "bob@ws2 from 3.4.9 to 3.5.0\n", "journal": ""})
    with locked(quiet, "r2 bob@ws2 1500"):
        seen = standing(quiet)

    assert seen.run is not None
    assert (seen.state, seen.run.run_id, seen.run.began and seen.run.began.timestamp()) == (State.RUNNING, "r2", 1500.0)


def test_where_nobody_signed_the_lock_the_last_run_is_the_one_at_work(quiet: Server) -> None:
    a_run(quiet)
    with locked(quiet, ""):
        assert standing(quiet).state is State.RUNNING


def test_a_run_that_ended_is_told_with_its_result_and_when(quiet: Server) -> None:
    run = a_run(quiet, result="reverted run_upgrade: no luck\n")
    os.utime(run / "result", (2000, 2000))

    seen = standing(quiet)

    assert seen.run is not None
    assert (seen.state, seen.run.result, seen.reason) == (State.DONE, "reverted", "run_upgrade: no luck")
    assert (seen.run.ended and seen.run.ended.timestamp(), seen.run.seconds) == (2000.0, 1000.0)


def test_a_run_that_was_cut_off_is_told_with_its_step(quiet: Server) -> None:
    a_run(quiet)

    seen = standing(quiet)

    assert seen.run is not None
    assert (seen.state, seen.run.step, seen.run.ended) == (State.INTERRUPTED, "stop_services", None)


def test_a_run_that_could_not_be_undone_is_told_with_the_commands_to_finish_by_hand(quiet: Server) -> None:
    undo = "1005.000 undo stop_services \n1006.000 undo-failed stop_services stuck\n"
    by_hand = "1007.000 by-hand stop_services systemctl start netpoint\n"
    a_run(quiet, journal=f"{JOURNAL}{undo}{by_hand}", result="failed x: no luck\n", unsettled="")

    seen = standing(quiet)

    assert (seen.state, seen.reason) == (State.UNSETTLED, "x: no luck")
    assert "    systemctl start netpoint" in report_of("np1", seen).problems[0].remedy


def test_what_is_being_settled_is_at_work(quiet: Server) -> None:
    a_run(quiet, unsettled="")
    with locked(quiet):
        assert standing(quiet).state is State.RUNNING


def test_a_run_that_waits_for_the_lock_has_not_begun(quiet: Server) -> None:
    a_run(quiet, "r1", result="upgraded \n")
    write_files(quiet.state / "runs/r2", {"about": "bob@ws2 from 3.4.9 to 3.5.0\n", "journal": ""})

    assert (standing(quiet, "r2").state, standing(quiet).state) == (State.WAITING, State.DONE)


def test_any_run_can_be_named(quiet: Server) -> None:
    a_run(quiet, "r1", result="upgraded \n")
    a_run(quiet, "r2")
    with locked(quiet, "r2 alice@ws1 999"):
        assert [standing(quiet, name).state for name in ("r1", "r2", "r3")] == [State.DONE, State.RUNNING, None]


def test_who_asked_for_a_stop_is_told(quiet: Server) -> None:
    a_run(quiet, stop="bob@ws2")
    with locked(quiet):
        seen = standing(quiet)

    assert seen.run is not None
    assert (seen.run.stop, seen.may_still_stop) == ("bob@ws2", False)


def test_a_look_changes_nothing(quiet: Server) -> None:
    a_run(quiet, result="upgraded \n")
    before = look(quiet.state, ".")
    times = [path.stat().st_mtime_ns for path in sorted(quiet.state.rglob("*"))]

    standing(quiet)

    assert look(quiet.state, ".") == before
    assert [path.stat().st_mtime_ns for path in sorted(quiet.state.rglob("*"))] == times


def test_damaged_files_are_bounded_and_harmless(quiet: Server) -> None:
    run = a_run(quiet)
    junk = (b"\x1b[2J\x00\xff\xfe\r" * 100 + b"step x y") * 500
    for name in ("about", "journal", "stop", "bundle/plan", "bundle/vars.sh", "result"):
        (run / name).write_bytes(junk)

    told = printed(quiet)

    assert len(told) < 20_000
    assert [letter for letter in told if letter < " " and letter != "\n"] == []
    assert parse_standing(told).state is State.DONE


@pytest.mark.parametrize("name", ["../../../../etc", "/etc", "", "a b", "x" * 5000, "$(touch x)"])
def test_what_names_no_run_is_none(quiet: Server, name: str) -> None:
    a_run(quiet)
    write_files(quiet.state, {"current": f"{name}\n"})
    with locked(quiet, f"{name} eve 5"):
        assert standing(quiet).run is None


def test_a_journal_without_end_is_told_by_its_end(quiet: Server) -> None:
    steps = "".join(f"{1000 + n}.000 step s{n} \n{1000 + n}.000 step-done s{n} done\n" for n in range(5000))
    a_run(quiet, journal=steps)

    told = printed(quiet)

    assert len(told) < 60_000
    run = parse_standing(told).run
    assert run is not None
    assert run.step == "s4999"


# ---- stop


def test_a_stop_is_written_down_with_who_asked_and_told_to_whoever_follows(quiet: Server) -> None:
    run = a_run(quiet)

    assert stop(quiet) == "asked\n"

    assert (run / "stop").read_text() == "bob@ws2"
    assert (run / "stop").stat().st_mode & 0o777 == 0o600
    assert (run / "journal").read_text().splitlines()[-1].split(" ", 1)[1] == "note - bob@ws2 asks it to stop"


def test_asking_twice_is_harmless(quiet: Server) -> None:
    run = a_run(quiet)
    stop(quiet)
    before = look(run, ".")

    assert stop(quiet, operator="carol@ws3") == "asked\n"
    assert look(run, ".") == before


def test_a_run_that_ended_is_not_asked(quiet: Server) -> None:
    run = a_run(quiet, result="upgraded \n")

    assert (stop(quiet), (run / "stop").exists()) == ("ended\n", False)


def test_a_run_that_is_not_there_is_not_asked(quiet: Server) -> None:
    assert stop(quiet, "r9") == "absent\n"
    assert not (quiet.state / "runs/r9").exists()


def test_whoever_asks_can_write_nothing_else_into_the_journal(quiet: Server) -> None:
    run = a_run(quiet)

    stop(quiet, operator="eve\n9.000 finished - upgraded\x1b[2J")

    assert len((run / "journal").read_text().splitlines()) == len(JOURNAL.splitlines()) + 1
    assert "\x1b" not in (run / "stop").read_text()
