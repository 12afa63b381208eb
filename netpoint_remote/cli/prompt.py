"""What the operator is asked: whether to go on, and the sudo password."""

import getpass
import os
import sys
import warnings
from collections.abc import Mapping
from typing import TextIO

from netpoint_remote.errors import UsageError

PASSWORD_VARIABLE = "NETPOINT_REMOTE_SUDO_PASSWORD"  # noqa: S105  a name, not a password


def is_asked(*, source: TextIO | None = None, screen: TextIO | None = None) -> bool:
    """Tell whether somebody is there to answer."""
    return (source or sys.stdin).isatty() and (screen or sys.stderr).isatty()


def counts_hosts(hosts: int, deed: str, *, source: TextIO, screen: TextIO) -> bool:
    """Ask for the number of hosts, which nobody types by accident, and tell whether it was given."""
    screen.write(f"Type the number of hosts ({hosts}) to {deed}; anything else stops here: ")
    screen.flush()
    answer = ""
    try:
        answer = source.readline()
    finally:  # also after Ctrl-C
        if not answer.endswith("\n"):
            screen.write("\n")
    return answer.strip() == str(hosts)


def passphrase(path: str) -> str | None:
    """Return the passphrase of a locked key, None where nobody is there to give it."""
    return _secret(f"passphrase of {path}: ") if is_asked() else None


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
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt, stream=sys.stderr)
        except (getpass.GetPassWarning, EOFError):
            return None
