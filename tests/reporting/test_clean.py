"""Promise 8: what a server prints drives no terminal and forges no line."""

import pytest
from hypothesis import given
from strategies import hostile, reports

from netpoint_remote.reporting.clean import clean, clean_block, clean_instant, clean_report, clean_seconds

pytestmark = pytest.mark.promise(8)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain → höher 日本", "plain → höher 日本"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("up\rnp2 upgraded\n", r"up\rnp2 upgraded\n"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("a\u202eb\u2066c\u200b\ufeff", r"a\u202eb\u2066c\u200b\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("a\tb", "a b"),
    ],
)
def test_what_a_terminal_would_act_on_is_spelled_out(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(hostile)
def test_a_cleaned_text_is_one_visible_line_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text, limit=30)

    assert cleaned.isprintable()
    assert len(cleaned) <= 30
    assert clean(cleaned, limit=30) == cleaned


@given(hostile)
def test_a_cleaned_block_has_nothing_but_visible_text_and_newlines(text: str) -> None:
    cleaned = clean_block(text, limit=30)

    assert cleaned.replace("\n", "").isprintable()
    assert len(cleaned) <= 30
    assert clean_block(cleaned, limit=30) == cleaned


def test_a_long_text_says_that_it_was_cut() -> None:
    assert clean("x" * 10**6, limit=5) == "xxxx…"


@given(reports)
def test_a_cleaned_report_stays_as_it_is(report: object) -> None:
    cleaned = clean_report(report)

    assert clean_report(cleaned) == cleaned


@pytest.mark.parametrize(
    ("seconds", "cleaned"),
    [(3.14159, 3.142), (-5.0, 0.0), (float("nan"), 0.0), (float("inf"), 1e9), (float("-inf"), 0.0)],
)
def test_a_duration_is_neither_negative_nor_endless(seconds: float, cleaned: float) -> None:
    assert clean_seconds(seconds) == cleaned


@pytest.mark.parametrize(
    ("seconds", "cleaned"),
    [(1893553335.25, 1893553335.25), (-5.0, 0.0), (float("nan"), 0.0), (float("inf"), 253402300799.0)],
)
def test_an_instant_is_a_date(seconds: float, cleaned: float) -> None:
    assert clean_instant(seconds) == cleaned
