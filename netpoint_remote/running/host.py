"""One host's work: look, send, start, follow, report. The single broad `except` of the project is here."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from netpoint_remote.errors import ConnectError, LineLost, RemoteFailed, SudoRefused, Unreachable
from netpoint_remote.planning.case import Case
from netpoint_remote.planning.facts import Facts, parse_facts
from netpoint_remote.planning.goal import BackUp, Decision, Goal, GoBack, decide
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.sizes import human_size
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.masking import mask
from netpoint_remote.reporting.report import HostReport, Status
from netpoint_remote.running.bundle import assignments, bundle_files, probe_script, to_tar, visit_script
from netpoint_remote.running.journal import Record
from netpoint_remote.running.ssh import MIB, STOPPED, Connector, Session
from netpoint_remote.running.wire import LONGEST_LINE, readable

PROBE_SILENCE = 120.0  # seconds; a page or a database that hangs has 10 each
UPLOAD_SILENCE = 120.0
LONGEST_LOOK = 600.0  # seconds for a whole probe, however lively the server is
LARGEST_ANSWER = 4 * MIB  # bytes of what a script says that is no stream: all of it is kept
FOLLOW_SILENCE = 45.0  # seconds; follow.sh says something every 6
LONGEST_RUN = 7 * 86400.0  # seconds: the limits of all steps, their repetitions and ways back add up to less
MOST_LINES = 200_000  # of a journal and its heartbeats, in all
LONGEST_AWAY = 3600.0  # seconds that a lost host is looked for before the workstation gives up watching it
LEFT = "the run continues on the server: `attach` follows it again, `status` shows its state"
Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one host is to get: all that its work needs, and nothing shared with another host's."""

    command: str
    goal: Goal
    decision: Decision
    run_id: str
    operator: str
    push: bool
    constraints: bool
    archive: Path | None  # the verified archive or git bundle on this machine
    log_dir: Path

    @property
    def case(self) -> Case:
        return self.decision.case

    @property
    def about(self) -> str:
        """What the server remembers of the run: who asked for what."""
        now, to = self.case.facts.disk_version, self.decision.to_version
        what = f"of {now}" if now == to else f"from {now} to {to or '?'}"
        return f"{self.operator} {self.command} {what}"


NOT_BEGUN = (Status.NOT_STARTED, f"{STOPPED}; nothing was changed on it")
SETTLING = (Status.RUNNING, "detached; the server continues to settle an interrupted run, see `status`")
SETTLED_ONLY = (Status.NOT_STARTED, f"{STOPPED} after an interrupted run was settled")
STARTING = (Status.RUNNING, "detached while the run was started; it may have started, see `status`")
RUNNING = (Status.RUNNING, "detached; the run continues on the server. Reconnect with `attach`")


