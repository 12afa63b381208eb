"""Operators at terminals: programs that a pseudoterminal controls, whatever their standard streams are."""

import fcntl
import os
import pty
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Screen:
    """What a terminal shows, and what is typed there."""

    def __init__(self, ours: int, theirs: int) -> None:
        self._ours = ours
        self._theirs = theirs
        self.shown = ""

    def control(self) -> None:
        """Become the terminal that controls this process; for a child in a session of its own."""
        fcntl.ioctl(self._theirs, termios.TIOCSCTTY, 0)

    def wait_for(self, text: str) -> None:
        """Read until a text is on the screen."""
        while text not in self.shown:
            self.shown += os.read(self._ours, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())


@contextmanager
def open_terminal() -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    try:
        yield Screen(ours, theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def with_terminal(screen: Screen) -> dict[str, Any]:
    """Return how Popen starts a program that the terminal controls, with no standard stream on it."""
    return {"start_new_session": True, "preexec_fn": screen.control}
