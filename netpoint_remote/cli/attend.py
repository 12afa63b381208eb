"""Carrying `status`, `attach` and `stop` out on this terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from netpoint_remote.cli.confirm import Confirmation, passphrase_prompt
from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.cli.fleet import folder_of
from netpoint_remote.cli.interrupts import Interrupts
from netpoint_remote.cli.options import AttachOptions, StatusOptions, StopOptions, parse_run_id
from netpoint_remote.cli.request import attach_request, status_request, stop_request
from netpoint_remote.cli.streams import finish
from netpoint_remote.reporting.clean import clean
from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.layout import indent, wrap
from netpoint_remote.reporting.report import FleetReport
from netpoint_remote.reporting.stream import say
from netpoint_remote.reporting.terminal import Display, wants_colour, width_of
from netpoint_remote.reporting.text import render_report, render_status
from netpoint_remote.running.attend import Stopping, attach_to_runs, look_at_runs, stop_runs
from netpoint_remote.running.fleet import Outcome, Request

GOODBYE = "detached; the runs continue. Reconnect with `attach`"


def run_status(core: CoreOptions, options: StatusOptions) -> None:
    """Carry `status` out."""
    request = status_request(core, options)
    with watching(request) as (display, interrupts):
        report = look_at_runs(request, display, passphrase=passphrase_prompt(display, interrupts), stop=interrupts.stop)
    finish(to_json(report) if options.json else _looked(report), report.exit_code)


def run_stop(core: CoreOptions, options: StopOptions) -> None:
    """Carry `stop` out, asking first."""
    request = stop_request(core, options)
    with watching(request) as (display, interrupts):
        confirmation = Confirmation("stop", display, interrupts, yes=options.yes)

        def confirm(going: tuple[Stopping, ...]) -> bool:
            action = f"ask {'it' if len(going) == 1 else 'them'} to stop"
            return confirmation(lambda width: render_stopping(going, width=width), len(going), action)

        with confirmation.interruptible("stopped; no run was asked to stop"):
            report = stop_runs(
                request, display, confirm, passphrase=passphrase_prompt(display, interrupts), stop=interrupts.stop
            )
    finish(to_json(report) if options.json else _looked(report), report.exit_code)


def run_attach(core: CoreOptions, options: AttachOptions) -> None:
    """Carry `attach` out."""
    run_id = None if options.run is None else parse_run_id(options.run)
    request = attach_request(core, options)
    with watching(request) as (display, interrupts):
        outcome = attach_to_runs(
            request,
            display,
            run_id,
            note=display.say,
            passphrase=passphrase_prompt(display, interrupts),
            stop=interrupts.stop,
        )
    if interrupts.left:
        say(sys.stderr, GOODBYE)
    finish(to_json(outcome.report) if options.json else _attended(outcome), outcome.report.exit_code)


def render_stopping(going: tuple[Stopping, ...], *, width: int) -> str:
    """Return what a stop would do, a paragraph for each host."""
    lines = []
    for each in going:
        whose = f"{each.about}, started by {each.operator or 'an unknown operator'}"
        told = clean(f"{whose}: {each.will}")
        lines += [clean(each.host), *indent(wrap(told, width - 2), "  ", "  ")]
    return "\n".join(lines) + "\n"


@contextmanager
def watching(request: Request) -> Iterator[tuple[Display, Interrupts]]:
    """Show what goes on; the first Ctrl-C leaves, for whoever looks on has begun nothing."""
    with (
        Display(sys.stderr, hosts=(host.name for host in request.hosts)) as display,
        Interrupts(display.say, patient=False) as interrupts,
    ):
        yield display, interrupts


def _looked(report: FleetReport) -> str:
    return render_status(report, colour=wants_colour(sys.stdout), width=width_of(sys.stdout))


def _attended(outcome: Outcome) -> str:
    colour, width = wants_colour(sys.stdout), width_of(sys.stdout)
    return render_report(outcome.report, colour=colour, width=width, folder=folder_of(outcome))
