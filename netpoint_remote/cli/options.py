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

# of several tasks
REPORT_DIR = ("FOLDER", "Folder for reports [default: runs]. Example: --report-dir /srv/reports")
YES = "Do not ask for confirmation."
DRY_RUN = "Show the plan, change nothing."


def text(metavar: str, sentence: str) -> Any:  # noqa: ANN401  a field stands for a value of any type, as dataclasses.field has it
    """Declare an option that takes a value; help shows `metavar` in its place."""
    return field(default=None, metadata={"help": sentence, "metavar": metavar})


def switch(sentence: str) -> Any:  # noqa: ANN401  a field stands for a value of any type, as dataclasses.field has it
    """Declare an option that is there or not."""
    return field(default=False, metadata={"help": sentence})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsOptions:
    """What every task about hosts has: which hosts, how they are reached, how the answer is printed."""

    hosts_file: str | None = text(
        "FILE", "The fleet and its settings [default: hosts.yaml]. Example: --hosts-file lab.yaml"
    )
    limit: str | None = text(
        "HOSTS",
        "Only these hosts: names, sets, patterns and groups; ! excludes. Example: --limit 'np[1-9],!np3' (with quotes)",
    )
    jobs: str | None = text("N", "Number of hosts at a time. Example: --jobs 8")
    json: bool = switch("Print the report as JSON on standard output, everything else on standard error.")
    accept_new: bool = switch("Trust and remember hosts with an unknown key; a changed key is still refused.")
    ask_sudo_pass: bool = switch("Ask once for the sudo password (or set NETPOINT_REMOTE_SUDO_PASSWORD).")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions(HostsOptions):
    """What `check`, `plan` and `upgrade` have in common."""

    version: str | None = text("VERSION", "Release to upgrade to. Example: --version 3.5.0")
    archive: str | None = text(
        "FILE", "Release archive on this machine, or a folder of archives. Example: --archive releases/"
    )
    report_dir: str | None = text(*REPORT_DIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions(HostsOptions):
    """The options of `status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions(HostsOptions):
    """The options of `attach`."""

    run: str | None = text(
        "ID", "Id of a run, from status --json [default: the run in progress, else the last one on each host]."
    )
    report_dir: str | None = text(*REPORT_DIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOptions(HostsOptions):
    """The options of `stop`."""

    yes: bool = switch(YES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions(HostsOptions):
    """The options of `backup`."""

    verify: str | None = text("full", "Restore the dump into a scratch database and compare its row counts.")
    yes: bool = switch("Do not ask for confirmation, not even before an interrupted upgrade is settled.")
    skip_refused: bool = switch("Back up the other hosts if some are refused, instead of stopping all.")
    report_dir: str | None = text(*REPORT_DIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions(HostsOptions):
    """The options of `rollback`."""

    to: str | None = text("VERSION", "A release, or the id of a backup [default: the release before the last upgrade].")
    accept_loss: bool = switch("Discard changes made since; the current database is dumped first.")
    dry_run: bool = switch(DRY_RUN)
    yes: bool = switch(YES)
    skip_refused: bool = switch("Roll back the other hosts if some are refused, instead of stopping all.")
    report_dir: str | None = text(*REPORT_DIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupsOptions(HostsOptions):
    """The options of `backups`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBackupOptions(HostsOptions):
    """The options of `fetch-backup`."""

    backup: str | None = text("ID", "Id of the backup, from backups [default: the newest of each host].")
    dir: str | None = text("FOLDER", "Where to put it, in a folder for each host [default: backups].")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions(HostsOptions):
    """The options of `prune`."""

    keep: str | None = text("N", "Number of backups to keep, with the releases they lead back to. Example: --keep 3")
    dry_run: bool = switch("Show what would be removed, remove nothing.")
    yes: bool = switch(YES)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions(FleetOptions):
    """The options of `check`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions(FleetOptions):
    """What `plan` and `upgrade` have in common."""

    repair_broken: bool = switch("Continue if the running release does not work, which stops an upgrade otherwise.")
    push: bool = switch("Send the archive to servers over SSH instead of letting them download it.")
    no_constraints: bool = switch("Do not pin packages that are known to break this release.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions(ReleaseOptions):
    """The options of `plan`."""

    show: str | None = text("HOST", "Print the exact script that would run on this host. Example: --show np1")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeOptions(ReleaseOptions):
    """The options of `upgrade`."""

    dry_run: bool = switch(DRY_RUN)
    yes: bool = switch(YES)
    skip_refused: bool = switch("Upgrade the other hosts if some are refused, instead of stopping all.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PracticeOptions:
    """The options of `practice`."""

    dir: str | None = text("FOLDER", "New folder for the servers, their hosts.yaml and key. Example: --dir practice")
    servers: str | None = text(
        "SERVERS", "Name, release and method of each server. Example: --servers np1=3.4.9,np2=3.4.9:git"
    )


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
        raise UsageError(f"--run {typed!r} is not the id of a run; `status --json` shows them")
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
        UsageError: when it is missing, no number, or zero.
    """
    digits = (typed or "").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and int(digits)):  # noqa: PLR2004  the same
        raise UsageError("prune needs --keep: how many backups to keep, for example: prune --keep 3")
    return int(digits)


def parse_verify(typed: str | None) -> bool:
    """Tell whether a backup is to be test-restored.

    Raises:
        UsageError: when something else is asked for.
    """
    if typed not in {None, "full"}:
        raise UsageError(f"--verify {typed!r} is unknown; --verify full restores the dump into a scratch database")
    return typed == "full"
