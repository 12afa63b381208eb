"""Standard streams that are closed, full or not read any more, and the result of a task on standard output."""

import atexit
import os
import sys
from contextlib import suppress
from typing import TextIO

from invoke.exceptions import Exit

from netpoint_remote.cli.exits import FAILED
from netpoint_remote.reporting.stream import say


def open_standard_streams() -> None:
    """Give the streams that were closed to us a place: no connection may get the number of one, and be printed to."""
    for number in range(3):
        with suppress(OSError):
            _open(number)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    atexit.register(_flush_quietly)


def _open(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_RDWR), number, inheritable=True)


def finish(text: str, code: int) -> None:
    """Print the result of a task, and leave with its exit code where that is not 0.

    A reader that has ended (`| head`) wants no more; a result that cannot be written is no success.
    """
    failure = say(sys.stdout, text)
    code = code or (unwritten(failure) if failure else 0)
    if code:
        raise Exit(code=code)


def unwritten(failure: OSError) -> int:
    """Say why standard output did not take something, and return the exit code."""
    _discard(1)
    if isinstance(failure, BrokenPipeError):
        return 0
    say(sys.stderr, f"error: the output could not be written: {failure.strerror}")
    return FAILED


def _flush_quietly() -> None:
    """Keep Python from complaining, with an exit code of its own, about what a stream did not take."""
    _flush(sys.stdout, BrokenPipeError)  # for the rest Python's complaint is right
    _flush(sys.stderr, OSError)


def _flush(stream: TextIO, harmless: type[OSError]) -> None:
    with suppress(OSError, ValueError):
        try:
            stream.flush()
        except harmless:
            _discard(stream.fileno())


def _discard(number: int) -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
