"""What an operator sees while a run goes on: a live view on a terminal, plain lines elsewhere."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from netpoint_remote.reporting.clean import NAME, clean
from netpoint_remote.reporting.event import Event
from netpoint_remote.reporting.layout import cells, shorten
from netpoint_remote.reporting.lines import PlainLines
from netpoint_remote.reporting.progress import HostProgress, advance, frame
from netpoint_remote.reporting.stream import SteadyStream

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

FRAMES_A_SECOND = 4
WIDTH = 80  # columns of what has none
RICH_STYLES = {"good": "green", "bad": "bold red", "warn": "yellow", "busy": "cyan", "bold": "bold", "dim": "dim"}


def is_live(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether lines on this stream can be drawn again."""
    return SteadyStream(stream).isatty() and environ.get("TERM", "") not in ("", "dumb", "unknown")


def wants_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colours are welcome: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return is_live(stream, environ) and not environ.get("NO_COLOR")


def terminal_width(stream: TextIO) -> int | None:
    """Return the columns of the terminal behind `stream`, None where there is none."""
    try:
        return os.get_terminal_size(SteadyStream(stream).fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def width_of(stream: TextIO) -> int:
    """Return the columns of a stream, 80 where it has none."""
    return terminal_width(stream) or WIDTH


class Display:
    """An `Observer` that shows a run on `stream`; a context manager, and safe to call from any thread.

    `live` None asks the stream. `hosts` are the hosts of the run, so that those that wait are counted.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        live: bool | None = None,
        width: int | None = None,
        hosts: Iterable[str] = (),
        zone: tzinfo | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._stream = SteadyStream(stream)
        self._is_live = is_live(stream) if live is None else live
        self._asked_width = width
        self._width = width or terminal_width(stream)
        self._now = now
        self._since = now()
        self._lock = threading.Lock()
        self._hosts = {name: HostProgress(name=name) for name in hosts}
        longest = max((cells(clean(name, limit=NAME)) for name in self._hosts), default=0)
        self._lines = PlainLines(names=longest, zone=zone)
        self._live: Live | None = None

    def __enter__(self) -> "Display":  # noqa: PYI034  typing.Self came with Python 3.11
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to draw; plain lines need no beginning."""
        if self._is_live and self._live is None:
            self._live = self._make_live()
            self._live.start()

    def stop(self) -> None:
        """End the live view and take it off the screen; the report follows."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen to somebody else, such as a question to the operator."""
        was_live = self._live is not None
        self.stop()
        try:
            yield
        finally:
            if was_live:
                self.start()

    def say(self, text: str) -> None:
        """Show one line of our own, above the live view where there is one."""
        live = self._live
        if live is None:
            with self._lock:
                self._write(clean(text))
        else:
            from rich.text import Text  # noqa: PLC0415  only where there is a live view

            live.console.print(Text(clean(text)))

    def on_event(self, event: Event) -> None:
        """Take note of what happened; never raises."""
        with self._lock:
            known = self._hosts.get(event.host) or HostProgress(name=event.host)
            self._hosts[event.host] = advance(known, event, self._now())
            if not self._is_live and (line := self._lines.line(event)) is not None:
                self._write(line)

    def _write(self, line: str) -> None:
        """Write one line with one call, so that lines of several programs do not mix."""
        self._stream.write((shorten(line, self._width) if self._width else line) + "\n")
        self._stream.flush()

    def _make_live(self) -> "Live":
        from rich.console import Console  # noqa: PLC0415  rich is heavy, and plain lines do without it
        from rich.live import Live  # noqa: PLC0415  the same

        console = Console(
            file=cast("TextIO", self._stream),
            force_terminal=True,
            width=self._asked_width,
            markup=False,
            emoji=False,
            highlight=False,
        )
        return Live(
            console=console,
            get_renderable=lambda: self._picture(console),
            refresh_per_second=FRAMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def _picture(self, console: "Console") -> "Text":
        from rich.text import Text  # noqa: PLC0415  as above

        with self._lock:
            hosts = tuple(self._hosts.values())
        size = console.size
        lines = frame(hosts, now=self._now(), since=self._since, width=size.width, height=size.height)
        painted: list[Any] = [(f"{line.mark} {line.text}\n", RICH_STYLES.get(line.style, "")) for line in lines]
        return Text.assemble(*painted, no_wrap=True, overflow="crop", end="")
