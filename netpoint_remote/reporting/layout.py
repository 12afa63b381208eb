"""Measure, wrap, align and colour plain text; no terminal is asked anything here."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone

from netpoint_remote.reporting.clean import clean_seconds

MINUTE, HOUR, DAY = 60, 3600, 86400
NARROWEST = 40

STYLES = {
    "good": "32",
    "bad": "1;31",
    "warn": "33",
    "busy": "36",
    "bold": "1",
    "dim": "2",
    "": "",
}


def cells(text: str) -> int:
    """Return how many columns of a terminal `text` fills."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def paint(text: str, style: str, *, colour: bool) -> str:
    """Return `text` in one of `STYLES`, or as it is."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if colour and style and text else text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill `text` with blanks up to `width` columns, before it where `right`."""
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def shorten(text: str, width: int) -> str:
    """Cut `text` to `width` columns with an ellipsis at its end."""
    if cells(text) <= width:
        return text
    kept = ""
    for character in text:
        if cells(kept + character) > width - 1:
            break
        kept += character
    return kept + "…"


def wrap(text: str, width: int, *, commands: bool = False) -> list[str]:
    """Break `text` into lines of at most `width` columns, at blanks where there are some.

    Where `commands` may be in it, an indented line is one: it is left whole, so that it can be copied.
    Only for text of our own: a line left whole goes on at the left edge of a narrower terminal.
    """
    lines = text.split("\n")
    return [
        piece
        for line in lines
        for piece in ([line] if commands and line.startswith(" ") else _wrap_line(line, max(width, 2)))
    ]


def indent(lines: Iterable[str], first: str, rest: str | None = None) -> list[str]:
    """Put `first` before the first line and `rest` (blanks as wide as `first`) before the others."""
    rest = " " * cells(first) if rest is None else rest
    return [(rest if number else first) + line for number, line in enumerate(lines)]


def join(items: Sequence[str], width: int, separator: str) -> list[str]:
    """Join `items` into lines of at most `width` columns, broken only between items."""
    lines = [items[0]] if items else []
    for item in items[1:]:
        longer = lines[-1] + separator + item
        if cells(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(item)
    return lines


def duration(seconds: float | None) -> str:
    """Say how long something took: `3.1 s`, `54 s`, `1 min 12 s`, `2 h 05 min`.

    >>> duration(72)
    '1 min 12 s'
    """
    if seconds is None:
        return ""
    seconds = clean_seconds(seconds)
    if seconds < 9.95:  # noqa: PLR2004  from here on tenths are rounded away
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} min"
    return f"{whole // DAY} d {whole % DAY // HOUR:02} h"


def estimate(seconds: float | None) -> str:
    """Say how long something is expected to take: as `duration`, without tenths nobody can know."""
    if seconds is None or seconds > MINUTE - 1:
        return duration(seconds)
    return f"{round(seconds)} s" if seconds >= 1 else "< 1 s"


def spread(seconds: Iterable[float | None], say: Callable[[float], str] = duration) -> str:
    """Say how long it takes on several hosts: the shortest and the longest where they differ."""
    known = [each for each in seconds if each is not None]
    if not known:
        return ""
    low, high = say(min(known)), say(max(known))
    return low if low == high else f"{low} to {high}"


def clock(seconds: float) -> str:
    """Show a running time without jitter: `0:42`, `1:05:10`."""
    whole = int(clean_seconds(seconds))
    hours, minutes = whole // HOUR, whole % HOUR // MINUTE
    return f"{hours}:{minutes:02}:{whole % MINUTE:02}" if hours else f"{minutes}:{whole % MINUTE:02}"


def moment(when: datetime | None) -> str:
    """Show a time of a server's clock: `2030-01-02 03:04 UTC`; empty where it is not known."""
    return "" if when is None else f"{when.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def count(number: int, noun: str) -> str:
    """Say `1 host`, `2 hosts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cell(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _wrap_line(line: str, width: int) -> Iterator[str]:
    if cells(line) <= width:
        yield line.rstrip()
        return
    current = ""
    for word in line.split():
        if current and cells(current) + 1 + cells(word) > width:
            yield current
            current = word
        else:
            current = f"{current} {word}" if current else word
        while cells(current) > width:
            head = shorten(current, width + 1)[:-1]
            yield head
            current = current[len(head) :]
    if current:
        yield current
