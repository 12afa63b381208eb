"""What became of a server after a fault, and whether that is right: the five questions of the matrix.

    (a) the old or the new release serves        (b) every row, file and setting is there
    (c) the lock is free                         (d) the same command again ends where an undisturbed run ends
    (e) the report told the truth

Equal to a server that nothing happened to, byte for byte: that answers (b), and for a server that is back
where it began (d) too, for from there the next run is an undisturbed one; the next cell of the chain is it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults.ground import NAME
from tests.faults.states import State, differences, lock_is_free, served
from tests.lab.asking import is_logged_in

if TYPE_CHECKING:
    from tests.faults.ground import Ground
    from tests.lab.operator import Run

ON, BACK, NEXT, LOST = "on", "back", "next", "LOST"
FIRST_STEP = "record_before"


@dataclass(frozen=True, slots=True)
class Result:
    """One cell: what became of the server, and what of it is wrong."""

    became: str
    wrong: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.wrong)


@dataclass(slots=True)
class Expectation:
    """What a fault allows.

    The report's reason has to have the words of `says`, and none of `never`. `may_not_know` where the workstation
    was cut off and may say `failed` of a server that is back where it began.
    """

    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    serves_meanwhile: bool = True
    may_not_know: bool = False
    ends: frozenset[str] = field(default_factory=lambda: frozenset({ON, BACK, NEXT}))


def judge(ground: Ground, end: State, run: Run | None, expected: Expectation) -> Result:
    """Answer the five questions; the server is at the journey's beginning afterwards, or at its end (`on`)."""
    wrong = []
    if expected.serves_meanwhile and not served(ground.server, patience=300):
        wrong.append("(a) nothing serves")
    if ground.journey.saves and ground.was_restarted():
        wrong.append("(a) NetPoint was stopped meanwhile")
    ground.orders.withdraw()
    ground.disks.free()
    if not lock_is_free(ground.server, patience=300):
        wrong.append("(c) the lock is held")
    became, differing = _became(ground, end)
    report = _reported(run)
    untruths = _untruths(became, report, ground, expected)
    wrong += [*untruths, *(f"    for {difference}" for difference in differing if untruths)]
    if became == LOST:
        next_report = _next_contact(ground)
        became, differing = _became(ground, end)
        became = NEXT if became == BACK else became
        if became == LOST:
            differing.append(f"the next run said: {_told(next_report)}")
    wrong += [f"(b), (d) {difference}" for difference in differing]
    if became not in expected.ends | {LOST}:
        wrong.append(f"it ended {became}")
    if not wrong and became == ON:
        wrong += _again(ground)
    if wrong:
        wrong.append(f"the report said: {_told(report)}")
    return Result(became, tuple(wrong))


def _became(ground: Ground, end: State) -> tuple[str, list[str]]:
    """Return how the server ended, and what differs where it is neither at the beginning nor at the end."""
    now = State.of(ground.server)
    saves_nothing = now.backups == ground.start.backups
    if saves_nothing if ground.journey.saves else now.serves == ground.journey.back:
        became, differing = BACK, differences(ground.start, now)
    else:
        became, differing = ON, differences(end, now)
    if ground.upload_is_lost():
        differing.append("what a user uploaded meanwhile is lost")
    if not is_logged_in(ground.server, ground.cookie):
        differing.append("the session of a user is lost")
    return (LOST if differing else became), differing


def _untruths(became: str, report: dict[str, Any] | None, ground: Ground, expected: Expectation) -> list[str]:
    """Compare what the report says with what is so."""
    if report is None:
        return []
    journey, status, reason = ground.journey, report["status"], report["reason"]
    truth = {ON: {journey.done}, BACK: {journey.undone}, LOST: {"failed"}}[became]
    if status not in truth and not (expected.may_not_know and status == "failed"):
        return [f"(e) the report says {status}, and it is {became}"]
    if became == ON:
        return []
    return [
        *(f"(e) the reason does not say {word}" for word in expected.says if word not in reason),
        *(f"(e) the reason says {word}" for word in expected.never if word in reason),
    ]


def _next_contact(ground: Ground) -> dict[str, Any] | None:
    """Give the same command again, and stop it at its first step: what was left half-way is undone before that."""
    ground.orders.give(FIRST_STEP, "before", "fail")
    report = _reported(ground.run())
    ground.orders.withdraw()
    return report


def _again(ground: Ground) -> list[str]:
    report = _reported(ground.run())
    said = report["status"] if report else "nothing"
    return [] if said == ground.journey.again else [f"(d) the same command again said {said}"]


def _reported(run: Run | None) -> dict[str, Any] | None:
    return run.host(NAME) if run else None


def _told(report: dict[str, Any] | None) -> str:
    return f"{report['status']}: {report['reason']}" if report else "nothing"
