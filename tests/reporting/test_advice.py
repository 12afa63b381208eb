"""What is said of hosts that failed or were reverted: the meaning, the remedy, and a command that can be typed."""

import shlex
from dataclasses import replace

import pytest
import samples
from hypothesis import given
from strategies import reports

from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.reporting.advice import advise, command
from netpoint_remote.reporting.markdown import render_markdown
from netpoint_remote.reporting.report import FleetReport, HostReport, Status, StepReport, StepStatus, Typed
from netpoint_remote.reporting.text import render_report

TYPED = Typed(before=("netpoint-remote", "-H", "np1,admin@np2"), task="upgrade", common=("--jobs", "4"),
              own=("--version", "3.5.0", "--skip-refused"))  # fmt: skip
BY_HAND = Problem(code="by-hand", severity=Severity.ERROR, message="stuck", remedy="by hand")
RAN = StepReport(name="one", status=StepStatus.UNDONE, seconds=1.0)


def host(status: Status = Status.FAILED, *steps: StepStatus, **more: object) -> HostReport:
    ran = tuple(replace(RAN, status=each) for each in steps)
    return HostReport(name="np1", status=status, steps=ran, **{"from_version": "3.4.9", **more})


def advice(*hosts: HostReport, typed: Typed | None = TYPED) -> list[str]:
    """Return the message and the last line of the remedy of each."""
    told = advise(replace(samples.UPGRADE, hosts=hosts, typed=typed))
    return [f"{each.problem.message} > {each.problem.remedy.splitlines()[-1].strip()}" for each in told]


AGAIN = "netpoint-remote -H np1,admin@np2 upgrade --jobs 4 --version 3.5.0 --skip-refused --limit np1"


@pytest.mark.parametrize(
    ("ended", "meaning", "next_command"),
    [
        (host(Status.REVERTED, StepStatus.FAILED), "everything was undone, and 3.4.9 serves as before", AGAIN),
        (host(Status.REVERTED, StepStatus.UNDONE), "The run was stopped, everything was undone", AGAIN),
        (host(Status.REVERTED, problems=(replace(BY_HAND, code="stop_services"),)), "not every service runs", AGAIN),
        (host(Status.FAILED, StepStatus.UNDO_FAILED, problems=(BY_HAND,)), "undoing it failed too", AGAIN),
        (host(Status.FAILED, StepStatus.UNDO_FAILED), "is not undone", "check --jobs 4 --limit np1"),
        (host(Status.FAILED, StepStatus.RUNNING), "may still be in progress", "status --jobs 4 --limit np1"),
        (host(Status.FAILED, from_version=None), "nothing was changed on it", "check --jobs 4 --limit np1"),
        (host(Status.FAILED), "its state is unknown", "status --jobs 4 --limit np1"),
        (
            host(Status.INTERRUPTED, run=replace(samples.RUN, task="rollback from 3.5.0 to 3.4.9")),
            "still to be settled",
            "rollback --jobs 4 --to 3.4.9 --limit np1",
        ),
        (
            host(Status.UNSETTLED, run=replace(samples.RUN, task="backup of 3.4.9")),
            "could not be undone",
            "backup --jobs 4 --limit np1",
        ),
        (host(Status.INTERRUPTED), "still to be settled", "status --jobs 4 --limit np1"),
    ],
)
def test_each_bad_end_has_its_meaning_and_a_next_command(ended: HostReport, meaning: str, next_command: str) -> None:
    (said,) = advice(ended)

    assert meaning in said
    assert said.endswith(next_command)


def test_hosts_that_ended_alike_share_a_command() -> None:
    hosts = [replace(host(Status.REVERTED, StepStatus.FAILED), name=f"np{number}") for number in (1, 2, 3, 10)]

    (said,) = advice(*hosts)

    assert said.endswith("--limit 'np[1-3,10]'")


def test_failures_come_first_on_the_screen_and_in_the_ticket() -> None:
    hosts = [replace(host(status), name=status.value) for status in (Status.UPGRADED, Status.REVERTED, Status.FAILED)]
    report = replace(samples.UPGRADE, hosts=tuple(hosts), typed=TYPED)

    screen, ticket = render_report(report), render_markdown(report)

    for text in (screen, ticket):
        places = [text.index(f" {status} ") for status in ("failed", "reverted", "upgraded")]
        assert places == sorted(places)
    assert "`netpoint-remote -H np1,admin@np2 upgrade" in ticket


def test_a_run_that_was_followed_is_not_followed_again() -> None:
    ended = host(Status.REVERTED, StepStatus.FAILED, run=replace(samples.RUN, task="upgrade from 3.4.9 to 3.5.0"))

    assert advice(ended, typed=replace(TYPED, task="attach", own=()))[0].endswith(
        "upgrade --jobs 4 --version 3.5.0 --limit np1"
    )


def test_what_was_typed_is_quoted_for_a_shell() -> None:
    typed = Typed(before=("fab",), task="backup", common=("--hosts-file", "my hosts; rm -rf $HOME.yaml"))

    assert shlex.split(command(typed, ["a b", "np1"])) == [
        "fab", "backup", "--hosts-file", "my hosts; rm -rf $HOME.yaml", "--limit", 'np1,"a b"',
    ]  # fmt: skip


def test_without_what_was_typed_there_is_a_sentence() -> None:
    assert advice(host(Status.REVERTED), typed=None)[0].endswith("run the same command again.")


@given(reports)
def test_every_failed_or_reverted_host_has_advice(report: FleetReport) -> None:
    bad = {host.name for host in report.hosts if host.status in {Status.FAILED, Status.REVERTED}}

    assert bad <= {name for each in advise(report) for name in each.hosts}
