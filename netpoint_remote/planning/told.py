"""What a check tells people about a server: label and text, the most asked for first."""

from collections import Counter
from collections.abc import Iterator

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.method import Method
from netpoint_remote.planning.sizes import human_mb
from netpoint_remote.planning.tree_users import companions
from netpoint_remote.planning.unit_names import shortened


def told_facts(case: Case) -> Iterator[tuple[str, str]]:
    """Yield what is known; what the probe could not see is left out."""
    return ((label, text) for label, text in _all(case) if text)


def _all(case: Case) -> Iterator[tuple[str, str]]:
    facts, database = case.facts, case.facts.database
    yield "system", facts.system.strip()
    yield "tree", _tree(case)
    yield (
        "runs",
        ", ".join(sorted({version for source, version in facts.page.versions if source in {"page", "status"}})),
    )
    yield "units", ", ".join(_unit(case, service) for service in case.services)
    yield "with them", ", ".join(companions(case))
    yield "processes", ", ".join(_processes(case))
    yield "mounts", ", ".join(facts.mounts)
    yield "cron", ", ".join(job.place for job in facts.cron_jobs)
    yield "sessions", ", ".join(_sessions(case))
    yield "Python", next((found.version for found in facts.interpreters), "")
    yield "PostgreSQL", _postgresql(database.server_version_num)
    yield (
        "database",
        f"{human_mb(database.size_mb)}, {database.applied_count} migrations" if database.applied_count else "",
    )
    yield "Redis", ", ".join(sorted({answer for _, answer in facts.redis}))
    yield "uploads", _uploads(case)
    yield "free", ", ".join(_free(case))
    yield "plugins", _plugins(facts.configuration.get("PLUGINS"))
    yield "upgrade.sh gets from the unit", ", ".join(facts.wanted_variables)
    yield "housekeeping", facts.housekeeping
    yield "last run", f"{facts.run_about} ({facts.run_result.split(' ')[0]})" if facts.run_result else ""


def _processes(case: Case) -> Iterator[str]:
    """Yield how many processes of each unit run out of a release."""
    counts = Counter(shortened(process.unit) or "no unit" for process in case.facts.processes)
    return (f"{unit} {count}" for unit, count in counts.items())


def _sessions(case: Case) -> Iterator[str]:
    for session in case.facts.sessions:
        name = session.command or session.application
        named = f" ({name})" if name else ""
        yield f"{session.count} from {session.address or 'a socket'}{named}"


def _unit(case: Case, service: str) -> str:
    unit = case.facts.unit(service)
    return f"{service} {unit.active if unit and unit.active else 'unknown'}"


def _free(case: Case) -> Iterator[str]:
    """Yield the free space of each disk once, named by the first place that needs it."""
    seen = set()
    for disk in case.facts.disks:
        if disk.device not in seen:
            seen.add(disk.device)
            yield f"{human_mb(disk.free_mb)} at {disk.path}"


def _tree(case: Case) -> str:
    facts = case.facts
    if case.method is Method.GIT:
        return f"{facts.real} at {facts.commit[:12]}{f' ({facts.branch})' if facts.branch else ''}"
    return facts.real


def _postgresql(number: int) -> str:
    return f"{number // 10000}.{number % 10000}" if number else ""


def _uploads(case: Case) -> str:
    sizes = dict(case.facts.sizes_mb)
    return ", ".join(f"{name} {human_mb(sizes[name])}" for name in ("media", "scripts", "reports") if sizes.get(name))


def _plugins(plugins: object) -> str:
    return ", ".join(map(str, plugins)) if isinstance(plugins, list) else ""
