"""A text stream that takes anything and never raises: a report is not lost to a narrow terminal."""

from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

# what we draw with, for terminals that know only ASCII
PLAIN = str.maketrans(
    {
        "→": "->",
        "…": "...",
        "—": "-",
        "·": "-",
        "─": "-",
        "━": "=",
        "✓": "+",
        "✗": "x",
    }
)


def fit(text: str, encoding: str | None) -> str:
    """Return `text` with all that `encoding` cannot say spelled out; None stands for UTF-8."""
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeError, LookupError):
        return _spelled(text.translate(PLAIN), encoding or "utf-8")
    return text


def say(stream: TextIO, text: str) -> OSError | None:
    """Write one line, in one piece, whatever the stream makes of it; return why it could not be written."""
    steady = SteadyStream(stream)
    steady.write(text.removesuffix("\n") + "\n")
    steady.flush()
    return steady.failure


class SteadyStream:
    """A stream around another one which is silent once that is closed, and goes on once a full disk has room again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open = True
        self.failure: OSError | None = None  # the last one

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(fit(text, self.encoding)))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, do: Callable[[], object]) -> None:
        if not self._open:
            return
        try:
            do()
        except OSError as failure:
            self.failure = failure
            self._open = not isinstance(failure, BrokenPipeError)
        except ValueError:  # a closed file
            self._open = False

    def isatty(self) -> bool:
        with suppress(OSError, ValueError, AttributeError):
            return self._stream.isatty()
        return False

    def fileno(self) -> int:
        """Return the descriptor.

        Raises:
            OSError: as a stream without one does.
        """
        return self._stream.fileno()


def _spelled(text: str, encoding: str) -> str:
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except (UnicodeError, LookupError):
        return text.encode("ascii", "backslashreplace").decode("ascii")
