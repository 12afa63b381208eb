"""Signals that end a run: the first one ends it in order, and none of them disturbs what takes servers away."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP do what SIGINT does: raise KeyboardInterrupt. What is ignored (nohup) stays so."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals that end a run wait until the block is done.

    Python handles signals in the main thread, whichever thread gets them: a mask would not be enough. In other threads
    there is nothing to do, and the processes that a block starts need a session of their own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    usual = {number: signal.getsignal(number) for number in ENDING}
    replaced = {number: handler for number, handler in usual.items() if handler not in {None, signal.SIG_IGN}}
    try:
        for number in replaced:
            signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(arrived):
            signal.raise_signal(number)


def ignore_all() -> None:
    """Ignore them from now on: the run is ending already."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
