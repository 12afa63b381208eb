"""The base of our enumerations (`enum.StrEnum` came only with Python 3.11)."""

from enum import Enum


class Word(str, Enum):
    """A member that is its own text, in a report as in a message."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)
