"""Carrying a request out on this terminal: display, question, Ctrl-C, report, exit code."""

import difflib
import sys

from netpoint_remote.cli.confirm import Confirmation, passphrase_prompt
from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.cli.interrupts import DETACHED, Interrupts
from netpoint_remote.cli.options import BackupOptions, CheckOptions, PlanOptions, RollbackOptions, UpgradeOptions
from netpoint_remote.cli.request import backup_request, check_request, plan_request, rollback_request, upgrade_request
from netpoint_remote.cli.streams import finish
from netpoint_remote.errors import UsageError
from netpoint_remote.planning.inventory import Host
from netpoint_remote.reporting.advice import command
from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.plan_view import HostPlan, render_plan
from netpoint_remote.reporting.proposal import Proposal, render_proposal
from netpoint_remote.reporting.report import HostReport
from netpoint_remote.reporting.stream import say
from netpoint_remote.reporting.terminal import Display, wants_colour, width_of
from netpoint_remote.reporting.text import Folder, render_check, render_report
from netpoint_remote.reporting.words import heading
from netpoint_remote.running.fleet import Outcome, Request, run


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
    """Carry `upgrade` out, asking first."""
    outcome = _carry_out(upgrade_request(core, options), yes=options.yes)
    shown = _planned if options.dry_run else _upgraded
    _finish(outcome, to_json(outcome.report) if options.json else shown(outcome))


def run_backup(core: CoreOptions, options: BackupOptions) -> None:
    """Carry `backup` out; it asks first where it settles an interrupted upgrade or rollback."""
    outcome = _carry_out(backup_request(core, options), yes=options.yes)
    _finish(outcome, to_json(outcome.report) if options.json else _upgraded(outcome))


def run_rollback(core: CoreOptions, options: RollbackOptions) -> None:
    """Carry `rollback` out, asking first."""
    outcome = _carry_out(rollback_request(core, options), yes=options.yes)
    shown = _planned if options.dry_run else _upgraded
    _finish(outcome, to_json(outcome.report) if options.json else shown(outcome))


class _Gate:
    """Stands between the look at all hosts and the first change; `passed` once the operator goes on."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.passed = False

    def confirm(
        self, confirmation: Confirmation, plans: tuple[HostPlan, ...], left_out: tuple[HostReport, ...]
    ) -> bool:
        if self._request.command == "backup" and not any(plan.settles not in {"", "backup"} for plan in plans):
            self.passed = True  # it adds a backup, and undoes at most an interrupted one
        else:
            proposal = Proposal(
                title=heading(self._request.command, self._request.target),
                plans=plans,
                left_out=left_out,
                full_plan=self._full_plan(),
            )
            action = self._action(len(plans))
            self.passed = confirmation(lambda width: render_proposal(proposal, width=width), len(plans), action)
        return self.passed

    def _full_plan(self) -> str:
        typed = self._request.typed
        if typed is None or typed.task == "backup":
            return ""
        if typed.task == "upgrade":
            return command(typed, task="plan", options=tuple(word for word in typed.own if word != "--skip-refused"))
        return command(typed, options=(*typed.own, "--dry-run"))

    def _action(self, hosts: int) -> str:
        them = "it" if hosts == 1 else "them"
        if self._request.command == "backup":
            return f"settle interrupted runs and back {them} up"
        return f"upgrade {them} to {self._request.target}" if self._request.target else f"roll {them} back"


def _carry_out(request: Request, *, yes: bool = False) -> Outcome:
    gate = _Gate(request)
    with (
        Display(sys.stderr, hosts=(host.name for host in request.hosts)) as display,
        Interrupts(display.say, begun=lambda: gate.passed) as interrupts,
    ):
        confirmation = Confirmation(request.command, display, interrupts, yes=yes)
        with confirmation.interruptible("stopped; nothing was changed"):
            outcome = run(
                request,
                display,
                lambda plans, left_out: gate.confirm(confirmation, plans, left_out),
                note=display.say,
                passphrase=passphrase_prompt(display, interrupts),
                stop=interrupts.stop,
            )
    if interrupts.left and gate.passed:
        say(sys.stderr, DETACHED)
    return outcome


def _finish(outcome: Outcome, text: str) -> None:
    finish(text, outcome.report.exit_code)


def folder_of(outcome: Outcome) -> Folder:
    """Return where the report lies, for the last lines of the screen."""
    return Folder(path=str(outcome.folder), kept=outcome.kept)


def _checked(outcome: Outcome) -> str:
    colour, width = wants_colour(sys.stdout), width_of(sys.stdout)
    return render_check(outcome.report, colour=colour, width=width, folder=folder_of(outcome))


def _planned(outcome: Outcome) -> str:
    """Return the plans, and below them, where the eye is, how each host stands."""
    if not outcome.plans:
        return _checked(outcome)
    plan = render_plan(outcome.plans, colour=wants_colour(sys.stdout), width=width_of(sys.stdout))
    return f"{plan}\n{_checked(outcome)}"


def _upgraded(outcome: Outcome) -> str:
    colour, width = wants_colour(sys.stdout), width_of(sys.stdout)
    return render_report(outcome.report, colour=colour, width=width, folder=folder_of(outcome))


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
