"""An interrupted run is settled before anything else; that it went well answers only who had asked for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from netpoint_remote.planning.facts import parse_facts
from netpoint_remote.planning.goal import GoBack, decide
from netpoint_remote.reporting.report import Status
from netpoint_remote.running.host import Order, carry_out
from tests.builders import host
from tests.running.scripted import ScriptedServer

PROBE = (Path(__file__).parents[1] / "data/probes/debian12-archive-3.4.9.txt").read_text()


def settling(probe: str) -> ScriptedServer:
    """Return a server that settles the run, reports that it is rolled back, and is probed."""
    return ScriptedServer(["recovering\n", "state done\nresult rolled-back \n", probe])


@pytest.mark.parametrize(
    ("root", "status"),
    [("/opt/netpoint", Status.ROLLED_BACK), ("", Status.ROLLED_BACK), ("/opt/np-lab", Status.REFUSED)],
)
def test_the_way_back_of_another_installation_is_not_the_one_that_was_asked_for(root: str, status: Status) -> None:
    told = f"run.id=r9\nrun.root={root}\n"
    seen = replace(parse_facts(told + PROBE), run_result="")
    order = Order(
        command="rollback", goal=GoBack(), decision=decide(GoBack(), host(), seen, {}), run_id="r10", operator="ann",
        push=False, constraints=True, archive=None, log_dir=Path("logs"),
    )  # fmt: skip

    report = carry_out(order, settling(f"{told}run.result=rolled-back\n{PROBE}"), lambda _event: None)

    assert report.status is status, report.reason
