"""What happens while a run goes on, as the terminal and events.jsonl show it."""

from dataclasses import dataclass
from typing import Protocol

from netpoint_remote.planning.word import Word


class Kind(Word):
    """What happened."""

    CONNECTING = "connecting"
    RETRY = "retry"
    PROBED = "probed"
    QUEUED = "queued"  # it may begin, once it is its turn
    STARTED = "started"  # the server took its plan over
    STEP = "step"  # a step began
    ATTEMPT = "attempt"  # a transient step is tried again; detail says why
    PART = "part"  # upgrade.sh printed a progress line; detail is the line
    STEP_DONE = "step-done"  # detail: done or unchanged
    STEP_FAILED = "step-failed"
    UNDO = "undo"
    UNDO_DONE = "undo-done"
    UNDO_FAILED = "undo-failed"
    WINDOW_OPEN = "window-open"
    WINDOW_CLOSED = "window-closed"
    LINE_LOST = "line-lost"
    LINE_BACK = "line-back"
    NOTE = "note"
    WARNING = "warning"  # what the operator should look at afterwards; it is in the report too
    BY_HAND = "by-hand"  # a command that finishes on the server what could not be undone
    FINISHED = "finished"  # detail: the host's status


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`at` is seconds since the epoch (the server's clock for what the server wrote down)."""

    at: float
    host: str
    kind: Kind
    step: str = ""
    detail: str = ""
    position: int = 0  # how many steps of the plan are behind us
    total: int = 0  # how many steps the plan has


class Observer(Protocol):
    """Whoever watches a run; called from several threads, must not raise."""

    def on_event(self, event: Event) -> None: ...
