"""The faults that a run does not even notice, so that one run meets them at each of its steps.

The run holds still before, in the middle of and after each step until the lab has done its worst.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults.clock import HOUR, turn_clock
from tests.faults.ground import NAME
from tests.faults.judging import ON, Expectation, Result, judge
from tests.faults.orders import WHENS, Point
from tests.lab.servers import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.faults.ground import Ground
    from tests.faults.states import State
    from tests.lab.operator import Fab, Run

PATIENCE = 600.0
SETTLED = Expectation(ends=frozenset({ON}))


class Walk:
    """One run, met by a fault wherever it can be; `at_point` says what is wrong there, or nothing."""

    whens: tuple[str, ...] = WHENS
    name = ""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.fab: Fab | None = None
        self._ended_before = self._ends()

    def at_point(self, point: Point) -> tuple[str, ...]:
        raise NotImplementedError

    def start(self) -> None:
        self.fab = self.ground.fab()

    def end(self) -> Run | None:
        return self.fab.wait() if self.fab else None

    def at_end(self, run: Run | None) -> tuple[str, ...]:  # noqa: ARG002  most faults have no say in it
        """Return what is wrong with the report, beyond what is asked of each."""
        return ()

    def go(self, end: State) -> dict[tuple[str, str], Result]:
        """Walk the whole way, and judge its end."""
        for when in self.whens:
            self.ground.orders.give("any", when, "pause")
        self.start()
        wrong: dict[tuple[str, str], tuple[str, ...]] = {}
        while (point := self._next_point()) is not None:
            wrong[f"{self.name}, {point.when}", point.step] = self.at_point(point)
            self.ground.orders.go_on()
        run = self.end()
        if not wrong:
            raise LabError(f"the run came to no step: {run.reasons if run else 'nothing was said'}")
        for cell in self._cells():
            wrong.setdefault(cell, ("the run never came to this moment",))
        untrue = self.at_end(run)
        result = judge(self.ground, end, run, SETTLED)
        return {cell: Result(result.became, (*said, *untrue, *result.wrong)) for cell, said in wrong.items()}

    def _cells(self) -> Iterator[tuple[str, str]]:
        for step in self.ground.journey.step_names:
            for when in self.whens:
                yield f"{self.name}, {when}", step

    def _next_point(self) -> Point | None:
        """Return where the run holds still next, None once it has ended."""
        deadline = time.monotonic() + 900
        while (point := self.ground.orders.reached()) is None:
            if self._ended():
                return None
            if time.monotonic() > deadline:
                raise LabError("the run neither goes on nor ends")
            time.sleep(0.02)
        return point

    def _ended(self) -> bool:
        return self._ends() > self._ended_before or (self.fab is not None and not self.fab.running)

    def _ends(self) -> int:
        """Return how many runs of the server have ended."""
        return len(list((self.ground.server.root / "var/lib/netpoint-remote/runs").glob("*/result")))


class Cuts(Walk):
    """The connection is cut; the workstation comes back."""

    name = "connection cut"

    def at_point(self, point: Point) -> tuple[str, ...]:  # noqa: ARG002  it is the same everywhere
        _wait(lambda: sessions(self.ground) > 0, "the workstation did not come back")
        self.ground.server.drop_connections()
        return ()


class Kills(Walk):
    """Whoever follows the run is killed; somebody else attaches."""

    name = "workstation killed"

    def at_point(self, point: Point) -> tuple[str, ...]:  # noqa: ARG002  it is the same everywhere
        if self.fab is None:
            self.fab = self.ground.fab("attach")
        _wait(lambda: sessions(self.ground) > 0, "nobody follows the run")
        self.fab.kill()
        self.fab = None
        _wait(lambda: sessions(self.ground) == 0, "the session of the killed workstation stays")
        return ()

    def end(self) -> Run | None:
        # What has already ended is told by attach too.
        return self.fab.wait() if self.fab else self.ground.run("attach")


class SecondOperators(Walk):
    """Somebody else gives the same command; it is refused, with who is at it."""

    name = "second operator"
    whens = ("before",)

    def at_point(self, point: Point) -> tuple[str, ...]:  # noqa: ARG002  it is the same everywhere
        report = self.ground.run().host(NAME)
        said = f"{report['reason']} {report['problems']}"
        return () if report["status"] == "refused" and "lock" in said else (f"told {report['status']}: {said}",)


class Asked(Cuts):
    """sudo forgets the operator, and the connection is cut: the password is needed again."""

    name = "sudo asks again"
    whens = ("middle",)

    def start(self) -> None:
        rule = self.ground.server.root / "etc/sudoers.d/lab"
        rule.write_text(f"{rule.read_text()}Defaults timestamp_timeout=0\n")
        super().start()


class Clocks(Walk):
    """The clock of the server jumps to an hour ahead, then to an hour behind, again and again."""

    name = "clock an hour off"

    def start(self) -> None:
        turn_clock(self.ground.server.root, self._off)
        self._began = time.monotonic()
        super().start()

    def at_point(self, point: Point) -> tuple[str, ...]:  # noqa: ARG002  it is the same everywhere
        self._off = -self._off
        turn_clock(self.ground.server.root, self._off)
        return ()

    def at_end(self, run: Run | None) -> tuple[str, ...]:
        window = run.host(NAME)["window_seconds"] if run else None
        taken = time.monotonic() - self._began
        # A backup has no window.
        if self.ground.journey.saves or (window is not None and 0 < window <= taken):
            return ()
        return (f"(e) the report says {window} s of window, and the run took {taken:.0f} s",)

    _off = HOUR
    _began = 0.0


WALKS: tuple[type[Walk], ...] = (Cuts, Kills, SecondOperators)


def walk(kind: type[Walk]) -> Callable[[Ground, State], Mapping[tuple[str, str], Result]]:
    return lambda ground, end: kind(ground).go(end)


def sessions(ground: Ground) -> int:
    """Return how many SSH sessions of the operator are open on the server."""
    return len(ground.server.run("pgrep -f '^sshd: admin@'", check=False).stdout.split())


def _wait(what: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise LabError(otherwise)
        time.sleep(0.05)