@dataclass(slots=True)
class Line:
    """The connection to one host, made again when it is lost; `if_stopped` is what a stop by the operator leaves."""

    connector: Connector
    host: Host
    emit: Emit
    if_stopped: tuple[Status, str] = NOT_BEGUN
    _session: Session | None = field(default=None)

    def session(self) -> Session:
        if self._session is None:
            self.tell(Kind.CONNECTING)
            self._session = self.connector.open(self.host, on_retry=self._retry)
        return self._session

    def tell(self, kind: Kind, detail: str = "") -> None:
        self.emit(Event(at=time.time(), host=self.host.name, kind=kind, detail=detail))

    def lose(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _retry(self, attempt: int, error: Exception, pause: float) -> None:
        self.tell(Kind.RETRY, f"{attempt}: {error}; again in {pause:.0f} s")

    def __enter__(self) -> "Line":  # noqa: PYI034  typing.Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.lose()


def look(line: Line, version: str | None, *, backups: bool = False, scratch: bool = False) -> Facts:
    """Probe a host in one round trip; a lost line is tried once more, for a probe changes nothing.

    Raises:
        ConnectError: as connecting does.
        RemoteFailed: when the probe did not finish.
    """
    script = probe_script(line.host, version, backups=backups, scratch=scratch)
    try:
        done = line.session().visit(script, silence=PROBE_SILENCE, seconds=LONGEST_LOOK, size=LARGEST_ANSWER)
    except LineLost:
        line.lose()
        done = line.session().visit(script, silence=PROBE_SILENCE, seconds=LONGEST_LOOK, size=LARGEST_ANSWER)
    facts = parse_facts(done.output)
    if done.status != 0 or not facts.complete:
        raise RemoteFailed("the probe did not finish", status=done.status, tail=tail(done.output))
    line.tell(Kind.PROBED, facts.disk_version)
    return facts


def tail(output: str) -> str:
    """Return the last lines of what a script printed."""
    return "\n".join(output.rstrip("\n").split("\n")[-5:])


def carry_out(order: Order, connector: Connector, emit: Emit) -> HostReport:
    """Carry out one host's plan and report it; never raises."""
    host = order.case.host
    record = Record(host=host.name)
    with Line(connector, host, emit) as line:
        try:
            return _carry_out(order, line, record)
        except (ConnectError, LineLost, RemoteFailed) as error:
            detached = connector.stopped and isinstance(error.__cause__ or error, (ConnectError, LineLost))
            return _report(order, record, *(line.if_stopped if detached else _failure(error)))
        except Exception as error:  # noqa: BLE001  a bug is this host's failure, and the others go on
            return _report(order, record, Status.FAILED, f"a defect of this program: {type(error).__name__}: {error}")


def _failure(error: ConnectError | LineLost | RemoteFailed) -> tuple[Status, str]:
    if isinstance(error, ConnectError):
        return Status.UNREACHABLE, str(error)
    if isinstance(error, LineLost):
        return Status.FAILED, f"{error}; {LEFT}"
    return Status.FAILED, f"{error}: {error.tail}" if error.tail else str(error)


def _carry_out(order: Order, line: Line, record: Record) -> HostReport:
    if order.case.facts.interrupted:
        order, settled = _recovered(order, line)
        here = order.case.facts.disk_version
        was_here = order.case.facts.run_root in {"", str(order.case.host.root)}
        if (
            was_here
            and settled is Status.ROLLED_BACK
            and isinstance(order.goal, GoBack)
            and order.goal.to in {None, here}
        ):
            order = replace(order, decision=replace(order.decision, problems=(), to_version=here))
            return _report(order, record, settled, "the interrupted rollback was finished")
        if order.decision.blocked:
            return _report(order, record, Status.REFUSED, order.decision.blocked[0].message)
        if order.decision.as_asked:
            return _report(order, record, Status.UNCHANGED, "the interrupted run was settled; nothing more to do")
    _provide(order, line)
    plan = order.decision.plan
    assert plan is not None  # noqa: S101  nothing blocks
    record.total = len(plan.steps)
    named = bundle_files(
        order.case, plan, run_id=order.run_id, operator=order.operator, about=order.about, constraints=order.constraints
    )
    line.if_stopped = STARTING
    _start(order.case.host, order.run_id, to_tar(named), line)
    line.if_stopped = RUNNING
    status, reason = follow(order.case.host, order.run_id, line, record)
    log = fetch_log(order.case.host, order.run_id, order.log_dir, line)
    return _report(order, record, status, reason, log=log)


def _recovered(order: Order, line: Line) -> tuple[Order, Status]:
    """Let the server settle what an interrupted run left behind, then look and decide again; say how it was settled."""
    case = order.case
    host, interrupted = case.host, case.facts.run_id
    line.tell(Kind.NOTE, f"undoing what the interrupted run {interrupted} left behind")
    line.if_stopped = SETTLING
    visit(line, "recover.sh", (("STATE_DIR", str(host.state_dir)), ("RUN_ID", interrupted)))
    status, reason = follow(host, interrupted, line, Record(host=host.name))
    if status not in SETTLED:
        raise RemoteFailed(f"the interrupted run {interrupted} could not be undone: {reason}")
    version = case.target.text if case.target else None
    goal = order.goal
    line.if_stopped = SETTLED_ONLY
    facts = look(line, version, backups=isinstance(goal, GoBack), scratch=isinstance(goal, BackUp) and goal.verify)
    return replace(order, decision=decide(order.goal, host, facts, case.last_minors)), status


SETTLED = {Status.REVERTED, Status.UPGRADED, Status.ROLLED_BACK, Status.SAVED}


def visit(
    line: Line,
    name: str,
    variables: tuple[tuple[str, str], ...],
    *,
    payload: bytes | None = None,
    environment: tuple[tuple[str, str], ...] = (),
) -> str:
    """Run one script; a lost line is tried again, for these are all harmless when they run twice."""
    script = assignments(environment, export=True) + visit_script(name, variables)
    for last in (False, False, True):
        try:
            done = line.session().visit(script, payload=payload, silence=UPLOAD_SILENCE, size=LARGEST_ANSWER)
            break
        except LineLost as error:
            line.lose()
            line.tell(Kind.LINE_LOST, str(error))
            if last:
                raise
    if done.status != 0:
        raise RemoteFailed(f"{name} ended with status {done.status}", status=done.status, tail=tail(done.output))
    return done.output.strip()


def _provide(order: Order, line: Line) -> None:
    """See that the server has the archive, or can fetch it, or gets it from here."""
    target, host = order.case.target, order.case.host
    if target is None or order.archive is None:
        return
    is_git = order.case.method is Method.GIT
    name = f"{target.commit}.bundle" if is_git else f"{target.sha256}.tar.gz"
    about = (("STATE_DIR", str(host.state_dir)), ("ARCHIVE_NAME", name))
    digest = _sha256(order.archive)
    url = "" if order.push or is_git else target.url or ""
    asked = (*about, ("ARCHIVE_SHA256", "" if is_git else digest), ("ARCHIVE_URL", url))
    answer = visit(line, "offer.sh", asked, environment=host.environment)
    if answer.endswith("unreachable"):
        line.tell(Kind.NOTE, f"sending the release ({human_size(order.archive.stat().st_size)})")
        _send(line, order.archive, (*about, ("ARCHIVE_SHA256", digest)))


def _sha256(path: Path) -> str:
    import hashlib  # noqa: PLC0415  only where something is sent

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _send(line: Line, path: Path, variables: tuple[tuple[str, str], ...]) -> None:
    script = visit_script("receive.sh", variables)
    for last in (False, False, True):
        try:
            with path.open("rb") as payload:
                done = line.session().visit(script, payload=payload, silence=UPLOAD_SILENCE, size=LARGEST_ANSWER)
            if done.status == 0:
                return
            failure: Exception = RemoteFailed(
                "the release could not be sent", status=done.status, tail=tail(done.output)
            )
        except LineLost as error:
            line.lose()
            failure = error
        if last:
            raise failure
        line.tell(Kind.RETRY, str(failure))


def _start(host: Host, run_id: str, bundle: bytes, line: Line) -> None:
    try:
        visit(line, "start.sh", (("STATE_DIR", str(host.state_dir)), ("RUN_ID", run_id)), payload=bundle)
    except (LineLost, ConnectError) as error:
        raise RemoteFailed(
            f"{error}; the connection was lost while starting the run; it may have started, see `status`"
        ) from error


@dataclass(slots=True)
class _Follower:
    """Reads what follow.sh prints; `offset` is how much of the journal we have, in bytes."""

    line: Line
    record: Record
    offset: int = 0
    state: str = ""
    result: str = ""
    lines: int = 0
    heard: bool = False  # on this connection
    lost: bool = False

    def on_line(self, text: str) -> None:
        self.heard = True
        self.lines += 1
        if self.lines > MOST_LINES or len(text) >= LONGEST_LINE or self.record.is_full:
            raise RemoteFailed(f"the server's journal does not end: it is not this program that writes it; {LEFT}")
        if self.lost:
            self.lost = False
            self.line.tell(Kind.LINE_BACK)
        word, _, rest = text.partition(" ")
        if word == "journal":
            self.offset += len(rest.encode(errors="surrogateescape")) + 1
            event = self.record.add(readable(rest))
            if event is not None and event.kind is not Kind.FINISHED:
                self.line.emit(event)
        elif word == "state":
            self.state = readable(rest)
        elif word == "result" and not self.result:
            self.result = readable(rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a host is looked for that is being followed: seconds in all, between attempts, after each refusal."""

    seconds: float = LONGEST_AWAY
    pause: float = 1.0
    refused: tuple[float, ...] = (5.0, 15.0, 40.0)


PATIENT = Patience()


@dataclass(slots=True)
class _Away:
    """How long a host that was being followed has not been heard of, and how often it refused us meanwhile."""

    patience: Patience
    since: float | None = None
    refusals: int = 0

    def end(self) -> None:
        self.since, self.refusals = None, 0

    def pause_after(self, error: LineLost | ConnectError) -> float | None:
        """Return the seconds to wait before the next attempt, None where it is time to give up."""
        now = time.monotonic()
        self.since = self.since or now
        if now - self.since > self.patience.seconds:
            return None
        if isinstance(error, (LineLost, Unreachable)):
            return self.patience.pause
        # What a server refuses may pass while it boots; but a password tried too often locks an account.
        pauses = self.patience.refused if not isinstance(error, SudoRefused) else self.patience.refused[:1]
        self.refusals += 1
        return pauses[self.refusals - 1] if self.refusals <= len(pauses) else None


def follow(host: Host, run_id: str, line: Line, record: Record, patience: Patience = PATIENT) -> tuple[Status, str]:
    """Follow a run to its end, over as many connections as it takes.

    Raises:
        LineLost: when the host stayed away, or refused us, longer than we look for it.
        RemoteFailed: when what it says is not a run of ours, or does not end.
    """
    follower, away = _Follower(line, record), _Away(patience)
    end = time.monotonic() + LONGEST_RUN
    while not follower.state:
        variables = (("STATE_DIR", str(host.state_dir)), ("RUN_ID", run_id), ("OFFSET", str(follower.offset)))
        follower.heard = False
        try:
            script = visit_script("follow.sh", variables)
            done = line.session().visit(
                script,
                on_line=follower.on_line,
                silence=FOLLOW_SILENCE,
                seconds=max(end - time.monotonic(), 1.0),
                limit=LONGEST_LINE,
            )
            if done.status != 0:
                raise RemoteFailed("the run could not be followed", status=done.status, tail=tail(done.output))
        except (LineLost, ConnectError) as error:
            line.lose()
            if follower.heard:
                away.end()
            pause = away.pause_after(error)
            if pause is None or line.connector.stopped:
                raise LineLost(str(error)) from error
            follower.lost = True
            line.tell(Kind.LINE_LOST, str(error))
            line.connector.pause(pause)
    return _outcome(follower)


def _outcome(follower: _Follower) -> tuple[Status, str]:
    if follower.state == "done":
        word, _, reason = follower.result.partition(" ")
        with suppress(ValueError):
            return Status(word), reason
        return Status.FAILED, f"the server wrote down no result that can be read: {follower.result}"
    if follower.state == "interrupted":
        steps = follower.record.steps
        place = f"in {steps[-1].name}" if steps else "before its first step"
        return Status.FAILED, f"it was interrupted {place}: {follower.result or 'the cause is unknown'}"
    return Status.FAILED, f"the run is not on the server ({follower.state})"


def fetch_log(host: Host, run_id: str, folder: Path, line: Line) -> str | None:
    """Keep the end of the server's log here; a report without it is still a report."""
    name = f"{file_name(host.name)}.log"
    with suppress(ConnectError, LineLost, RemoteFailed, OSError):
        text = visit(line, "fetch_log.sh", (("STATE_DIR", str(host.state_dir)), ("RUN_ID", run_id)))
        path = folder / name
        path.touch(mode=0o600)
        secrets = filter(None, [line.connector.sudo_password])
        path.write_text(mask(text, secrets), encoding="utf-8", errors="replace")
        return name
    return None


def file_name(host: str) -> str:
    """Return a name for a file that no inventory can turn into a path of its choosing."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in host).lstrip(".") or "host"


def _report(order: Order, record: Record, status: Status, reason: str, log: str | None = None) -> HostReport:
    case = order.case
    return HostReport(
        name=case.host.name,
        status=status,
        reason=reason_of(status, reason or _backup_of(order, status), record),
        from_version=case.facts.disk_version or None,
        to_version=_version_after(order, status),
        method=case.method.value,
        facts=record.facts if status in {Status.UPGRADED, Status.ROLLED_BACK} else (),
        problems=(*order.decision.problems, *record.by_hand, *record.warnings),
        steps=record.steps,
        seconds=record.seconds,
        window_seconds=record.window_seconds,
        log=log,
    )


def reason_of(status: Status, reason: str, record: Record) -> str:
    """Return the reason of a status, with what a run that ended well has left."""
    unfinished = record.unfinished if status in SETTLED - {Status.REVERTED} else ""
    return "; ".join(filter(None, [reason, unfinished]))


def _backup_of(order: Order, status: Status) -> str:
    backup = order.decision.backup
    return f"from the backup {backup.id}" if status is Status.ROLLED_BACK and backup else ""


def _version_after(order: Order, status: Status) -> str | None:
    if status is Status.RUNNING:
        return None
    if status is Status.UPGRADED and order.case.target:
        return order.case.target.tree_version
    return (order.decision.to_version if status is Status.ROLLED_BACK else order.case.facts.disk_version) or None
