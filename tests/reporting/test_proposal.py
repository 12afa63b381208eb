"""The summary before the question."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from strategies import hostile, reports

from netpoint_remote.reporting.layout import cells
from netpoint_remote.reporting.plan_view import HostPlan
from netpoint_remote.reporting.proposal import Proposal, render_proposal
from netpoint_remote.reporting.report import FleetReport, HostReport, Status

PINS = ("django-rq<2.9", "rq<1.14")
PLANS = (
    *(replace(samples.PLANS[0], name=f"np{number}", pins=PINS) for number in range(1, 9)),
    *(replace(samples.PLANS[1], name=f"edge{number}", method="git", pins=PINS[1:]) for number in (1, 2)),
    replace(samples.PLANS[2], settles="upgrade"),
)
LEFT_OUT = (
    *(host for host in samples.CHECK.hosts if host.status is Status.UNREACHABLE),
    *(HostReport(name=f"np{number}", status=Status.REFUSED, reason="2.11 comes first") for number in (21, 22)),
)
PROPOSAL = Proposal(
    title="upgrade to 3.5.0", plans=PLANS, left_out=LEFT_OUT, full_plan="netpoint-remote plan --version 3.5.0"
)


@pytest.mark.parametrize("width", [80, 160])
def test_the_summary_before_the_question(golden: Callable[[str, str], None], width: int) -> None:
    golden(f"proposal-{width}.txt", render_proposal(PROPOSAL, width=width))


@pytest.mark.promise(11)
def test_a_loss_is_said_with_its_hosts() -> None:
    plans = tuple(HostPlan(name=f"np{n}", from_version="3.5.0", to_version="3.4.9", loss=f"{n} rows") for n in (1, 2))

    text = render_proposal(Proposal(title="rollback", plans=plans))

    assert "  loss: np1: 1 rows\n  loss: np2: 2 rows\n" in text


plans = st.builds(
    HostPlan,
    name=hostile,
    from_version=st.none() | hostile,
    to_version=hostile,
    method=st.none() | hostile,
    settles=st.sampled_from(["", "upgrade"]),
    pins=st.lists(hostile, max_size=3).map(tuple),
    loss=st.just("") | hostile,
    steps=st.just(samples.STEPS),
)


@given(st.lists(plans, max_size=12), reports, st.sampled_from([40, 80, 160]))
def test_no_fleet_makes_it_longer_than_15_lines_or_wider_than_the_screen(
    hosts: list[HostPlan], report: FleetReport, width: int
) -> None:
    text = render_proposal(
        Proposal(title="upgrade", plans=tuple(hosts), left_out=report.hosts, full_plan="plan"), width=width
    )

    assert text.count("\n") <= 14  # the question is the fifteenth
    assert all(line.isprintable() for line in text.splitlines())
    assert all(cells(line) <= width for line in text.splitlines() if not line.startswith("  full plan: "))
