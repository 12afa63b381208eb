"""Whoever leaves a run in its middle waits for no server."""

import threading
from pathlib import Path

import pytest

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
        confirm=lambda _plans: True,
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
