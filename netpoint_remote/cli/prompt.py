"""What the operator is asked on the terminal: whether to go on, passphrases and the sudo password."""

import getpass
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO

from netpoint_remote.errors import UsageError

PASSWORD_VARIABLE = "NETPOINT_REMOTE_SUDO_PASSWORD"  # noqa: S105  a name, not a password
TERMINAL = "/dev/tty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Where a question is shown and its answer is read."""

    source: TextIO
    screen: TextIO


@contextmanager
def operator_terminal() -> Iterator[Terminal | None]:
    """Give the terminal on which the operator can answer, None where there is none.

    Standard input and error where both are one, else /dev/tty: `2>&1 | tee log` and `</dev/null` take away neither
    the question nor its answer. In the background there is none: a job that reads the terminal there is stopped.
    """
    with ExitStack() as opened:
        yield _standard_terminal() or _controlling_terminal(opened)


def _standard_terminal() -> Terminal | None:
    if _is_terminal(sys.stdin) and _is_terminal(sys.stderr) and _is_ours(sys.stdin.fileno()) is not False:
        return Terminal(source=sys.stdin, screen=sys.stderr)
    return None


def _controlling_terminal(opened: ExitStack) -> Terminal | None:
    try:
        terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # no terminal controls this process: cron, systemd, a pipeline of a CI job
        return None
    source = opened.enter_context(os.fdopen(terminal, errors="replace"))
    screen = opened.enter_context(os.fdopen(os.dup(terminal), "w", errors="backslashreplace"))
    return Terminal(source=source, screen=screen) if _is_ours(terminal) else None


def _is_terminal(stream: TextIO | None) -> bool:
    with suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def _is_ours(terminal: int) -> bool | None:
    """Tell whether this process is in the foreground of a terminal, None where the terminal does not control it."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return None


def confirm_host_count(hosts: int, action: str, *, source: TextIO, screen: TextIO) -> bool:
    """Ask for the number of hosts, which is not typed by accident, and return whether it was given."""
    screen.write(f"Type the number of hosts ({hosts}) to {action}; anything else stops here: ")
    screen.flush()
    answer = ""
    try:
        answer = source.readline()
    except OSError:  # the terminal was closed
        return False
    finally:  # also after Ctrl-C
        if not answer.endswith("\n"):
            with suppress(OSError):
                screen.write("\n")
    return answer.strip() == str(hosts)


def passphrase(path: str) -> str | None:
    """Return the passphrase of a locked key, None where it cannot be asked for."""
    return _secret(f"passphrase of {path}: ")


def sudo_password(*, ask: bool, known: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the sudo password: asked for, else from the environment, else what Fabric knows, else None.

    Raises:
        UsageError: when it cannot be asked for without showing it, or cannot be a password.
    """
    password = _asked() if ask else environ.get(PASSWORD_VARIABLE) or known
    if password and not password.isprintable():
        raise UsageError("the sudo password has a line break or another control character in it")
    return password or None


def _asked() -> str:
    typed = _secret("sudo password: ")
    if typed is None:
        raise UsageError(f"--ask-sudo-pass needs a terminal; without one set {PASSWORD_VARIABLE}")
    return typed


def _secret(prompt: str) -> str | None:
    """Return what is typed without being shown, None where it cannot be hidden."""
    with operator_terminal() as terminal, warnings.catch_warnings():
        if terminal is None:
            return None
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt, stream=terminal.screen)
        except (getpass.GetPassWarning, EOFError, OSError):
            return None
