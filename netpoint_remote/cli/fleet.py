"""Carrying a request out on this terminal: display, question, Ctrl-C, report, exit code."""

import difflib
import sys
from collections.abc import Callable
from typing import TextIO

from invoke.exceptions import Exit

from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.cli.exits import STOPPED
from netpoint_remote.cli.interrupts import LEFT, Interrupts
from netpoint_remote.cli.options import BackupOptions, CheckOptions, PlanOptions, RollbackOptions, UpgradeOptions
from netpoint_remote.cli.prompt import counts_hosts, is_asked, passphrase
from netpoint_remote.cli.request import backup_request, check_request, plan_request, rollback_request, upgrade_request
from netpoint_remote.errors import RequestError, UsageError
from netpoint_remote.planning.inventory import Host
from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.plan_view import HostPlan, render_plan
from netpoint_remote.reporting.stream import say
from netpoint_remote.reporting.terminal import Display, terminal_width, wants_colour
from netpoint_remote.reporting.text import render_check, render_report
from netpoint_remote.running.fleet import Outcome, Request, run

WIDTH = 80


def run_check(core: CoreOptions, options: CheckOptions) -> None:
    """Carry `check` out."""
    outcome = _carry_out(check_request(core, options))
    _finish(outcome, to_json(outcome.report) if options.json else _checked(outcome))


def run_plan(core: CoreOptions, options: PlanOptions) -> None:
    """Carry `plan` out; with --show print one host's shell and nothing else."""
    request = plan_request(core, options)
    if options.show is not None:
        _require_host(options.show, request.hosts)
    outcome = _carry_out(request)
    if options.show is not None:
        _finish(outcome, dict(outcome.shells).get(options.show) or _nothing_to_show(options.show, outcome))
    else:
        _finish(outcome, to_json(outcome.report) if options.json else _planned(outcome))


def run_upgrade(core: CoreOptions, options: UpgradeOptions) -> None:
    """Carry `upgrade` out, asking first where somebody can answer."""
    asking = not (options.yes or options.dry_run) and is_asked()
    outcome = _carry_out(upgrade_request(core, options), asking=asking)
    shown = _planned if options.dry_run else _upgraded
    _finish(outcome, to_json(outcome.report) if options.json else shown(outcome))


def run_backup(core: CoreOptions, options: BackupOptions) -> None:
    """Carry `backup` out; it changes nothing that users could notice, so nobody is asked."""
    outcome = _carry_out(backup_request(core, options))
    _finish(outcome, to_json(outcome.report) if options.json else _upgraded(outcome))


def run_rollback(core: CoreOptions, options: RollbackOptions) -> None:
    """Carry `rollback` out, asking first where somebody can answer."""
    asking = not (options.yes or options.dry_run) and is_asked()
    outcome = _carry_out(rollback_request(core, options), asking=asking)
    shown = _planned if options.dry_run else _upgraded
    _finish(outcome, to_json(outcome.report) if options.json else shown(outcome))


class Question:
    """What the run asks before anything changes: shows the plans, takes the operator's word."""

    def __init__(self, display: Display, interrupts: Interrupts, target: str | None) -> None:
        self._display = display
        self._interrupts = interrupts
        self._target = target
        self.interrupted = False

    def __call__(self, plans: tuple[HostPlan, ...]) -> bool:
        them = "it" if len(plans) == 1 else "them"
        deed = f"upgrade {them} to {self._target}" if self._target else f"take {them} back"
        try:
            with self._display.paused(), self._interrupts.at_once():
                plan = render_plan(plans, colour=wants_colour(sys.stderr), width=width_of(sys.stderr))
                say(sys.stderr, f"{plan}\n")
                return counts_hosts(len(plans), deed, source=sys.stdin, screen=sys.stderr)
        except KeyboardInterrupt:
            self.interrupted = True
            return False


def _carry_out(request: Request, *, asking: bool = False) -> Outcome:
    with (
        Display(sys.stderr, hosts=(host.name for host in request.hosts)) as display,
        Interrupts(display.say) as interrupts,
    ):
        question = Question(display, interrupts, request.target)
        confirm = question if asking else _agree
        try:
            outcome = run(
                request,
                display,
                confirm,
                note=display.say,
                passphrase=_passphrase(display, interrupts),
                stop=interrupts.stop,
            )
        except RequestError:
            if question.interrupted:
                raise Exit("stopped; nothing was changed", code=STOPPED) from None
            raise
    if interrupts.left:
        say(sys.stderr, LEFT)
    return outcome


def _passphrase(display: Display, interrupts: Interrupts) -> Callable[[str], str | None]:
    def ask(path: str) -> str | None:
        with display.paused(), interrupts.at_once():
            return passphrase(path)

    return ask


def _agree(_plans: tuple[HostPlan, ...]) -> bool:
    return True


def _finish(outcome: Outcome, text: str) -> None:
    """Print the result, and leave with the run's code."""
    say(sys.stdout, text)
    if outcome.report.exit_code:
        raise Exit(code=outcome.report.exit_code)


def _checked(outcome: Outcome) -> str:
    colour, width = wants_colour(sys.stdout), width_of(sys.stdout)
    return render_check(outcome.report, colour=colour, width=width, folder=str(outcome.folder))


def _planned(outcome: Outcome) -> str:
    """Return the plans, and below them, where the eye is, how each host stands."""
    if not outcome.plans:
        return _checked(outcome)
    plan = render_plan(outcome.plans, colour=wants_colour(sys.stdout), width=width_of(sys.stdout))
    return f"{plan}\n{_checked(outcome)}"


def _upgraded(outcome: Outcome) -> str:
    colour, width = wants_colour(sys.stdout), width_of(sys.stdout)
    return render_report(outcome.report, colour=colour, width=width, folder=str(outcome.folder))


def width_of(stream: TextIO) -> int:
    """Return the columns of a stream, 80 where it has none."""
    return terminal_width(stream) or WIDTH


def _require_host(name: str, hosts: tuple[Host, ...]) -> None:
    names = [host.name for host in hosts]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the first one is {names[0]}"
        raise UsageError(f"--show {name!r} is no host of this run; {hint}")


def _nothing_to_show(name: str, outcome: Outcome) -> str:
    """Explain on standard error why there is no shell; standard output stays a script, an empty one."""
    host = next(host for host in outcome.report.hosts if host.name == name)
    say(sys.stderr, f"nothing would run on {name}: {host.status}{f', {host.reason}' if host.reason else ''}")
    return ""
