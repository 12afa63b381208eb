"""The cells of the fault matrix that a few minutes have room for; `make faults` runs all of them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.faults.lanes import LAST_RUN, Lanes
from tests.faults.matrix import all_jobs

if TYPE_CHECKING:
    from tests.faults.judging import Result
    from tests.faults.lanes import Key

CELLS = {
    ("archive", "power cut, middle", "run_upgrade"),
    ("archive", "disk full (backup), before", "dump_database"),
    ("git", "command hangs, after", "checkout_tag"),
    ("git", "power cut, after", "stop_services"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[Key, Result]:
    """Run the quick cells side by side."""
    folder = tmp_path_factory.mktemp("faults")
    lanes = Lanes(folder, [job for job in all_jobs() if (job.journey.name, job.fault, job.step) in CELLS], print)
    lanes.run(2)
    shutil.rmtree(folder)
    return lanes.results


@pytest.mark.promise(2, 3, 4, method="both")
@pytest.mark.parametrize("name", sorted(CELLS), ids="-".join)
def test_a_fault_leaves_nothing_lost_and_nobody_down(results: dict[Key, Result], name: Key) -> None:
    assert results[name].wrong == ()


def test_servers_that_survived_it_all_end_like_one_that_nothing_happened_to(results: dict[Key, Result]) -> None:
    ends = [result for (_, fault, _), result in results.items() if fault == LAST_RUN]
    assert [line for result in ends for line in result.wrong] == []
