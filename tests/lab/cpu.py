"""`python -m tests.lab cpu`: where the CPU of one upgrade goes, as Markdown.

The kernel writes a record for each process that ends (process accounting, acct(2)), in ticks of 10 ms.
The totals are those of two control groups, the server's and this process's, exact and free of other load;
what the records lack is the work of processes too short for a tick.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.lab.accounting import accounting
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.netpoint.install import Installation
from tests.lab.operator import fab, upgrade
from tests.lab.slots import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.lab.servers import Server

RECORD = struct.Struct("=16xII8xHH12x16s")
"""Of `struct acct_v3` in linux/acct.h: process, parent, user and system time, name."""

TICKS_PER_SECOND = 100
POLL = 0.02
SHOWN_FROM = 0.1
"""Rows with less seconds than this are one row."""

PYTHON_NAMES = (
    (r"runpy\.run_module|ensurepip", "`ensurepip`"),
    (r"-m venv ", "`python3 -m venv`"),
    (r"-m fabric ", "`fab`, on the workstation"),
    (r"manage\.py rqworker (?!--help)", "`manage.py rqworker`, the unit"),
    (r"(manage\.py [a-z_]+)", r"`\1`"),
    (r"\.sockets/pages\.", "`gunicorn`, of `prove_running` and `prove_beside`"),
    (r"gunicorn ", "`gunicorn`, the unit"),
    (r"pip wheel .*?(\S+)$", r"`pip wheel ... \1`"),
    (r"pip (install .*|-V)", r"`pip \1`"),
    (r"Ask an installed|ask\.py", "`ask.py`"),
    (r"mkdocs", "`mkdocs build`"),
)
"""What a command line of Python is called, by the first pattern that is in it."""

NAMES = {
    **dict.fromkeys(("psql", "pg_dump", "pg_restore", "pg_ctl", "pg_ctlcluster"), "clients of PostgreSQL"),
    "postgres": "PostgreSQL",
    **dict.fromkeys(("systemd", "systemd-journal", "systemd-logind", "dbus-daemon"), "systemd"),
    "systemctl": "`systemctl`",
    **dict.fromkeys(("ssh", "sshd", "sudo"), "ssh, sshd and sudo"),
    **dict.fromkeys(("sh", "bash"), "shells"),
    "redis-server": "Redis",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one phase took: seconds, seconds of CPU in all and by name, and how many processes ended in it."""

    phase: str
    wall: float
    cpu: float
    by_name: Mapping[str, float]
    processes: int
    short_processes: int


