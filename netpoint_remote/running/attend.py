"""Attend to runs that are at work on servers: look at them, follow them, ask them to stop."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from netpoint_remote.errors import ConnectError, LineLost, NetPointRemoteError, RemoteFailed, RequestError
from netpoint_remote.planning.inventory import Host
from netpoint_remote.reporting.event import Event, Kind, Observer
from netpoint_remote.reporting.masking import masked
from netpoint_remote.reporting.report import FleetReport, HostReport, Status
from netpoint_remote.running.bundle import visit_script
from netpoint_remote.running.credentials import Credentials
from netpoint_remote.running.fleet import NOT_CONFIRMED, FleetRun, Outcome, Request
from netpoint_remote.running.host import LEFT, Emit, Line, fetch_log, follow, reason_of, tail, visit
from netpoint_remote.running.journal import Record
from netpoint_remote.running.ssh import MIB, Connector
from netpoint_remote.running.standing import Standing, State, ending, parse_standing, report_of

Passphrase = Callable[[str], str | None]
Result = TypeVar("Result")
LOOK_SILENCE = 30.0  # seconds; a look at the runs takes a fraction of one
LONGEST_LOOK = 120.0  # seconds, however lively the server is
LARGEST_LOOK = MIB  # bytes: a few hundred lines of a journal, and who and when


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """What a stop would do to one run."""

    host: str
    run_id: str
    operator: str
    about: str
    will: str


def look_at_runs(
    request: Request,
    observer: Observer,
    *,
    passphrase: Passphrase | None = None,
    stop: threading.Event | None = None,
) -> FleetReport:
    """Say how each host stands with its runs; one visit each, and nothing is written anywhere."""
    return _Attending(request, observer, passphrase, stop).look()


def stop_runs(
    request: Request,
    observer: Observer,
    confirm: Callable[[tuple[Stopping, ...]], bool],
    *,
    passphrase: Passphrase | None = None,
    stop: threading.Event | None = None,
) -> FleetReport:
    """Ask the runs at work on the hosts to end at their next safe point.

    Raises:
        RequestError: when it was not confirmed; nobody was asked then.
    """
    return _Attending(request, observer, passphrase, stop).stop_all(confirm)


def attach_to_runs(
    request: Request,
    observer: Observer,
    run_id: str | None = None,
    *,
    note: Callable[[str], None] = lambda _text: None,
    passphrase: Passphrase | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Follow the run at work on each host (or the named one, or the last one) from its beginning to its end."""
    return _Attending(request, observer, passphrase, stop, note).attach(run_id or "")


