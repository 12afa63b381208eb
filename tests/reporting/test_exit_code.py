"""The exit code tells the worst of all hosts."""

from dataclasses import replace

import pytest
import samples

from netpoint_remote.reporting.report import HostReport, Status

WORST_FIRST = (
    (2, (Status.FAILED, Status.REVERTED, Status.INTERRUPTED, Status.UNSETTLED)),
    (4, (Status.UNREACHABLE,)),
    (3, (Status.REFUSED, Status.NOT_STARTED)),
    (0, (Status.UPGRADED, Status.UNCHANGED, Status.ROLLED_BACK, Status.SAVED, Status.READY, Status.CURRENT)),
)
RANKED = [(code, status) for code, statuses in WORST_FIRST for status in statuses]


def exit_code(*statuses: Status, stopped: bool = False) -> int:
    hosts = tuple(HostReport(name=f"np{number}", status=status) for number, status in enumerate(statuses))
    return replace(samples.UPGRADE, hosts=hosts, stopped=stopped).exit_code


@pytest.mark.promise(9)
@pytest.mark.parametrize(("rank", "code", "status"), [(rank, *each) for rank, each in enumerate(RANKED)])
def test_the_worst_status_of_all_hosts_is_the_exit_code(rank: int, code: int, status: Status) -> None:
    """The documented order is 2, 4, 3, 0."""
    no_worse = [status for _, status in RANKED[rank:]]

    assert exit_code(*reversed(no_worse)) == exit_code(status) == code


def test_a_run_that_the_operator_stopped_is_130() -> None:
    assert exit_code(Status.FAILED, Status.UPGRADED, stopped=True) == 130
