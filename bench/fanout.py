"""Asks many hosts the same in several ways and compares what that costs here: `python -m bench.fanout`.

Each client runs in a fresh process, one after the other, in turning order, several rounds. What counts
is the ratio to bare Paramiko in the same round: the machine's other work, and the servers' own share of
it, make seconds incomparable between runs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from bench.clients import LIBRARIES, PROGRAMS, Measured, Work
from bench.servers import Unmeasurable, running_servers
from netpoint_remote.planning.inventory import Host
from netpoint_remote.running.bundle import probe_script

FLOOR = "bare Paramiko"
NAMES = (*LIBRARIES, *PROGRAMS)
RESULTS = Path(__file__).parent / "results" / "fanout.json"
PACKAGES = ("paramiko", "asyncssh", "parallel-ssh", "ClusterShell", "ansible-core")
LONGEST = 900  # seconds for one client


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))

    def shown(self, form: str) -> str:
        return f"{self.median:{form}} ({self.least:{form}}-{self.most:{form}})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one client came to; CPU in milliseconds, ratios to the floor of the same round."""

    name: str
    start_ms: Spread
    cpu_ms: Spread  # for each host
    cpu_ratio: Spread
    wall_seconds: Spread
    wall_ratio: Spread


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ratio of CPU for each host between two clients, and what is asked of it."""

    of: str
    to: str
    least: float
    most: float

    def judged(self, ratio: Spread) -> str:
        asked = f"at most {self.most:g}" if self.least == 0 else f"at least {self.least:g}"
        verdict = "met" if self.least <= ratio.median <= self.most else "MISSED"
        return f"{self.of}: {ratio.shown('.2f')} times {self.to}; wanted {asked}: {verdict}"


TARGETS = (
    Wanted("ours", FLOOR, 0, 1.3),
    Wanted("ours", "asyncssh", 0, 1),
    Wanted("Ansible raw", "ours", 15, float("inf")),
)


class Trouble(Exception):
    """A client measured nothing; `is_fault` unless it is just not installed."""

    def __init__(self, reason: str, *, is_fault: bool) -> None:
        super().__init__(reason)
        self.is_fault = is_fault


class Rounds:
    """What was measured, by client, one entry a round; who is in trouble leaves."""

    def __init__(self, names: Sequence[str]) -> None:
        self.measured: dict[str, list[Measured]] = {name: [] for name in names}
        self.troubles: dict[str, Trouble] = {}

    def measure(self, rounds: int, work: Path, hosts: int) -> None:
        """Measure every client once a round.

        Raises:
            Unmeasurable: when there is nothing to compare with.
        """
        for number in range(rounds):
            for name in _turned(tuple(self.measured), number):
                _tell(f"round {number + 1} of {rounds}: {name}")
                try:
                    self.measured[name].append(_measure(name, work, hosts))
                except Trouble as trouble:
                    if name == FLOOR:
                        raise Unmeasurable(f"{name} {trouble}") from trouble
                    self.troubles[name] = trouble
                    del self.measured[name]
        _tell("")

    def rows(self) -> Iterator[Row]:
        floor = self.measured[FLOOR]
        for name, taken in self.measured.items():
            yield Row(
                name=name,
                start_ms=Spread.of([each.start * 1000 for each in taken]),
                cpu_ms=Spread.of([each.cpu * 1000 for each in taken]),
                cpu_ratio=self.ratio(name, FLOOR),
                wall_seconds=Spread.of([each.wall for each in taken]),
                wall_ratio=Spread.of([each.wall / base.wall for each, base in zip(taken, floor, strict=True)]),
            )

    def ratio(self, name: str, to: str) -> Spread:
        pairs = zip(self.measured[name], self.measured[to], strict=True)
        return Spread.of([each.cpu / base.cpu for each, base in pairs])

    def verdicts(self) -> Iterator[str]:
        for target in TARGETS:
            if target.of in self.measured and target.to in self.measured:
                yield target.judged(self.ratio(target.of, target.to))


def main() -> int:
    """Measure, print the table, write it down; 1 when nothing came of it, or some client did not get all answers."""
    asked = _arguments()
    rounds = Rounds(asked.clients)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            with running_servers(folder, asked.hosts, kex=asked.kex) as servers:
                work = Work(servers=servers, jobs=asked.jobs, folder=name)
                (folder / "probe.sh").write_text(probe_script(Host(name="any", address="any"), None))
                work.write(folder / "work.json")
                rounds.measure(asked.rounds, folder / "work.json", asked.hosts)
    except Unmeasurable as error:
        print(f"nothing measured: {error}", file=sys.stderr)
        return 1
    _report(rounds, asked)
    return 1 if any(trouble.is_fault for trouble in rounds.troubles.values()) else 0


def _tell(text: str) -> None:
    """Show what runs: on a terminal in one line, in a log in a line of its own."""
    if sys.stderr.isatty():
        print(f"{text:<60}", end="\r", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fanout", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--hosts", type=int, default=40, help="how many servers are asked (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each client asks them (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=16, help="how many are asked at a time (default: %(default)s)")
    parser.add_argument("--kex", help="the only key exchange of the servers, such as curve25519-sha256@libssh.org")
    parser.add_argument("--clients", type=_clients, default=NAMES, help=f"some of: {','.join(NAMES)}")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where all numbers go, as JSON")
    asked = parser.parse_args()
    if asked.hosts < 2 or asked.rounds < 1 or asked.jobs < 1:  # noqa: PLR2004  programs are compared with one host
        parser.error("at least 2 hosts, 1 round and 1 job")
    return asked


def _clients(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"no such client: {', '.join(sorted(unknown))}")
    return tuple(name for name in NAMES if name in {*names, FLOOR})


def _turned(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Return the names beginning with another one each round, every other round backwards."""
    start = number % len(names)
    turned = names[start:] + names[:start]
    return turned[::-1] if number % 2 else turned


