"""The events of a run as plain lines, for whatever is not a terminal: a log, a pipe, a CI job."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from netpoint_remote.reporting.clean import NAME, clean
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.layout import cells, duration, pad
from netpoint_remote.reporting.progress import SAYINGS

EPOCH = "--:--:--"

# what a line says between the step and the detail
WORDS: Mapping[Kind, str] = {
    **SAYINGS,
    Kind.STEP: "begun",
    Kind.ATTEMPT: "again",
    Kind.STEP_FAILED: "failed",
    Kind.UNDO: "undoing",
    Kind.UNDO_DONE: "undone",
    Kind.UNDO_FAILED: "could not be undone",
    Kind.WINDOW_OPEN: "window open: users are without NetPoint",
    Kind.WINDOW_CLOSED: "window closed",
}


class PlainLines:
    """Turns events into lines; remembers when steps and windows began, to say how long they took."""

    def __init__(self, *, names: int = 0, zone: tzinfo | None = None) -> None:
        self._names = names
        self._zone = zone
        self._begun: dict[tuple[str, str], float] = {}

    def line(self, event: Event) -> str:
        """Return `np1  12:03:04  dump_database  done 3.1 s`."""
        took = self._took(event)
        name = clean(event.host, limit=NAME)
        self._names = max(self._names, cells(name))
        detail = clean(event.detail)
        said = [WORDS.get(event.kind, ""), detail if event.kind is not Kind.WINDOW_CLOSED else "", took]
        saying = " ".join(filter(None, said))
        step = clean(event.step, limit=NAME)
        return "  ".join(filter(None, [pad(name, self._names), _time(event.at, self._zone), step, saying]))

    def _took(self, event: Event) -> str:
        key = (event.host, "window" if event.kind in (Kind.WINDOW_OPEN, Kind.WINDOW_CLOSED) else "step")
        if event.kind in (Kind.STEP, Kind.UNDO, Kind.WINDOW_OPEN):
            self._begun[key] = event.at
        if event.kind not in (Kind.STEP_DONE, Kind.STEP_FAILED, Kind.UNDO_DONE, Kind.UNDO_FAILED, Kind.WINDOW_CLOSED):
            return ""
        begun = self._begun.pop(key, None)
        return "" if begun is None else duration(event.at - begun)


def _time(at: float, zone: tzinfo | None) -> str:
    try:
        return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a server's clock may say anything
        return EPOCH
