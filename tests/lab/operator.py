"""The operator at the workstation: runs `fab` as a program, and reads what it reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.servers import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.lab.lab import Lab

PROJECT = Path(__file__).parents[2]
WITHOUT_REPORTS = frozenset({"status", "stop", "backups", "fetch-backup", "prune"})
TIMEOUT = 1800
"""Seconds a command may take: more than ten times what an upgrade of two servers takes on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one command of the operator ended with."""

    exit_code: int
    printed: str
    said: str

    @property
    def report(self) -> dict[str, Any]:
        """The report it printed because of `--json`."""
        try:
            report: dict[str, Any] = json.loads(self.printed)
        except ValueError as error:
            raise LabError(f"no report, exit code {self.exit_code}\n{self.printed}\n{self.said}") from error
        return report

    def host(self, name: str) -> dict[str, Any]:
        """Return what the report says of a host."""
        (host,) = (host for host in self.report["hosts"] if host["name"] == name)
        return dict(host)

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each host."""
        return {host["name"]: host["status"] for host in self.report["hosts"]}

    @property
    def reasons(self) -> str:
        """Everything the report says about why, in one text."""
        hosts = self.report["hosts"]
        return "\n".join([*(host["reason"] for host in hosts), *(json.dumps(host["problems"]) for host in hosts)])


class Fab:
    """A `fab` that is running."""

    def __init__(
        self,
        lab: Lab,
        task: str,
        *options: str,
        environment: Mapping[str, str] | None = None,
        workstation: Path | None = None,
    ) -> None:
        """Start a task; a `workstation` is the folder of another machine's home, cache and reports."""
        place = workstation or lab.folder
        self._reports = place / "runs"
        self._earlier = set(self._reports.glob("*"))
        reports = () if task in WITHOUT_REPORTS else ("--report-dir", str(self._reports))
        home = {"HOME": str(workstation)} if workstation else {}
        self._process = lab.servers[0].slot.start(
            [
                *(sys.executable, "-m", "fabric", task, "--json"),
                *("--hosts-file", str(lab.folder / "hosts.yaml"), *reports),
                *options,
            ],
            cwd=PROJECT,
            env={**os.environ, "XDG_CACHE_HOME": str(place / "cache"), **home, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        lab.commands.append(self)

    @property
    def folder(self) -> Path:
        """The folder of its report; no other command of the same workstation may have begun later."""
        (folder,) = set(self._reports.glob("*")) - self._earlier
        return folder

    def count(self, kind: str, host: str) -> int:
        """Return how often something has happened to a host so far, such as `line-lost`."""
        if not set(self._reports.glob("*")) - self._earlier:
            return 0
        lines = (self.folder / "events.jsonl").read_text().splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return sum((event["kind"], event["host"]) == (kind, host) for event in events)

    def wait_for(self, kind: str, host: str) -> None:
        """Wait until something has happened to a host, such as `line-lost`."""
        wait_until(lambda: self.count(kind, host) > 0, fab=self)

    def wait(self, timeout: float = TIMEOUT) -> Run:
        """Wait for its end."""
        printed, said = self._process.communicate(timeout=timeout)
        return Run(exit_code=self._process.returncode, printed=printed, said=said)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut of the workstation does."""
        self._process.kill()
        self._process.communicate()

    @property
    def running(self) -> bool:
        return self._process.poll() is None


def fab(
    lab: Lab,
    task: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
    workstation: Path | None = None,
) -> Run:
    """Run a task of `fab` to its end."""
    return Fab(lab, task, *options, environment=environment, workstation=workstation).wait()


def upgrade(
    lab: Lab,
    version: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
    workstation: Path | None = None,
) -> Run:
    """Upgrade all servers of the laboratory."""
    options = ("--version", version, "--yes", *options)
    return fab(lab, "upgrade", *options, environment=environment, workstation=workstation)


def start_upgrade(lab: Lab, version: str, *options: str) -> Fab:
    """Begin to upgrade all servers of the laboratory."""
    return Fab(lab, "upgrade", "--version", version, "--yes", *options)


def wait_until(what: Callable[[], bool], *, fab: Fab | None = None, timeout: float = TIMEOUT) -> None:
    """Wait until something is so; give up when the command that should bring it about has ended."""
    deadline = time.monotonic() + timeout
    while not what():
        if fab and not fab.running:
            run = fab.wait()
            raise LabError(f"it ended first, with {run.exit_code}\n{run.printed}\n{run.said}")
        if time.monotonic() > deadline:
            raise LabError(f"still not so after {timeout} s")
        time.sleep(0.2)