@dataclass(slots=True)
class Meter:
    """Counts the CPU of one server and of what this process starts."""

    records: Path
    server: Server
    costs: list[Cost] = field(default_factory=list)
    _commands: dict[int, str] = field(default_factory=dict)
    _parents: dict[int, int] = field(default_factory=dict)

    def measure(self, phase: str, work: Callable[[], object]) -> None:
        """Do something, and remember what it took."""
        read, before, total, began = self.records.stat().st_size, self._alive(), self._total(), time.monotonic()
        with self._watching_commands():
            work()
        wall, cpu, alive = time.monotonic() - began, self._total() - total, self._alive()
        ended = list(self._ended(read))
        by_name: Counter[str] = Counter()
        for process, (name, seconds) in (*ended, *alive.items()):
            by_name[self._called(process, name)] += seconds - before.get(process, ("", 0.0))[1]
        short = sum(not seconds for _, (_, seconds) in ended)
        cost = Cost(phase=phase, wall=wall, cpu=cpu, by_name=by_name, processes=len(ended), short_processes=short)
        self.costs.append(cost)

    def _total(self) -> float:
        """Return the seconds that the server and the commands of its operator have taken so far."""
        return self.server.slot.cpu_seconds()

    def _alive(self) -> dict[int, tuple[str, float]]:
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                name, _, rest = (folder / "stat").read_text().partition(" (")[2].rpartition(") ")
                values, process = rest.split(), int(folder.name)
                self._parents[process] = int(values[1])
                found[process] = (name, (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK"))
        return {process: about for process, about in found.items() if self._is_ours(process)}

    def _ended(self, offset: int) -> Iterator[tuple[int, tuple[str, float]]]:
        """Yield what was recorded of this process's descendants, among them the server's."""
        data = self.records.read_bytes()[offset:]
        records = list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))
        self._parents.update((process, parent) for process, parent, *_ in records)
        for process, _, user, system, name in records:
            if self._is_ours(process):
                yield process, (name.rstrip(b"\0").decode(), _seconds(user) + _seconds(system))

    def _is_ours(self, process: int) -> bool:
        seen: set[int] = set()
        while process not in seen:
            seen.add(process)
            process = self._parents.get(process, 0)
            if process == os.getpid():
                return True
        return False

    def _called(self, process: int, name: str) -> str:
        command = self._commands.get(process, "")
        if "python" not in command:
            return NAMES.get(name, f"`{name}`")
        plain = re.sub(r"(?<![\w.])/\S*/", "", command)
        found = ((re.search(pattern, plain, re.DOTALL), called) for pattern, called in PYTHON_NAMES)
        return next((match.expand(called) for match, called in found if match), "other Python")

    @contextlib.contextmanager
    def _watching_commands(self) -> Iterator[None]:
        end = threading.Event()
        thread = threading.Thread(target=self._watch_commands, args=(end,))
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def _watch_commands(self, end: threading.Event) -> None:
        """Note the command line of each process, a few times: a young one becomes another program."""
        looks: Counter[int] = Counter()
        while not end.wait(POLL):
            for process in (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()):
                looks[process] += 1
                if looks[process] <= 5:
                    with suppress(OSError):
                        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                        self._commands[process] = command or self._commands.get(process, "")


def show(method: Literal["archive", "git"]) -> None:
    """Upgrade one server and roll it back, and print what it took."""
    with scratch() as slot, Lab(slot.folder) as lab:
        server = lab.server("np1", Installation("3.4.9", method=method))
        lab.write_hosts_file()
        with accounting() as records:
            meter = Meter(records=records, server=server)
            meter.measure("boot", lab.boot)
            meter.measure("check", lambda: fab(lab, "check", "--version", "3.5.0"))
            meter.measure("upgrade", lambda: _done(upgrade(lab, "3.5.0").statuses, "upgraded"))
            meter.measure("second run", lambda: _done(upgrade(lab, "3.5.0").statuses, "unchanged"))
            meter.measure("rollback", lambda: _done(fab(lab, "rollback", "--yes").statuses, "rolled-back"))
    print("\n".join(_table(meter.costs)))


def _done(statuses: Mapping[str, str], status: str) -> None:
    if set(statuses.values()) != {status}:
        raise LabError(f"not {status}: {statuses}")


def _table(costs: list[Cost]) -> Iterator[str]:
    yield from ("| Phase | CPU | time | processes |", "|---|---|---|---|")
    for cost in costs:
        yield f"| {cost.phase} | {cost.cpu:.1f} s | {cost.wall:.1f} s | {cost.processes:,} |"
    upgraded = next(cost for cost in costs if cost.phase == "upgrade")
    yield from ("", "| Of the upgrade | CPU |", "|---|---|")
    rows = sorted(upgraded.by_name.items(), key=lambda row: -row[1])
    rest = sum(seconds for _, seconds in rows if seconds < SHOWN_FROM)
    for name, seconds in (*((name, seconds) for name, seconds in rows if seconds >= SHOWN_FROM), ("others", rest)):
        yield f"| {name} | {seconds:.1f} s |"
    unseen = upgraded.cpu - sum(upgraded.by_name.values())
    yield f"| {upgraded.short_processes:,} processes under 10 ms | {unseen:.1f} s |"


def _seconds(compressed: int) -> float:
    """Return what an accounting record says as three bits of exponent to the base 8 and 13 of fraction."""
    return ((compressed & 0x1FFF) << 3 * (compressed >> 13)) / TICKS_PER_SECOND
