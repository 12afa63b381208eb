"""One run over many hosts: look at all of them, stop or confirm, carry out, account for everyone."""

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from netpoint_remote.errors import ConnectError, LineLost, NetPointRemoteError, ReleaseError, RequestError
from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks import shared_databases
from netpoint_remote.planning.checks.tree import link_is_direct
from netpoint_remote.planning.facts import Facts
from netpoint_remote.planning.goal import BackUp, Decision, Goal, GoBack, Upgrade, decide
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.method import method_of
from netpoint_remote.planning.problem import Problem, Severity
from netpoint_remote.planning.told import told_facts
from netpoint_remote.planning.tree_users import companions
from netpoint_remote.planning.version import path
from netpoint_remote.planning.way_back import made
from netpoint_remote.reporting.event import Event, Kind, Observer
from netpoint_remote.reporting.json import event_to_json, to_json
from netpoint_remote.reporting.markdown import render_markdown
from netpoint_remote.reporting.masking import masked
from netpoint_remote.reporting.plan_view import HostPlan
from netpoint_remote.reporting.report import FleetReport, HostReport, PlanStep, Status, Typed
from netpoint_remote.reporting.report import Phase as ShownPhase
from netpoint_remote.running.bundle import shown_shell
from netpoint_remote.running.credentials import Credentials
from netpoint_remote.running.host import Line, Order, carry_out, look
from netpoint_remote.running.ssh import STOPPED, Connector, ensure_open_files
from netpoint_remote.running.targets import Targets, bundle_folder

Result = TypeVar("Result")
Confirm = Callable[[tuple[HostPlan, ...], tuple[HostReport, ...]], bool]
HEARING = 0.5  # seconds until a signal is heard that came as the wait began, or to another thread
REPORT = "report.json"
NOT_CONFIRMED = "not confirmed: nothing was changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the operator asks for; `target` is a version, None only for a `check` that just looks."""

    command: str
    hosts: tuple[Host, ...]
    inventory: Inventory = field(default_factory=Inventory)
    target: str | None = None
    jobs: int = 16
    report_dir: Path = Path("runs")
    to: str | None = None
    accept_loss: bool = False
    verify: bool = False
    dry_run: bool = False
    skip_refused: bool = False
    repair_broken: bool = False
    push: bool = False
    constraints: bool = True
    accept_new: bool = False
    sudo_password: str | None = None
    archive: Path | None = None
    operator: str = ""
    typed: Typed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The report, the folder it was written to, the plans of the hosts that may go on, and their exact shell.

    `kept` is false where report.json could not be written into the folder.
    """

    report: FleetReport
    folder: Path
    kept: bool = True
    plans: tuple[HostPlan, ...] = ()
    shells: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Looked:
    """What looking at one host came to: a decision, or a report that is final already."""

    decision: Decision | None
    report: HostReport
    goal: Goal = field(default_factory=Upgrade)

    @property
    def case(self) -> Case | None:
        return self.decision.case if self.decision else None

    @property
    def may_go_on(self) -> bool:
        return self.report.status is Status.READY


def run(
    request: Request,
    observer: Observer,
    confirm: Confirm = lambda _plans, _left_out: True,
    *,
    note: Callable[[str], None] = lambda _text: None,
    passphrase: Callable[[str], str | None] | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Carry out a request. Once `stop` is set no further host is begun; a KeyboardInterrupt leaves at once.

    Either way the servers go on with what they have begun, and the report is written. `note` is told
    what concerns no single host, such as a download; `passphrase` is given the path of a locked key.

    Raises:
        RequestError: when the request itself is wrong; nothing was touched then.
    """
    return FleetRun(
        request,
        observer,
        confirm=confirm,
        note=note,
        credentials=Credentials(passphrase=passphrase),
        stop=stop or threading.Event(),
    ).carry_out()


