"""Servers side by side, each taking one cell after the other until nothing is left to do."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.faults.ground import USUAL, Ground, Setting, make_ground
from tests.faults.judging import BACK, LOST, NEXT, ON, Result
from tests.faults.states import State, differences
from tests.lab import signals
from tests.lab.servers import LabError
from tests.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.faults.journeys import Journey

Key = tuple[str, str, str]
"""Journey, fault, step: one cell of the table."""

LAST_RUN = "undisturbed run at the end"


@dataclass(frozen=True, slots=True)
class Reference:
    """What an undisturbed run of a journey begins and ends with, and half of the time of each of its steps."""

    start: State
    end: State
    halves: Mapping[str, str]


Work = Callable[[Ground, State], "Mapping[tuple[str, str], Result]"]
"""Given the server and the state an undisturbed run ends in: results by fault and step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something for one lane to do; `fault` and `step` name the cell that is wrong when it breaks down."""

    journey: Journey
    fault: str
    step: str
    work: Work
    setting: Setting = USUAL

    @property
    def place(self) -> tuple[str, Setting]:
        """Jobs of one place can follow each other on one server."""
        return self.journey.name, self.setting

    def __str__(self) -> str:
        return " ".join(filter(None, (self.journey.name, self.fault, self.step)))


@dataclass(slots=True)
class Lanes:
    """All jobs, what came of them, and what the lanes share; `say` is told each result as it comes."""

    folder: Path
    jobs: list[Job]
    say: Callable[[str], None]
    progress: Progress = field(default_factory=Progress)
    make: Callable[[Path, Journey, Setting], Ground] = make_ground
    results: dict[Key, Result] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _making: dict[str, threading.Lock] = field(default_factory=dict)
    _grounds: int = 0

    def run(self, lanes: int) -> None:
        """Do all jobs, so many at a time."""
        self._making = {job.journey.name: threading.Lock() for job in self.jobs}
        with ThreadPoolExecutor(max_workers=lanes) as pool:
            running = [pool.submit(self._run_lane) for _ in range(lanes)]
            try:
                for lane in running:
                    lane.result()
            finally:
                with signals.held_back():
                    self.jobs.clear()  # asked to stop: the cells that have begun are the last ones
                    wait(running)

    def _run_lane(self) -> None:
        ground: Ground | None = None
        job: Job | None = None
        try:
            while (following := self._next(job)) is not None:
                if ground is not None and job is not None and job.place != following.place:
                    self._end_chain(ground)
                    ground = None
                job = following
                with self.progress.during(str(job)):
                    ground = self._do(job, ground)
                self.progress.done += 1
            if ground is not None:
                self._end_chain(ground)
                ground = None
        finally:
            if ground is not None:
                ground.close()

    def _next(self, last: Job | None) -> Job | None:
        """Return the next job, one that can use the server of the last one if there is such a job."""
        with self._lock:
            if not self.jobs:
                return None
            fitting = (number for number, job in enumerate(self.jobs) if last is not None and job.place == last.place)
            return self.jobs.pop(next(fitting, 0))

    def _do(self, job: Job, ground: Ground | None) -> Ground | None:
        """Do one job; return the server where it can be used again."""
        began = time.monotonic()
        self._reference(job.journey)  # without one there is nothing to compare with: that ends all lanes
        results: Mapping[tuple[str, str], Result]
        try:
            ground = ground or self._fresh(job)
            ground.prepare()
            results = job.work(ground, self.references[job.journey.name].end)
        except Exception as error:  # noqa: BLE001  what goes wrong in one cell must not hide the others
            shown = "".join(traceback.format_exception(error)[-4:])
            results = {(job.fault, job.step): Result(LOST, (f"{type(error).__name__}: {error}", shown))}
        seconds = time.monotonic() - began
        self._note(job, results, seconds)
        usable = all(result.became in {BACK, NEXT} and not result.failed for result in results.values())
        if ground is not None and not (usable and results):
            ground.close()
            ground = None
        return ground

    def _note(self, job: Job, results: Mapping[tuple[str, str], Result], seconds: float) -> None:
        with self._lock:
            for (fault, step), result in results.items():
                self.results[job.journey.name, fault, step] = Result(result.became, result.wrong, seconds)
                mark = "WRONG " if result.failed else ""
                self.say(f"{job.journey.name:8} {fault:28} {step:22} {mark}{result.became} ({seconds:.0f} s)")
                for line in result.wrong:
                    self.say(f"    {line}")

    def _fresh(self, job: Job) -> Ground:
        reference = self._reference(job.journey)
        ground = self._ground(job)
        ground.orders.set_halves(dict(reference.halves))
        if differing := differences(reference.start, ground.start):
            ground.close()
            raise LabError(f"two fresh servers differ: {differing}")
        return ground

    def _reference(self, journey: Journey) -> Reference:
        with self._making[journey.name]:
            if journey.name not in self.references:
                plain = Job(journey=journey, fault="undisturbed run", step="", work=lambda _ground, _end: {})
                ground = self._ground(plain)
                try:
                    with self.progress.during(str(plain)):
                        self.references[journey.name] = _undisturbed(ground)
                finally:
                    ground.close()
        return self.references[journey.name]

    def _ground(self, job: Job) -> Ground:
        with self._lock:
            self._grounds += 1
            number = self._grounds
        with self.progress.during(f"making server {number} ({job.journey.name})"):
            return self.make(self.folder / f"ground-{number}", job.journey, job.setting)

    def _end_chain(self, ground: Ground) -> None:
        """Let the server that survived so much go the whole way, undisturbed."""
        began = time.monotonic()
        journey = ground.journey
        job = Job(journey=journey, fault=LAST_RUN, step=f"#{ground.lab.folder.name}", work=lambda _ground, _end: {})
        with self.progress.during(str(job)):
            result = self._last_run(ground)
        self._note(job, {(job.fault, job.step): result}, time.monotonic() - began)

    def _last_run(self, ground: Ground) -> Result:
        try:
            ground.prepare()
            run = ground.run()
            differing = differences(self.references[ground.journey.name].end, State.of(ground.server))
            wrong = [f"(d) {difference}" for difference in differing]
            wrong += [] if run.exit_code == 0 else [f"(d) {run.reasons}"]
            return Result(LOST if wrong else ON, tuple(wrong))
        except Exception as error:  # noqa: BLE001  as in _do
            return Result(LOST, (f"{type(error).__name__}: {error}",))
        finally:
            ground.close()


def _undisturbed(ground: Ground) -> Reference:
    ground.orders.measure()
    run = ground.run()
    if run.exit_code != 0:
        raise LabError(f"an undisturbed run of {ground.journey.name} failed: {run.reasons}")
    return Reference(start=ground.start, end=State.of(ground.server), halves=ground.orders.halves())


def remaining(results: Iterable[Result]) -> int:
    """Return how many cells are wrong."""
    return sum(result.failed for result in results)
