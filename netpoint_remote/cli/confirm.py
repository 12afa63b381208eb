"""The question before a server is changed: what would happen, and the number of hosts as the answer."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from invoke.exceptions import Exit

from netpoint_remote.cli.exits import STOPPED
from netpoint_remote.cli.interrupts import Interrupts
from netpoint_remote.cli.prompt import confirm_host_count, operator_terminal, passphrase
from netpoint_remote.errors import RequestError, UsageError
from netpoint_remote.reporting.stream import say
from netpoint_remote.reporting.terminal import Display, width_of

WITHOUT_TERMINAL = (
    "{command} asks for confirmation, and there is no terminal; nothing was changed. "
    "Add --yes to run it without confirmation"
)


class Confirmation:
    """Asks once whether to go on; with `yes` it only shows what would be asked."""

    def __init__(self, command: str, display: Display, interrupts: Interrupts, *, yes: bool) -> None:
        self._command = command
        self._display = display
        self._interrupts = interrupts
        self._yes = yes
        self._interrupted = False

    def __call__(self, summary: Callable[[int], str], hosts: int, action: str) -> bool:
        """Show the summary, drawn for so many columns, and return whether the operator goes on.

        Raises:
            UsageError: where there is no terminal to ask on.
        """
        try:
            with self._display.paused(), self._interrupts.at_once():
                if self._yes:
                    say(sys.stderr, summary(width_of(sys.stderr)))
                    return True
                with operator_terminal() as terminal:
                    if terminal is None:
                        raise UsageError(WITHOUT_TERMINAL.format(command=self._command))
                    say(terminal.screen, summary(width_of(terminal.screen)))
                    return confirm_host_count(hosts, action, source=terminal.source, screen=terminal.screen)
        except KeyboardInterrupt:
            self._interrupted = True
            return False

    @contextmanager
    def interruptible(self, message: str) -> Iterator[None]:
        """Leave with a message where a signal has answered the question instead of the operator.

        Raises:
            Exit: with the code for a stopped run.
        """
        try:
            yield
        except RequestError:
            if self._interrupted:
                raise Exit(message, code=STOPPED) from None
            raise


def passphrase_prompt(display: Display, interrupts: Interrupts) -> Callable[[str], str | None]:
    """Return how the passphrase of a locked key is asked for while the display shows a run."""

    def ask(path: str) -> str | None:
        with display.paused(), interrupts.at_once():
            return passphrase(path)

    return ask
