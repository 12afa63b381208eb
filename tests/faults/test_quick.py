"""The cells of the fault matrix that a few minutes have room for; `make faults` runs all of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults.lanes import LAST_RUN, Lanes
from tests.faults.matrix import all_jobs

if TYPE_CHECKING:
    from tests.faults.judging import Result
    from tests.faults.lanes import Job, Key

QUICK = {
    ("archive", "connection cut", ""),
    ("archive", "command fails, middle", "run_upgrade"),
    ("archive", "command hangs, after", "flip_link"),
    ("archive", "power cut, middle", "run_upgrade"),
    ("archive", "disk full (state), before", "unpack_release"),
    ("archive", "disk full (backup), before", "dump_database"),
    ("git", "command fails, after", "prove_in_place"),
    ("git", "command hangs, before", "stop_services"),
    ("git", "power cut, after", "checkout_tag"),
    ("git", "disk full (opt), before", "set_aside"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[Key, Result]:
    """Run the quick cells side by side."""
    folder = tmp_path_factory.mktemp("faults")
    lanes = Lanes(folder, [job for job in all_jobs() if _name(job) in QUICK], print)
    lanes.run(2)
    shutil.rmtree(folder)
    return lanes.results


@pytest.mark.parametrize("name", sorted(QUICK), ids=lambda name: "-".join(filter(None, name)))
def test_a_fault_leaves_nothing_lost_and_nobody_down(results: dict[Key, Result], name: Key) -> None:
    journey, fault, step = name
    cells = [
        result
        for (its_journey, its_fault, its_step), result in results.items()
        if its_journey == journey and its_fault.startswith(fault) and step in {"", its_step}
    ]
    assert cells
    assert [line for result in cells for line in result.wrong] == []


def test_servers_that_survived_it_all_end_like_one_that_nothing_happened_to(results: dict[Key, Result]) -> None:
    ends = [result for (_, fault, _), result in results.items() if fault == LAST_RUN]
    assert [line for result in ends for line in result.wrong] == []


def _name(job: Job) -> Key:
    return job.journey.name, job.fault, job.step
