"""One service of a practice server: started, watched, started again, stopped, as systemd would."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from netpoint_remote.practice.unit_file import UnitFile

GONE = {0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, -signal.SIGPIPE}  # what counts as a clean end
STARTS, SPAN = 5, 10.0  # more starts than this in so many seconds are too many
NOT_STARTED = 203  # the status systemd gives to a program that could not be executed


@dataclass(slots=True)
class Service:
    """A unit and the process that belongs to it."""

    name: str
    unit: UnitFile
    environment: Mapping[str, str]
    log: Path
    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    restarts: int = 0
    status: int = 0
    main_pid: int = 0
    started: int = 0  # microseconds of the monotonic clock
    exited: int = 0
    _starts: list[float] = field(default_factory=list)
    _watch: asyncio.Task[None] | None = None

    async def start(self, *, wait: bool = True) -> bool:
        """Start it unless it runs; for a oneshot `wait` until it is done. Returns whether that went well."""
        if self.active in {"active", "activating"} and self.main_pid:
            return True
        await self._forget()
        self.restarts = 0
        if not self.unit.command:
            self.active, self.sub = "active", "waiting" if self.name.endswith(".timer") else "exited"
            return True
        await self._launch()
        if wait and self.unit.get("Type") == "oneshot" and self._watch:
            await self._watch
        return self.result == "success" or self.active == "activating"

    async def wait(self) -> None:
        """Wait until its process has ended."""
        if self._watch:
            await self._watch

    async def stop(self) -> None:
        """Ask its processes to end, then make them."""
        pid = self.main_pid
        await self._forget()
        if pid:
            self.active, self.sub = "deactivating", "stop-sigterm"
            await end_group(pid, self.unit.seconds("TimeoutStopSec", 90))
        self.main_pid, self.exited = 0, now()
        self.active, self.sub, self.result = "inactive", "dead", "success"

    async def _forget(self) -> None:
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    async def _launch(self) -> None:
        moment = time.monotonic()
        self._starts = [start for start in self._starts if moment - start < SPAN] + [moment]
        if len(self._starts) > STARTS and self.unit.get("StartLimitIntervalSec") != "0":
            self._fail("start-limit-hit")
            return
        self.started, self.result = now(), "success"
        try:
            process = await self._spawn()
        except OSError as error:
            self._write(f"{self.name}: Failed to locate executable {self.unit.command[0]}: {error.strerror}\n")
            self.status = NOT_STARTED
            self._watch = asyncio.create_task(self._ended("exit-code"))
            await asyncio.sleep(0)
            return
        self.main_pid, self.active, self.sub = process.pid, "active", "running"
        if self.unit.get("Type") == "oneshot":
            self.active, self.sub = "activating", "start"
        self._watch = asyncio.create_task(self._follow(process))

    async def _spawn(self) -> asyncio.subprocess.Process:
        folder = self.unit.get("WorkingDirectory").removeprefix("-") or "/"
        given = {**self.environment, **self.unit.environment}
        words = [given.get(word[2:-1], "") if word.startswith("${") else word for word in self.unit.command]
        self._make_runtime_folder()
        with self._input() as input_, self._output() as output, self._output("StandardError") as errors:
            return await asyncio.create_subprocess_exec(
                *words, cwd=folder, env=given, stdin=input_, stdout=output, stderr=errors, start_new_session=True
            )

    def _make_runtime_folder(self) -> None:
        """Make the folder of a unit that lies below run/ itself, as ours do."""
        if self.unit.path and self.unit.get("RuntimeDirectory"):
            (self.unit.path.parents[2] / self.unit.get("RuntimeDirectory")).mkdir(exist_ok=True)

    def _input(self) -> IO[bytes]:
        return Path(self.unit.get("StandardInput").partition(":")[2] or os.devnull).open("rb")

    def _output(self, stream: str = "StandardOutput") -> IO[bytes]:
        kind, _, path = (self.unit.get(stream) or self.unit.get("StandardOutput")).partition(":")
        if kind == "null":
            return Path(os.devnull).open("wb")
        if kind in {"append", "file", "truncate"}:
            return Path(path).open("wb" if kind == "truncate" else "ab")
        return self.log.open("ab")

    def _write(self, text: str) -> None:
        with self._output() as output:
            output.write(text.encode())

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        self.status = await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await self._ended("success" if self.status in GONE else "signal" if self.status < 0 else "exit-code")

    async def _ended(self, result: str) -> None:
        self.main_pid, self.exited, self.result = 0, now(), result
        policy = self.unit.get("Restart", "no")
        if policy == "always" or (policy == "on-failure" and result != "success"):
            self.active, self.sub = "activating", "auto-restart"
            await asyncio.sleep(self.unit.seconds("RestartSec", 0.1))
            self.restarts += 1
            await self._launch()
        elif result == "success":
            self.active, self.sub = "inactive", "dead"
        else:
            self._fail(result)

    def _fail(self, result: str) -> None:
        self.active, self.sub, self.result = "failed", "failed", result


def now() -> int:
    return time.monotonic_ns() // 1000


async def end_group(pid: int, patience: float) -> None:
    """End a process group: SIGTERM first, SIGKILL after so many seconds."""
    deadline = time.monotonic() + patience
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            os.killpg(pid, 0)
        os.killpg(pid, signal.SIGKILL)
