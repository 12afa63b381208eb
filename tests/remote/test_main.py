"""The runner carries a plan to its end, or back to its start, whatever happens to it on the way."""

import itertools
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from netpoint_remote.reporting.event import Kind
from netpoint_remote.running.journal import parse_entry
from tests.remote.conftest import Make
from tests.remote.server import PASSWORD, PATIENCE, Server, eventually, write_files

STEP = """
# A step of no meaning: it makes a file, and does before that what the test says.
made=$WORLD/made/$STEP
now() { printf '%s %s\\n' "$STEP" "$1" >>"$WORLD/order"; if [ -f "$WORLD/$STEP.$1" ]; then . "$WORLD/$STEP.$1"; fi; }
check() { [ -f "$made" ]; }
apply() { now apply; : >"$made"; }
undo() { now undo; rm -f -- "$made"; }
"""
PREPARE = """# What prepare.sh writes down, without asking an installation: its own tests are those of whole plans.
mkdir -p -- "$RUN/before" && id -un >"$RUN/before/user" && : >"$RUN/upgrade.env" && : >"$RUN/secrets"
printf 'export PGDATABASE=netpoint\\n' >"$RUN/database.env"
"""
PLAN = (("one", "stage"), ("two", "window"), ("three", "window"), ("four", "after"))
NAMES = [name for name, _ in PLAN]


def give_plan(server: Server, *plan: tuple[str, str], limit: int = 30, tries: int = 1) -> Server:
    """Give the run a plan of steps that have no meaning."""
    lines = "".join(f"{name} {phase} {limit} {tries}\n" for name, phase in plan or PLAN)
    for name in ("steps", "prepare.sh"):
        if (server.run / "bundle" / name).is_symlink():
            (server.run / "bundle" / name).unlink()
    steps = {f"steps/{name}.sh": STEP for name, _ in plan or PLAN}
    write_files(server.run / "bundle", {"plan": lines, "prepare.sh": PREPARE, **steps})
    (server.world / "made").mkdir(exist_ok=True)
    return server


@pytest.fixture
def planned(make_server: Make) -> Server:
    return give_plan(make_server())


def next_run(server: Server) -> Server:
    server.run_id = f"r{int(server.run_id[1:]) + 1}"
    server.bundle()
    return give_plan(server)


def tell(server: Server, **snippets: str) -> None:
    """Let steps do something first: `tell(server, two_apply="fail 'no luck'")`."""
    write_files(server.world, {name.replace("_", "."): f"{text}\n" for name, text in snippets.items()})


def run(server: Server, verb: str = "run") -> str:
    """Carry out the plan and return its result."""
    done = server.sh([str(server.run / "bundle/main.sh"), verb])
    return (server.run / "result").read_text().strip() if (server.run / "result").exists() else f"none: {done.stdout}"


