"""Show the main job on practice servers: `python -m netpoint_remote.practice.demo`.

Every command is printed, and run as a newcomer would run it. The demo believes nothing that it can
look up: after each command it asks the servers themselves, and it ends with 0 only if all was as said.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVERS = {"np1": "3.4.9", "np2": "3.4.9", "np3": "3.4.9:git", "np4": "2.10.10"}
UPGRADED = ("np1", "np2", "np3")
OLD = {name: asked.partition(":")[0] for name, asked in SERVERS.items()}
NEW = "3.5.0"
REFUSED = 3
REPORTS = Path("runs")
WATCHED = ("etc", "opt", "run/postgresql", "var/backups", "var/lib")


class Surprise(Exception):  # noqa: N818  not an error of ours: what the demo is there to find
    """Something did not happen as it should."""


def main() -> int:
    """Run the demo; a SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="netpoint-practice-") as folder:
            report = show(Path(folder))
    except Surprise as surprise:
        print(f"\nThe demo did not go as it should: {surprise}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was stopped; its servers are gone.", file=sys.stderr)
        return 130
    say(f"The servers are gone, and so is all that they had. What stays is the report:\n{report}")
    return 0


def show(folder: Path) -> Path:
    """Start the servers, look, be refused, upgrade; returns where the report of the upgrade lies."""
    servers = ",".join(f"{name}={version}" for name, version in SERVERS.items())
    directory = folder / "servers"
    say("Four NetPoint servers on this machine: real SSH on loopback, no root, nothing installed.")
    with serving(["practice", "--dir", str(directory), "--servers", servers]):
        stage = Stage(directory, folder / "reports", folder / "cache")
        say("What is there? Looking changes nothing.")
        stage.run("check", status=0)
        say(f"All four to {NEW}? np4 is on {OLD['np4']}, and 3.x is entered from 2.11 only. So no server is changed.")
        before = stage.snapshot()
        stage.run("upgrade", "--version", NEW, "--yes", status=REFUSED)
        stage.expect_untouched(before)
        say("Checked on the servers: not a file has changed. Now the three that can go, in parallel.")
        stage.reports = REPORTS
        known = set(REPORTS.glob("*/report.json"))
        stage.run("upgrade", "--version", NEW, "--limit", ",".join(UPGRADED), "--yes", status=0)
        stage.expect_versions({**OLD, **dict.fromkeys(UPGRADED, NEW)})
        return expect_report(set(REPORTS.glob("*/report.json")) - known)


@dataclass(slots=True)
class Stage:
    """The servers' folder, and where the reports of the commands and the releases they fetch go."""

    directory: Path
    reports: Path
    cache: Path

    def run(self, task: str, *options: str, status: int) -> None:
        """Run a task over the servers.

        Raises:
            Surprise: when it ends with another status.
        """
        place = ["--hosts-file", str(self.directory / "hosts.yaml"), "--report-dir", str(self.reports)]
        command = announce([task, *options, *place])
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.cache)}  # these releases are not the real ones
        ended = subprocess.run(command, env=environment, check=False).returncode
        if ended != status:
            raise Surprise(f"{task} ended with {ended}, not with {status}")

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Return size and time of every file that an upgrade could change."""
        found = {}
        for name in SERVERS:
            for part in WATCHED:
                for path in (self.directory / name / part).rglob("*"):
                    if path.suffix != ".pyc" and path.name != "__pycache__":
                        about = path.lstat()
                        changed = 0 if path.is_dir() else about.st_mtime_ns
                        found[str(path)] = (about.st_size, changed)
        return found

    def expect_untouched(self, before: dict[str, tuple[int, int]]) -> None:
        after = self.snapshot()
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        if changed:
            raise Surprise(f"the refused run has changed {changed[0]}")
        self.expect_versions(OLD)

    def expect_versions(self, versions: dict[str, str]) -> None:
        for name, version in versions.items():
            answered = self.version(name)
            if answered != version:
                raise Surprise(f"{name} answers as {answered}, not as {version}")

    def version(self, name: str) -> str:
        """Ask a server over HTTP which version answers."""
        settings: dict[str, str] = {}
        gunicorn = self.directory / name / "opt/netpoint/gunicorn.py"
        exec(gunicorn.read_text("utf-8"), settings)  # noqa: S102  we have written it ourselves
        try:
            with urllib.request.urlopen(f"http://{settings['bind']}/api/status/", timeout=10) as answer:
                return str(json.load(answer)["netpoint-version"])
        except (OSError, ValueError, KeyError):
            return "nobody"


def expect_report(found: set[Path]) -> Path:
    """Return the one new report, which has to say what has happened."""
    if len(found) != 1:
        raise Surprise(f"{len(found)} new reports are in {REPORTS}, not 1")
    (path,) = found
    statuses = {host["name"]: host["status"] for host in json.loads(path.read_text("utf-8"))["hosts"]}
    if statuses != dict.fromkeys(UPGRADED, "upgraded"):
        raise Surprise(f"the report says {statuses}")
    return path


@contextlib.contextmanager
def serving(arguments: list[str]) -> Iterator[None]:
    """Keep the practice servers up for a while."""
    command = announce(arguments)
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            print(line, end="", flush=True)
            if not line.startswith("ready"):
                raise Surprise(f"the practice servers did not start ({time.monotonic() - started:.0f} s)")
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
    if process.returncode:
        raise Surprise(f"the practice servers ended with {process.returncode}")


def announce(arguments: list[str]) -> list[str]:
    """Print a command as one types it; returns what starts it."""
    print(f"\n$ netpoint-remote {shlex.join(arguments)}", flush=True)
    program = Path(sys.executable).with_name("netpoint-remote")
    start = [str(program)] if program.exists() else [sys.executable, "-m", "netpoint_remote.cli.program"]
    return [*start, *arguments]


def say(text: str) -> None:
    print(f"\n── {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
