"""The events of a run as plain lines, for whatever is not a terminal: a log, a pipe, a CI job."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from netpoint_remote.reporting.clean import NAME, clean
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.layout import cells, duration, pad
from netpoint_remote.reporting.progress import SAYINGS

EPOCH = "--:--:--"
LOOKED_FOR = frozenset({Kind.CONNECTING, Kind.RETRY, Kind.LINE_LOST})  # what a host that is away keeps making
STILL_AWAY = 60.0  # seconds between two lines about it

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
    """Turns events into lines; remembers when steps and windows began, to say how long they took.

    A host whose line is lost is looked for every few seconds, perhaps for an hour: that is told once a minute.
    """

    def __init__(self, *, names: int = 0, zone: tzinfo | None = None) -> None:
        self._names = names
        self._zone = zone
        self._begun: dict[tuple[str, str], float] = {}
        self._away: dict[str, tuple[float, float]] = {}  # since when, and when it was last told

    def line(self, event: Event) -> str | None:
        """Return `np1  12:03:04  dump_database  done 3.1 s`, or None where it is told already."""
        away = self._is_away(event)
        if away is None or event.kind is Kind.QUEUED:  # most of a fleet is, at once
            return None
        took = self._took(event) or away
        name = clean(event.host, limit=NAME)
        self._names = max(self._names, cells(name))
        detail = clean(event.detail)
        said = [WORDS.get(event.kind, ""), detail if event.kind is not Kind.WINDOW_CLOSED else "", took]
        saying = " ".join(filter(None, said))
        step = clean(event.step, limit=NAME)
        return "  ".join(filter(None, [pad(name, self._names), _time(event.at, self._zone), step, saying]))

    def _is_away(self, event: Event) -> str | None:
        """Return for how long a host has been away, nothing where it is not, None where nothing is to be told."""
        if event.kind not in LOOKED_FOR:
            self._away.pop(event.host, None)
            return ""
        if event.host not in self._away:
            if event.kind is Kind.LINE_LOST:
                self._away[event.host] = (event.at, event.at)
            return ""
        since, told = self._away[event.host]
        if event.kind is not Kind.LINE_LOST or event.at - told < STILL_AWAY:
            return None
        self._away[event.host] = (since, event.at)
        return f"(away for {duration(event.at - since)})"

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
