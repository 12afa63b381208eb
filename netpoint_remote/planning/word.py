"""The base of our enumerations (`enum.StrEnum` came only with Python 3.11)."""

from enum import Enum


class Word(str, Enum):
    """A member that is its own text, in a report as in a message."""

    __str__ = str.__str__
    __format__ = str.__format__
