"""The tasks and their help; the work is done elsewhere and imported only then."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from invoke.collection import Collection

from netpoint_remote.cli.executor import CoreOptions, FleetTask, use_in_fab
from netpoint_remote.cli.options import (
    AttachOptions,
    BackupOptions,
    BackupsOptions,
    CheckOptions,
    FetchBackupOptions,
    PlanOptions,
    PracticeOptions,
    PruneOptions,
    RollbackOptions,
    StatusOptions,
    StopOptions,
    UpgradeOptions,
)
from netpoint_remote.cli.streams import open_standard_streams
from netpoint_remote.errors import UsageError

Options = TypeVar("Options")


def fleet_task(options: type[Options]) -> Callable[[Callable[[CoreOptions, Options], None]], FleetTask[Options]]:
    """Make a function a task with these options."""
    return lambda body: FleetTask(body, options=options)


@fleet_task(CheckOptions)
def check(core: CoreOptions, options: CheckOptions) -> None:
    """Check servers: what is installed, and what blocks an upgrade. Changes nothing.

    Each host is probed once over one connection. Every problem of every host is shown, with its
    remedy. With --version, hosts are checked against that release.

    Examples:
        fab -H np1,np2 check
        fab -H np1,admin@np2:2222,[fd00::3]:22 check --version 3.5.0
        fab check --version 3.5.0 --limit 'edge,!np3'
    """
    from netpoint_remote.cli.fleet import run_check

    run_check(core, options)


@fleet_task(PlanOptions)
def plan(core: CoreOptions, options: PlanOptions) -> None:
    """Show the path, the hops and the steps of each server's upgrade. Changes nothing.

    With --show HOST, the exact script that would run there is printed.

    Examples:
        fab -H np1,np2 plan --version 3.5.0
        fab plan --version 3.5.0 --show np1
    """
    from netpoint_remote.cli.fleet import run_plan

    run_plan(core, options)


@fleet_task(UpgradeOptions)
def upgrade(core: CoreOptions, options: UpgradeOptions) -> None:
    """Upgrade servers to a release, in parallel, by the official procedure.

    All hosts are checked first. A version path that is not allowed on one host stops the whole run
    before anything changes. On a terminal the plan is shown, and you confirm it with the number of
    hosts. Once started, each server finishes its upgrade, or undoes it, without your connection.

    Examples:
        fab -H np1,np2 upgrade --version 3.5.0
        fab upgrade --version 3.5.0 --limit edge --yes
        fab upgrade --version 3.5.0 --dry-run
    """
    from netpoint_remote.cli.fleet import run_upgrade

    run_upgrade(core, options)


@fleet_task(RollbackOptions)
def rollback(core: CoreOptions, options: RollbackOptions) -> None:
    """Roll servers back to their previous release and its database.

    The changes made since are counted and shown first, and are not discarded without --accept-loss.
    The current database is dumped before it is replaced, so a rollback can itself be rolled back.

    Examples:
        fab -H np1,np2 rollback
        fab -H np1 rollback --to 3.4.9 --accept-loss
        fab -H np1 rollback --to 20300102T030215Z-5f00aa
    """
    from netpoint_remote.cli.fleet import run_rollback

    run_rollback(core, options)


@fleet_task(BackupOptions)
def backup(core: CoreOptions, options: BackupOptions) -> None:
    """Back up database, configuration, media, scripts and reports on each server while it serves.

    A backup is valid only after it has been read back. With --verify full its dump is also restored
    into a scratch database, and the row counts are compared.

    Examples:
        fab -H np1,np2 backup
        fab backup --verify full
    """
    from netpoint_remote.cli.fleet import run_backup

    run_backup(core, options)


@fleet_task(BackupsOptions)
def backups(core: CoreOptions, options: BackupsOptions) -> None:
    """List the backups on each server, and the changes since each. Changes nothing.

    Examples:
        fab -H np1,np2 backups
        fab backups --json
    """
    from netpoint_remote.cli.keeping import run_backups

    run_backups(core, options)


@fleet_task(FetchBackupOptions)
def fetch_backup(core: CoreOptions, options: FetchBackupOptions) -> None:
    """Download a backup of each server to this machine and verify its checksums.

    A backup contains password hashes and tokens: only you can read the downloaded files.

    Examples:
        fab -H np1,np2 fetch-backup --dir /srv/backups
        fab -H np1 fetch-backup --backup 20300102T030215Z-5f00aa
    """
    from netpoint_remote.cli.keeping import run_fetch_backup

    run_fetch_backup(core, options)


@fleet_task(PruneOptions)
def prune(core: CoreOptions, options: PruneOptions) -> None:
    """Remove old backups and releases from servers, after showing what would be removed.

    The current release, and the backup and release needed to roll it back, are always kept.

    Examples:
        fab -H np1,np2 prune --keep 3
        fab prune --keep 3 --dry-run
    """
    from netpoint_remote.cli.keeping import run_prune

    run_prune(core, options)


@fleet_task(StatusOptions)
def status(core: CoreOptions, options: StatusOptions) -> None:
    """Show the run in progress on each server: its step, its time and its operator. Changes nothing.

    If there is none, it shows how the last run ended. A run that was interrupted, or could not be
    undone, is shown with the next command.

    Examples:
        fab -H np1,np2 status
        fab status --json
    """
    from netpoint_remote.cli.attend import run_status

    run_status(core, options)


@fleet_task(AttachOptions)
def attach(core: CoreOptions, options: AttachOptions) -> None:
    """Follow the runs on servers live, from any workstation, and report how they end.

    A run is shown from its start. If none is in progress, the result of the last one is shown.
    Ctrl-C detaches; the runs continue on the servers.

    Examples:
        fab -H np1,np2 attach
        fab -H np1 attach --run 20300102T030215Z-5f00aa
    """
    from netpoint_remote.cli.attend import run_attach

    run_attach(core, options)


@fleet_task(StopOptions)
def stop(core: CoreOptions, options: StopOptions) -> None:
    """Stop the runs on servers at the next safe point, and undo what they did.

    What will happen on each server is shown first, and you confirm it with the number of servers.
    The current step is finished first; attach shows the progress.

    Examples:
        fab -H np1,np2 stop
        fab stop --limit edge --yes
    """
    from netpoint_remote.cli.attend import run_stop

    run_stop(core, options)


@fleet_task(PracticeOptions)
def practice(core: CoreOptions, options: PracticeOptions) -> None:
    """Start practice NetPoint servers on this machine, until Ctrl-C.

    They need no root and no other software. Use them with the hosts.yaml in their folder.

    Examples:
        fab practice --dir practice --servers np1=3.4.9,np2=3.4.9:git,np3=2.10.10
        fab check --hosts-file practice/hosts.yaml
    """
    from netpoint_remote.practice import parse_servers, serve
    from netpoint_remote.reporting.stream import say

    if core.hosts is not None:
        raise UsageError("practice makes its own hosts; leave -H out and say which with --servers")
    if not options.dir:
        raise UsageError("practice needs a new folder; name it with --dir practice")
    if not options.servers:
        raise UsageError("practice needs servers; say which with --servers np1=3.4.9,np2=3.4.9:git")

    def ready(line: str) -> None:
        say(sys.stdout, line)

    serve(Path(options.dir).expanduser(), parse_servers(options.servers), ready=ready)


namespace = Collection(
    "netpoint-remote",
    check,
    plan,
    upgrade,
    rollback,
    backup,
    backups,
    fetch_backup,
    prune,
    status,
    attach,
    stop,
    practice,
)

open_standard_streams()
use_in_fab()
