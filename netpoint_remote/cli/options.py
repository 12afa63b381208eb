"""The options of each task: one field an option, with the help that `--help` shows.

Everything arrives as typed text or as a switch, so that whatever is wrong with it gets a sentence of
ours; the functions below read it.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any

from invoke.parser.argument import Argument

from netpoint_remote.errors import UsageError
from netpoint_remote.planning.version import NotAVersion, parse_version

MOST_JOBS = 1000


def text(sentence: str) -> Any:  # noqa: ANN401  as dataclasses.field
    """Declare an option that takes a value."""
    return field(default=None, metadata={"help": sentence})


def switch(sentence: str) -> Any:  # noqa: ANN401  as dataclasses.field
    """Declare an option that is there or not."""
    return field(default=False, metadata={"help": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsOptions:
    """What every task about hosts has: which hosts, how they are reached, how the answer is printed."""

    hosts_file: str | None = text("The fleet and its settings; hosts.yaml unless said. Example: --hosts-file lab.yaml")
    limit: str | None = text(
        "Only these: names, sets, patterns and groups, ! leaves out. Example: --limit 'np[1-9],!np3' (mind the quotes)"
    )
    jobs: str | None = text("How many hosts at a time. Example: --jobs 8")
    json: bool = switch("Print the report as JSON on standard output, everything else on standard error.")
    accept_new: bool = switch("Trust hosts whose key is not known yet and remember it; a changed key stays refused.")
    ask_sudo_pass: bool = switch("Ask once for the sudo password (or set NETPOINT_REMOTE_SUDO_PASSWORD).")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions(HostsOptions):
    """What `check`, `plan` and `upgrade` have in common."""

    version: str | None = text("Release to upgrade to. Example: --version 3.5.0")
    archive: str | None = text("Release archive on this machine, or a folder of them. Example: --archive releases/")
    report_dir: str | None = text("Where reports go; runs unless said. Example: --report-dir /srv/reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions(HostsOptions):
    """The options of `status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions(HostsOptions):
    """The options of `attach`."""

    run: str | None = text("Id of a run, as status --json tells it; the one at work, or the last, unless said.")
    report_dir: str | None = text("Where reports go; runs unless said. Example: --report-dir /srv/reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOptions(HostsOptions):
    """The options of `stop`."""

    yes: bool = switch("Do not ask for confirmation.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions(HostsOptions):
    """The options of `backup`."""

    verify: str | None = text("full restores the dump into a scratch database and counts its rows there.")
    yes: bool = switch("Do not ask for confirmation, not even before an interrupted upgrade is settled.")
    skip_refused: bool = switch("Save the others where some hosts are refused, instead of stopping all.")
    report_dir: str | None = text("Where reports go; runs unless said. Example: --report-dir /srv/reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions(HostsOptions):
    """The options of `rollback`."""

    to: str | None = text("A release, or the id of a backup; what was before the last upgrade unless said.")
    accept_loss: bool = switch("Lose what was written since; the database of now is dumped first, and kept.")
    dry_run: bool = switch("Look and plan, change nothing.")
    yes: bool = switch("Do not ask for confirmation.")
    skip_refused: bool = switch("Take the others back where some hosts are refused, instead of stopping all.")
    report_dir: str | None = text("Where reports go; runs unless said. Example: --report-dir /srv/reports")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupsOptions(HostsOptions):
    """The options of `backups`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBackupOptions(HostsOptions):
    """The options of `fetch-backup`."""

    backup: str | None = text("Id of the backup, as backups tells it; the newest of each host unless said.")
    dir: str | None = text("Folder for it, backups unless said; a folder for each host is made in it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions(HostsOptions):
    """The options of `prune`."""

    keep: str | None = text("How many backups to keep, with the releases they lead back to. Example: --keep 3")
    dry_run: bool = switch("Show what would go, remove nothing.")
    yes: bool = switch("Do not ask for confirmation.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions(FleetOptions):
    """The options of `check`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions(FleetOptions):
    """The options of `plan`."""

    show: str | None = text("Print the very shell that would run on this host. Example: --show np1")
    repair_broken: bool = switch("Go on where the running release does not work, which stops an upgrade otherwise.")
    push: bool = switch("Give servers the archive over SSH instead of letting them download it.")
    no_constraints: bool = switch("Do not hold back packages that are known to break this release.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeOptions(FleetOptions):
    """The options of `upgrade`."""

    dry_run: bool = switch("Look and plan, change nothing.")
    yes: bool = switch("Do not ask for confirmation.")
    skip_refused: bool = switch("Upgrade the others where some hosts are refused, instead of stopping all.")
    repair_broken: bool = switch("Go on where the running release does not work, which stops an upgrade otherwise.")
    push: bool = switch("Give servers the archive over SSH instead of letting them download it.")
    no_constraints: bool = switch("Do not hold back packages that are known to break this release.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeOptions:
    """The options of `practice`."""

    dir: str | None = text("New folder for the servers, their hosts.yaml and key. Example: --dir practice")
    servers: str | None = text("Name, release and method of each. Example: --servers np1=3.4.9,np2=3.4.9:git")


def arguments(options: type) -> list[Argument]:
    """Return the command-line arguments of a class of options, none of them positional or short."""
    return [
        Argument(
            name=option.name.replace("_", "-"),
            attr_name=option.name if "_" in option.name else None,  # equal names send invoke into a loop
            kind=bool if option.default is False else str,
            default=option.default,
            help=option.metadata["help"],
        )
        for option in fields(options)
    ]


def parse_release(typed: str, option: str = "--version") -> str:
    """Return a release as it is written in archive names: 3.5.0.

    Raises:
        UsageError: when it is not one.
    """
    wanted = f"{option} {typed!r} is not a release; give all its numbers, such as {option} 3.5.0"
    try:
        version = parse_version(typed)
    except NotAVersion:
        raise UsageError(wanted) from None
    if len(version.release) != 3 or version.epoch or version.local:  # noqa: PLR2004  major, minor, patch
        raise UsageError(wanted)
    return typed.strip().removeprefix("v")


def parse_run_id(typed: str) -> str:
    """Return the id of a run.

    Raises:
        UsageError: when it cannot be one.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", typed.strip(), re.ASCII):
        raise UsageError(f"--run {typed!r} is no id of a run; `status --json` tells them")
    return typed.strip()


def parse_jobs(typed: str) -> int:
    """Read a number of hosts.

    Raises:
        UsageError: when it is none, or out of range.
    """
    digits = typed.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and 1 <= int(digits) <= MOST_JOBS):  # noqa: PLR2004  int() of endless digits takes its time
        raise UsageError(f"--jobs {typed!r} is not a number from 1 to {MOST_JOBS}")
    return int(digits)


def parse_keep(typed: str | None) -> int:
    """Read how many backups are kept.

    Raises:
        UsageError: when it was not said, is no number, or zero.
    """
    digits = (typed or "").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and int(digits)):  # noqa: PLR2004  the same
        raise UsageError("prune keeps how many backups? say it after the task: prune --keep 3")
    return int(digits)


def parse_verify(typed: str | None) -> bool:
    """Tell whether a backup is to be restored on trial.

    Raises:
        UsageError: when something else is asked for.
    """
    if typed not in {None, "full"}:
        raise UsageError(f"--verify {typed!r} is unknown; --verify full restores the dump into a scratch database")
    return typed == "full"
