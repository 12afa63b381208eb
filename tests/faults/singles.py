"""The faults of one kind or of few steps: database, Redis, index, archive, damaged files, broken releases."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.faults import Fault
from tests.faults.ground import NAME
from tests.faults.judging import BACK, ON, Expectation
from tests.faults.mirror import Damage
from tests.lab.netpoint.releases import Fault as ReleaseFault
from tests.lab.servers import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.faults import Strike
    from tests.faults.ground import Ground
    from tests.lab.operator import Run

PATIENCE = 75.0
"""Seconds; nobody on the workstation's side waits that long for a sign of life."""

IN_MIGRATION = "until pgrep -f 'manage.py migrate' >/dev/null; do /bin/sleep 0.05; done"
UNTIL_THE_WORKER_STAYS = """\
up=0
for tries in $(seq 1000); do
    if systemctl is-active -q netpoint-rq; then up=$((up + 1)); else up=0; fi
    [ "$up" -lt 10 ] || exit 0
    /bin/sleep 0.3
done
"""
DATABASE_USERS = (
    "record_before",
    "prove_running",
    "stop_services",
    "dump_database",
    "prove_beside",
    "start_services",
    "prove_in_place",
)
REDIS_USERS = {
    "stop_services": ("run_upgrade", "Clearing the cache"),
    "run_upgrade": ("run_upgrade", "Clearing the cache"),
    "prove_beside": ("prove_in_place", "netpoint-rq"),
    "start_services": ("prove_in_place", "netpoint-rq"),
    "prove_in_place": ("prove_in_place", "netpoint-rq"),
}
"""Before which step Redis goes down, and who misses it then."""

ONE_OF_EACH_PHASE = ("stage_packages", "run_upgrade", "prove_in_place")

