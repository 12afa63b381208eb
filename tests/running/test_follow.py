"""Following a run over lines that break: tried again while that can help, then given up with a word on how to go on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from netpoint_remote.errors import AuthenticationFailed, HostKeyRefused, LineLost, SudoRefused, Unreachable
from netpoint_remote.reporting.event import Event, Kind
from netpoint_remote.reporting.report import Status
from netpoint_remote.running.host import Line, Patience, follow
from netpoint_remote.running.journal import Record
from netpoint_remote.running.wire import Completed
from tests.builders import host

END = ("journal 1.000 started - 1 steps", "state done", "result upgraded ")
QUICK = Patience(seconds=30.0, pause=0.0, refused=(0.0, 0.0, 0.0))


@dataclass
class Lines:
    """A host whose n-th connection has the n-th fate: an error, or lines and perhaps an error after them."""

    fates: list[object]
    connections: int = 0
    pauses: list[float] = field(default_factory=list)
    stopped: bool = False

    def open(self, _host: object, **_: object) -> "Lines":
        self.connections += 1
        if isinstance(self.fates[0], SudoRefused) or not isinstance(self.fates[0], Exception):
            return self
        raise self.fates.pop(0)

    def visit(self, _script: str, *, on_line: Callable[[str], None], **_: object) -> Completed:
        fate = self.fates.pop(0)
        for line in fate if isinstance(fate, Iterable) else [fate]:
            if isinstance(line, Exception):
                raise line
            on_line(line)
        return Completed(0, "")

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def close(self) -> None:
        pass


def followed(*fates: object, patience: Patience = QUICK) -> tuple[Status, int, list[Event]]:
    lines, events = Lines(list(fates)), []
    with Line(lines, host(), events.append) as line:
        status, _ = follow(host(), "r1", line, Record(host="np1"), patience)
    return status, lines.connections, [event for event in events if event.kind is Kind.LINE_LOST]


def test_a_run_ends_once() -> None:
    status, _, _ = followed(("state done", "result reverted two: no luck", "result upgraded "))

    assert status is Status.REVERTED


def test_a_line_that_breaks_is_made_again_and_each_loss_is_told() -> None:
    status, connections, lost = followed(("alive", LineLost("cut")), Unreachable("no route"), END)

    assert (status, connections, [event.detail for event in lost]) == (Status.UPGRADED, 3, ["cut", "no route"])


@pytest.mark.parametrize("refusal", [HostKeyRefused, AuthenticationFailed])
def test_a_refusal_may_pass_while_a_server_boots(refusal: type[Exception]) -> None:
    assert followed(refusal("no"), refusal("no"), END)[:2] == (Status.UPGRADED, 3)


@pytest.mark.parametrize(
    ("refusal", "tries"),
    [(HostKeyRefused("no"), 4), (AuthenticationFailed("no"), 4), (SudoRefused("no"), 2)],
    ids=["host key", "key", "sudo"],
)
def test_a_refusal_that_stays_is_given_up_soon(refusal: Exception, tries: int) -> None:
    """A sudo password is tried only twice: one more could lock the account."""
    lines = Lines([refusal] * 10)
    with Line(lines, host(), lambda _event: None) as line, pytest.raises(LineLost, match="no"):
        follow(host(), "r1", line, Record(host="np1"), QUICK)

    assert lines.connections == tries


def test_a_line_that_opens_and_says_nothing_is_not_tried_for_ever() -> None:
    lines = Lines([(LineLost("silent"),)] * 1000)
    with Line(lines, host(), lambda _event: None) as line, pytest.raises(LineLost, match="silent"):
        follow(host(), "r1", line, Record(host="np1"), Patience(seconds=0.0))

    assert lines.connections == 2


def test_whoever_leaves_waits_for_nothing() -> None:
    lines = Lines([Unreachable("no route")] * 3, stopped=True)
    with Line(lines, host(), lambda _event: None) as line, pytest.raises(LineLost):
        follow(host(), "r1", line, Record(host="np1"), QUICK)

    assert (lines.connections, lines.pauses) == (1, [])


def test_it_is_told_when_the_line_is_back() -> None:
    lines, events = Lines([("alive", LineLost("cut")), Unreachable("no route"), ("alive", *END)]), list[Event]()
    with Line(lines, host(), events.append) as line:
        follow(host(), "r1", line, Record(host="np1"), QUICK)

    kinds = [event.kind for event in events if event.kind in {Kind.LINE_LOST, Kind.LINE_BACK}]
    assert kinds == [Kind.LINE_LOST, Kind.LINE_LOST, Kind.LINE_BACK]
