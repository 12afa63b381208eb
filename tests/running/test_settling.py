"""An interrupted run is settled before anything else; that it went well answers only who had asked for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from netpoint_remote.planning.facts import parse_facts
from netpoint_remote.planning.goal import GoBack, decide
from netpoint_remote.reporting.report import Status
from netpoint_remote.running.host import Order, carry_out
from netpoint_remote.running.wire import Completed
from tests.builders import host

PROBE = (Path(__file__).parents[1] / "data/probes/debian12-archive-3.4.9.txt").read_text()


class Settling:
    """A server that settles the run, tells that it is restored, and is looked at."""

    def __init__(self, probe: str) -> None:
        self._answers = ["recovering\n", "state done\nresult restored \n", probe]

    def open(self, _host: object, **_: object) -> "Settling":
        return self

    def visit(self, _script: str, *, on_line: Callable[[str], None] | None = None, **_: object) -> Completed:
        answer = self._answers.pop(0)
        for line in answer.splitlines() if on_line else ():
            on_line(line)
        return Completed(0, answer)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("root", "status"),
    [("/opt/netpoint", Status.RESTORED), ("", Status.RESTORED), ("/opt/np-lab", Status.REFUSED)],
)
def test_the_way_back_of_another_installation_is_not_the_one_that_was_asked_for(root: str, status: Status) -> None:
    told = f"run.id=r9\nrun.root={root}\n"
    seen = replace(parse_facts(told + PROBE), run_result="")
    order = Order(
        command="rollback", goal=GoBack(), decision=decide(GoBack(), host(), seen, {}), run_id="r10", operator="ann",
        push=False, constraints=True, archive=None, log_dir=Path("logs"),
    )  # fmt: skip

    report = carry_out(order, Settling(f"{told}run.result=restored\n{PROBE}"), lambda _event: None)

    assert report.status is status, report.reason