BROKEN_RELEASES = (
    (ReleaseFault.MIGRATION_FAILS, "run_upgrade"),
    (ReleaseFault.DOCS_FAIL, "run_upgrade"),
    (ReleaseFault.OLD_VERSION, "prove_beside"),
    (ReleaseFault.SERVICE_DIES, "prove_in_place"),
    (ReleaseFault.WORKER_DIES, "prove_in_place"),
)
UNHARMED = Expectation(ends=frozenset({ON}))
UNDONE = Expectation(ends=frozenset({BACK}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A file of the run that somebody damages under its hands."""

    name: str
    how: str

    @property
    def line(self) -> str:
        """Return the shell that does it."""
        folder = "/var/lib/netpoint-remote"
        return f'cd {folder} && run="runs/$(cat current)" && {self.how}'


DAMAGES = (
    Damaged(name="journal with garbage", how=r"""printf '\377\000\033[2J nonsense\nhalf a li' >>"$run/journal" """),
    Damaged(name="journal emptied", how=': >"$run/journal"'),
    Damaged(name="journal removed", how='rm -- "$run/journal"'),
    Damaged(name="lock file removed", how="rm -- lock"),
    Damaged(name="lock file with garbage", how=r"printf '\377\000 nonsense' >lock"),
)


def single_faults() -> Iterator[Fault]:
    """Yield the faults that need nothing but the usual server."""
    yield from _services_of_the_server()
    yield Fault(
        name="package index unreachable",
        strike=_index_unreachable,
        strikes_at=lambda step: step in {"stage_packages", "run_upgrade"},
    )
    for damage in Damage:
        yield Fault(
            name=f"archive {damage.value} on the way",
            strike=_archive(damage),
            strikes_at=lambda step: step == "fetch_release",
            expected=lambda step: Expectation(says=(step,), ends=UNDONE.ends),
        )
    for damaged in DAMAGES:
        yield Fault(
            name=damaged.name,
            strike=_ordered("middle", f"run {damaged.line}"),
            strikes_at=lambda step: step in ONE_OF_EACH_PHASE,
            expected=lambda _step: UNHARMED,
        )
    yield Fault(
        name="unit of the run stopped",
        strike=_stopped,
        strikes_at=lambda step: step in {*ONE_OF_EACH_PHASE, "put_database_back"},
        expected=lambda _step: Expectation(may_not_know=True),
    )
    yield Fault(
        name="silence longer than any patience",
        strike=_silent,
        strikes_at=lambda step: step in ONE_OF_EACH_PHASE,
        expected=lambda _step: UNHARMED,
    )
    yield Fault(
        name="cable pulled for longer than that",
        strike=_unplugged,
        strikes_at=lambda step: step in ONE_OF_EACH_PHASE,
        expected=lambda _step: UNHARMED,
    )


def _services_of_the_server() -> Iterator[Fault]:
    yield Fault(
        name="database restarted",
        strike=_ordered("middle", "run systemctl restart postgresql"),
        strikes_at=lambda step: step in DATABASE_USERS,
        expected=_endured_or_undone,
    )
    yield Fault(
        name="database restarted in migration",
        strike=_ordered("before", f"run ({IN_MIGRATION}; systemctl restart postgresql) >/dev/null 2>&1 &"),
        strikes_at=lambda step: step == "run_upgrade",
        expected=_endured_or_undone,
    )
    yield Fault(
        name="Redis down",
        strike=_redis_down,
        strikes_at=REDIS_USERS.__contains__,
        expected=_missed,
    )


def _endured_or_undone(step: str) -> Expectation:
    """Whether a step was at work in that moment is chance; in neither case is anything left for the next run."""
    return Expectation(says=(step,), ends=frozenset({ON, BACK}))


def _missed(step: str) -> Expectation:
    # A worker that has begun waits for Redis to come back.
    ends = {ON, BACK} if step == "prove_in_place" else {BACK}
    return Expectation(says=REDIS_USERS[step], ends=frozenset(ends))


def release_faults() -> Iterator[Fault]:
    """Yield the faults of broken releases; the server watches its units as long as a real one does."""
    for fault, where in BROKEN_RELEASES:
        yield Fault(
            name=f"release: {fault.name.lower().replace('_', ' ')}",
            strike=_broken_release(fault),
            strikes_at=lambda step, where=where: step == where,
            expected=lambda step: Expectation(says=(step,), ends=UNDONE.ends),
        )


def _ordered(when: str, what: str) -> Strike:
    def strike(ground: Ground, step: str) -> Run:
        ground.orders.give(step, when, what)
        return ground.run()

    return strike


def _redis_down(ground: Ground, step: str) -> Run:
    ground.orders.give(step, "before", "run systemctl stop redis-server")
    try:
        return ground.run()
    finally:
        # Nobody but systemd starts the worker then.
        ground.server.run(f"systemctl start redis-server; {UNTIL_THE_WORKER_STAYS}", check=False)


def _index_unreachable(ground: Ground, step: str) -> Run:
    ground.orders.give(step, "before", "run findmnt -t tmpfs /srv/wheels >/dev/null || mount -t tmpfs lab /srv/wheels")
    try:
        return ground.run()
    finally:
        ground.server.run("while findmnt -t tmpfs /srv/wheels; do umount /srv/wheels; done")


def _archive(damage: Damage) -> Strike:
    def strike(ground: Ground, step: str) -> Run:  # noqa: ARG001  it is always the one that fetches
        ground.mirror.damage = damage
        try:
            return ground.run()
        finally:
            ground.mirror.damage = None

    return strike


def _broken_release(fault: ReleaseFault) -> Strike:
    def strike(ground: Ground, step: str) -> Run:  # noqa: ARG001  it breaks where it breaks
        shutil.rmtree(ground.lab.sources / "netpoint.git", ignore_errors=True)  # of the last broken release
        ground.write_hosts_file(release=ground.lab.publish("3.5.0", fault))
        try:
            return ground.run()
        finally:
            ground.write_hosts_file()

    return strike


def _stopped(ground: Ground, step: str) -> Run:
    """Stop the run as one stops any service."""
    return _held(ground, step, lambda: ground.server.run("systemctl stop 'netpoint-remote-2*.service'"))


def _silent(ground: Ground, step: str) -> Run:
    return _held(ground, step, lambda: time.sleep(PATIENCE))


def _unplugged(ground: Ground, step: str) -> Run:
    def pull() -> None:
        ground.server.unplug()
        time.sleep(PATIENCE)
        ground.server.plug()

    return _held(ground, step, pull)


def _held(ground: Ground, step: str, meanwhile: Callable[[], object]) -> Run:
    """Let a step hold still in its middle while something goes on."""
    ground.orders.give(step, "middle", "pause")
    fab = ground.fab()
    ground.orders.wait(going_on=lambda: fab.running)
    meanwhile()
    ground.orders.withdraw()
    if not fab.running:
        raise LabError(f"the workstation gave up: {fab.wait().host(NAME)['reason']}")
    return fab.wait()