class FleetRun:
    """One task over many hosts.

    Where it is not `patient`, all is left at once when `stop` is set: for tasks that begin nothing to be waited for.
    """

    patient = True

    def __init__(
        self,
        request: Request,
        observer: Observer,
        *,
        confirm: Confirm,
        note: Callable[[str], None],
        credentials: Credentials,
        stop: threading.Event,
    ) -> None:
        self.request = request
        self.confirm = confirm
        self.note = note
        self.credentials = credentials
        self.stop = stop
        self.leave = threading.Event()
        self.started = datetime.now(timezone.utc)
        self.begun = time.monotonic()
        self.run_id = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.folder = request.report_dir / self.run_id
        self.secrets = (request.sudo_password or "",)
        self.observer: Observer = _Masking(observer, self.secrets)
        self.targets = (
            Targets(version=request.target, archive=request.archive, on_note=note) if request.target else None
        )
        self.reports: dict[str, HostReport] = {}
        self._finished: set[str] = set()
        self.connector: Connector | None = None

    def carry_out(self) -> Outcome:
        if self.targets is not None:
            self.targets.prepare(self.request.hosts)
        with self._written_down(), self._connected() as connector:
            looked = self._look_at_all(connector)
            plans = masked(tuple(self._plans(looked)), self.secrets)
            shells = tuple(self._shells(looked)) if self.request.command == "plan" else ()
            if self.request.command == "plan" or self.request.dry_run:
                for plan in (each for each in plans if each.steps):
                    self.reports[plan.name] = replace(self.reports[plan.name], plan=plan.report)
            if self._changes:
                self._change(looked, plans, connector)
        return self._outcome(plans=plans, shells=shells)

    def _outcome(self, plans: tuple[HostPlan, ...] = (), shells: tuple[tuple[str, str], ...] = ()) -> Outcome:
        kept = (self.folder / REPORT).exists()
        return Outcome(report=self._report(), folder=self.folder, kept=kept, plans=plans, shells=shells)

    @contextmanager
    def _connected(self) -> Iterator[Connector]:
        request = self.request
        ensure_open_files(len(request.hosts))
        connector = Connector(
            credentials=self.credentials,
            accept_new=request.accept_new,
            sudo_password=request.sudo_password,
            stop=self.leave,
        )
        with connector:
            self.connector = connector
            if not self.patient:
                threading.Thread(target=self._leave_when_stopped, daemon=True).start()
            connector.prepare(request.hosts)
            yield connector

    @contextmanager
    def _written_down(self) -> Iterator[None]:
        """Keep the run's folder: events as they come, the report at the end, whatever the end is."""
        try:
            self.folder.mkdir(parents=True)
            events = (self.folder / "events.jsonl").open("w", encoding="utf-8")
        except OSError as error:
            raise RequestError(
                f"the report folder {self.folder} cannot be written: {error.strerror}; name another with --report-dir"
            ) from None
        self.observer = _Masking(_Recorder(self.observer, events.write, events.flush), self.secrets)
        try:
            yield
        finally:
            if self.reports:
                for host in self.request.hosts:
                    self.account(self._report_of(host))
            with suppress(OSError):  # a full disk has been told of by then, or is as the report cannot be written
                events.close()
            if self.reports:
                self._write_report()
            else:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _write_report(self) -> None:
        """Write the report whole or not at all; what a full disk here loses is still shown on the terminal."""
        report = self._report()
        for name, text in ((REPORT, to_json(report)), ("report.md", render_markdown(report))):
            path = self.folder / name
            partial = path.with_suffix(".partial")
            try:
                partial.write_text(text, encoding="utf-8")
                partial.replace(path)
            except OSError as error:
                self.note(f"the report could not be written to {path}: {error.strerror}; this screen is all there is")
                with suppress(OSError):
                    partial.unlink(missing_ok=True)

    def _report(self) -> FleetReport:
        request = self.request
        return FleetReport(
            run_id=self.run_id,
            command=request.command,
            target=request.target,
            started=self.started,
            seconds=round(time.monotonic() - self.begun, 3),
            hosts=tuple(self._report_of(host) for host in request.hosts),
            stopped=self.stop.is_set(),
            typed=request.typed,
        )

    def _report_of(self, host: Host) -> HostReport:
        report = self.reports.get(host.name) or _not_started(host, "the run ended before")
        return masked(report, self.secrets)

    def account(self, report: HostReport) -> None:
        """Take a host's last report, and say once what became of it."""
        self.reports[report.name] = report
        if report.name not in self._finished:
            self._finished.add(report.name)
            self.tell(report.name, Kind.FINISHED, report.status.value)

    def tell(self, host: str, kind: Kind, detail: str = "") -> None:
        self.observer.on_event(Event(at=time.time(), host=host, kind=kind, detail=detail))

    # Looking

    def _look_at_all(self, connector: Connector) -> dict[str, _Looked]:
        looked: dict[str, _Looked] = {}
        for host, found in self._in_parallel(self.request.hosts, lambda host: self._look_at(host, connector)):
            looked[host.name] = found
            if found.report.status in HELD_BACK:
                self.account(found.report)
        looked = {host.name: looked[host.name] for host in self.request.hosts if host.name in looked}
        looked = self._without_shared_databases(looked)
        for host in self.request.hosts:
            report = looked[host.name].report if host.name in looked else _not_started(host, STOPPED)
            self.reports[host.name] = report
            if not (report.status is Status.READY and self._changes):
                self.account(report)
        return looked

    @property
    def _changes(self) -> bool:
        """Whether a look at the hosts is only the beginning."""
        return self.request.command in CHANGING and not self.request.dry_run

    def _look_at(self, host: Host, connector: Connector) -> _Looked:
        try:
            with Line(connector, host, self.observer.on_event) as line:
                request = self.request
                facts = look(line, request.target, backups=request.command == "rollback", scratch=request.verify)
            return self._judged(host, facts)
        except (ConnectError, LineLost) as error:
            if connector.stopped:
                return _Looked(None, _not_started(host, STOPPED))
            return _Looked(None, HostReport(name=host.name, status=Status.UNREACHABLE, reason=str(error)))
        except NetPointRemoteError as error:
            return _Looked(None, HostReport(name=host.name, status=Status.FAILED, reason=_with_tail(error)))
        except Exception as error:  # noqa: BLE001  a bug is this host's failure, and the others are still looked at
            reason = f"a defect of this program: {type(error).__name__}: {error}"
            return _Looked(None, HostReport(name=host.name, status=Status.FAILED, reason=reason))

    def _judged(self, host: Host, facts: Facts) -> _Looked:
        goal, trouble = self._goal(host, facts)
        decision = decide(goal, host, facts, dict(self.request.inventory.last_minors))
        problems = trouble + decision.problems
        return _Looked(decision, _looked_report(decision, problems, self.request), goal)

    def _goal(self, host: Host, facts: Facts) -> tuple[Goal, tuple[Problem, ...]]:
        request = self.request
        if request.command == "backup":
            return BackUp(verify=request.verify), ()
        if request.command == "rollback":
            return GoBack(to=request.to, accept_loss=request.accept_loss), ()
        try:
            target = self.targets.of(host, facts) if self.targets else None
            return Upgrade(target=target, repair_broken=self.request.repair_broken), ()
        except ReleaseError as error:
            return Upgrade(), (_release_problem(error),)

    def _without_shared_databases(self, looked: Mapping[str, _Looked]) -> dict[str, _Looked]:
        if self.request.command == "backup":  # it only reads there
            return dict(looked)
        shared = shared_databases({name: each.case.facts for name, each in looked.items() if each.case})
        return {
            name: replace(
                each,
                report=_looked_report(each.decision, (shared[name], *each.report.problems), self.request),
            )
            if name in shared and each.decision
            else each
            for name, each in looked.items()
        }

    # Planning

    def _plans(self, looked: Mapping[str, _Looked]) -> Iterator[HostPlan]:
        for each in looked.values():
            if (
                each.decision
                and each.decision.to_version
                and each.report.status in {Status.READY, Status.CURRENT, Status.UNCHANGED}
            ):
                yield _shown_plan(each.decision, constraints=self.request.constraints)

    def _shells(self, looked: Mapping[str, _Looked]) -> Iterator[tuple[str, str]]:
        for name, each in looked.items():
            if each.may_go_on and each.decision and each.decision.plan:
                yield name, shown_shell(each.decision.plan)

    # Changing

    def _change(self, looked: Mapping[str, _Looked], plans: tuple[HostPlan, ...], connector: Connector) -> None:
        going = tuple(each for each in looked.values() if each.may_go_on and each.decision)
        held_back = [host.name for host in self.request.hosts if self.reports[host.name].status in HELD_BACK]
        if not going:
            return
        if held_back and not self.request.skip_refused:
            names = ", ".join(held_back[:5]) + (" ..." if len(held_back) > 5 else "")  # noqa: PLR2004  as many as shown
            self._not_started(going, f"nothing was changed because of {names}; --skip-refused continues with the rest")
            return
        if self.stop.is_set():
            self._not_started(going, STOPPED)
            return
        left_out = tuple(self.reports[name] for name in held_back)
        self._require_confirmation(tuple(plan for plan in plans if plan.steps), left_out)
        self._carry_out_all(going, connector)

    def _require_confirmation(self, plans: tuple[HostPlan, ...], left_out: tuple[HostReport, ...]) -> None:
        try:
            confirmed = self.confirm(plans, left_out)
        except RequestError:  # there is no terminal to ask on
            self.reports.clear()
            raise
        if not confirmed:
            self.reports.clear()
            raise RequestError(NOT_CONFIRMED)

    def _not_started(self, going: Iterable[_Looked], reason: str) -> None:
        for each in going:
            self.account(replace(each.report, status=Status.NOT_STARTED, reason=reason))

    def _carry_out_all(self, going: tuple[_Looked, ...], connector: Connector) -> None:
        for each in going:
            reason = "the run ended before its turn"
            self.reports[each.report.name] = replace(each.report, status=Status.NOT_STARTED, reason=reason)
        folder = bundle_folder()
        try:
            orders = {order.case.host: order for order in (self._order(each, folder) for each in going)}
            for host in orders:
                self.tell(host.name, Kind.QUEUED)
            work = self._in_parallel(
                tuple(orders), lambda host: carry_out(orders[host], connector, self.observer.on_event)
            )
            for _host, report in work:
                self.account(report)
            if self.stop.is_set():
                self._not_started([each for each in going if each.report.name not in self._finished], STOPPED)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _order(self, looked: _Looked, folder: Path) -> Order:
        assert looked.decision is not None  # noqa: S101  it may go on
        request, case = self.request, looked.decision.case
        archive = None
        if self.targets is not None:
            archive = self.targets.file_of(case.host, case.facts, folder, push=request.push)
        return Order(
            command=request.command,
            goal=looked.goal,
            decision=looked.decision,
            run_id=self.run_id,
            operator=request.operator,
            push=request.push,
            constraints=request.constraints,
            archive=archive,
            log_dir=self.folder,
        )

    def _in_parallel(self, hosts: tuple[Host, ...], work: Callable[[Host], Result]) -> Iterator[tuple[Host, Result]]:
        """Do the work for all hosts, so many at a time; yield what is done as it is done.

        Once `stop` is set nobody new is admitted and who has begun goes on. The hosts that were not
        admitted are left out.
        """
        with ThreadPoolExecutor(max_workers=max(min(self.request.jobs, len(hosts)), 1)) as pool:
            try:
                futures = {pool.submit(self._admitted, host, work): host for host in hosts}
                pending = set(futures)
                while pending:
                    try:
                        done, pending = wait(pending, HEARING, return_when=FIRST_COMPLETED)
                    except KeyboardInterrupt:
                        self._leave_at_once()
                        continue
                    for future in done:
                        result = future.result()
                        if result is not None:
                            yield futures[future], result
            except BaseException:  # also in whoever takes the results: the pool would wait for hosts that take hours
                self._leave_at_once()
                raise

    def _leave_at_once(self) -> None:
        """Hang up everywhere: whoever waits on a server gets an error now, and the servers go on by themselves."""
        self.stop.set()
        self.leave.set()
        if self.connector is not None:
            self.connector.close_all()

    def _leave_when_stopped(self) -> None:
        self.stop.wait()
        self._leave_at_once()

    def _admitted(self, host: Host, work: Callable[[Host], Result]) -> Result | None:
        return None if self.stop.is_set() else work(host)


