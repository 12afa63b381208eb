"""From typed options to a request that can be carried out, everything wrong with it found before that."""

import getpass
import os
import re
import socket
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.cli.hosts import choose_hosts, expand_home
from netpoint_remote.cli.options import (
    AttachOptions,
    BackupOptions,
    BackupsOptions,
    CheckOptions,
    FetchBackupOptions,
    FleetOptions,
    HostsOptions,
    PlanOptions,
    PruneOptions,
    RollbackOptions,
    StatusOptions,
    StopOptions,
    UpgradeOptions,
    parse_jobs,
    parse_release,
    parse_verify,
)
from netpoint_remote.cli.prompt import sudo_password
from netpoint_remote.errors import UsageError
from netpoint_remote.reporting.report import Typed
from netpoint_remote.running.fleet import Request

REPORT_DIR = "runs"
LOOKING_JOBS = 64
CHANGING_JOBS = 16  # each of them dumps a database and builds packages
FOLLOWING_JOBS = 256  # each of them takes as long as the run, and costs next to nothing


def check_request(core: CoreOptions, options: CheckOptions) -> Request:
    """Return the request that `check` makes."""
    return _request("check", core, options, jobs=LOOKING_JOBS)


def plan_request(core: CoreOptions, options: PlanOptions) -> Request:
    """Return the request that `plan` makes."""
    _require_version("plan", options)
    request = _request("plan", core, options, jobs=LOOKING_JOBS)
    return replace(
        request, push=options.push, constraints=not options.no_constraints, repair_broken=options.repair_broken
    )


def upgrade_request(core: CoreOptions, options: UpgradeOptions) -> Request:
    """Return the request that `upgrade` makes."""
    _require_version("upgrade", options)
    return replace(
        _request("upgrade", core, options, jobs=CHANGING_JOBS),
        push=options.push,
        constraints=not options.no_constraints,
        dry_run=options.dry_run,
        skip_refused=options.skip_refused,
        repair_broken=options.repair_broken,
    )


def status_request(core: CoreOptions, options: StatusOptions) -> Request:
    """Return the request that `status` makes; it leaves nothing behind here."""
    return _hosts_request("status", core, options, jobs=LOOKING_JOBS)


def stop_request(core: CoreOptions, options: StopOptions) -> Request:
    """Return the request that `stop` makes; it leaves nothing behind here."""
    return _hosts_request("stop", core, options, jobs=LOOKING_JOBS)


def attach_request(core: CoreOptions, options: AttachOptions) -> Request:
    """Return the request that `attach` makes."""
    request = _hosts_request("attach", core, options, jobs=FOLLOWING_JOBS)
    return replace(request, report_dir=writable_folder(options.report_dir))


def backup_request(core: CoreOptions, options: BackupOptions) -> Request:
    """Return the request that `backup` makes."""
    verify = parse_verify(options.verify)
    request = _hosts_request("backup", core, options, jobs=CHANGING_JOBS)
    folder = writable_folder(options.report_dir)
    return replace(request, verify=verify, skip_refused=options.skip_refused, report_dir=folder)


def rollback_request(core: CoreOptions, options: RollbackOptions) -> Request:
    """Return the request that `rollback` makes."""
    if options.to is not None and not BACKUP_OR_RELEASE.fullmatch(options.to):
        raise UsageError(f"--to {options.to!r} is neither a release nor the id of a backup; `backups` lists them")
    return replace(
        _hosts_request("rollback", core, options, jobs=CHANGING_JOBS),
        to=options.to.removeprefix("v") if options.to else None,
        accept_loss=options.accept_loss,
        dry_run=options.dry_run,
        skip_refused=options.skip_refused,
        report_dir=writable_folder(options.report_dir),
    )


BACKUP_OR_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,99}")


def backups_request(core: CoreOptions, options: BackupsOptions) -> Request:
    """Return the request that `backups` makes; it leaves nothing behind here."""
    return _hosts_request("backups", core, options, jobs=LOOKING_JOBS)


