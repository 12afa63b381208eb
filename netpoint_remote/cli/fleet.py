"""Carrying a request out on this terminal: display, question, Ctrl-C, report, exit code."""

import sys
from typing import TextIO

from invoke.exceptions import Exit

from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.cli.exits import STOPPED, WRONG_REQUEST
from netpoint_remote.cli.interrupts import LEFT, Interrupts
from netpoint_remote.cli.options import CheckOptions, PlanOptions, UpgradeOptions
from netpoint_remote.cli.prompt import counts_hosts, is_asked
from netpoint_remote.cli.request import check_request, plan_request, upgrade_request
from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.plan_view import HostPlan, render_plan
from netpoint_remote.reporting.report import FleetReport
from netpoint_remote.reporting.stream import say
from netpoint_remote.reporting.terminal import Display, terminal_width, wants_colour
from netpoint_remote.reporting.text import render_check, render_report
from netpoint_remote.running.fleet import Request, run

WIDTH = 80


def run_check(core: CoreOptions, options: CheckOptions) -> None:
    """Carry `check` out."""
    _finish(*_carry_out(check_request(core, options), asking=False), as_json=options.json)


def run_plan(core: CoreOptions, options: PlanOptions) -> None:
    """Carry `plan` out."""
    _finish(*_carry_out(plan_request(core, options), asking=False), as_json=options.json)


def run_upgrade(core: CoreOptions, options: UpgradeOptions) -> None:
    """Carry `upgrade` out, asking first where somebody can answer."""
    asking = not (options.yes or options.dry_run) and is_asked()
    _finish(*_carry_out(upgrade_request(core, options), asking=asking), as_json=options.json)


class Question:
    """What the run asks before anything changes: shows the plans, takes the operator's word."""

    def __init__(self, display: Display, interrupts: Interrupts, target: str | None, *, asking: bool) -> None:
        self._display = display
        self._interrupts = interrupts
        self._target = target
        self._asking = asking
        self.refusal: Exit | None = None

    def __call__(self, plans: tuple[HostPlan, ...]) -> bool:
        if not self._asking:
            return True
        try:
            with self._display.paused(), self._interrupts.at_once():
                plan = render_plan(plans, colour=wants_colour(sys.stderr), width=_width(sys.stderr))
                say(sys.stderr, plan + "\n")
                agreed = counts_hosts(len(plans), f"upgrade to {self._target}", source=sys.stdin, screen=sys.stderr)
        except KeyboardInterrupt:
            self.refusal = Exit("stopped; nothing was changed", code=STOPPED)
        else:
            self.refusal = None if agreed else Exit("error: not confirmed; nothing was changed", code=WRONG_REQUEST)
        return self.refusal is None


def _carry_out(request: Request, *, asking: bool) -> tuple[Request, FleetReport]:
    with (
        Display(sys.stderr, hosts=(host.name for host in request.hosts)) as display,
        Interrupts(display.say) as interrupts,
    ):
        question = Question(display, interrupts, request.target, asking=asking)
        try:
            report = run(request, display, question, stop=interrupts.stop)
        except KeyboardInterrupt:
            raise Exit(LEFT, code=STOPPED) from None
    if question.refusal:
        raise question.refusal
    return request, report


def _finish(request: Request, report: FleetReport, *, as_json: bool) -> None:
    """Print the report, and leave with its code."""
    if as_json:
        say(sys.stdout, to_json(report))
    else:
        render = render_check if request.command == "check" else render_report
        folder = str(request.report_dir / report.run_id)
        say(sys.stdout, render(report, colour=wants_colour(sys.stdout), width=_width(sys.stdout), folder=folder))
    if report.exit_code:
        raise Exit(code=report.exit_code)


def _width(stream: TextIO) -> int:
    return terminal_width(stream) or WIDTH
