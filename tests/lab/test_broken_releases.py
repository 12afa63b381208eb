"""Releases that are broken are undone by themselves, and the old release serves again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import active, rows, wait_until_serving
from tests.lab.lab import Lab
from tests.lab.memory import ARCHIVE, GIT, UP, WRITTEN, Memory, Writer, boot
from tests.lab.netpoint.install import USUAL_PAUSE
from tests.lab.netpoint.releases import Fault
from tests.lab.operator import Run, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Undone:
    """Servers of both methods whose upgrade failed in a migration, and who wrote meanwhile."""

    before: list[Memory]
    writers: list[Writer]
    run: Run


@pytest.fixture(scope="module")
def undone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undone]:
    with Lab(tmp_path_factory.mktemp("undone")) as lab:
        before = boot(lab, np1=ARCHIVE, np2=GIT)
        lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_FAILS))
        writers = [Writer(memory) for memory in before]
        for writer in writers:
            writer.start()
        run = upgrade(lab, "3.5.0")
        for memory, writer in zip(before, writers, strict=True):
            wait_until_serving(memory.server)
            writer.stop()
        yield Undone(before, writers, run)


@pytest.mark.promise(2, 3, method="both")
def test_a_migration_that_fails_is_undone_and_the_old_release_serves(undone: Undone) -> None:
    """It has deleted half of the devices by then."""
    assert undone.run.statuses == {"np1": "reverted", "np2": "reverted"}, undone.run.reasons
    assert undone.run.exit_code == 2
    for memory in undone.before:
        memory.check_all_is_as_it_was(but_for=WRITTEN)


@pytest.mark.promise(2, method="both")
def test_no_acknowledged_write_is_lost_by_an_undo(undone: Undone) -> None:
    assert all(writer.acknowledged for writer in undone.writers)
    assert [writer.lost() for writer in undone.writers] == [[], []]


@pytest.mark.thorough
@pytest.mark.promise(3, method="both")
@pytest.mark.parametrize(
    "fault",
    [Fault.DOCS_FAIL, Fault.OLD_VERSION, Fault.SERVICE_DIES, Fault.WORKER_DIES],
    ids=lambda fault: fault.name.lower(),
)
def test_a_broken_release_is_undone_and_the_old_one_serves(lab: Lab, fault: Fault) -> None:
    dies = fault in {Fault.SERVICE_DIES, Fault.WORKER_DIES}
    before = boot(lab, restart_pause=USUAL_PAUSE if dies else 1, np1=ARCHIVE, np2=GIT)
    lab.write_hosts_file(release=lab.publish("3.5.0", fault))
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "reverted", "np2": "reverted"}, run.reasons
    assert run.exit_code == 2
    for memory in before:
        wait_until_serving(memory.server)
        memory.check_all_is_as_it_was()


@pytest.mark.thorough
@pytest.mark.promise(4, method="both")
def test_after_a_broken_release_the_good_one_goes_through(lab: Lab) -> None:
    before = boot(lab, np1=ARCHIVE, np2=GIT)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_FAILS))
    assert upgrade(lab, "3.5.0").statuses == {"np1": "reverted", "np2": "reverted"}
    lab.write_hosts_file()
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded", "np2": "upgraded"}, run.reasons
    for memory in before:
        assert len(rows(memory.server, ["dcim_device"])["dcim_device"]) == ARCHIVE.devices


@pytest.mark.thorough
def test_a_release_that_pins_too_little_is_held_together(lab: Lab) -> None:
    (memory,) = boot(lab, np1=ARCHIVE)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.WORKER_UNPINNED))
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert active(memory.server) == UP
