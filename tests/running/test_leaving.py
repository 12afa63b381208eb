"""Whoever leaves a run in its middle waits for no server."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from netpoint_remote.cli.interrupts import Interrupts
from netpoint_remote.planning.inventory import Host
from netpoint_remote.reporting.event import Event
from netpoint_remote.running.credentials import Credentials
from netpoint_remote.running.fleet import FleetRun, Request
from tests.builders import host


class Nobody:
    def on_event(self, event: Event) -> None:
        pass


def a_run(tmp_path: Path, hosts: tuple[Host, ...]) -> FleetRun:
    request = Request(command="status", hosts=hosts, report_dir=tmp_path)
    return FleetRun(
        request,
        Nobody(),
        confirm=lambda _plans, _left_out: True,
        note=lambda _text: None,
        credentials=Credentials(),
        stop=threading.Event(),
    )


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError])
def test_whatever_ends_the_taking_of_results_lets_go_of_the_others(tmp_path: Path, end: type[BaseException]) -> None:
    """A Ctrl-C may come while a result is being looked at; the other hosts would be waited for, for hours."""
    hosts = (host("np1"), host("np2"))
    run = a_run(tmp_path, hosts)

    def work(each: Host) -> str:
        return each.name if each.name == "np1" or run.leave.wait(60) else "waited for"

    def take() -> None:
        for _ in run._in_parallel(hosts, work):
            raise end

    with pytest.raises(end):
        take()

    assert run.leave.is_set()


def test_a_signal_that_another_thread_has_taken_is_heard(tmp_path: Path) -> None:
    """The system hands it to any thread, and Python's own handler waits for the main one, which waits for hosts."""
    with Interrupts(lambda _text: None) as interrupts:

        def work(_host: Host) -> str:
            while not main_thread_waits():
                pass
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            return "heard" if interrupts.stop.wait(30) else "waited for"

        run = a_run(tmp_path, (host("np1"),))
        results = [result for _, result in run._in_parallel(run.request.hosts, work)]

    assert results == ["heard"]


def main_thread_waits() -> bool:
    main = threading.main_thread().ident
    assert main
    frame = sys._current_frames()[main]
    state = Path(f"/proc/self/task/{os.getpid()}/stat").read_text().rpartition(") ")[2]
    return frame.f_code.co_name == "wait" and state.startswith("S")