def fetch_backup_request(core: CoreOptions, options: FetchBackupOptions) -> Request:
    """Return the request that `fetch-backup` makes."""
    return _hosts_request("fetch-backup", core, options, jobs=CHANGING_JOBS)


def prune_request(core: CoreOptions, options: PruneOptions) -> Request:
    """Return the request that `prune` makes; it leaves nothing behind here."""
    return replace(_hosts_request("prune", core, options, jobs=LOOKING_JOBS), dry_run=options.dry_run)


def _hosts_request(command: str, core: CoreOptions, options: HostsOptions, *, jobs: int) -> Request:
    jobs = jobs if options.jobs is None else parse_jobs(options.jobs)
    inventory, hosts = choose_hosts(core, hosts_file=options.hosts_file, limit=options.limit)
    return Request(
        command=command,
        hosts=hosts,
        inventory=inventory,
        jobs=jobs,
        accept_new=options.accept_new,
        sudo_password=sudo_password(ask=options.ask_sudo_pass, known=core.sudo_password),
        operator=operator(),
        typed=typed(command, core, options),
    )


def typed(command: str, core: CoreOptions, options: HostsOptions) -> Typed:
    """Return what another command needs of this one."""
    program = Path(sys.argv[0]).name
    common = {option.name for option in fields(HostsOptions)}
    words = {option.name: _words(option.name, getattr(options, option.name)) for option in fields(options)}
    kept = {name: each for name, each in words.items() if name not in OF_ONE_COMMAND}
    return Typed(
        before=(
            program if program == "fab" else "netpoint-remote",
            *(("-H", core.hosts) if core.hosts else ()),
            *(word for path in core.identity for word in ("-i", path)),
        ),
        task=command,
        limit=options.limit or "",
        common=tuple(word for name, each in kept.items() if name in common for word in each),
        own=tuple(word for name, each in kept.items() if name not in common for word in each),
    )


OF_ONE_COMMAND = frozenset({"limit", "json", "yes", "dry_run", "show"})


def _words(name: str, value: object) -> tuple[str, ...]:
    """Return an option as it was typed: a switch, or a name and a text."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return (option,) if value else ()
    return () if value is None else (option, str(value))


def _require_version(command: str, options: FleetOptions) -> None:
    if options.version is None:
        raise UsageError(f"{command} needs a release, for example: {command} --version 3.5.0")


def _request(command: str, core: CoreOptions, options: FleetOptions, *, jobs: int) -> Request:
    target = None if options.version is None else parse_release(options.version)
    archive = None if options.archive is None else existing_archive(options.archive)
    request = _hosts_request(command, core, options, jobs=jobs)
    return replace(request, target=target, archive=archive, report_dir=writable_folder(options.report_dir))


def existing_archive(typed: str) -> Path:
    """Return the path of an archive, or of a folder of archives.

    Raises:
        UsageError: when nothing is there.
    """
    path = Path(expand_home(typed))
    if not typed or not path.exists():
        raise UsageError(f"--archive {typed!r}: nothing is there; name a release archive or a folder of them")
    return path


def writable_folder(typed: str | None) -> Path:
    """Return the folder for reports, made if need be and tried: a run that cannot be written down does not begin.

    Raises:
        UsageError: when nothing can be written there.
    """
    if typed == "":
        raise UsageError("--report-dir is empty; name a folder, or leave it out for runs")
    folder = Path(expand_home(typed or REPORT_DIR))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
    except OSError as error:
        raise UsageError(
            f"reports cannot be written to {folder}: {error.strerror}; name another folder with --report-dir"
        ) from None
    return folder


def operator() -> str:
    """Return who runs this where, for the journals on the servers."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in containers
        user = str(os.getuid())
    return re.sub(r"\s", "_", f"{user}@{socket.gethostname()}")
