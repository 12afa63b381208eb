"""Backups that lie on servers: list them, bring one here, remove what nobody needs any more."""

import base64
import hashlib
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from netpoint_remote.errors import LineLost, RemoteFailed, RequestError
from netpoint_remote.planning.case import Case
from netpoint_remote.planning.checks.installation import places_are_safe
from netpoint_remote.planning.facts import Backup, Facts
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import method_of
from netpoint_remote.planning.problem import Problem
from netpoint_remote.planning.pruning import Removal, prune_problems, what_to_remove
from netpoint_remote.planning.sizes import human_mb, human_size
from netpoint_remote.planning.way_back import made
from netpoint_remote.reporting.event import Kind, Observer
from netpoint_remote.reporting.masking import masked
from netpoint_remote.reporting.report import BackupReport, FleetReport, HostReport, Status
from netpoint_remote.running.attend import accounted
from netpoint_remote.running.bundle import visit_script
from netpoint_remote.running.credentials import Credentials
from netpoint_remote.running.fleet import NOT_CONFIRMED, FleetRun, Request
from netpoint_remote.running.host import Line, file_name, look, visit
from netpoint_remote.running.ssh import MIB, Connector
from netpoint_remote.running.wire import readable

Passphrase = Callable[[str], str | None]
FETCH_SILENCE = 120.0  # seconds
FETCH_START = 600.0  # seconds that a file may take, however small
SLOWEST = 8 * 1024  # bytes a second: what comes slower is given up, and the next command goes on there
LONGEST_MANIFEST = 65536  # bytes
TRIES = 5  # connections without a byte more of a file, one after the other; each goes on where the one before was lost
MOST_LOSSES = 1000  # of a file in one command, whatever came meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What a prune would do on one host."""

    host: str
    removal: Removal

    def lines(self) -> tuple[str, ...]:
        """Return what goes, a line each."""
        gone = self.removal
        return (
            *(f"backup {backup.id} of {backup.version} ({made(backup)})" for backup in gone.backups),
            *(f"release {tree.version or '?'} in {tree.path} ({human_mb(tree.size_mb)})" for tree in gone.trees),
            *([f"logs of {len(gone.runs)} older {'run' if len(gone.runs) == 1 else 'runs'}"] if gone.runs else []),
            *(f"release archives that can be fetched again ({human_mb(size)})" for size in [gone.archives_mb] if size),
            *(f"what an interrupted run has left in {path} ({human_mb(size)})" for path, size in gone.leftovers),
        )