class _Masking:
    """Passes events on without what is secret to us: a server may repeat what it got."""

    def __init__(self, observer: Observer, secrets: tuple[str, ...]) -> None:
        self._observer = observer
        self._secrets = secrets

    def on_event(self, event: Event) -> None:
        self._observer.on_event(masked(event, self._secrets))


class _Recorder:
    """Passes events on and writes each down; what cannot be written (a full disk) is not worth a server's upgrade."""

    def __init__(self, observer: Observer, write: Callable[[str], object], flush: Callable[[], object]) -> None:
        self._observer = observer
        self._write = write
        self._flush = flush
        self._lock = threading.Lock()

    def on_event(self, event: Event) -> None:
        with self._lock:
            try:
                self._write(event_to_json(event) + "\n")
                self._flush()
            except (OSError, ValueError):
                pass
        self._observer.on_event(event)


CHANGING = frozenset({"upgrade", "backup", "rollback"})
HELD_BACK = {Status.REFUSED, Status.UNREACHABLE, Status.FAILED}


def _with_tail(error: NetPointRemoteError) -> str:
    tail = getattr(error, "tail", "")
    return f"{error}: {tail}" if tail else str(error)


def _release_problem(error: ReleaseError) -> Problem:
    return Problem(
        code="release",
        severity=Severity.ERROR,
        message=f"no usable release for this host: {error}",
        remedy="name a source in the hosts file: `release` with `url`, `archive` or `git`",
        source="the upgrade document, step 3",
    )


