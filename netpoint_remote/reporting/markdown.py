"""The report for a ticket: Markdown in which nothing from a server is markup."""

import re
from collections.abc import Iterable, Iterator

from netpoint_remote.reporting.advice import advise, other_problems, rank
from netpoint_remote.reporting.clean import clean_report
from netpoint_remote.reporting.folding import SharedProblem, fold
from netpoint_remote.reporting.layout import duration
from netpoint_remote.reporting.report import FleetReport, HostReport
from netpoint_remote.reporting.words import (
    BROKEN_STEP,
    broken_steps,
    exit_meaning,
    heading,
    totals,
    versions,
)

MARKUP = re.compile(r"[\\`*_{}\[\]()#!|~>]")
COMMAND = re.compile(r" {4}[\w./:@=,+\[\]'\"~ -]+", re.ASCII)  # nothing in it ends a code span
ENTITIES = {"&": "&amp;", "<": "&lt;", "@": "&#64;", "://": "&#58;//"}  # an @ calls people, an address is a link


def render_markdown(report: FleetReport) -> str:
    """Return the report as Markdown: a table, the problems, the totals."""
    report = clean_report(report)
    blocks = [
        f"## {_plain(heading(report.command, report.target))}",
        f"Run {_plain(report.run_id)}, {report.started:%Y-%m-%d %H:%M} UTC, {duration(report.seconds)}",
        "\n".join(
            [
                "| Host | Status | From → to | Window | Time | Reason |",
                "|---|---|---|--:|--:|---|",
                *map(_row, sorted(report.hosts, key=rank)),
            ]
        ),
        *map(_problem, advise(report)),
        *map(_problem, other_problems(report)),
        *_facts(report.hosts),
        f"**{', '.join(totals(report.hosts)) or 'no host'}** ({exit_meaning(report)})",
    ]
    return "\n\n".join(blocks) + "\n"


def _row(host: HostReport) -> str:
    broken = [f"step {step.name} {BROKEN_STEP[step.status]}" for step in broken_steps(host)]
    columns = (
        host.name,
        host.status,
        versions(host),
        duration(host.window_seconds),
        duration(host.seconds),
        "; ".join(filter(None, [host.reason, *broken])),
    )
    return f"| {' | '.join(map(_plain, columns))} |"


def _facts(hosts: Iterable[HostReport]) -> Iterator[str]:
    """Yield what is known of hosts that a plan was carried out on, equal hosts once; of a check the screen has it."""
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for host in hosts:
        if host.facts and host.steps:
            alike.setdefault(host.facts, []).append(host.name)
    for facts, names in alike.items():
        yield "\\\n".join(f"{_plain(fold(names, ', '))}: {_plain(label)}: {_plain(text)}" for label, text in facts)


def _problem(shared: SharedProblem) -> str:
    problem = shared.problem
    lines = [f"**{problem.severity}** {_plain(fold(shared.hosts, ', '))}: {_plain(problem.message)}"]
    if problem.remedy:
        lines.append(f"*Remedy:* {_remedy(problem.remedy)}")
    if problem.source:
        lines.append(f"*Source:* {_plain(problem.source)}")
    return "\\\n".join(lines)


def _remedy(text: str) -> str:
    """Return text in which commands, the lines that are indented, can be copied as they are."""
    return "<br>".join(f"`{line.strip()}`" if COMMAND.fullmatch(line) else _plain(line) for line in text.split("\n"))


def _plain(text: str) -> str:
    """Escape everything that Markdown, HTML or a tracker reads as its own."""
    escaped = MARKUP.sub(lambda found: "\\" + found.group(), text)
    for character, entity in ENTITIES.items():
        escaped = escaped.replace(character, entity)
    return "<br>".join(line.strip() for line in escaped.split("\n"))
