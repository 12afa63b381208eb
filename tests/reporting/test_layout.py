import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.reporting.layout import cells, clock, duration, estimate, join, paint, shorten, spread, wrap


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (3.14, "3.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (72, "1 min 12 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (90_000, "1 d 01 h"),
    ],
)
def test_a_duration_is_said_as_precisely_as_it_matters(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(None, ""), (0.2, "< 1 s"), (6.0, "6 s"), (72, "1 min 12 s")])
def test_an_estimate_has_no_tenths(seconds: float | None, said: str) -> None:
    assert estimate(seconds) == said


def test_several_durations_are_said_as_their_ends() -> None:
    assert spread([54.2, None, 71.0]) == "54 s to 1 min 11 s"
    assert spread([54.2, 54.3]) == "54 s"
    assert spread([None]) == ""


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (42.9, "0:42"), (65, "1:05"), (3910, "1:05:10")])
def test_a_running_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_wide_and_combining_characters_are_measured_as_terminals_draw_them() -> None:
    assert cells("日本") == 4
    assert cells("e\u0301") == 1


@given(st.text(max_size=80), st.integers(2, 20))
def test_no_wrapped_line_is_wider_than_asked_and_no_word_is_lost(text: str, width: int) -> None:
    lines = wrap(text, width)

    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_command_is_left_whole() -> None:
    assert wrap("Type:\n    fab upgrade --version 2.11.12", 12, commands=True) == [
        "Type:",
        "    fab upgrade --version 2.11.12",
    ]


@given(st.text(max_size=30), st.integers(1, 20))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    assert cells(shorten(text, width)) <= width


def test_items_are_joined_as_long_as_they_fit() -> None:
    assert join(["aaa", "bbb", "ccc"], 9, " · ") == ["aaa · bbb", "ccc"]
    assert join([], 9, " · ") == []


def test_nothing_is_painted_without_colours() -> None:
    assert paint("np1", "bad", colour=False) == "np1"
    assert paint("np1", "bad", colour=True) == "\x1b[1;31mnp1\x1b[0m"