def _not_started(host: Host, reason: str) -> HostReport:
    return HostReport(name=host.name, status=Status.NOT_STARTED, reason=reason)


def _looked_report(decision: Decision, problems: tuple[Problem, ...], request: Request) -> HostReport:
    """Return the report of a host that was only looked at, which is final for a check."""
    case = decision.case
    blocking = [problem for problem in problems if problem.blocks]
    if blocking:
        more = f" (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
        status, reason = Status.REFUSED, f"{blocking[0].message}{more}"
    elif decision.as_asked:
        status = Status.UNCHANGED if request.command == "upgrade" else Status.CURRENT
        reason = f"{case.facts.disk_version} is installed and in service{_last_run(case.facts)}"
    else:
        status, reason = Status.READY, ""
    return HostReport(
        name=case.host.name,
        status=status,
        reason=reason,
        from_version=case.facts.disk_version or None,
        to_version=decision.to_version,
        method=method_of(case.facts).value,
        facts=tuple(told_facts(case)),
        problems=problems,
    )


def _last_run(facts: Facts) -> str:
    return (
        f"; the last run here: {facts.run_about} ({facts.run_result.split(' ')[0]})"
        if facts.run_about and facts.run_result
        else ""
    )


def _shown_plan(decision: Decision, *, constraints: bool) -> HostPlan:
    case, plan = decision.case, decision.plan
    return HostPlan(
        name=case.host.name,
        from_version=case.facts.disk_version,
        to_version=decision.to_version or "",
        hops=_hops(case) if plan else (),
        steps=tuple(
            PlanStep(
                name=step.name,
                title=step.title,
                phase=ShownPhase(step.phase.value),
                expected_seconds=step.usual_seconds,
            )
            for step in (plan.steps if plan else ())
        ),
        method=case.method.value,
        settles=_settled_first(case.facts),
        pins=tuple(map(str, case.target.constraints)) if constraints and case.target else (),
        loss="; ".join(problem.message for problem in decision.problems if problem.code == "loss"),
        notes=tuple(_notes(decision, constraints=constraints)) if plan else (),
    )


def _settled_first(facts: Facts) -> str:
    """Return the task of an interrupted run that is settled before anything else, such as `upgrade`."""
    if not facts.interrupted:
        return ""
    _operator, _, task = facts.run_about.partition(" ")
    return task.partition(" ")[0] or "run"


def _hops(case: Case) -> tuple[str, ...]:
    if case.target is None or case.installed is None:
        return ()
    return tuple(map(str, path(case.installed, case.target.version, extra=case.last_minors)))


def _notes(decision: Decision, *, constraints: bool) -> Iterator[str]:
    if decision.backup is not None:
        yield f"the backup {decision.backup.id} of {made(decision.backup)}, made by {decision.backup.operator}"
        yield from (problem.message for problem in decision.problems if problem.code == "loss")
    along = companions(decision.case) if decision.case.target is not None or decision.backup is not None else ()
    if along:
        yield f"stopped and started with the services: {', '.join(along)}"
    if decision.case.target is not None:
        yield from (f"{problem.message}; {problem.remedy}" for problem in link_is_direct(decision.case))
    if constraints and decision.case.target is not None:
        yield from (f"pinned: {each}, {each.why}" for each in decision.case.target.constraints)