class _Attending(FleetRun):
    patient = False

    def __init__(
        self,
        request: Request,
        observer: Observer,
        passphrase: Passphrase | None,
        stop: threading.Event | None,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        super().__init__(
            request,
            observer,
            confirm=lambda _plans, _left_out: True,
            note=note,
            credentials=Credentials(passphrase=passphrase),
            stop=stop or threading.Event(),
        )

    def look(self) -> FleetReport:
        with self._connected() as connector:
            self._look(connector, final=True)
        return self._report()

    def stop_all(self, confirm: Callable[[tuple[Stopping, ...]], bool]) -> FleetReport:
        with self._connected() as connector:
            standings = self._look(connector)
            going = tuple(self._stopping(standings))
            if going and not self.stop.is_set():
                if not confirm(masked(going, self.secrets)):
                    raise RequestError(NOT_CONFIRMED)
                self._ask_all({each.host: each for each in going}, connector)
        return self._report()

    def attach(self, run_id: str) -> Outcome:
        with self._written_down(), self._connected() as connector:
            for host in self.request.hosts:
                self.reports[host.name] = HostReport(
                    name=host.name,
                    status=Status.NOT_STARTED,
                    reason="stopped by the operator before the host was probed",
                )
            emit = self.observer.on_event
            work = self._in_parallel(
                self.request.hosts, lambda host: attach_host(host, run_id, connector, emit, self.folder)
            )
            for _host, report in work:
                self.account(report)
        return self._outcome()

    def _look(self, connector: Connector, *, final: bool = False) -> dict[Host, Standing]:
        standings: dict[Host, Standing] = {}
        for host, found in self._in_parallel(self.request.hosts, lambda host: self._look_at_run(host, connector)):
            report = found if isinstance(found, HostReport) else report_of(host.name, found)
            if isinstance(found, Standing):
                standings[host] = found
            self.reports[host.name] = report
            if final or isinstance(found, HostReport):
                self.account(report)
        return {host: standings[host] for host in self.request.hosts if host in standings}

    def _look_at_run(self, host: Host, connector: Connector) -> Standing | HostReport:
        with Line(connector, host, self.observer.on_event) as line:
            return accounted(host, lambda: look_at_run(line))

    def _stopping(self, standings: dict[Host, Standing]) -> Iterator[Stopping]:
        """Yield the runs that can be stopped, and account for those that go on as they are."""
        for host, standing in standings.items():
            run = standing.run
            if not standing.runs or run is None:
                continue
            if standing.may_still_stop:
                about = f"{run.run_id}{f', {run.task}' if run.task else ''}"
                will = what_a_stop_does(standing)
                yield Stopping(host=host.name, run_id=run.run_id, operator=run.operator, about=about, will=will)
            else:
                reason = f"{why_no_stop(standing)}; {self.reports[host.name].reason}"
                self.reports[host.name] = replace(self.reports[host.name], reason=reason)

    def _ask_all(self, going: dict[str, Stopping], connector: Connector) -> None:
        hosts = tuple(host for host in self.request.hosts if host.name in going)
        for host, found in self._in_parallel(hosts, lambda host: self._ask(host, going[host.name], connector)):
            known = self.reports[host.name]
            self.account(replace(found, run=known.run, method=known.method, from_version=known.from_version))

    def _ask(self, host: Host, stopping: Stopping, connector: Connector) -> HostReport:
        def ask() -> HostReport:
            answer = visit(line, "stop.sh", (
                ("STATE_DIR", str(host.state_dir)), ("RUN_ID", stopping.run_id), ("OPERATOR", self.request.operator),
            ))  # fmt: skip
            if answer.endswith("asked"):
                whose = f"the run of {stopping.operator}" if stopping.operator else "the run"
                reason = f"{whose} ({stopping.about}) was asked to stop: {stopping.will}; `attach` follows it"
                return HostReport(name=host.name, status=Status.DONE, reason=reason)
            return HostReport(name=host.name, status=Status.IDLE, reason=f"the run {stopping.run_id} has already ended")

        with Line(connector, host, self.observer.on_event) as line:
            return accounted(host, ask)


def look_at_run(line: Line, run_id: str = "") -> Standing:
    """Look at the run at work on a host, or the last one, or the named one.

    Raises:
        ConnectError: as connecting does.
        LineLost: when the line breaks twice.
        RemoteFailed: when the look did not come to its end.
    """
    script = visit_script("status.sh", (("STATE_DIR", str(line.host.state_dir)), ("RUN_ID", run_id)))
    try:
        done = line.session().visit(script, silence=LOOK_SILENCE, seconds=LONGEST_LOOK, size=LARGEST_LOOK)
    except LineLost:
        line.lose()
        done = line.session().visit(script, silence=LOOK_SILENCE, seconds=LONGEST_LOOK, size=LARGEST_LOOK)
    standing = parse_standing(done.output)
    if not standing.complete:
        raise RemoteFailed("the status script did not finish", status=done.status, tail=tail(done.output))
    line.tell(Kind.PROBED, standing.state.value if standing.state else "")
    return standing


def what_a_stop_does(standing: Standing) -> str:
    """Say when a run would end, and what becomes of what it did."""
    run = standing.run
    after = f"after the step {run.step}" if run and run.step else "before its first step"
    return f"{after} it undoes its changes, and the server is as before"


def why_no_stop(standing: Standing) -> str:
    """Say why a run that is at work cannot be stopped any more."""
    run = standing.run
    if run and run.stop:
        return f"{run.stop} has already asked it to stop"
    if run and run.undoing:
        return "it is already undoing its changes"
    return "it is too late to stop it: users have the new release, or are about to, and the run finishes"


def attach_host(host: Host, run_id: str, connector: Connector, emit: Emit, folder: Path) -> HostReport:
    """Follow one host's run to its end and report it; never raises."""
    record = Record(host=host.name)
    with Line(connector, host, emit) as line:
        return accounted(host, lambda: _attached(host, run_id, line, record, folder), record)


def _attached(host: Host, run_id: str, line: Line, record: Record, folder: Path) -> HostReport:
    standing = look_at_run(line, run_id)
    run = standing.run
    if run_id and run is None and not standing.trouble:
        return HostReport(name=host.name, status=Status.NOT_STARTED, reason=f"the run {run_id} was never begun here")
    if run is None or standing.trouble or standing.state is State.INTERRUPTED:
        return report_of(host.name, standing)
    about = f"run {run.run_id}{f' of {run.operator}' if run.operator else ''} {run.task}".strip()
    # By the server's clock as it is now: what follows may be hours old, and its age is to be shown.
    line.emit(Event(at=standing.now, host=host.name, kind=Kind.STARTED, detail=about))
    record.total = run.total
    try:
        status, reason = follow(host, run.run_id, line, record)
    except LineLost as error:
        return _left(host, standing, record, line, error)
    log = fetch_log(host, run.run_id, folder, line)
    if not standing.runs:
        reason = ending(standing)
    return _report(host, standing, record, status, reason, log)


def _left(host: Host, standing: Standing, record: Record, line: Line, error: LineLost) -> HostReport:
    if line.connector.stopped:
        reason = "detached; `attach` follows it again, `status` shows its state"
        return _report(host, standing, record, Status.RUNNING, reason)
    return _report(host, standing, record, Status.FAILED, f"{error}; {LEFT}")


def _report(  # noqa: PLR0917  all that a report is made of
    host: Host, standing: Standing, record: Record, status: Status, reason: str, log: str | None = None
) -> HostReport:
    reached = status in {Status.UPGRADED, Status.ROLLED_BACK}
    return HostReport(
        name=host.name,
        status=status,
        reason=reason_of(status, reason, record),
        from_version=standing.from_version or None,
        to_version=(standing.to_version if reached else standing.from_version) or None,
        method=standing.method or None,
        problems=(*record.by_hand, *record.warnings),
        steps=record.steps,
        seconds=record.seconds,
        window_seconds=record.window_seconds,
        log=log,
        run=standing.run,
    )


def accounted(host: Host, work: Callable[[], Result], record: Record | None = None) -> Result | HostReport:
    """Do one host's work; whatever it ends with is this host's report."""
    steps = record.steps if record else ()
    try:
        return work()
    except (ConnectError, LineLost) as error:
        return HostReport(name=host.name, status=Status.UNREACHABLE, reason=str(error), steps=steps)
    except NetPointRemoteError as error:
        said = getattr(error, "tail", "")
        reason = f"{error}: {said}" if said else str(error)
        return HostReport(name=host.name, status=Status.FAILED, reason=reason, steps=steps)
    except Exception as error:  # noqa: BLE001  a bug is this host's failure, and the others go on
        reason = f"a defect of this program: {type(error).__name__}: {error}"
        return HostReport(name=host.name, status=Status.FAILED, reason=reason, steps=steps)
