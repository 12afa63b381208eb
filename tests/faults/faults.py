"""The faults that strike at one step: ordered failures and hangs, power cuts, full disks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.disks import PLACES, WRITES
from tests.faults.judging import Expectation
from tests.faults.orders import WHENS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.ground import Ground
    from tests.lab.operator import Run

LONG = {
    "record_before",
    "prove_running",
    "stage_packages",
    "check_release",
    "stop_services",
    "dump_database",
    "run_upgrade",
    "prove_beside",
    "prove_in_place",
    "put_database_back",
}
UNDONE_AT_LENGTH = {
    "unpack_release",
    "stage_packages",
    "guard_boot",
    "stop_services",
    "set_aside",
    "checkout_tag",
    "run_upgrade",
    "flip_link",
    "update_units",
    "start_services",
    "lift_guard",
    "put_database_back",
}
"""Steps whose undo has something to do."""

Strike = Callable[["Ground", str], "Run | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of the matrix: how to let it happen at a step, and at which steps it can."""

    name: str
    strike: Strike
    strikes_at: Callable[[str], bool] = lambda _step: True
    expected: Callable[[str], Expectation] = lambda step: Expectation(says=(step,))


def step_faults() -> tuple[Fault, ...]:
    """Return every fault that strikes at one step, in the order of the table."""
    return tuple(_step_faults())


def _step_faults() -> Iterator[Fault]:
    for when in WHENS:
        yield Fault(
            name=f"command fails, {when}",
            strike=_ordered(when, "fail"),
            expected=lambda step: Expectation(says=(step,), never=("its limit",)),
        )
    for when in WHENS:
        yield Fault(
            name=f"command hangs, {when}",
            strike=_ordered(when, "hang"),
            expected=lambda step: Expectation(says=(step, "its limit")),
        )
    for when in WHENS:
        yield Fault(
            name=f"power cut, {when}", strike=_power_cut(when), expected=lambda _step: Expectation(may_not_know=True)
        )
    yield Fault(
        name="reboot, middle",
        strike=_reboot,
        strikes_at=LONG.__contains__,
        expected=lambda _step: Expectation(may_not_know=True),
    )
    yield Fault(
        name="power cut in the undo",
        strike=_power_cut_while_undone,
        strikes_at=_undoes_much,
        expected=lambda _step: Expectation(may_not_know=True),
    )
    yield Fault(
        name="undo fails",
        strike=_undo_fails,
        strikes_at=_undoes_much,
        expected=lambda step: Expectation(says=(step,), serves_meanwhile=False),
    )
    for place in PLACES:
        for when in WHENS:
            yield Fault(
                name=f"disk full ({place}), {when}",
                strike=_disk_full(place, when),
                strikes_at=_writes_to(place, when),
                expected=_full(place),
            )


def _undoes_much(step: str) -> bool:
    return step in UNDONE_AT_LENGTH


def _writes_to(place: str, when: str) -> Callable[[str], bool]:
    if place != "state":
        return lambda step: step in WRITES[place]
    # Every step writes there. After one is before the next, and most are over before half of their time is.
    return lambda step: when == "before" or (when == "middle" and step in LONG)


def _ordered(when: str, what: str) -> Strike:
    def strike(ground: Ground, step: str) -> Run:
        ground.orders.give(step, when, what)
        return ground.run()

    return strike


def _power_cut(when: str) -> Strike:
    def strike(ground: Ground, step: str) -> Run:
        ground.orders.give(step, when, "pause")
        return _off_and_on(ground, ground.server.power_cut)

    return strike


def _off_and_on(ground: Ground, off: Callable[[], None]) -> Run:
    """Switch the server off where it holds still, and on again; the workstation stays."""
    fab = ground.fab()
    ground.orders.wait(going_on=lambda: fab.running)
    off()
    ground.orders.withdraw()
    ground.server.boot()
    return fab.wait()


def _power_cut_while_undone(ground: Ground, step: str) -> Run:
    ground.orders.give(step, "after", "fail")
    ground.orders.give(step, "middle", "pause", verb="undo")
    return _off_and_on(ground, ground.server.power_cut)


def _reboot(ground: Ground, step: str) -> Run:
    """Shut the server down in order: the runner, its step, the database and NetPoint are all asked to end."""
    ground.orders.give(step, "middle", "pause")
    return _off_and_on(ground, ground.server.power_off)


def _undo_fails(ground: Ground, step: str) -> Run:
    ground.orders.give(step, "after", "fail")
    ground.orders.give(step, "middle", "fail", verb="undo")
    return ground.run()


def _full(place: str) -> Callable[[str], Expectation]:
    # NetPoint itself cannot work without room for its database; and what cannot be written down cannot be told.
    return lambda _step: Expectation(serves_meanwhile=place != "database", may_not_know=place == "state")


def _disk_full(place: str, when: str) -> Strike:
    def strike(ground: Ground, step: str) -> Run:
        ground.orders.give(step, when, "pause")
        fab = ground.fab()
        ground.orders.wait(going_on=lambda: fab.running)
        ground.disks.fill(place)
        ground.orders.withdraw()
        return fab.wait()

    return strike
