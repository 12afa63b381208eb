"""Everything there is to do: each fault at each step of each journey where it can strike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.faults import Fault, step_faults
from tests.faults.ground import USUAL, Setting
from tests.faults.journeys import JOURNEYS
from tests.faults.judging import Result, judge
from tests.faults.lanes import Job, Work
from tests.faults.singles import release_faults, single_faults
from tests.faults.walks import WALKS, Asked, Clocks, walk
from tests.lab.netpoint.install import USUAL_PAUSE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.faults.ground import Ground
    from tests.faults.journeys import Journey
    from tests.faults.states import State


def all_jobs(*, everything: bool = True) -> list[Job]:
    """Return every job, in the order of the table; those that tell little new only where everything is asked for."""
    return [
        job
        for journey in JOURNEYS
        for job in (*_walks(journey), *_cells(journey))
        if journey.meets(job.fault, job.step, everything=everything)
    ]


def _walks(journey: Journey) -> Iterator[Job]:
    for kind in WALKS:
        yield Job(journey=journey, fault=kind.name, step="", work=walk(kind))


def _cells(journey: Journey) -> Iterator[Job]:
    for fault in (*step_faults(), *single_faults()):
        yield from _row(journey, fault)
    yield Job(journey=journey, fault=Asked.name, step="", work=walk(Asked), setting=Setting(sudo_asks=True))
    yield Job(journey=journey, fault=Clocks.name, step="", work=walk(Clocks), setting=Setting(clock_turns=True))
    for fault in release_faults():
        yield from _row(journey, fault, Setting(restart_pause=USUAL_PAUSE))


def _row(journey: Journey, fault: Fault, setting: Setting = USUAL) -> Iterator[Job]:
    for step in journey.step_names:
        if fault.strikes_at(step):
            yield Job(journey=journey, fault=fault.name, step=step, work=_cell(fault, step), setting=setting)


def _cell(fault: Fault, step: str) -> Work:
    def work(ground: Ground, end: State) -> Mapping[tuple[str, str], Result]:
        run = fault.strike(ground, step)
        return {(fault.name, step): judge(ground, end, run, fault.expected(step))}

    return work
