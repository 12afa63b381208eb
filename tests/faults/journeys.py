"""What a server goes through: the columns of the matrix are the steps of its plan."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from netpoint_remote.planning.plan import ARCHIVE_STEPS, BACKUP_STEPS, GIT_STEPS, ROLLBACK_STEPS, Step
from tests.lab.netpoint.install import Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A plan: its steps, the command that has a server carry it out, and the ends it may come to.

    `only` names the faults that it meets, by patterns of a fault and of its step. What `elsewhere` names so is tried
    on it when everything is asked for, otherwise on the other method or in other steps alone. `begin` brings a fresh
    installation to where the journey starts. `forth` is the release that serves after it, `back` the one that
    serves when it is undone; a report says `done` or `undone` of it, and `again` when the same command is given
    once more. Where both are one release, users have it all the time, and a backup more is what is brought about.
    """

    name: str
    steps: tuple[Step, ...]
    installation: Installation
    command: tuple[str, ...]
    begin: tuple[tuple[str, ...], ...] = ()
    back: str = "3.4.9"
    forth: str = "3.5.0"
    done: str = "upgraded"
    undone: str = "reverted"
    again: str = "unchanged"
    only: tuple[tuple[str, str], ...] = (("*", "*"),)
    elsewhere: tuple[tuple[str, str], ...] = ()

    def meets(self, fault: str, step: str, *, everything: bool) -> bool:
        """Tell whether a fault is tried on it in a step ('' for all of them)."""
        left_out = () if everything else self.elsewhere
        return _names(self.only, fault, step) and not _names(left_out, fault, step)

    @property
    def saves(self) -> bool:
        """Whether a backup is all that it brings about."""
        return self.back == self.forth

    @property
    def step_names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.steps)


def _names(pairs: tuple[tuple[str, str], ...], fault: str, step: str) -> bool:
    return any(fnmatch(fault, faults) and fnmatch(step, steps) for faults, steps in pairs)


UPGRADE = ("upgrade", "--version", "3.5.0", "--yes")
ROLLBACK = ("rollback", "--to", "3.4.9", "--yes")
ARCHIVE, GIT = Installation("3.4.9"), Installation("3.4.9", method="git")
OF_THE_RUNNER = (
    *("journal *", "lock file *", "silence *", "cable *", "database restarted", "Redis down"),
    *("disk full (state)*", "disk full (backup)*", "disk full (database)*", "disk full (units)*", "disk full (cron)*"),
    *("release: docs fail", "release: worker dies", "unit of the run stopped", "reboot, *"),
)
"""Faults that strike the runner, the line, or a command that both upgrades give."""

AROUND = (
    *("command hangs, *", "command * before", "command * after"),
    *("power cut, before", "power cut, after", "*undo*"),
)
"""Faults that tell little new of a step that both upgrades have, once each has met others in its middle."""

SHARED = {step.name for step in ARCHIVE_STEPS} & {step.name for step in GIT_STEPS} - {"stage_packages", "run_upgrade"}
ELSEWHERE = (
    *((fault, "*") for fault in OF_THE_RUNNER),
    *((fault, step) for fault in AROUND for step in sorted(SHARED)),
)

LONG_IN_COMING = (
    *(("reboot, *", step) for step in ("record_before", "stop_services", "dump_database", "prove_beside")),
    *(("silence *", "prove_in_place"), ("cable *", "stage_packages")),
)
"""What takes minutes, and tells little new of one more step."""

UPGRADES = (
    Journey(name="archive", steps=ARCHIVE_STEPS, installation=ARCHIVE, command=UPGRADE, elsewhere=LONG_IN_COMING),
    Journey(name="git", steps=GIT_STEPS, installation=GIT, command=UPGRADE, elsewhere=ELSEWHERE),
)


WALKS_AND_MIDDLES = (
    *(("connection cut", "*"), ("workstation killed", "*"), ("second operator", "*")),
    *(("command fails, middle", "*"), ("power cut, middle", "*")),
)
DATABASE_PUT_BACK = tuple(
    (fault, "put_database_back")
    for fault in (
        *("command hangs, middle", "disk full (state), middle", "disk full (database), middle"),
        *("power cut in the undo", "undo fails", "reboot, middle", "unit of the run stopped"),
    )
)
"""What may go wrong where a way back could lose the most."""

ALIKE_ON_GIT = (("connection cut", "*"), ("second operator", "*"), *(("*, middle", step) for step in sorted(SHARED)))


def _rollback(name: str, installation: Installation, *needless: str, more: tuple[tuple[str, str], ...] = ()) -> Journey:
    """Return the way back from an upgrade; it leaves out the steps that its method does not need."""
    return Journey(
        name=name,
        steps=tuple(step for step in ROLLBACK_STEPS if step.name not in {*needless, "put_files_back"}),
        installation=installation,
        command=ROLLBACK,
        begin=(UPGRADE,),
        back="3.5.0",
        forth="3.4.9",
        done="rolled-back",
        again="refused",
        only=(*WALKS_AND_MIDDLES, *more),
        elsewhere=ALIKE_ON_GIT if installation is GIT else (),
    )


BACKUP = Journey(
    name="backup",
    steps=BACKUP_STEPS,
    installation=ARCHIVE,
    command=("backup", "--verify", "full"),
    forth="3.4.9",
    done="saved",
    again="saved",
    only=(("command fails, middle", "*"), ("power cut, middle", "*"), ("disk full (backup), middle", "*")),
)

JOURNEYS = (
    *UPGRADES,
    _rollback("back", ARCHIVE, "set_aside", "checkout_tag", "take_from_aside", more=DATABASE_PUT_BACK),
    _rollback("back-git", GIT, "flip_link"),
    BACKUP,
)
