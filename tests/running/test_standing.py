"""What a look at a server's runs means, in words; the looks themselves are tested in tests/remote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.reporting.report import FleetReport, HostReport, Status
from netpoint_remote.reporting.text import render_status
from netpoint_remote.running.attend import what_a_stop_does, why_no_stop
from netpoint_remote.running.standing import Standing, parse_standing, report_of
from tests.reporting.samples import STARTED

PLAN = ("one", "two", "three", "four")
LATER = 12_000.0


def told(state: str, *journal: str, **facts: object) -> str:
    """Return what status.sh prints of a run with four steps, of which the last one comes after the window."""
    known = {
        "status": 1, "time": LATER, "run": "r1", "run.about": "alice@ws1 from 3.4.9 to 3.5.0", "run.steps": 4,
        "run.after": 4, "run.OLD_VERSION": "3.4.9", "run.TREE_VERSION": "3.5.0", "run.METHOD": "git",
        "run.began": 11_000, "run.state": state, **{name.replace("_", "."): value for name, value in facts.items()},
        "status.complete": "yes",
    }  # fmt: skip
    lines = [f"journal {11_000 + 10 * at}.000 {line}" for at, line in enumerate(journal)]
    return "".join(f"{line}\n" for line in [*(f"{name}={value}" for name, value in known.items()), *lines])


def steps(*names: str) -> list[str]:
    """Return the journal of steps of which the last one is still at work."""
    lines = [line for name in names for line in (f"step {name} ", f"step-done {name} done")]
    return lines[:-1]


def report(state: str, *journal: str, **facts: object) -> HostReport:
    return report_of("np1", parse_standing(told(state, *journal, **facts)))


def test_a_run_at_work_is_told_by_differences_of_the_servers_clock() -> None:
    journal = ["window-open two ", *steps("one", "two")]

    assert report("running", *journal).reason == (
        "from 3.4.9 to 3.5.0, for 16 min 40 s; users are without NetPoint for 16 min 40 s"
    )


def test_a_clock_that_was_set_back_makes_no_nonsense() -> None:
    assert report("running", *steps("one"), time=10).reason == "from 3.4.9 to 3.5.0"
    assert "ago" not in report("done", run_result="upgraded ", run_ended=11_500, time=10).reason


def test_the_end_of_a_run_is_told_with_when_and_why() -> None:
    ended = report("done", *steps("one"), run_result="reverted one: no luck", run_ended=LATER - 60)

    assert (ended.status, ended.from_version, ended.to_version) == (Status.IDLE, "3.4.9", "3.4.9")
    assert ended.reason == (
        "no run in progress; the last run (from 3.4.9 to 3.5.0, by alice@ws1) ended as reverted "
        "at 1970-01-01 03:19 UTC, 1 min 00 s ago: one: no luck"
    )


@pytest.mark.parametrize(
    ("journal", "where"),
    [
        ([], "before its first step"),
        (steps("one", "two"), "in two"),
        ([*steps("one", "two"), "step-failed two no luck", "undo two "], "in undoing two"),
    ],
)
def test_a_run_that_was_cut_off_says_where_and_what_to_do(journal: list[str], where: str) -> None:
    cut_off = report("interrupted", *journal, run_cause="the server went down")

    assert cut_off.status is Status.INTERRUPTED
    assert f"was cut off {where}: the server went down" in cut_off.reason
    assert [problem.remedy for problem in cut_off.problems] == [
        "run the same command again: it settles the interrupted run first"
    ]


def test_a_run_that_could_not_be_undone_says_so_and_what_to_do() -> None:
    stuck = report("unsettled", *steps("one"), run_result="failed one: no luck", run_ended=LATER - 60)

    assert (stuck.status, "could not be undone: one: no luck" in stuck.reason) == (Status.UNSETTLED, True)
    assert [problem.code for problem in stuck.problems] == ["unsettled"]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "did not finish"),
        ("time=5\nrun=r1\n", "did not finish"),
        (
            "trouble=netops may not look into /var/lib/netpoint-remote\nstatus.complete=yes\n",
            "netops may not look into",
        ),
    ],
)
def test_what_could_not_be_seen_is_a_failure(output: str, reason: str) -> None:
    seen = report_of("np1", parse_standing(output))

    assert (seen.status, reason in seen.reason) == (Status.FAILED, True)


# ---- what a stop would do


def standing(state: str, *journal: str, **facts: object) -> Standing:
    return parse_standing(told(state, *journal, **facts))


def test_a_run_can_be_stopped_until_what_it_changed_is_in_use() -> None:
    possible = [standing("running", *steps(*PLAN[:count])).may_still_stop for count in range(1, 5)]

    assert possible == [True, True, False, False]


def test_a_run_without_an_afterwards_can_be_stopped_to_its_end() -> None:
    assert standing("running", *steps(*PLAN), run_after="").may_still_stop


def test_what_a_stop_does_names_the_step_that_is_finished_before() -> None:
    assert what_a_stop_does(standing("running", *steps("one", "two"))) == (
        "after the step two it undoes its changes, and the server is as before"
    )


@pytest.mark.parametrize(
    ("facts", "journal", "why"),
    [
        ({}, steps(*PLAN), "it is too late to stop it"),
        ({}, [*steps("one"), "step-failed one no luck", "undo one "], "it is already undoing its changes"),
        ({"run_stop": "bob@ws2"}, steps("one"), "bob@ws2 has already asked it to stop"),
    ],
)
def test_why_a_run_cannot_be_stopped_is_told(facts: dict[str, object], journal: list[str], why: str) -> None:
    seen = standing("running", *journal, **facts)

    assert (seen.may_still_stop, why_no_stop(seen).startswith(why)) == (False, True)


# ---- nothing is believed


NAMES = ("time", "run", "run.about", "run.state", "run.began", "run.ended", "run.result", "run.steps", "run.stop")
lines = st.builds(
    lambda name, value: f"{name}={value}",
    st.sampled_from([*NAMES, "status.complete", "trouble"]),
    st.one_of(
        st.sampled_from(["r1", "running", "done", "interrupted", "unsettled", "waiting", "yes", "nan", "inf", "1e999"]),
        st.integers().map(str),
        st.text(max_size=20),
    ),
)
journals = st.text(max_size=40).map(lambda text: f"journal {text}")


@given(st.lists(lines | journals | st.text(max_size=30), max_size=30))
def test_whatever_a_server_prints_becomes_a_report(output: list[str]) -> None:
    seen = report_of("np1", parse_standing("\n".join(["status.complete=yes", "run=r1", *output])))

    whole = FleetReport(run_id="x", command="status", target=None, started=STARTED, seconds=0.1, hosts=(seen,))
    assert render_status(whole).replace("\n", "").isprintable()
