"""How failures leave the program: a sentence on standard error and the exit code of the design."""

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from invoke.exceptions import Exit

from netpoint_remote.errors import ConnectError, InventoryError, NetPointRemoteError, RequestError
from netpoint_remote.reporting.stream import say

WRONG_REQUEST = 1
FAILED = 2
NOT_REACHED = 4
STOPPED = 130


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn whatever ends a task into invoke's `Exit`, which stock `fab` knows too.

    Its message is shown here: invoke would fail at an output that is full.
    """
    try:
        yield
    except Exit as leave:
        raise _shown(leave.message or "", leave.code) from None
    except NetPointRemoteError as error:
        raise _shown(_sentence(error), _code(error)) from None
    except KeyboardInterrupt:
        raise _shown("stopped", STOPPED) from None
    except OSError as error:
        raise _shown(f"error: {error.filename or 'this machine'}: {error.strerror or error}", FAILED) from error
    except Exception as error:  # a bug: short for the operator, whole in a file for us
        raise _shown(_bug(error), FAILED) from error


def _shown(message: str, code: int) -> Exit:
    if message:
        say(sys.stderr, message)
    return Exit(code=code)


def _code(error: NetPointRemoteError) -> int:
    if isinstance(error, RequestError):
        return WRONG_REQUEST
    return NOT_REACHED if isinstance(error, ConnectError) else FAILED


def _sentence(error: NetPointRemoteError) -> str:
    if isinstance(error, InventoryError) and len(error.faults) > 1:
        return "\n  ".join([f"error: the hosts file has {len(error.faults)} faults:", *error.faults])
    return f"error: {error}"


def _bug(error: Exception) -> str:
    """Save the traceback, readable by its owner only, and say where it is."""
    what = "".join(traceback.format_exception_only(error)).strip()
    try:
        handle, path = tempfile.mkstemp(prefix="netpoint-remote-", suffix=".traceback")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        path = "nowhere, this machine's folder for temporary files takes none"
    return f"error: this is a defect of netpoint_remote, not of your request: {what}\n  the traceback is in {path}"
