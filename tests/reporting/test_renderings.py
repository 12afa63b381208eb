"""The screens at the end of a run, as admins see them."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st
from strategies import reports

from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.layout import cells
from netpoint_remote.reporting.markdown import render_markdown
from netpoint_remote.reporting.plan_view import render_plan
from netpoint_remote.reporting.report import FleetReport, HostReport, Status
from netpoint_remote.reporting.text import Folder, render_backups, render_check, render_report, render_status
from netpoint_remote.reporting.words import totals

Golden = Callable[[str, str], None]
COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.parametrize("width", [80, 160])
def test_the_report_of_an_upgrade(golden: Golden, width: int) -> None:
    golden(f"report-{width}.txt", render_report(samples.UPGRADE, width=width))


@pytest.mark.parametrize("width", [50, 80, 160])
def test_the_report_of_a_check(golden: Golden, width: int) -> None:
    golden(f"check-{width}.txt", render_check(samples.CHECK, width=width))


@pytest.mark.parametrize("width", [50, 80, 160])
def test_what_runs_on_each_host(golden: Golden, width: int) -> None:
    golden(f"status-{width}.txt", render_status(samples.STATUS, width=width))


@pytest.mark.parametrize("width", [80, 160])
def test_the_backups_of_each_host(golden: Golden, width: int) -> None:
    golden(f"backups-{width}.txt", render_backups(samples.BACKUPS, width=width))


@pytest.mark.parametrize("width", [80, 160])
def test_the_plan(golden: Golden, width: int) -> None:
    golden(f"plan-{width}.txt", render_plan(samples.PLANS, width=width))


def test_the_report_for_programs(golden: Golden) -> None:
    golden("report.json", to_json(samples.UPGRADE))


def test_the_report_for_a_ticket(golden: Golden) -> None:
    golden("report.md", render_markdown(samples.UPGRADE))


def test_the_sample_has_a_host_in_each_status_of_an_upgrade() -> None:
    looked = {host.status for host in samples.STATUS.hosts} | {Status.UNSETTLED}
    others = {Status.SAVED, Status.ROLLED_BACK, Status.DONE, *looked}
    assert {host.status for host in samples.UPGRADE.hosts} == set(Status) - others


def test_colours_change_nothing_but_colours() -> None:
    coloured = render_report(samples.UPGRADE, colour=True, width=80)

    assert "\x1b[" in coloured
    assert re.sub(r" +$", "", COLOUR.sub("", coloured), flags=re.MULTILINE) == render_report(samples.UPGRADE, width=80)


def test_the_report_says_where_it_lies() -> None:
    text = render_report(samples.UPGRADE, folder=Folder(path="runs/one"))

    assert "runs/one/report.json" in text
    assert "log: runs/one/np5.log" in text


def test_a_stopped_command_talks_of_runs_that_continue_only_where_there_are_some() -> None:
    running = (HostReport(name="np1", status=Status.RUNNING),)

    detached = render_report(replace(samples.UPGRADE, stopped=True, hosts=running))
    ended = render_report(replace(samples.UPGRADE, stopped=True))
    looked = render_check(replace(samples.CHECK, stopped=True))

    assert [text.count("continue on the servers") for text in (detached, ended, looked)] == [1, 0, 0]
    assert all("exit 130" in text for text in (detached, ended, looked))


def test_a_large_fleet_is_told_in_a_few_lines() -> None:
    hosts = tuple(
        HostReport(
            name=f"np{number:03}",
            status=Status.UPGRADED,
            from_version="3.4.9",
            to_version="3.5.0",
            window_seconds=number,
        )
        for number in range(1, 101)
    )

    text = render_report(replace(samples.UPGRADE, hosts=hosts))

    assert "np[001-100]  upgraded  3.4.9 → 3.5.0  1.0 s to 1 min 40 s" in text


def test_hosts_of_a_large_fleet_share_a_row_only_where_their_runs_stand_alike() -> None:
    steps = ("one", "two")
    hosts = tuple(
        HostReport(name=f"np{at:02}", status=Status.RUNNING, run=replace(samples.RUN, step=steps[at % 2]))
        for at in range(60)
    )

    text = render_status(replace(samples.STATUS, hosts=hosts), width=100)

    rows = [line.partition("10/16 ")[2].split()[0] for line in text.splitlines() if "alice" in line]
    assert rows == ["one", "two"]


def test_a_fleet_of_none_is_a_report_too() -> None:
    assert "no host" in render_report(replace(samples.UPGRADE, hosts=()))


@pytest.mark.promise(8, 9)
@given(reports, st.sampled_from([40, 80, 160]))
def test_nothing_in_a_report_acts_on_a_terminal_and_every_host_is_told(report: FleetReport, width: int) -> None:
    for render in (render_report, render_check, render_status):
        text = render(report, width=width)

        assert text.replace("\n", "").isprintable()
        assert all(total in " ".join(text.split()) for total in totals(report.hosts))


@given(reports)
def test_markdown_holds_no_markup_of_a_server(report: FleetReport) -> None:
    text = render_markdown(report)

    assert text.replace("\n", "").isprintable()
    assert "<" not in text.replace("<br>", "")


@pytest.mark.parametrize("width", [80, 160])
def test_a_server_can_not_begin_a_line_of_the_report(width: int) -> None:
    """However it pads its text, what it says stays indented below its own row."""
    forged = "✓ np9   upgraded     3.4.9 → 3.5.0"
    padded = (" " * blanks + forged for blanks in range(200))
    lies = (*padded, f"x\n{forged}", f"x\r{forged}", "y" * 77 + forged)
    hosts = tuple(HostReport(name=f"np{at}", status=Status.FAILED, reason=lie) for at, lie in enumerate(lies))

    lines = render_report(replace(samples.UPGRADE, hosts=hosts[:30]), width=width).splitlines()
    lines += render_report(replace(samples.UPGRADE, hosts=hosts[-30:]), width=width).splitlines()

    assert not [line for line in lines if line.startswith("✓")]
    assert max(map(cells, lines)) <= width
