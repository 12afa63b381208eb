"""What a host is once the operator has stopped at once: never failed, and running only where something may run."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from netpoint_remote.errors import LineLost, Unreachable
from netpoint_remote.planning.facts import Facts, parse_facts
from netpoint_remote.planning.goal import BackUp, decide
from netpoint_remote.reporting.report import HostReport, Status
from netpoint_remote.running.host import Order, carry_out
from netpoint_remote.running.ssh import STOPPED
from tests.builders import host
from tests.running.scripted import ScriptedServer

PROBE = (Path(__file__).parents[1] / "data/probes/debian12-archive-3.4.9.txt").read_text()
RECOVERED = ["recovering\n", "state done\nresult reverted \n"]
STARTED = "started\n"


class Leaving(ScriptedServer):
    """A server that answers so often, and then is left by the operator."""

    def __init__(self, answers: Iterable[str], error: Exception, *, stopped: bool = True) -> None:
        super().__init__(answers, error)
        self._stopped = stopped

    @property
    def stopped(self) -> bool:
        return self._stopped and not self.answers


def report(facts: Facts, connector: Leaving) -> HostReport:
    order = Order(
        command="backup", goal=BackUp(), decision=decide(BackUp(), host(), facts, {}), run_id="r10", operator="ann",
        push=False, constraints=True, archive=None, log_dir=Path("logs"),
    )  # fmt: skip
    return carry_out(order, connector, lambda _event: None)  # type: ignore[arg-type]  # all of it that is used


@pytest.mark.promise(9)
@pytest.mark.parametrize("error", [LineLost(STOPPED), Unreachable(STOPPED, transient=False)])
@pytest.mark.parametrize(
    ("interrupted", "answers", "status", "words"),
    [
        (False, [], Status.RUNNING, "it may have started"),
        (False, [STARTED], Status.RUNNING, "the run continues on the server"),
        (True, [], Status.RUNNING, "settle an interrupted run"),
        (True, RECOVERED[:1], Status.RUNNING, "settle an interrupted run"),
        (True, RECOVERED, Status.NOT_STARTED, "after an interrupted run was settled"),
    ],
)
def test_a_host_that_is_left_is_what_may_go_on_there(
    *, error: Exception, interrupted: bool, answers: list[str], status: Status, words: str
) -> None:
    facts = replace(parse_facts(PROBE), **({"run_id": "r9", "run_result": ""} if interrupted else {}))

    left = report(facts, Leaving(answers, error))

    assert (left.status, words in left.reason, left.to_version) == (
        status,
        True,
        None if status is Status.RUNNING else "3.4.9",
    )


def test_a_line_that_is_lost_by_itself_is_still_a_failure() -> None:
    lost = report(parse_facts(PROBE), Leaving([], LineLost("hung up"), stopped=False))

    assert lost.status is Status.FAILED


WARNED = "journal 1.0 warning schedule_housekeeping housekeeping is not scheduled: there is no /etc/cron.daily\n"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("saved ", "not finished: housekeeping is not scheduled"),
        ("saved but late", "but late; not finished: housekeeping is not scheduled"),
        ("reverted one: no luck", "one: no luck"),
    ],
)
def test_a_run_that_ended_well_says_what_it_could_not_finish(result: str, reason: str) -> None:
    answers = [STARTED, f"{WARNED}state done\nresult {result}\n", "the log"]

    assert report(parse_facts(PROBE), Leaving(answers, LineLost("hung up"))).reason == reason