class Keeping(FleetRun):
    """One task over the backups of a fleet."""

    patient = False

    def __init__(
        self,
        request: Request,
        observer: Observer,
        *,
        note: Callable[[str], None] = lambda _text: None,
        passphrase: Passphrase | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        super().__init__(
            request,
            observer,
            confirm=lambda _plans, _left_out: True,
            note=note,
            credentials=Credentials(passphrase=passphrase),
            stop=stop or threading.Event(),
        )

    def list(self) -> FleetReport:
        """Say which backups each host has."""
        with self._connected() as connector:
            self._see_all(connector, final=True)
        return self._report()

    def fetch(self, backup: str | None, folder: Path) -> FleetReport:
        """Bring one backup of each host here (the newest unless named), its checksums verified."""
        with self._connected() as connector:
            seen = self._see_all(connector)
            trusted = tuple(host for host in seen if self.reports[host.name].status is Status.DONE)
            work = self._in_parallel(trusted, lambda host: self._fetch(host, seen[host], backup, folder, connector))
            for _host, report in work:
                self.account(report)
        return self._report()

    def prune(self, keep: int, confirm: Callable[[tuple[Pruning, ...]], bool]) -> FleetReport:
        """Remove what is older than the newest so many backups, having shown it.

        Raises:
            RequestError: when it was not confirmed; nothing was removed then.
        """
        with self._connected() as connector:
            going: dict[Host, Pruning] = {}
            for host, facts in self._see_all(connector).items():
                case = Case(host=host, facts=facts, target=None, last_minors={})
                removal = what_to_remove(case, keep)
                problems = tuple(prune_problems(case))
                if not problems and removal:
                    going[host] = Pruning(host=host.name, removal=removal)
                else:
                    self.account(_not_pruned(self.reports[host.name], problems))
            self._prune_all(going, confirm, connector)
        return self._report()

    def _prune_all(
        self, going: dict[Host, Pruning], confirm: Callable[[tuple[Pruning, ...]], bool], connector: Connector
    ) -> None:
        for host, each in going.items():
            self.reports[host.name] = replace(
                self.reports[host.name], status=Status.READY, reason="would be removed: " + "; ".join(each.lines())
            )
        if not going or self.request.dry_run or self.stop.is_set():
            return
        if not confirm(masked(tuple(going.values()), self.secrets)):
            raise RequestError(NOT_CONFIRMED)
        for _host, report in self._in_parallel(tuple(going), lambda host: self._prune(host, going[host], connector)):
            self.account(report)

    def _see_all(self, connector: Connector, *, final: bool = False) -> dict[Host, Facts]:
        seen: dict[Host, Facts] = {}
        for host, found in self._in_parallel(self.request.hosts, lambda host: self._see(host, connector)):
            report = found if isinstance(found, HostReport) else _listed(host, found)
            if isinstance(found, Facts):
                seen[host] = found
            self.reports[host.name] = report
            if final or report.status is not Status.DONE:
                self.account(report)
        return {host: seen[host] for host in self.request.hosts if host in seen}

    def _see(self, host: Host, connector: Connector) -> Facts | HostReport:
        with Line(connector, host, self.observer.on_event) as line:
            return accounted(host, lambda: look(line, None, backups=True))

    def _prune(self, host: Host, pruning: Pruning, connector: Connector) -> HostReport:
        def prune() -> HostReport:
            gone = pruning.removal
            answer = visit(line, "prune.sh", (
                ("STATE_DIR", str(host.state_dir)), ("BACKUP_DIR", str(host.backup_dir)), ("ROOT", str(host.root)),
                ("PRODUCT", host.product.name), ("PYTHON", host.python or ""),
                ("BACKUPS", "\n".join(backup.id for backup in gone.backups)),
                ("TREES", "\n".join(tree.path for tree in gone.trees)), ("RUNS", "\n".join(gone.runs)),
                ("ARCHIVES", "yes" if gone.archives_mb else ""),
                ("LEFTOVERS", "\n".join(path for path, _ in gone.leftovers)),
            ))  # fmt: skip
            if answer.endswith("locked"):
                return replace(known, status=Status.REFUSED, reason="a run has started since; nothing was removed")
            removed = [line for line in answer.split("\n") if line.startswith("removed ")]
            reason = f"{len(removed)} removed, about {human_mb(gone.size_mb)}: {'; '.join(pruning.lines())}"
            return replace(known, status=Status.DONE, reason=reason, backups=_without(known, removed))

        known = self.reports[host.name]
        with Line(connector, host, self.observer.on_event) as line:
            return accounted(host, prune)

    def _fetch(self, host: Host, facts: Facts, wanted: str | None, folder: Path, connector: Connector) -> HostReport:
        def fetch() -> HostReport:
            backup = next((each for each in facts.backups if wanted in {None, each.id}), None)
            if backup is None:
                reason = f"there is no backup {wanted}" if wanted else "there is no backup"
                return replace(known, status=Status.REFUSED, reason=f"{reason}; `backups` lists what there is")
            if backup.damage:
                reason = f"the backup {backup.id} is damaged: {backup.damage}; name another with --backup"
                return replace(known, status=Status.REFUSED, reason=reason)
            place = folder / file_name(host.name) / backup.id
            size = fetch_backup(line, backup, place)
            return replace(known, status=Status.DONE, reason=f"{place} ({human_size(size)}), checksums verified")

        known = self.reports[host.name]
        with Line(connector, host, self.observer.on_event) as line:
            return accounted(host, fetch)


def _not_pruned(known: HostReport, problems: tuple[Problem, ...]) -> HostReport:
    if problems:
        return replace(known, status=Status.REFUSED, reason=problems[0].message, problems=problems)
    return replace(known, status=Status.UNCHANGED, reason="there is nothing to remove")


def _without(known: HostReport, removed: list[str]) -> tuple[BackupReport, ...]:
    return tuple(each for each in known.backups if not any(line.endswith(f"/{each.id}") for line in removed))


def _listed(host: Host, facts: Facts) -> HostReport:
    problems = tuple(places_are_safe(Case(host=host, facts=facts, target=None, last_minors={})))
    none = "" if facts.backups else "there is no backup"
    return HostReport(
        name=host.name,
        status=Status.REFUSED if problems else Status.DONE,
        reason=problems[0].message if problems else none,
        problems=problems,
        from_version=facts.disk_version or None,
        method=method_of(facts).value,
        backups=tuple(_told(backup) for backup in facts.backups),
    )


def _told(backup: Backup) -> BackupReport:
    return BackupReport(
        id=backup.id,
        made=float(backup.made),
        purpose=backup.purpose,
        version=backup.version,
        leads_to=backup.leads_to,
        operator=backup.operator,
        verified=backup.verified,
        size=backup.dump_size + backup.files_size,
        changes=backup.changes,
        damage=backup.damage,
    )


def fetch_backup(line: Line, backup: Backup, place: Path) -> int:
    """Bring a backup into a folder and verify it by its manifest; return its size in bytes.

    What an earlier command has left there of the same backup is gone on with.

    Raises:
        RemoteFailed: when it is not what its manifest says, or there is no room for it here.
        LineLost: when the line is lost again and again.
    """
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest = place / "manifest"
    _partial(manifest).unlink(missing_ok=True)
    text = _receive(line, backup.id, manifest, LONGEST_MANIFEST).replace(manifest).read_bytes().decode(errors="replace")
    wanted = dict(re.findall(r"^sha256\.(database\.dump|files\.tar)=([0-9a-f]{64})$", text, re.MULTILINE))
    sizes = {name: int(size) for name, size in re.findall(r"^size\.([a-z.]+)=([0-9]{1,18})$", text, re.MULTILINE)}
    total = sum(sizes.get(name, 0) for name in wanted)
    if "database.dump" not in wanted:
        raise RemoteFailed(f"the manifest of {backup.id} names no dump")
    missing = {name: digest for name, digest in wanted.items() if not _is_here(place / name, digest)}
    if shutil.disk_usage(place).free < sum(sizes.get(name, 0) - _size(_partial(place / name)) for name in missing):
        raise RemoteFailed(f"{place} has not room for {human_size(total)}; name another folder with --dir")
    for name, digest in missing.items():
        _bring(line, backup.id, place / name, sizes.get(name, 0), digest)
    return total


def _is_here(path: Path, digest: str) -> bool:
    return path.is_file() and _sha256(path) == digest


def _bring(line: Line, backup: str, path: Path, size: int, digest: str) -> None:
    """Receive a file and give it its name when it is what it should be; anew, if what was left of it was of no use."""
    partial = _partial(path)
    if _size(partial) > size:
        partial.unlink()
    for was_left in (_size(partial) > 0, False):
        if _sha256(_receive(line, backup, path, size)) == digest:
            partial.replace(path)
            return
        partial.unlink()
        if not was_left:
            raise RemoteFailed(f"what arrived as {path.name} is not what the manifest of {backup} says")
        line.tell(Kind.NOTE, f"the partial file of {path.name} is unusable; downloading it again")


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(line: Line, backup: str, path: Path, most: int) -> Path:
    """Receive what is missing of a file beside its name, over as many connections as get on with it."""
    partial = _partial(path)
    partial.touch(mode=0o600)
    begun = f" from {human_size(_size(partial))} on" if _size(partial) else ""
    line.tell(Kind.NOTE, f"fetching {path.name} of {backup}{begun}")
    end = time.monotonic() + FETCH_START + (most - _size(partial)) / SLOWEST
    useless = 0
    for losses in range(1, MOST_LOSSES + 1):
        size = _size(partial)
        try:
            _receive_more(line, backup, path.name, partial, most, end)
            break
        except LineLost as error:
            line.lose()
            line.tell(Kind.LINE_LOST, str(error))
            useless = useless + 1 if _size(partial) == size else 0
            if useless == TRIES or losses == MOST_LOSSES:
                raise
    return partial


def _receive_more(line: Line, backup: str, name: str, partial: Path, most: int, end: float) -> None:  # noqa: PLR0917  all that a piece is made of
    size = _size(partial)
    with partial.open("ab") as file:
        writer = _Writer(file.write, size, most)
        variables = (
            ("BACKUP_DIR", str(line.host.backup_dir)), ("FROM", backup), ("FILE", name), ("OFFSET", str(size)),
        )  # fmt: skip
        script = visit_script("send_backup.sh", variables)
        done = line.session().visit(
            script,
            on_line=writer.on_line,
            silence=FETCH_SILENCE,
            seconds=max(end - time.monotonic(), 1.0),
            size=MIB + 3 * (most - size) // 2,
            limit=0,  # what comes is the backup's, and is not quoted
        )
    if done.status != 0 or writer.trouble:
        raise RemoteFailed(
            f"{name} of {backup} could not be fetched: {writer.trouble or f'it ended with status {done.status}'}"
        )


class _Writer:
    """Writes what comes as base64, and no more than was announced."""

    def __init__(self, write: Callable[[bytes], object], size: int, most: int) -> None:
        self._write = write
        self._size = size
        self._most = most
        self.trouble = ""

    def on_line(self, text: str) -> None:
        if self.trouble:  # and it goes on all the same
            raise RemoteFailed(f"it could not be fetched: {self.trouble}")
        try:
            piece = base64.b64decode(text, validate=True)
        except ValueError:  # which binascii.Error is, and what other letters than ASCII's raise
            self.trouble = readable(text[:200]) or "what came cannot be read"
            return
        self._size += len(piece)
        if self._size > self._most:
            self.trouble = "more came than the manifest says"
            return
        try:
            self._write(piece)
        except OSError as error:
            self.trouble = f"it cannot be written here: {error.strerror}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with suppress(FileNotFoundError), path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
