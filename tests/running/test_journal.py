"""What a server wrote down is read back as the story of its run, whatever is in it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.report import PartReport, StepReport, StepStatus
from netpoint_remote.running.bundle import text_of
from netpoint_remote.running.journal import LEAVES_WORK, MOST_ENTRIES, Entry, Record, parse_entry

words = st.text(st.characters(exclude_characters=" "), max_size=12)
lines = st.text(max_size=60) | st.builds(
    "{} {} {} {}".format,
    st.floats().map(str) | st.integers().map(str) | words,
    st.sampled_from(list(Kind)).map(str) | words,
    st.sampled_from(("one", "two", "-")) | words,
    st.text(max_size=20),
)


def record(*told: str) -> Record:
    """Read a journal whose lines are told without their seconds, one second apart."""
    story = Record(host="np1", total=3)
    for at, line in enumerate(told):
        story.add(f"{1000 + at}.000 {line}")
    return story


# ---- one line


@given(lines)
def test_any_line_is_an_entry_or_nothing(line: str) -> None:
    entry = parse_entry(line)

    assert entry is None or (isinstance(entry, Entry) and math.isfinite(entry.at) and 0 <= entry.at < 1e11)


@given(st.lists(lines, max_size=20))
def test_any_journal_is_a_story(told: list[str]) -> None:
    story = Record(host="np1")
    events = [story.add(line) for line in told]

    assert all(isinstance(event, Event | None) for event in events)
    assert all(math.isfinite(step.seconds) and step.seconds >= 0 for step in story.steps)
    assert story.window_seconds is None or story.window_seconds >= 0


def test_a_journal_without_end_fills_no_memory() -> None:
    story = Record(host="np1")
    for at in range(MOST_ENTRIES + 5):
        story.add(f"{at} note - x")

    assert (len(story.entries), story.is_full) == (MOST_ENTRIES, True)


def test_a_line_is_seconds_kind_step_and_detail() -> None:
    assert parse_entry("1795465.125 step-done run_upgrade done at last") == Entry(
        at=1795465.125, kind=Kind.STEP_DONE, step="run_upgrade", detail="done at last"
    )


@pytest.mark.parametrize("line", ["1.000 note -", "1.000 note - "])
def test_a_line_may_have_no_step_and_no_detail(line: str) -> None:
    assert parse_entry(line) == Entry(at=1.0, kind=Kind.NOTE, step="", detail="")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1.000",
        "1.000 note",
        "x note - ",
        "1.000 poem - ",
        "nan note - ",
        "inf note - ",
        "-1 note - ",
        "1e300 note - ",
    ],
)
def test_what_is_no_such_line_is_passed_over(line: str) -> None:
    assert parse_entry(line) is None


def test_what_a_server_writes_is_bounded() -> None:
    entry = parse_entry(f"1.000 note {'s' * 5000} {'d' * 50000}")

    assert entry
    assert (len(entry.step), len(entry.detail)) == (100, 2000)


# ---- events


def test_an_event_tells_how_far_the_run_is() -> None:
    story = Record(host="np1", total=3)
    events = [story.add(f"1.000 {line}") for line in ("step one ", "step-done one done", "step two ")]

    assert [(event.position, event.total) for event in events if event] == [(0, 3), (1, 3), (1, 3)]


def test_a_line_that_says_nothing_is_no_event() -> None:
    assert (record("poem - roses").entries, Record(host="np1").add("half a li")) == ([], None)


# ---- steps


def step(name: str, status: StepStatus, seconds: float = 1.0, **more: object) -> StepReport:
    return StepReport(name=name, status=status, seconds=seconds, **more)


def test_steps_are_told_in_their_order_with_their_time() -> None:
    story = record(
        "step one ", "step-done one done", "step two ", "note two wait", "step-done two unchanged", "step three "
    )

    assert story.steps == (
        step("one", StepStatus.DONE), step("two", StepStatus.UNCHANGED, 2.0), step("three", StepStatus.RUNNING, 0.0),
    )  # fmt: skip


def test_attempts_are_counted() -> None:
    story = record("step one ", "attempt one 2: no luck", "attempt one 3: no luck", "step-done one done")

    assert story.steps == (step("one", StepStatus.DONE, 3.0, attempts=3),)


def test_the_parts_of_upgrade_sh_are_timed() -> None:
    story = record(
        "step run_upgrade ",
        "part run_upgrade Removing",
        "note run_upgrade x",
        "part run_upgrade Applying",
        "step-done run_upgrade done",
    )

    assert story.steps[0].parts == (PartReport(name="Removing", seconds=2.0), PartReport(name="Applying", seconds=1.0))


def test_the_part_that_failed_is_timed_too() -> None:
    story = record("step run_upgrade ", "part run_upgrade Applying", "step-failed run_upgrade no luck")

    assert story.steps == (
        step("run_upgrade", StepStatus.FAILED, 2.0, parts=(PartReport(name="Applying", seconds=1.0),)),
    )


def test_what_was_taken_back_is_told_and_the_step_that_failed_stays_failed() -> None:
    story = record(
        "step one ", "step-done one done", "step two ", "step-failed two no luck",
        "undo two ", "undo-done two ", "undo one ", "undo-done one ",
    )  # fmt: skip

    assert story.steps == (step("one", StepStatus.UNDONE), step("two", StepStatus.FAILED))


def test_an_undo_that_failed_is_told_of_any_step() -> None:
    story = record(
        "step one ", "step-done one done", "step two ", "step-failed two no luck", "undo two ", "undo-failed two stuck"
    )

    assert [report.status for report in story.steps] == [StepStatus.DONE, StepStatus.UNDO_FAILED]


def test_a_step_that_was_interrupted_and_taken_back_is_undone() -> None:
    assert [report.status for report in record("step one ", "undo one ", "undo-done one ").steps] == [StepStatus.UNDONE]


def test_a_clock_that_went_back_gives_no_negative_time() -> None:
    story = Record(host="np1")
    for line in ("2.000 step one ", "1.000 window-open one ", "0.500 window-closed one ", "0.250 step-done one done"):
        story.add(line)

    assert (story.steps, story.window_seconds) == ((step("one", StepStatus.DONE, 0.0),), 0.0)


# ---- the window


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (("window-open a ", "note - x", "window-closed b "), 2.0),
        (("window-open a ", "window-closed b ", "undo b ", "window-open b ", "note - x", "window-closed a "), 3.0),
        (("window-open a ", "window-open b ", "window-closed a ", "window-closed a "), 2.0),
        (("window-open a ",), None),
        (("window-open a ", "window-closed b ", "window-open b "), None),
        (("note - x",), None),
    ],
    ids=["once", "opened again on the way back", "told twice", "still open", "open again", "never opened"],
)
def test_the_window_is_what_users_were_without_netpoint(told: tuple[str, ...], seconds: float | None) -> None:
    assert record(*told).window_seconds == seconds


def test_going_back_and_pauses_are_part_of_how_long_it_took() -> None:
    assert record("step a ", "step-failed a ", "undo a ", "undo-done a ").seconds == 3.0
    assert record().seconds is None


def test_what_runs_after_the_start_is_a_fact_of_the_host() -> None:
    told = record("note carry_over x", "note prove_in_place netpoint.service (3): as before")

    assert (told.facts, record("note a x").facts) == ((("services", "netpoint.service (3): as before"),), ())


def test_what_a_step_wants_looked_at_becomes_a_problem_that_blocks_nothing() -> None:
    (problem,) = record("note a first", "warning carry_over local files are left").warnings

    assert (problem.code, problem.message, problem.blocks) == ("carry_over", "local files are left", False)


def test_what_a_run_could_not_finish_is_named_once_and_without_its_remedy() -> None:
    story = record(
        "warning schedule_housekeeping housekeeping is not scheduled: there is no /etc/cron.daily; run it daily",
        "warning carry_over local files deeper in the old tree are not carried over: a.py",
        "warning carry_over local files deeper in the old tree are not carried over: b.py",
        "warning run_upgrade upgrade.sh warns: a local change",
    )

    assert story.unfinished == (
        "not finished: housekeeping is not scheduled; local files deeper in the old tree are not carried over"
    )
    assert record("warning run_upgrade upgrade.sh warns: a local change", "note carry_over fine").unfinished == ""


def test_every_step_that_may_leave_work_is_there_and_warns() -> None:
    for step in LEAVES_WORK:
        assert "journal warning" in text_of(f"steps/{step}.sh")
