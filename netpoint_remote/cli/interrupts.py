"""Ctrl-C: the first lets the hosts under way come to their end, the second leaves at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (
    "stopping: no further host is begun, hosts under way go on to their end "
    "(Ctrl-C again leaves at once; the servers then finish or undo by themselves)"
)
LEFT = "stopped at once; servers that had begun finish or undo by themselves, attach follows them again"


class Interrupts:
    """A context in which SIGINT and SIGTERM set `stop` the first time and raise KeyboardInterrupt the second.

    Who only looks on leaves as soon as `stop` is set: without patience nothing is told, and the first one has `left`.
    """

    def __init__(self, tell: Callable[[str], None], *, patient: bool = True) -> None:
        self._patient = patient
        self.stop = threading.Event()
        self.left = False
        self._tell = tell
        self._before: dict[signal.Signals, object] = {}
        self._over = False

    def __enter__(self) -> "Interrupts":  # noqa: PYI034  typing.Self came with 3.11
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)
            }
            threading.Thread(target=self._tell_once, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself has returned
        self._before = {}

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let the first Ctrl-C already raise: nobody is under way while the operator is being asked."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler) if self._before else None
        try:
            yield
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        again = self.stop.is_set()
        self.left = again or not self._patient
        self.stop.set()
        if again:
            raise KeyboardInterrupt

    def _tell_once(self) -> None:
        """Speak from a thread of its own: a signal may come while this one holds the display's lock."""
        self.stop.wait()
        if not self._over and self._patient:
            self._tell(STOPPING)
