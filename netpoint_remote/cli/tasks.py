"""The tasks: what each is for, as its help says it; the work is done elsewhere and imported only then."""

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
    """Look at servers: what is there, and what stands in the way of an upgrade. Changes nothing.

    Every host is looked at once over one connection, and every problem of every host is shown, each
    with what to do about it. With --version: against that release.

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

    With --show HOST: the very shell that would run there.

    Examples:
        fab -H np1,np2 plan --version 3.5.0
        fab plan --version 3.5.0 --show np1
    """
    from netpoint_remote.cli.fleet import run_plan

    run_plan(core, options)


@fleet_task(UpgradeOptions)
def upgrade(core: CoreOptions, options: UpgradeOptions) -> None:
    """Upgrade servers to a release, in parallel, by the official procedure.

    All hosts are looked at first; a version path that is not allowed on any of them stops the whole
    run before anything changes. On a terminal the plan is shown and the number of hosts asked for.
    Once begun, a server carries its upgrade to the end, or back to the start, by itself.

    Examples:
        fab -H np1,np2 upgrade --version 3.5.0
        fab upgrade --version 3.5.0 --limit edge --yes
        fab upgrade --version 3.5.0 --dry-run
    """
    from netpoint_remote.cli.fleet import run_upgrade

    run_upgrade(core, options)


@fleet_task(RollbackOptions)
def rollback(core: CoreOptions, options: RollbackOptions) -> None:
    """Take servers back to the release, and the database, that they had before.

    What would be lost, the changes made since, is said first, and is not lost without --accept-loss.
    The database of now is dumped before it is replaced: a way back can itself be taken back.

    Examples:
        fab -H np1,np2 rollback
        fab -H np1 rollback --to 3.4.9 --accept-loss
        fab -H np1 rollback --to 20300102T030215Z-5f00aa
    """
    from netpoint_remote.cli.fleet import run_rollback

    run_rollback(core, options)


@fleet_task(BackupOptions)
def backup(core: CoreOptions, options: BackupOptions) -> None:
    """Save database, configuration, media, scripts and reports on each server, while NetPoint serves.

    A backup counts only once it was read back; with --verify full its dump is restored into a scratch
    database and the rows are counted there.

    Examples:
        fab -H np1,np2 backup
        fab backup --verify full
    """
    from netpoint_remote.cli.fleet import run_backup

    run_backup(core, options)


@fleet_task(BackupsOptions)
def backups(core: CoreOptions, options: BackupsOptions) -> None:
    """List the backups on each server, and what has changed since each. Changes nothing.

    Examples:
        fab -H np1,np2 backups
        fab backups --json
    """
    from netpoint_remote.cli.keeping import run_backups

    run_backups(core, options)


@fleet_task(FetchBackupOptions)
def fetch_backup(core: CoreOptions, options: FetchBackupOptions) -> None:
    """Bring a backup of each server to this machine, its checksums verified.

    A backup holds password hashes and tokens: what arrives is readable by you alone.

    Examples:
        fab -H np1,np2 fetch-backup --dir /srv/backups
        fab -H np1 fetch-backup --backup 20300102T030215Z-5f00aa
    """
    from netpoint_remote.cli.keeping import run_fetch_backup

    run_fetch_backup(core, options)


@fleet_task(PruneOptions)
def prune(core: CoreOptions, options: PruneOptions) -> None:
    """Remove old backups and releases from servers; what would go is shown first.

    Never the current release, nor the backup and the release that the way back from it needs.

    Examples:
        fab -H np1,np2 prune --keep 3
        fab prune --keep 3 --dry-run
    """
    from netpoint_remote.cli.keeping import run_prune

    run_prune(core, options)


@fleet_task(StatusOptions)
def status(core: CoreOptions, options: StatusOptions) -> None:
    """Say what runs on each server, since when, at which step and whose it is. Changes nothing.

    Where nothing runs: how the last run ended. What was cut off, or could not be undone, is said as
    such, with what to do next.

    Examples:
        fab -H np1,np2 status
        fab status --json
    """
    from netpoint_remote.cli.attend import run_status

    run_status(core, options)


@fleet_task(AttachOptions)
def attach(core: CoreOptions, options: AttachOptions) -> None:
    """Follow the runs on servers live, whoever started them and from wherever, and report their end.

    A run is told from its beginning. Where nothing runs, the last one's end is told at once. Ctrl-C
    leaves; the servers go on by themselves.

    Examples:
        fab -H np1,np2 attach
        fab -H np1 attach --run 20300102T030215Z-5f00aa
    """
    from netpoint_remote.cli.attend import run_attach

    run_attach(core, options)


@fleet_task(StopOptions)
def stop(core: CoreOptions, options: StopOptions) -> None:
    """Ask the runs on servers to end at the next safe point, which takes back what they did.

    What will happen on each server is shown first, and the number of servers asked for. A step that
    has begun is finished before; attach shows how it goes on.

    Examples:
        fab -H np1,np2 stop
        fab stop --limit edge --yes
    """
    from netpoint_remote.cli.attend import run_stop

    run_stop(core, options)


@fleet_task(PracticeOptions)
def practice(core: CoreOptions, options: PracticeOptions) -> None:
    """Start NetPoint servers to practise on, on this machine, and stay until Ctrl-C.

    They need no root and nothing installed. DIR gets a hosts.yaml to use them with.

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
