"""Ctrl-C: the first lets the hosts under way come to their end, the second leaves at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (
    "stopping: no further host is started, runs in progress continue to their end "
    "(Ctrl-C again detaches at once; the runs then continue on the servers)"
)
STOPPING_PROBES = "stopping: no further host is probed (Ctrl-C again stops at once); nothing was changed"
DETACHED = "detached; the runs continue on the servers. Reconnect with `attach`"


class Interrupts:
    """A context in which SIGINT, SIGTERM and SIGHUP set `stop` the first time and raise KeyboardInterrupt the second.

    Who only looks on leaves as soon as `stop` is set: without patience nothing is told, and the first one has `left`.
    `begun` says whether a server may have begun something by now.
    """

    def __init__(
        self, tell: Callable[[str], None], *, patient: bool = True, begun: Callable[[], bool] = lambda: True
    ) -> None:
        self._patient = patient
        self._begun = begun
        self.stop = threading.Event()
        self.left = False
        self._tell = tell
        self._before: dict[signal.Signals, object] = {}
        self._over = False

    def __enter__(self) -> "Interrupts":  # noqa: PYI034  typing.Self came with 3.11
        if threading.current_thread() is threading.main_thread():
            # Under nohup the terminal may be closed: SIGHUP stays ignored.
            nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            heard = (signal.SIGINT, signal.SIGTERM) if nohup else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            self._before = {number: signal.signal(number, self._on_signal) for number in heard}
            threading.Thread(target=self._tell_once, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself has returned
        self._before = {}

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let the first signal already raise: no host is in progress while the operator is being asked."""
        before = {number: signal.signal(number, signal.default_int_handler) for number in self._before}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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
            self._tell(STOPPING if self._begun() else STOPPING_PROBES)
