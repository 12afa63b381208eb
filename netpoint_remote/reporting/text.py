"""The screen at the end of a run: one row a host, each problem once, one line of totals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from netpoint_remote.planning.sizes import human_size
from netpoint_remote.reporting.advice import advise, command, other_problems, rank
from netpoint_remote.reporting.clean import clean_report
from netpoint_remote.reporting.folding import SharedProblem, fold
from netpoint_remote.reporting.layout import (
    NARROWEST,
    cells,
    duration,
    indent,
    join,
    moment,
    pad,
    paint,
    spread,
    wrap,
)
from netpoint_remote.reporting.report import BackupReport, FleetReport, HostReport, RunReport, Status, StepReport
from netpoint_remote.reporting.words import (
    BROKEN_STEP,
    LOOKS,
    SEVERITY_LOOKS,
    WITHOUT_FOLDER,
    broken_steps,
    exit_meaning,
    heading,
    totals,
    versions,
)

MANY = 40  # rows; a longer table shows equal hosts as one
WIDE_NOTES = 50  # columns that make it worth while to set a host's notes beside its row
GAP = "  "
DETACHED = "Runs in progress continue on the servers; `attach` follows them again, `status` shows their state."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the table; `notes` are the sentences that belong to it."""

    mark: str
    style: str
    columns: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """What every block is drawn on."""

    width: int
    colour: bool

    def paint(self, text: str, style: str) -> str:
        return paint(text, style, colour=self.colour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The folder of a run, as the operator would type it; `kept` is false where report.json is not in it."""

    path: str
    kept: bool = True

    def file(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"


def render_report(report: FleetReport, *, colour: bool = False, width: int = 80, folder: Folder | None = None) -> str:
    """Return the report of an upgrade."""
    headers = ("HOST", "STATUS", "FROM → TO", "WINDOW", "TIME")
    report = replace(report, hosts=tuple(sorted(report.hosts, key=rank)))
    return _render(report, headers, page=_Page(width=max(width, NARROWEST), colour=colour), folder=folder)


def render_check(report: FleetReport, *, colour: bool = False, width: int = 80, folder: Folder | None = None) -> str:
    """Return the report of a check."""
    headers = ("HOST", "STATUS", "FROM → TO", "METHOD")
    page = _Page(width=max(width, NARROWEST), colour=colour)
    return _render(report, headers, page=page, folder=folder, facts=True)


def render_status(report: FleetReport, *, colour: bool = False, width: int = 80) -> str:
    """Return what runs on each host, or how the last run there ended."""
    headers = ("HOST", "STATUS", "STEP", "SINCE", "BY")
    return _render(report, headers, page=_Page(width=max(width, NARROWEST), colour=colour), folder=None)


def render_backups(report: FleetReport, *, colour: bool = False, width: int = 80) -> str:
    """Return the backups of each host."""
    headers = ("HOST", "STATUS", "FROM → TO", "METHOD")
    return _render(report, headers, page=_Page(width=max(width, NARROWEST), colour=colour), folder=None)


def _backups(hosts: Sequence[HostReport], page: _Page) -> list[str]:
    lines = []
    for host in (host for host in hosts if host.backups):
        lines.append(page.paint(f"  {host.name}", "bold"))
        for backup in host.backups:
            lines += indent(wrap(_backup(backup), page.width - 6), "    ", "      ")
    return lines


def _backup(backup: BackupReport) -> str:
    release = backup.version if backup.leads_to in {"", backup.version} else f"{backup.version} → {backup.leads_to}"
    made = datetime.fromtimestamp(backup.made, timezone.utc)
    count = "unknown" if backup.changes is None else str(backup.changes)
    changes = f"{count} {'change' if backup.changes == 1 else 'changes'} since"
    parts = [backup.id, f"{made:%Y-%m-%d %H:%M} UTC", f"{backup.purpose} {release}", human_size(backup.size)]
    if backup.damage:
        parts.append(f"damaged: {backup.damage}")
    else:
        parts += [changes, "test-restored"] if backup.verified == "full" else [changes]
    return " · ".join(parts)


def _render(
    report: FleetReport, headers: tuple[str, ...], *, page: _Page, folder: Folder | None, facts: bool = False
) -> str:
    report = clean_report(report)
    blocks = [
        [page.paint(line, "bold") for line in _title(report, page.width)],
        _table(headers, _rows(report.hosts, headers, folder), page),
        _facts(report.hosts, page) if facts else [],
        _backups(report.hosts, page),
        *_problems(advise(report), page),
        *_problems(other_problems(report), page),
        _ending(report, page, folder),
    ]
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block) + "\n"


def _title(report: FleetReport, width: int) -> list[str]:
    run = [] if report.command in WITHOUT_FOLDER else [f"run {report.run_id}"]
    return join([heading(report.command, report.target), *run, duration(report.seconds)], width, " · ")


def _rows(hosts: Sequence[HostReport], headers: tuple[str, ...], folder: Folder | None) -> list[_Row]:
    groups: dict[object, list[HostReport]] = {}
    for number, host in enumerate(hosts):
        groups.setdefault(_likeness(host) if len(hosts) > MANY else number, []).append(host)
    return [_row(group, headers, folder) for group in groups.values()]


def _likeness(host: HostReport) -> object:
    """Return what two hosts must share to share a row; one that has a broken step keeps its own."""
    alone = host.name if broken_steps(host) else None
    run = (_where(host.run), host.run.began, host.run.operator) if host.run and not host.run.result else None
    return (alone, host.status, host.reason, host.from_version, host.to_version, host.method, run)


def _row(group: Sequence[HostReport], headers: tuple[str, ...], folder: Folder | None) -> _Row:
    host = group[0]
    mark, style = LOOKS[host.status]
    known = {
        "HOST": fold((each.name for each in group), ", "),
        "STATUS": str(host.status),
        "FROM → TO": versions(host),
        "METHOD": host.method or "",
        "STEP": _where(host.run) if host.run and not host.run.result else "",
        "SINCE": moment(host.run.began) if host.run and not host.run.result else "",
        "BY": host.run.operator if host.run and not host.run.result else "",
        "WINDOW": spread(each.window_seconds for each in group),
        "TIME": spread(each.seconds for each in group),
    }
    return _Row(mark=mark, style=style, columns=tuple(known[header] for header in headers), notes=_notes(host, folder))


def _where(run: RunReport) -> str:
    """Return `10/16 run_upgrade`: the step that is at work and how many there are."""
    number = f"{min(run.steps_done + 1, run.total)}/{run.total}" if run.total and run.step and not run.undoing else ""
    return " ".join(filter(None, [number, "undoing" if run.undoing else "", run.step]))


def _notes(host: HostReport, folder: Folder | None) -> tuple[str, ...]:
    broken = broken_steps(host)
    log = [f"log: {folder.file(host.log) if folder else host.log}"] if host.log and broken else []
    return tuple(filter(None, [host.reason, *map(_broken_step, broken), *log]))


def _broken_step(step: StepReport) -> str:
    details = [duration(step.seconds)]
    if step.attempts > 1:
        details.append(f"{step.attempts} attempts")
    if step.parts:
        details.append(f"last seen: {step.parts[-1].name}")
    return f"step {step.name} {BROKEN_STEP[step.status]} ({', '.join(details)})"


def _table(headers: tuple[str, ...], rows: Sequence[_Row], page: _Page) -> list[str]:
    widths = [_column_width(header, [row.columns[at] for row in rows]) for at, header in enumerate(headers)]
    room = page.width - _table_width(widths)
    if room < 0:
        return _stacked(headers, rows, page)
    shown = [at for at, width in enumerate(widths) if width]
    lines = [page.paint("  " + GAP.join(_cell(headers[at], headers[at], widths[at]) for at in shown), "dim")]
    for row in rows:
        line = [_cell(row.columns[at], headers[at], widths[at]) for at in shown]
        line[1] = page.paint(line[1], row.style)
        start = f"{page.paint(row.mark, row.style)} {GAP.join(line)}"
        lines += _beside(start, row, page, room) if room >= WIDE_NOTES else _below(start, row, page)
    return lines


def _column_width(header: str, texts: Iterable[str]) -> int:
    """Return 0 for a column in which there is nothing to see."""
    longest = max(map(cells, texts), default=0)
    return max(longest, cells(header)) if longest else 0


def _table_width(widths: Iterable[int]) -> int:
    return 2 + sum(width + len(GAP) for width in widths if width) - len(GAP)


def _cell(text: str, header: str, width: int) -> str:
    return pad(text, width, right=header in ("WINDOW", "TIME"))


def _facts(hosts: Sequence[HostReport], page: _Page) -> list[str]:
    """Return what the servers were seen to be; a fleet's facts are in report.json."""
    if len(hosts) > MANY:
        return []
    lines = []
    for host in (host for host in hosts if host.facts):
        told = join([f"{label} {text}" for label, text in host.facts], page.width - 4, " · ")
        lines += [page.paint(f"  {host.name}", "bold"), *(page.paint(f"    {line}", "dim") for line in told)]
    return lines


def _beside(line: str, row: _Row, page: _Page, room: int) -> list[str]:
    """Set the notes to the right of the row."""
    notes = [piece for note in row.notes for piece in wrap(note, room - len(GAP))]
    first, *rest = notes or [""]
    left = " " * (page.width - room + len(GAP))
    return [line + GAP + first, *indent(rest, left, left)]


def _below(line: str, row: _Row, page: _Page) -> list[str]:
    """Set the notes under the row."""
    notes = [piece for note in row.notes for piece in indent(wrap(note, page.width - 6), "    ", "      ")]
    return [line, *notes]


def _stacked(headers: tuple[str, ...], rows: Sequence[_Row], page: _Page) -> list[str]:
    """Give each host a small block of its own: names too long for a table, or a screen too narrow."""
    lines = []
    for row in rows:
        name, status, *others = row.columns
        labelled = [f"{header.lower()} {text}" for header, text in zip(headers[2:], others, strict=True) if text]
        facts = join([status, *(text.removeprefix("from → to ") for text in labelled)], page.width - 4, " · ")
        wrapped = [piece for fact in facts for piece in wrap(fact, page.width - 4)]
        names = [page.paint(line, row.style) for line in indent(wrap(name, page.width - 2), f"{row.mark} ")]
        lines += names + _below("\n".join(indent(wrapped, "    ")), row, page)
    return lines


def _problems(shared: Sequence[SharedProblem], page: _Page) -> list[list[str]]:
    return [_problem(each, page) for each in shared]


def _problem(shared: SharedProblem, page: _Page) -> list[str]:
    problem = shared.problem
    mark, style = SEVERITY_LOOKS[problem.severity]
    owners = wrap(fold(shared.hosts, ", "), page.width - 4)
    head = indent(join([str(problem.severity), *owners, f"({problem.code})"], page.width - 4, "  "), f"{mark} ", "    ")
    body = indent(wrap(problem.message, page.width - 4), "    ")
    if problem.remedy:
        body += indent(wrap(problem.remedy, page.width - 4, commands=True), "  → ", "    ")
    source = indent(wrap(f"see {problem.source}", page.width - 4), "    ") if problem.source else []
    return [page.paint(line, style) for line in head] + body + [page.paint(line, "dim") for line in source]


def _ending(report: FleetReport, page: _Page, folder: Folder | None) -> list[str]:
    detached = [host.name for host in report.hosts if report.stopped and host.status is Status.RUNNING]
    lines = wrap(DETACHED, page.width) if detached else []
    if detached and report.typed:
        lines.append(f"    {command(report.typed, detached, 'attach', ())}")
    parts = [", ".join(totals(report.hosts)) or "no host", exit_meaning(report)]
    if folder:
        parts.append(folder.file("report.json") if folder.kept else "report.json could not be written")
    style = "good" if report.exit_code == 0 else "bad"
    return lines + [
        page.paint(line, style) for part in join(parts, page.width, " · ") for line in wrap(part, page.width)
    ]
