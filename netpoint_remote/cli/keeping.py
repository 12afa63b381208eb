"""Carrying `backups`, `fetch-backup` and `prune` out on this terminal."""

import re
import sys
from pathlib import Path

from netpoint_remote.cli.attend import watching
from netpoint_remote.cli.confirm import Confirmation, passphrase_prompt
from netpoint_remote.cli.executor import CoreOptions
from netpoint_remote.cli.hosts import expand_home
from netpoint_remote.cli.options import BackupsOptions, FetchBackupOptions, PruneOptions, parse_keep
from netpoint_remote.cli.request import backups_request, fetch_backup_request, prune_request
from netpoint_remote.cli.streams import finish
from netpoint_remote.errors import UsageError
from netpoint_remote.planning.sizes import human_mb
from netpoint_remote.reporting.clean import clean
from netpoint_remote.reporting.json import to_json
from netpoint_remote.reporting.layout import indent, wrap
from netpoint_remote.reporting.report import FleetReport
from netpoint_remote.reporting.terminal import wants_colour, width_of
from netpoint_remote.reporting.text import render_backups
from netpoint_remote.running.keeping import Keeping, Pruning

BACKUP_DIR = "backups"
BACKUP = re.compile(r"[A-Za-z0-9-]{1,100}")


def run_backups(core: CoreOptions, options: BackupsOptions) -> None:
    """Carry `backups` out."""
    request = backups_request(core, options)
    with watching(request) as (display, interrupts):
        report = Keeping(
            request, display, passphrase=passphrase_prompt(display, interrupts), stop=interrupts.stop
        ).list()
    _finish(report, json=options.json)


def run_fetch_backup(core: CoreOptions, options: FetchBackupOptions) -> None:
    """Carry `fetch-backup` out."""
    if options.backup is not None and not BACKUP.fullmatch(options.backup):
        raise UsageError(f"--backup {options.backup!r} is no id of a backup; `backups` lists them")
    request = fetch_backup_request(core, options)
    folder = _folder(options.dir)
    with watching(request) as (display, interrupts):
        keeping = Keeping(request, display, passphrase=passphrase_prompt(display, interrupts), stop=interrupts.stop)
        report = keeping.fetch(options.backup, folder)
    _finish(report, json=options.json)


def run_prune(core: CoreOptions, options: PruneOptions) -> None:
    """Carry `prune` out, asking first."""
    keep = parse_keep(options.keep)
    request = prune_request(core, options)
    with watching(request) as (display, interrupts):
        confirmation = Confirmation("prune", display, interrupts, yes=options.yes)

        def confirm(going: tuple[Pruning, ...]) -> bool:
            action = f"remove this from {'it' if len(going) == 1 else 'them'}"
            return confirmation(lambda width: render_pruning(going, width=width), len(going), action)

        keeping = Keeping(request, display, passphrase=passphrase_prompt(display, interrupts), stop=interrupts.stop)
        with confirmation.interruptible("stopped; nothing was removed"):
            report = keeping.prune(keep, confirm)
    _finish(report, json=options.json)


def render_pruning(going: tuple[Pruning, ...], *, width: int) -> str:
    """Return what would be removed, a paragraph for each host."""
    lines = []
    for each in going:
        lines.append(f"{clean(each.host)}: about {human_mb(each.removal.size_mb)}")
        lines += [line for told in each.lines() for line in indent(wrap(clean(told), width - 4), "  ", "    ")]
    return "\n".join(lines) + "\n"


def _folder(typed: str | None) -> Path:
    if typed == "":
        raise UsageError("--dir is empty; name a folder, or leave it out for backups")
    folder = Path(expand_home(typed or BACKUP_DIR))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}; name another folder with --dir") from None
    return folder


def _finish(report: FleetReport, *, json: bool) -> None:
    shown = render_backups(report, colour=wants_colour(sys.stdout), width=width_of(sys.stdout))
    finish(to_json(report) if json else shown, report.exit_code)
