"""How a check says what it found."""

from collections.abc import Iterator

from netpoint_remote.planning.problem import Problem, Severity

DOCUMENT = "the upgrade document"
Problems = Iterator[Problem]


def error(code: str, message: str, remedy: str, source: str = "") -> Problem:
    return Problem(code=code, severity=Severity.ERROR, message=message, remedy=remedy, source=source)


def warning(code: str, message: str, remedy: str, source: str = "") -> Problem:
    return Problem(code=code, severity=Severity.WARNING, message=message, remedy=remedy, source=source)
