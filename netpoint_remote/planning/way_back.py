"""Which backup a way back leads to, and what keeps it from being gone."""

from dataclasses import replace
from datetime import datetime, timezone

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks.finding import Problems, error, warning
from netpoint_remote.planning.facts import Backup, Facts
from netpoint_remote.planning.method import Method, method_of
from netpoint_remote.planning.plan import aside_folder, leads_elsewhere
from netpoint_remote.planning.problem import Problem


def choose_backup(facts: Facts, to: str | None) -> Backup | None:
    """Return the backup that `to` (its id, a version, or None: what was before the last upgrade) means.

    A version means the newest backup of it from which an upgrade started, or any other if there is
    none; a release that was rolled back is not gone to unless it is named. One of another method, which
    cannot be gone to, is chosen only where there is no other. A damaged backup is chosen like any
    other, so that whoever relies on it hears of it: an older one may lose more.
    """
    method = method_of(facts).value
    # Both sorts are stable: of each kind still the newest first.
    fitting = sorted(facts.backups, key=lambda backup: backup.method != method)
    if to is None:
        shunned = {version for version, _ in facts.rolled_back} | {facts.disk_version}
        wanted = [
            backup
            for backup in fitting
            if backup.purpose == "upgrade" and backup.leads_to == facts.disk_version and backup.version not in shunned
        ]
        return next(iter(wanted), None)
    by_id = [backup for backup in facts.backups if backup.id == to]
    of_version = [backup for backup in fitting if backup.version == to]
    of_version.sort(key=lambda backup: (backup.method != method, backup.purpose != "upgrade"))
    return next(iter(by_id + of_version), None)


def way_back_problems(case: Case, to: str | None, *, accept_loss: bool) -> Problems:
    """Say what stands in the way of going back."""
    facts, backup = case.facts, choose_backup(case.facts, to)
    if to is not None and to == facts.disk_version:
        yield error(
            "way-back",
            f"{to} is installed already",
            "name a backup by its id to restore its database (`backups` lists them)",
        )
        return
    if backup is None:
        yield _nothing_to_go_back_to(facts, to)
        return
    if backup.damage:
        yield error(
            "way-back",
            f"the backup {backup.id} of {backup.version} ({made(backup)}) is damaged: {backup.damage}",
            "name another backup with --to: `netpoint-remote backups` lists them",
        )
    yield from _release_is_there(case, backup)
    yield from _losses(backup, accept_loss=accept_loss)


def _nothing_to_go_back_to(facts: Facts, to: str | None) -> Problem:
    if to is not None:
        known = ", ".join(dict.fromkeys(backup.version for backup in facts.backups)) or "none"
        message = f"there is no backup {to} here, nor one of a release {to} (releases with backups: {known})"
    elif marked := choose_backup(replace(facts, rolled_back=()), None):
        return _was_rolled_back(facts, marked)
    else:
        message = f"no upgrade to {facts.disk_version} has left a backup here"
    return error("way-back", message, "`netpoint-remote backups` lists the backups: name one with `rollback --to`")


def _was_rolled_back(facts: Facts, backup: Backup) -> Problem:
    about = dict(facts.rolled_back).get(backup.version, "")
    return error(
        "way-back",
        f"{backup.version}, from which {facts.disk_version} was upgraded, was rolled back here before ({about})",
        f"to roll back to it anyway: --to {backup.version}",
    )


def _release_is_there(case: Case, backup: Backup) -> Problems:
    facts = case.facts
    if backup.method != case.method.value:
        yield error(
            "way-back",
            f"{backup.id} is of an installation by {backup.method or 'no method'}, this one is by {case.method}",
            "restore it by hand (docs/reliability.md)",
        )
    elif not leads_elsewhere(case, backup):
        return
    elif case.method is Method.GIT:
        if not backup.commit or aside_folder(case, backup.version) not in {aside.path for aside in facts.asides}:
            yield error(
                "way-back",
                f"the environment of {backup.version} is no longer in the checkout: it was pruned",
                "name another backup with --to, or restore this one by hand (docs/reliability.md)",
            )
    elif backup.tree not in {release.path for release in facts.releases if release.version == backup.version}:
        yield error(
            "way-back",
            f"the release {backup.version} is no longer at {backup.tree}: it was pruned",
            "name another backup with --to, or restore this one by hand (docs/reliability.md)",
        )


def _losses(backup: Backup, *, accept_loss: bool) -> Problems:
    if backup.changes == 0:
        return
    lost = f"rolling back to {backup.id} ({made(backup)}) discards the changes made since: {_changes(backup)}"
    if accept_loss:
        yield warning("loss", f"{lost}; accepted", "the current database is dumped first and kept")
    else:
        yield error("loss", lost, "add --accept-loss to accept that; the current database is dumped first and kept")


def _changes(backup: Backup) -> str:
    if backup.changes is None:
        return "unknown, because the change log cannot be read"
    by = f" by {backup.changers}" if backup.changers else ""
    return f"{backup.changes} {'change' if backup.changes == 1 else 'changes'}{by}"


def made(backup: Backup) -> str:
    """Return when a backup was made, by the server's clock."""
    try:
        return f"{datetime.fromtimestamp(backup.made, timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):  # a server's clock may say anything
        return "at an unknown time"