def _measure(name: str, work: Path, hosts: int) -> Measured:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.clients", name, work],
            cwd=Path(__file__).parent.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={**_environment(), "HOME": str(work.parent / "home")}, timeout=LONGEST,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Trouble(f"took more than {LONGEST} s", is_fault=True) from None
    if done.returncode != 0:
        raise Trouble(f"failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}", is_fault=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    if "not_installed" in answer:
        raise Trouble(f"not installed: {answer['not_installed']}", is_fault=False)
    measured = Measured(**answer)
    if measured.complete != hosts:
        raise Trouble(f"only {measured.complete} of {hosts} hosts answered", is_fault=True)
    return measured


def _environment() -> Mapping[str, str]:
    """Return the environment without what would change a client's ways."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "ANSIBLE_", "CLUSH_"))}


def _report(rounds: Rounds, asked: argparse.Namespace) -> None:
    rows = tuple(rounds.rows())
    troubles = [f"{name}: {trouble}" for name, trouble in rounds.troubles.items()]
    print("\n".join([*_circumstances(asked), "", *table(rows), "", *troubles, *rounds.verdicts()]))
    asked.output.parent.mkdir(exist_ok=True)
    found = {
        "circumstances": _circumstances(asked),
        "rows": [asdict(row) for row in rows],
        "rounds": {name: [asdict(each) for each in taken] for name, taken in rounds.measured.items()},
        "not_measured": {name: str(trouble) for name, trouble in rounds.troubles.items()},
        "verdicts": list(rounds.verdicts()),
    }
    asked.output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten to {asked.output}")


def _circumstances(asked: argparse.Namespace) -> list[str]:
    packages = []
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            packages.append(f"{name} {version(name)}")
    now = datetime.now(timezone.utc)
    return [
        f"{asked.hosts} hosts, {asked.jobs} at a time, {asked.rounds} rounds, key exchange: {asked.kex or 'any'}",
        f"{now:%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(packages)}",
    ]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table: medians, the least and the most in brackets."""
    head = ("client", "CPU ms a host", "times bare", "wall s", "times bare", "CPU ms to start")
    cells = [
        (
            row.name,
            row.cpu_ms.shown(".1f"),
            row.cpu_ratio.shown(".2f"),
            row.wall_seconds.shown(".1f"),
            row.wall_ratio.shown(".2f"),
            f"{row.start_ms.median:.0f}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for line in (head, *cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