@contextmanager
def running(server: Server, verb: str = "run") -> Iterator["subprocess.Popen[bytes]"]:
    """Let the runner go on by itself; what is left of it ends with the test."""
    command = ["sh", str(server.run / "bundle/main.sh"), verb]
    with subprocess.Popen(
        command, env=server.environment, start_new_session=True, stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            kill(process)
            for group in {os.getpgid(pid) for pid in processes_of(server)}:
                os.killpg(group, signal.SIGKILL)


KILLED = "the run was killed on the server, by a person or for lack of memory"


def leave_half_way(server: Server, where: str = "two_apply", first: str = ":") -> None:
    """Kill the runner, with what it started, in the middle of a verb of a step."""
    tell(server, **{where: f'{first}; : >"$WORLD/reached"; tail -f /dev/null'})
    with running(server) as process:
        wait_for((server.world / "reached").exists)
        kill(process)
    tell(server, **{where: ""})


def kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


def processes_of(server: Server) -> list[int]:
    """Return the processes of this server's steps."""
    done = subprocess.run(["pgrep", "-f", f"{server.base}/.*step.sh"], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]


def wait_for(condition: Callable[[], bool]) -> None:
    assert eventually(condition), "waited in vain"


def order(server: Server) -> list[str]:
    path = server.world / "order"
    return path.read_text().splitlines() if path.exists() else []


def made(server: Server) -> list[str]:
    return sorted(path.name for path in (server.world / "made").iterdir())


def kinds(server: Server, *which: str) -> list[str]:
    """Return the journal's lines of some kinds."""
    return [line.strip() for line in server.journal if line.split(" ")[0] in which]


# ---- forward


def test_every_step_is_checked_carried_out_and_checked_again(planned: Server) -> None:
    result = run(planned)

    log = (planned.run / "log").read_text().splitlines()
    assert (result, made(planned)) == ("upgraded", sorted(NAMES))
    assert log == [f"== {name}: {verb}" for name in NAMES for verb in ("check", "apply", "check")]
    assert planned.journal == [
        "started - 4 steps",
        *(line for name in NAMES for line in (f"step {name} ", f"step-done {name} done")),
        "finished - upgraded ",
    ]


def test_what_is_done_already_is_left_alone(planned: Server) -> None:
    write_files(planned.world, {"made/two": ""})

    run(planned)

    assert (order(planned), kinds(planned, "step-done")[1]) == (
        ["one apply", "three apply", "four apply"],
        "step-done two unchanged",
    )


def test_every_line_of_the_journal_is_understood(planned: Server) -> None:
    tell(
        planned, two_apply="journal note \"$(printf 'tab\\there, escape\\033[2J, line\\nbreak, ünï')\"; fail 'no luck'"
    )

    run(planned)

    entries = [parse_entry(line) for line in (planned.run / "journal").read_text().splitlines()]
    assert None not in entries
    assert [entry.detail for entry in entries if entry and entry.kind is Kind.NOTE] == [
        "tab here, escape [2J, line break, ünï"
    ]


@pytest.mark.parametrize("jump", ["-7200", "7200"])
def test_a_clock_that_is_set_meanwhile_makes_no_step_longer(planned: Server, jump: str) -> None:
    tell(planned, two_apply=f'echo {jump} >"$WORLD/clock"')
    assert run(planned) == "upgraded"
    times = [float(line.partition(" ")[0]) for line in (planned.run / "journal").read_text().splitlines()]
    assert times == sorted(times)
    assert times[-1] - times[0] < 600


def test_a_line_that_is_too_long_is_cut_between_letters(planned: Server) -> None:
    tell(planned, two_apply='journal note "$(printf "x"; printf "%02000d" 0 | sed "s/0/ä/g")"')

    run(planned)

    line = next(line for line in (planned.run / "journal").read_bytes().splitlines() if b" note " in line)
    assert (len(line) < 1100, line.decode().endswith("ä")) == (True, True)


def test_the_end_is_written_down_at_once(planned: Server) -> None:
    run(planned)

    assert [path.name for path in planned.run.iterdir() if "partial" in path.name] == []


def test_secrets_do_not_outlive_a_run(make_server: Make) -> None:
    left = []
    for snippet in ("", "fail 'no luck'"):
        server = give_plan(make_server())
        tell(server, two_apply=snippet)
        write_files(server.run, {"database.env": "export PGPASSWORD=hunter2\n", "upgrade.env": "X=hunter2\0"})
        run(server)
        left += [path.name for path in server.run.rglob("*") if path.is_file() and "hunter2" in path.read_text()]

    assert left == []


# ---- back


def test_what_a_step_prints_is_written_down_without_secrets(planned: Server) -> None:
    """The password of the stand-in's database, and the account of an address."""
    (planned.run / "bundle/prepare.sh").unlink()
    planned.bundle()
    leak = 'load "$RUN/database.env"; printf "%s\\n" "pw $PGPASSWORD" "at https://me:hunter2@x.org/simple"'
    tell(planned, one_apply=f'{leak}; journal note "$PGPASSWORD"', two_apply=f'{leak}; fail "because of $PGPASSWORD"')

    result = run(planned)

    written = "".join(path.read_text(errors="replace") for path in planned.run.iterdir() if path.is_file())
    assert result == "reverted two: because of ***"
    assert "pw ***\nat https://***@x.org/simple\n" in (planned.run / "log").read_text()
    assert PASSWORD not in written + "".join(planned.journal)
    assert "hunter2" not in written


def test_a_failure_takes_back_what_was_done_newest_first(planned: Server) -> None:
    tell(planned, three_apply="fail 'no luck'")

    result = run(planned)

    assert (result, made(planned)) == ("reverted three: no luck", [])
    assert order(planned) == ["one apply", "two apply", "three apply", "three undo", "two undo", "one undo"]
    assert kinds(planned, "step-failed", "undo", "undo-done") == [
        "step-failed three no luck",
        *(f"{kind} {name}" for name in ("three", "two", "one") for kind in ("undo", "undo-done")),
    ]


def test_a_reason_of_several_lines_is_one_of_the_result(planned: Server) -> None:
    """It may quote the database, and what NetPoint's role makes that say."""
    tell(planned, two_apply='fail "no luck\nresult upgraded "')

    assert run(planned) == "reverted two: no luck result upgraded"


def test_a_command_to_type_is_not_masked(planned: Server) -> None:
    """What the service's process calls secret may be a word of it."""
    planned.in_run('echo bundle >"$RUN/secrets"; STEP=one; journal by-hand "rm bundle"; journal note "in bundle"')

    assert planned.journal == ["by-hand one rm bundle", "note one in ***"]


def test_a_database_that_does_not_answer_is_not_taken_for_another_run(planned: Server) -> None:
    (planned.world / "database.down").touch()

    # A psql that ended before the question was asked leaves its message alone on the line.
    result = run(planned)

    assert (result.startswith("refused "), "another run" in result) == (True, False)
    assert result.endswith("psql: error: connection refused")


def test_a_psql_that_has_ended_before_it_is_asked_does_not_end_the_run(planned: Server) -> None:
    planned.replace("psql", "echo 'psql: error: connection refused' >&2; : >\"$WORLD/ended\"; exit 2")
    wait = 'until [ -e "$WORLD/ended" ]; do /bin/sleep 0.1; done; /bin/sleep 0.3'
    planned.replace("rm", f'case "$*" in *database.lock*) ;; *database.pipe*) {wait} ;; esac; exec /bin/rm "$@"')

    assert run(planned).endswith("psql: error: connection refused")


def test_what_was_not_changed_is_not_taken_back(planned: Server) -> None:
    write_files(planned.world, {"made/one": ""})
    tell(planned, three_apply="fail 'no luck'")

    run(planned)

    assert (made(planned), "one undo" in order(planned)) == (["one"], False)


def test_the_first_undo_that_fails_ends_the_way_back(planned: Server) -> None:
    tell(planned, three_apply="fail 'no luck'", two_undo="fail 'stuck'")

    result = run(planned)

    assert (result.startswith("failed three: no luck. Undoing two failed: stuck."), made(planned)) == (
        True,
        ["one", "two"],
    )
    assert kinds(planned, "undo-failed") == ["undo-failed two stuck"]


def test_an_undo_that_fails_without_a_word_is_told_by_its_status(planned: Server) -> None:
    tell(planned, three_apply="fail 'no luck'", two_undo="exit 7")

    assert "Undoing two failed: it ended with status 7" in run(planned)


def test_what_would_lose_rows_is_not_taken_back(planned: Server) -> None:
    tell(planned, four_apply="fail 'no luck'", three_undo="say 'going back would lose 2 rows' >\"$RUN/reason\"; exit 3")

    result = run(planned)

    assert (result, made(planned)) == (
        "failed four: no luck. It was not undone: going back would lose 2 rows",
        ["one", "three", "two"],
    )


def test_what_users_keep_is_finished_as_far_as_it_can_be(planned: Server) -> None:
    """The guard of the window is taken away, and so on: the next run finds the release in service and does nothing."""
    give_plan(planned, *PLAN, ("five", "after"), ("six", "after"))
    tell(planned, four_apply="fail 'no luck'", five_apply="fail 'nor this'", three_undo="exit 3")

    result = run(planned)

    assert result.startswith("failed four: no luck. It was not undone: it ended with status 3")
    assert made(planned) == ["one", "six", "three", "two"]


def test_a_step_that_brings_about_nothing_has_failed(planned: Server) -> None:
    tell(planned, two_apply="exit 0")

    assert run(planned) == "reverted two: the step succeeded, but its check still fails"


def test_a_step_can_tell_what_it_printed_last(planned: Server) -> None:
    tell(planned, two_apply='echo "first"; echo "it is full"; fail "it failed: $(last_line)"')

    assert run(planned) == "reverted two: it failed: it is full"


def test_a_failure_without_a_word_is_told_by_its_last_lines(planned: Server) -> None:
    tell(planned, two_apply="say first; say second; say third; exit 9")

    assert run(planned) == "reverted two: it ended with status 9: second third"


def test_a_full_disk_does_not_hide_what_has_to_be_undone(planned: Server) -> None:
    """The list of what changed cannot be shortened, and an undo fails: the next run still has all of it."""
    full = 'ln -sfn /dev/full "$RUN/changed.partial"'
    tell(planned, three_apply="fail 'no luck'", three_undo=full, two_undo=f"{full}; fail 'stuck'")
    run(planned)
    (planned.run / "changed.partial").unlink(missing_ok=True)
    write_files(planned.run, {"database.env": "export PGDATABASE=n\n"})
    tell(planned, three_undo="", two_undo="")

    assert (run(planned, "recover"), made(planned)) == (
        "reverted it failed, and could not be undone at first while undoing two",
        [],
    )


@pytest.mark.parametrize("in_the_way", ["reason", "journal", "output"])
def test_a_full_disk_does_not_end_the_way_back(planned: Server, in_the_way: str) -> None:
    tell(planned, three_apply=f'rm -f -- "$RUN/{in_the_way}"; mkdir -- "$RUN/{in_the_way}"; exit 1')

    result = run(planned)

    assert (result[:18], made(planned)) == ("reverted three: it", [])


def test_what_cannot_be_written_down_is_not_begun(planned: Server) -> None:
    (planned.run / "changed").mkdir()

    run(planned)

    assert (order(planned), kinds(planned, "step-failed")) == (
        [],
        ["step-failed one its beginning could not be written down"],
    )


# ---- trying again


def test_a_transient_step_is_tried_again_and_each_attempt_is_told(planned: Server) -> None:
    give_plan(planned, ("one", "stage"), tries=3)
    tell(
        planned,
        one_apply='echo x >>"$WORLD/tried"; n=$(wc -l <"$WORLD/tried"); [ "$n" -gt 2 ] || fail "no luck $n"',
    )

    assert run(planned) == "upgraded"
    assert kinds(planned, "attempt") == ["attempt one 2: no luck 1", "attempt one 3: no luck 2"]


def test_each_attempt_is_told_by_its_own_reason(planned: Server) -> None:
    give_plan(planned, ("one", "stage"), tries=3)
    tell(planned, one_apply='[ -f "$WORLD/tried" ] && exit 9; : >"$WORLD/tried"; fail \'no luck\'')

    assert run(planned).startswith("reverted one: it ended with status 9")
    assert kinds(planned, "attempt") == ["attempt one 2: no luck", "attempt one 3: ended with status 9"]


def test_the_pauses_grow(planned: Server) -> None:
    give_plan(planned, ("one", "stage"), tries=4)
    planned.replace("sleep", 'echo "$1" >>"$WORLD/pauses"')
    tell(planned, one_apply="echo next >>\"$WORLD/pauses\"; fail 'no luck'")

    run(planned)

    _, *between, _ = (planned.world / "pauses").read_text().split("next\n")
    pauses = [text.split().count("1") for text in between]  # a second at a time: a stop is not kept waiting
    assert [low <= pause <= low + 2 for low, pause in zip((4, 8, 16), pauses, strict=True)] == [True, True, True]


@pytest.mark.parametrize(("tries", "how"), [(1, "fail"), (5, "give_up")], ids=["once only", "given up"])
def test_what_trying_again_cannot_help_is_not_tried_again(planned: Server, tries: int, how: str) -> None:
    give_plan(planned, ("one", "stage"), tries=tries)
    tell(planned, one_apply=f"{how} 'no luck'")

    assert (run(planned), kinds(planned, "attempt")) == ("reverted one: no luck", [])


def test_a_step_that_hangs_ends_at_its_limit_with_all_it_started(planned: Server) -> None:
    give_plan(planned, ("one", "stage"), limit=1)
    tell(planned, one_apply="tail -f /dev/null & tail -f /dev/null")

    assert run(planned) == "reverted one: it took longer than its limit of 1 seconds"
    assert processes_of(planned) == []


def test_an_undo_that_hangs_is_said_to_have_met_its_limit(planned: Server) -> None:
    give_plan(planned, ("one", "stage"), limit=1)
    tell(planned, one_apply="fail 'no luck'", one_undo="tail -f /dev/null")

    assert "Undoing one failed: it took longer than its limit of 1 seconds" in run(planned)


def test_a_configuration_that_hangs_is_not_waited_for(planned: Server) -> None:
    planned.replace("timeout", 'case "$*" in *prepare.sh*) exit 124 ;; esac; exec /usr/bin/timeout "$@"')

    assert run(planned) == "refused the configuration of NetPoint was not read within 300 seconds"
    assert order(planned) == []


# ---- stop


def test_a_step_that_somebody_killed_is_not_said_to_have_met_its_limit(planned: Server) -> None:
    tell(planned, two_apply="kill -KILL $$")

    assert run(planned) == "reverted two: it was killed; where memory is short, the kernel does that"


def test_a_stop_takes_effect_between_two_steps(planned: Server) -> None:
    tell(planned, two_apply=': >"$RUN/stop"')

    assert (run(planned), made(planned)) == ("reverted stopped by the operator before three", [])


def test_who_asked_for_a_stop_is_in_the_result(planned: Server) -> None:
    tell(planned, two_apply='printf bob@ws2 >"$RUN/stop"')

    assert run(planned) == "reverted stopped by bob@ws2 before three"


def test_a_stop_is_heard_while_a_step_waits_to_be_tried_again(planned: Server) -> None:
    give_plan(planned, ("one", "stage"), tries=9)
    planned.replace("sleep", 'if [ "$1" = 1 ]; then printf bob@ws2 >"$RUN/stop"; fi')
    tell(planned, one_apply='echo x >>"$WORLD/tried"; fail "no luck"')

    assert run(planned) == "reverted one: stopped by bob@ws2 before it was tried again"
    assert ((planned.world / "tried").read_text(), made(planned)) == ("x\n", [])


def test_a_stop_does_not_take_back_what_users_have_already(planned: Server) -> None:
    tell(planned, three_apply=': >"$RUN/stop"')

    assert run(planned) == "upgraded"


def test_a_stop_that_came_too_late_is_not_heard_after_a_reboot_either(planned: Server) -> None:
    leave_half_way(planned, "three_apply", ': >"$RUN/opened"; : >"$RUN/stop"')

    assert run(planned, "recover") == "upgraded"


# ---- one at a time


def test_a_second_run_is_refused_while_the_first_one_goes_on(planned: Server) -> None:
    tell(planned, two_apply=': >"$WORLD/reached"; tail -f /dev/null')
    with running(planned):
        wait_for((planned.world / "reached").exists)
        second = next_run(planned)
        planned.tell(impatient="")

        result = run(second)

    assert re.fullmatch(r"refused another run is in progress on this host: run r1, started by t at 20.* UTC", result), (
        result
    )
    assert (order(planned), kinds(second, "step")) == (["one apply", "two apply"], [])


def test_the_lock_dies_with_its_holder_and_its_steps(planned: Server) -> None:
    tell(planned, two_apply=': >"$WORLD/reached"; tail -f /dev/null')
    with running(planned) as process:
        wait_for((planned.world / "reached").exists)
        kill(process)
        tell(planned, two_apply="")

        assert run(next_run(planned)) == "upgraded"


@pytest.mark.promise(5)
def test_a_lock_whose_file_was_removed_is_still_one(planned: Server) -> None:
    """Somebody took it for stale: the run that goes on must not be settled as a dead one."""
    tell(planned, two_apply=': >"$WORLD/reached"; until [ -f "$WORLD/go" ]; do :; done')
    with running(planned) as first:
        wait_for((planned.world / "reached").exists)
        (planned.state / "lock").unlink()
        result = run(next_run(planned))
        (planned.world / "go").touch()
        first.wait(PATIENCE)

    assert result == "refused another run is in progress on this host: r1, whose lock was removed"
    assert (planned.state / "runs/r1/result").read_text() == "upgraded \n"


# ---- interrupted


def cut_off(server: Server, name: str, when: str = "apply") -> None:
    """Kill the runner as a step begins; its group dies with it, the step's does not."""
    reached = server.world / "reached"
    reached.unlink(missing_ok=True)
    tell(server, **{f"{name}_{when}": ': >"$WORLD/reached"; tail -f /dev/null'})
    with running(server) as process:
        wait_for(reached.exists)
        kill(process)
        # the step lives on for now
        (server.world / f"{name}.{when}").unlink()
        yield_to = next_run(server)
        assert run(yield_to) == "upgraded"


@pytest.mark.parametrize("damage", ["", "no-such-run\n", "\0" * 30], ids=["empty", "another", "zeros"])
def test_an_interrupted_run_is_found_whatever_became_of_its_note(planned: Server, damage: str) -> None:
    leave_half_way(planned)
    (planned.state / "current").write_text(damage)

    assert run(next_run(planned)) == "upgraded"
    assert (planned.state / "runs/r1/result").read_text() == f"reverted it was interrupted in two: {KILLED}\n"


def test_a_run_that_went_down_with_its_server_says_so(planned: Server) -> None:
    leave_half_way(planned)
    (planned.run / "boot").write_text("another life of this server\n")

    assert run(planned, "recover") == "reverted it was interrupted in two: the server went down"


def test_a_journal_that_a_power_cut_has_damaged_names_the_last_step_that_can_be_read(planned: Server) -> None:
    leave_half_way(planned)
    with (planned.run / "journal").open("ab") as journal:
        journal.write(b"17954.1 step \0\0\0\n\0\0 step")
    (planned.run / "boot").unlink()

    assert run(planned, "recover") == (
        "reverted it was interrupted in two: the server went down, or the run was killed there"
    )


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_any_step_the_next_run_ends_as_an_undisturbed_one(planned: Server, name: str) -> None:
    cut_off(planned, name)

    before = NAMES[: NAMES.index(name) + 1]
    assert made(planned) == sorted(NAMES)
    there, back = [f"{each} apply" for each in before], [f"{each} undo" for each in reversed(before)]
    assert order(planned) == [*there, *back, *(f"{each} apply" for each in NAMES)]
    assert (planned.state / "runs/r1/result").read_text() == f"reverted it was interrupted in {name}: {KILLED}\n"


def test_a_step_that_outlived_its_runner_is_ended_before_it_is_undone(planned: Server) -> None:
    tell(planned, two_apply=': >"$WORLD/reached"; while :; do : >"$WORLD/made/two"; done', two_undo="sleep 1")
    with running(planned) as process:
        wait_for((planned.world / "reached").exists)
        kill(process)

        result = run(planned, "recover")
        left = processes_of(planned)

    assert (result, left, made(planned)) == (f"reverted it was interrupted in two: {KILLED}", [], [])


def test_a_run_that_was_killed_on_its_way_back_goes_on_with_it(planned: Server) -> None:
    tell(planned, three_apply="fail 'no luck'")
    leave_half_way(planned, "two_undo")

    assert (run(planned, "recover"), made(planned)) == (
        f"reverted it was interrupted while undoing two: {KILLED}",
        [],
    )


def test_nothing_is_begun_on_what_could_not_be_undone(planned: Server) -> None:
    leave_half_way(planned)
    tell(planned, one_undo="fail 'stuck'")
    second = next_run(planned)

    assert run(second).startswith(
        "failed what the run r1 left behind could not be undone: it was interrupted in two: "
        f"{KILLED}. Undoing one failed: stuck."
    )
    assert order(second)[2:] == ["two undo", "one undo"]


@pytest.mark.parametrize(("there", "is_settled"), [("", False), ("window", True), ("window result", False)])
def test_a_run_whose_unit_is_stopped_in_its_window_is_settled_by_the_server(
    planned: Server, there: str, *, is_settled: bool
) -> None:
    write_files(planned.run, dict.fromkeys(there.split(), ""))
    planned.sh([str(planned.run / "bundle/ended.sh")])
    asked = "systemctl start --no-block netpoint-remote-recover.service" in planned.said
    assert asked == is_settled


def test_a_run_is_recovered_once_however_often_it_is_asked(planned: Server) -> None:
    tell(
        planned,
        one_apply=': >"$WORLD/reached"; tail -f /dev/null',
        one_undo=': >"$WORLD/undoing"; until [ -f "$WORLD/go" ]; do :; done',
    )
    with running(planned) as process:
        wait_for((planned.world / "reached").exists)
        kill(process)
        with running(planned, "recover") as first:
            wait_for((planned.world / "undoing").exists)
            planned.tell(impatient="")
            meanwhile = run(planned, "recover")
            (planned.world / "impatient").unlink()
            (planned.world / "go").touch()
            first.wait(PATIENCE)
        afterwards = run(planned, "recover")

    assert (meanwhile.partition(":")[0], afterwards) == ("none", f"reverted it was interrupted in one: {KILLED}")
    assert order(planned) == ["one apply", "one undo"]


def test_a_run_that_ended_is_not_undone_by_the_next_one(planned: Server) -> None:
    run(planned)

    assert (run(next_run(planned)), order(planned)) == ("upgraded", [f"{name} apply" for name in NAMES])


@pytest.mark.parametrize("step", ["three", "four"])
def test_a_run_that_users_may_already_work_with_goes_on_where_it_was_cut_off(planned: Server, step: str) -> None:
    leave_half_way(planned, f"{step}_apply", ': >"$RUN/opened"')

    assert (run(planned, "recover"), made(planned)) == ("upgraded", sorted(NAMES))
    assert not (planned.run / "window").exists()


def test_what_users_work_with_stays_though_the_database_is_not_back_yet(planned: Server) -> None:
    leave_half_way(planned, "three_apply", ': >"$RUN/opened"')
    (planned.world / "database.down").touch()
    planned.tell(pace="50\n")  # so that the 300 s of the wait are over after a few tries
    late = run(planned, "recover")
    (planned.world / "database.down").unlink()

    assert (late.partition(":")[0], run(planned, "recover"), made(planned)) == ("none", "upgraded", sorted(NAMES))


def test_the_journal_of_a_recovered_run_reads_on(planned: Server) -> None:
    leave_half_way(planned)
    run(planned, "recover")

    entries = [parse_entry(line) for line in (planned.run / "journal").read_text().splitlines()]
    times = [entry.at for entry in entries if entry]
    assert (None in entries, all(earlier <= later for earlier, later in itertools.pairwise(times))) == (False, True)


# ---- the lock in the database


def test_another_run_on_the_database_is_named(planned: Server) -> None:
    planned.tell(held="netpoint-remote r7 np2 from 10.0.0.2\n")

    assert run(planned) == "refused another run is using this database: held by netpoint-remote r7 np2 from 10.0.0.2"
    assert order(planned) == []


def test_a_database_that_is_restarted_between_two_steps_is_waited_for(planned: Server) -> None:
    down = planned.world / "database.down"
    tell(planned, two_apply=f": >{shlex.quote(str(down))}")
    planned.replace("sleep", f'rm -f {shlex.quote(str(down))}; exec "$STAND_INS/sleep" "$@"')

    assert (run(planned), order(planned)) == ("upgraded", [f"{name} apply" for name in NAMES])


def test_a_database_that_stays_away_ends_the_run(planned: Server) -> None:
    planned.tell(pace="50\n")  # so that the 300 s of the wait are over after a few tries
    tell(planned, two_apply=': >"$WORLD/database.down"')

    result = run(planned)

    assert result.startswith("reverted before three the database does not answer"), result
    assert made(planned) == []


def test_a_lock_that_somebody_else_took_meanwhile_leaves_everything_as_it_is(planned: Server) -> None:
    tell(planned, two_apply='echo "netpoint-remote r7 np2" >"$WORLD/held"')

    result = run(planned)

    assert result.startswith("failed before three the lock of the database was lost: it is held by netpoint-remote r7")
    assert (made(planned), (planned.run / "unsettled").exists()) == (["one", "two"], True)


def test_a_run_that_was_cut_off_says_so_when_another_has_its_database(planned: Server) -> None:
    leave_half_way(planned)
    planned.tell(held="netpoint-remote r7 t np2\n")

    result = run(planned, "recover")

    assert result.startswith(
        f"failed it was interrupted in two: {KILLED}; what it did cannot be undone now: held by netpoint-remote r7"
    )
    assert (made(planned), (planned.run / "unsettled").exists()) == (["one"], True)


def test_a_session_that_its_own_run_has_left_behind_is_waited_for_to_end(planned: Server) -> None:
    """A power cut tells a database on another machine nothing: the lock of before is still held there."""
    planned.tell(held="netpoint-remote r1 t np1 from 10.0.0.1\n")
    planned.replace("sleep", 'if [ "$1" = 0.5 ]; then rm -f -- "$WORLD/held"; fi')

    assert run(planned) == "upgraded"


@pytest.mark.promise(8)
def test_the_session_that_holds_the_lock_cannot_write_what_others_say_of_it(planned: Server) -> None:
    written = planned.record_written("psql")

    assert run(planned) == "upgraded"
    assert "database.lock" not in written.read_text()


# ---- an undo that fails


def test_what_could_not_be_undone_is_told_command_by_command(planned: Server) -> None:
    tell(planned, three_apply="fail 'no luck'", two_undo="fail 'stuck'")
    for name in ("one", "two"):
        with (planned.run / f"bundle/steps/{name}.sh").open("a") as step:
            step.write(f'by_hand() {{ say "undo {name}"; }}\n')

    run(planned)

    commands = [line.partition(" two ")[2] for line in kinds(planned, "by-hand")]
    assert (commands[0].startswith("RUN="), "main.sh' recover" in commands[0], kinds(planned, "by-hand")[1:]) == (
        True, True, ["by-hand two undo two", "by-hand one undo one"],
    )  # fmt: skip


def test_the_next_run_goes_on_with_what_could_not_be_undone(planned: Server) -> None:
    tell(planned, three_apply="fail 'no luck'", two_undo="fail 'stuck'")
    run(planned)
    write_files(planned.run, {"database.env": "export PGDATABASE=n\n"})
    tell(planned, three_apply="", two_undo="")

    result = run(next_run(planned))

    assert (result, order(planned)[4:6]) == ("upgraded", ["two undo", "two undo"])
    assert order(planned)[6] == "one undo"
