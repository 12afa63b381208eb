"""What may be removed from a server without closing a way back."""

from dataclasses import dataclass, replace
from itertools import accumulate

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks import installation, server
from netpoint_remote.planning.checks.finding import Problems
from netpoint_remote.planning.facts import Backup, Facts, Kept
from netpoint_remote.planning.problem import Severity
from netpoint_remote.planning.tree_users import trees_in_use
from netpoint_remote.planning.way_back import choose_backup


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What a prune removes; `runs` are ids of runs whose logs go, `archives_mb` the size of kept release archives.

    `leftovers` are folders of what was cut off, with their size in MB.
    """

    backups: tuple[Backup, ...] = ()
    trees: tuple[Kept, ...] = ()
    runs: tuple[str, ...] = ()
    archives_mb: int = 0
    leftovers: tuple[tuple[str, int], ...] = ()

    @property
    def size_mb(self) -> int:
        """Return about how much room it makes."""
        dumps = sum(backup.dump_size + backup.files_size for backup in self.backups) // 2**20
        left = sum(size for _, size in self.leftovers)
        return dumps + sum(tree.size_mb for tree in self.trees) + self.archives_mb + left

    def __bool__(self) -> bool:
        return bool(self.backups or self.trees or self.runs or self.archives_mb or self.leftovers)


def prune_problems(case: Case) -> Problems:
    """Say what stands in the way of a prune.

    What the current release is has to be known, and a run that is not over may need whatever lies there:
    what is a warning to others, who settle such a run first, is an error here.
    """
    for check in (installation.places_are_safe, installation.installation_is_known, server.nobody_else_is_at_it):
        for problem in check(case):
            yield replace(problem, severity=Severity.ERROR)


def what_to_remove(case: Case, keep: int) -> Removal:
    """Return what is older than the newest `keep` backups, and the releases that no backup kept leads to.

    Never the current release, nor one that anything on the server names, runs out of or has a mount in; never the
    backup from which the current release was upgraded, nor the release it leads back to, nor what this program did
    not put or leave there.
    """
    facts = case.facts
    kept = kept_backups(facts, keep)
    needed = {facts.real, *(backup.tree for backup in kept), *trees_in_use(facts)}
    versions = {facts.disk_version, *(backup.version for backup in kept)}
    names = {backup.id for backup in kept} | {facts.run_id}
    oldest = min((backup.id for backup in kept), default=facts.run_id)
    return Removal(
        backups=tuple(backup for backup in facts.backups if backup.id not in names),
        trees=(
            *(tree for tree in facts.releases if tree.ours and tree.path not in needed),
            *(aside for aside in facts.asides if aside.version not in versions),
        ),
        runs=tuple(run for run in facts.runs if run not in names and run < oldest),
        archives_mb=facts.archives_mb,
        leftovers=facts.leftovers,
    )


def kept_backups(facts: Facts, keep: int) -> tuple[Backup, ...]:
    """Return the newest so many backups, and those that a way back from the current release needs.

    A damaged one takes nobody's place: it is kept as long as whole ones of its age are.
    """
    whole = replace(facts, backups=tuple(backup for backup in facts.backups if not backup.damage))
    ways = (
        choose_backup(replace(seen, rolled_back=marks), None)
        for seen in (facts, whole)
        for marks in (facts.rolled_back, ())
    )
    needed = {backup for backup in ways if backup}
    newer = accumulate((not backup.damage for backup in facts.backups), initial=0)
    return tuple(
        backup for backup, before in zip(facts.backups, newer, strict=False) if before < keep or backup in needed
    )
