"""Sets of names as ClusterShell writes them, and as our reports do: np[1-3,7] is np1, np2, np3 and np7."""

import re
from itertools import product
from math import prod

# A list of numbers: one that is alone in its brackets is a pattern (np[13] is np1 or np3), and never printed.
NUMBERS = re.compile(
    r"\[([0-9]+(?=[^\]]*[,-])(?:-[0-9]+(?:/[0-9]+)?)?(?:,[0-9]+(?:-[0-9]+(?:/[0-9]+)?)?)*)\]", re.ASCII
)
BETWEEN = re.compile(r",(?![^\[\]]*\])")  # a comma that is not inside brackets
INSIDE = re.compile(r"\s+(?=[^\[\]]*\])")
MOST_NAMES = 10_000
MOST_DIGITS = 9


class HostSetError(ValueError):
    """A set that has no meaning, or more names than any fleet."""


def split_names(text: str) -> tuple[str, ...]:
    """Take a list apart at its commas, but for those in brackets; blanks and empty items mean nothing."""
    items = (INSIDE.sub("", item.strip()) for item in BETWEEN.split(text))
    return tuple(item for item in items if item)


def expand(item: str) -> tuple[str, ...]:
    """Return the names of a set in its order, the item itself where it is none.

    >>> expand("np[1-3,07]:2222")
    ('np1:2222', 'np2:2222', 'np3:2222', 'np07:2222')

    Raises:
        HostSetError: for a range that runs backwards, and for too many names.
    """
    if how_many(item) > MOST_NAMES:
        raise HostSetError(f"{item!r} has more than {MOST_NAMES} names")
    pieces = NUMBERS.split(item)
    choices = [_numbers(piece) if place % 2 else [piece] for place, piece in enumerate(pieces)]
    return tuple("".join(chosen) for chosen in product(*choices))


def how_many(item: str) -> int:
    """Return how many names a set has, a few more where one stands twice in it.

    Raises:
        HostSetError: for a number that is too long.
    """
    return prod(map(_count, NUMBERS.split(item)[1::2]))


def _count(numbers: str) -> int:
    """Return about how many numbers there are, before memory is spent on them."""
    return sum(_length(part) for part in numbers.split(","))


def _length(part: str) -> int:
    begin, _, end = part.partition("/")[0].partition("-")
    if max(len(begin), len(end)) > MOST_DIGITS:
        raise HostSetError(f"{part!r} has more than {MOST_DIGITS} digits")
    return max(int(end or begin) - int(begin), 0) + 1


def _numbers(numbers: str) -> list[str]:
    from ClusterShell.RangeSet import RangeSet, RangeSetException  # noqa: PLC0415  `fab --list` must not pay for it

    try:
        return [str(number) for part in numbers.split(",") for number in RangeSet(part).striter()]
    except RangeSetException as fault:
        raise HostSetError(f"[{numbers}] is no list of numbers: {fault}") from None
