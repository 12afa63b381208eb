"""A small systemd for one practice server: units from files, commands by a socket of its own."""

# ruff: noqa: ARG002
# Every command of systemctl takes the same two arguments, whether it needs them or not.

import asyncio
import contextlib
import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from netpoint_remote.practice.service import Service
from netpoint_remote.practice.unit_file import UnitFile, read_unit, spell_span

PRIVILEGED = {"start", "stop", "restart", "try-restart", "reload-or-restart", "enable", "disable", "daemon-reload",
              "reset-failed", "kill", "mask", "unmask"}  # fmt: skip
NO_SUCH_UNIT, NOT_ACTIVE = 5, 3
VALUED = {"-p", "--property", "-t", "--type", "--state", "-n", "--lines", "-o", "--output", "-s", "--signal"}
TARGET = "multi-user.target"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the stand-in prints, and the status it ends with."""

    output: str = ""
    error: str = ""
    status: int = 0


@dataclass(slots=True)
class Systemd:
    """The units of one server; `root` is its folder, `environment` what its services start with."""

    root: Path
    environment: Mapping[str, str]
    services: dict[str, Service] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.root / "etc/systemd/system"

    async def listen(self) -> asyncio.Server:
        """Serve the stand-ins; the socket is bound through the folder's descriptor, as its path may be too long."""
        place = self.root / "run/systemd"
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            bus = socket.socket(socket.AF_UNIX)
            bus.bind(f"/proc/self/fd/{descriptor}/private")
        finally:
            os.close(descriptor)
        return await asyncio.start_unix_server(self._serve, sock=bus)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            program, who, *arguments = (await reader.read()).decode("utf-8", "surrogateescape").split("\0")
            answer = await self.command(program, arguments, root=who == "root")
            output = answer.output.encode("utf-8", "surrogateescape")
            error = answer.error.encode("utf-8", "surrogateescape")
            writer.write(b"%d %d\n" % (answer.status, len(output)) + output + error)
            await writer.drain()
        writer.close()

    async def command(self, program: str, arguments: list[str], *, root: bool) -> Answer:
        if program == "systemd-run":
            return await self.run(arguments) if root else refused("start transient unit")
        options, words = parse_options(arguments)
        if "--version" in options:
            return Answer("systemd 252 (252.22-1~deb12u1)\n")
        verb, *units = words or ["list-units"]
        if verb in PRIVILEGED and not root:
            return refused(f"{verb} {' '.join(units)}".strip())
        action = getattr(self, "_" + verb.replace("-", "_"), None)
        if action is None:
            return Answer(error=f"Unknown command verb {verb}.\n", status=1)
        answer: Answer = await action([full_name(unit) for unit in units], options)
        return answer

    def find(self, name: str) -> Service | None:
        """Return a unit by its name, read from its file when nobody has asked for it before."""
        if name not in self.services:
            unit = read_unit(self.folder, name)
            if unit is None:
                return None
            log = self.root / "var/log/journal" / f"{name.removesuffix('.service')}.log"
            environment = {**self.environment, "PRACTICE_USER": unit.get("User", "root")}
            self.services[name] = Service(name, unit, environment, log)
        return self.services[name]

    async def close(self) -> None:
        await asyncio.gather(*(service.stop() for service in self.services.values()))

    async def _start(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        answers = [await self._start_one(name, wait="--no-block" not in options) for name in names]
        return join(answers)

    async def _start_one(self, name: str, *, wait: bool) -> Answer:
        service = self.find(name)
        if service is None:
            return Answer(error=f"Failed to start {name}: Unit {name} not found.\n", status=NO_SUCH_UNIT)
        if await service.start(wait=wait):
            return Answer()
        why = f'Job for {name} failed.\nSee "systemctl status {name}" and "journalctl -xeu {name}" for details.\n'
        return Answer(error=why, status=1)

    async def _stop(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        answers = []
        for name in names:
            service = self.find(name)
            if service is None:
                why = f"Failed to stop {name}: Unit {name} not loaded.\n"
                answers.append(Answer(error=why, status=NO_SUCH_UNIT))
            else:
                await service.stop()
        return join(answers)

    async def _restart(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        return join([await self._stop(names, options), await self._start(names, options)])

    _reload_or_restart = _restart

    async def _try_restart(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        running = [name for name in names if (service := self.find(name)) and service.active == "active"]
        return await self._restart(running, options)

    async def _daemon_reload(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        for name, service in list(self.services.items()):
            if service.unit.path is None:
                continue
            unit = read_unit(self.folder, name)
            if unit:
                service.unit = unit
            elif service.active in {"inactive", "failed"}:
                del self.services[name]
        return Answer()

    async def _reset_failed(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        for service in self.services.values():
            if service.active == "failed" and (not names or service.name in names):
                service.active, service.sub, service.result = "inactive", "dead", "success"
        return Answer()

    async def _enable(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing:
            return Answer(error=f"Failed to enable unit: Unit file {missing[0]} does not exist.\n", status=1)
        for name in names:
            link = self._wants(name)
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(self.folder / name)
        return await self._start(names, options) if "--now" in options else Answer()

    async def _disable(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        for name in names:
            self._wants(name).unlink(missing_ok=True)
        return await self._stop(names, options) if "--now" in options else Answer()

    def _wants(self, name: str) -> Path:
        return self.folder / ("timers.target.wants" if name.endswith(".timer") else f"{TARGET}.wants") / name

    async def _is_active(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        states = [service.active if (service := self.find(name)) else "inactive" for name in names]
        return self._states(states, options, {"active"}, NOT_ACTIVE)

    async def _is_failed(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        states = [service.active if (service := self.find(name)) else "inactive" for name in names]
        return self._states(states, options, {"failed"}, 1)

    async def _is_enabled(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        states = [self._file_state(name) for name in names]
        lacking = [name for name, state in zip(names, states, strict=True) if not state]
        errors = "".join(f"Failed to get unit file state for {name}: No such file or directory\n" for name in lacking)
        known = self._states([state for state in states if state], options, {"enabled", "static"}, 1)
        return Answer(known.output, errors, known.status)

    def _states(self, states: list[str], options: dict[str, list[str]], good: set[str], bad: int) -> Answer:
        quiet = "-q" in options or "--quiet" in options
        return Answer("" if quiet else "".join(f"{state}\n" for state in states), "", 0 if good & set(states) else bad)

    def _file_state(self, name: str) -> str:
        unit = read_unit(self.folder, name)
        if unit is None:
            return ""
        if self._wants(name).is_symlink():
            return "enabled"
        return "disabled" if any(section == "Install" for section, _, _ in unit.settings) else "static"

    async def _is_system_running(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        return Answer("running\n")

    async def _cat(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        parts = []
        for name in names:
            unit = read_unit(self.folder, name)
            if unit is None:
                return Answer(error=f"No files found for {name}.\n", status=1)
            files = [file for file in (unit.path, *unit.drop_ins) if file]
            parts += [f"# {file}\n{file.read_text('utf-8')}" for file in files]
        return Answer("\n".join(parts))

    async def _status(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        lines = [
            f"{service.name}\n     Active: {service.active} ({service.sub})\n   Main PID: {service.main_pid}\n"
            for name in names
            if (service := self.find(name))
        ]
        active = await self._is_active(names, {})
        return Answer("".join(lines), "", active.status)

    async def _list_unit_files(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        files = sorted(path.name for path in self.folder.iterdir() if path.is_file())
        shown = [name for name in files if not names or any(fnmatch(name, pattern) for pattern in names)]
        rows = "".join(f"{name} {self._file_state(name)} enabled\n" for name in shown)
        if "--no-legend" in options:
            return Answer(rows)
        return Answer(f"UNIT FILE STATE PRESET\n{rows}\n{len(shown)} unit files listed.\n")

    async def _list_units(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        shown = [
            service
            for service in self.services.values()
            if (not names or any(fnmatch(service.name, pattern) for pattern in names))
            and (service.active != "inactive" or "--all" in options or "-a" in options)
        ]
        rows = "".join(f"{unit.name} loaded {unit.active} {unit.sub} {description(unit.unit)}\n" for unit in shown)
        return Answer(rows if "--no-legend" in options else f"UNIT LOAD ACTIVE SUB DESCRIPTION\n{rows}")

    async def _list_timers(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        return await self._list_units(["*.timer"], options)

    async def _show(self, names: list[str], options: dict[str, list[str]]) -> Answer:
        asked = [word for value in options.get("-p", []) + options.get("--property", []) for word in value.split(",")]
        blocks = []
        for name in names:
            shown = {key: value for key, value in self.properties(name).items() if not asked or key in asked}
            bare = "--value" in options
            blocks.append("".join(f"{value}\n" if bare else f"{key}={value}\n" for key, value in shown.items()))
        return Answer("\n".join(blocks))

    def properties(self, name: str) -> dict[str, str]:
        """Return what `systemctl show` says of a unit, in its form."""
        service = self.find(name)
        if service is None:
            return {"Id": name, "Names": name, "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead",
                    "FragmentPath": "", "UnitFileState": "", "NRestarts": "0", "MainPID": "0"}  # fmt: skip
        return {
            **process_properties(service),
            **setting_properties(service.unit),
            "Id": name,
            "Names": name,
            "Description": description(service.unit),
            "LoadState": "loaded",
            "ActiveState": service.active,
            "SubState": service.sub,
            "FragmentPath": str(service.unit.path or ""),
            "DropInPaths": " ".join(map(str, service.unit.drop_ins)),
            "UnitFileState": self._file_state(name) if service.unit.path else "transient",
            "UnitFilePreset": "enabled" if service.unit.path else "",
            "NeedDaemonReload": "no" if read_unit(self.folder, name) in {None, service.unit} else "yes",
        }

    async def run(self, arguments: list[str]) -> Answer:
        """Start a command as a transient unit (systemd-run)."""
        unit, command, name = parse_run(arguments)
        if not command:
            return Answer(error="Command line to execute required.\n", status=1)
        name = full_name(name or f"run-{len(self.services)}")
        there = self.services.get(name)
        if there and not is_collected(there):
            why = f"Failed to start transient service unit: Unit {name} was already loaded or has a fragment file.\n"
            return Answer(error=why, status=1)
        log = self.root / "var/log/journal" / f"{name.removesuffix('.service')}.log"
        settings = (*unit, ("Service", "ExecStart", shlex.join(command)))
        environment = {**self.environment, "PRACTICE_USER": "root"}
        service = self.services[name] = Service(name, UnitFile(path=None, settings=settings), environment, log)
        await service.start()
        if "--wait" in arguments:
            await service.wait()
        said = "" if {"-q", "--quiet"} & set(arguments) else f"Running as unit: {name}\n"
        return Answer(error=said, status=max(service.status, 0) if "--wait" in arguments else 0)


def parse_run(arguments: list[str]) -> tuple[list[tuple[str, str, str]], list[str], str]:
    """Split the arguments of systemd-run into settings, command and the unit's name."""
    settings, name = [], ""
    words = list(arguments)
    while words and words[0].startswith("-"):
        option, equals, value = words.pop(0).partition("=")
        if option == "--":
            break
        if option in {"-p", "--property", "-E", "--setenv", "-u", "--unit", "--description", "--working-directory",
                      "--uid", "--gid", "--slice", "--service-type", "--nice"}:  # fmt: skip
            value = value if equals else words.pop(0)
        if option in {"-u", "--unit"}:
            name = value
        elif option in {"-G", "--collect"}:
            settings.append(("Unit", "CollectMode", "inactive-or-failed"))
        elif option in {"-p", "--property"}:
            key, _, text = value.partition("=")
            settings.append(("Service", key, text))
        elif option in {"-E", "--setenv"}:
            pair = value if "=" in value else f"{value}={os.environ.get(value, '')}"
            settings.append(("Service", "Environment", shlex.quote(pair)))
        elif option == "--working-directory":
            settings.append(("Service", "WorkingDirectory", value))
        elif option == "--service-type":
            settings.append(("Service", "Type", value))
    return settings, words, name


def is_collected(service: Service) -> bool:
    """Tell whether systemd would have forgotten a transient unit by now."""
    return service.active == "inactive" or (service.active == "failed" and bool(service.unit.get("CollectMode")))


def process_properties(service: Service) -> dict[str, str]:
    command = service.unit.command
    words = f"path={command[0]} ; argv[]={' '.join(command)} ; " if command else ""
    times = "start_time=[n/a] ; stop_time=[n/a]"
    shown = f"{{ {words}ignore_errors=no ; {times} ; pid={service.main_pid} ; code=(null) ; status=0/0 }}"
    return {
        "NRestarts": str(service.restarts),
        "MainPID": str(service.main_pid),
        "ExecMainPID": str(service.main_pid),
        "ExecMainStatus": str(abs(service.status)),
        "ExecMainCode": "0" if service.main_pid or not service.exited else "2" if service.status < 0 else "1",
        "ExecMainStartTimestampMonotonic": str(service.started),
        "ExecMainExitTimestampMonotonic": str(service.exited),
        "ActiveEnterTimestampMonotonic": str(service.started if service.active == "active" else 0),
        "ExecStart": shown if command else "",
        "Result": service.result,
    }


def setting_properties(unit: UnitFile) -> dict[str, str]:
    names = unit.all("EnvironmentFile")
    files = [f"{name.removeprefix('-')} (ignore_errors={'yes' if name[0] == '-' else 'no'})" for name in names]
    return {
        "Type": unit.get("Type", "simple"),
        "Restart": unit.get("Restart", "no"),
        "RestartUSec": spell_span(unit.seconds("RestartSec", 0.1)),
        "TimeoutStopUSec": spell_span(unit.seconds("TimeoutStopSec", 90)),
        "PIDFile": unit.get("PIDFile"),
        "WorkingDirectory": unit.get("WorkingDirectory"),
        "Environment": " ".join(unit.all("Environment")),
        "EnvironmentFiles": "\nEnvironmentFiles=".join(files),
        "User": unit.get("User"),
        "Group": unit.get("Group"),
        "PrivateTmp": unit.get("PrivateTmp", "no").replace("true", "yes"),
    }


def parse_options(arguments: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Split the arguments of systemctl into options with their values, and words."""
    options: dict[str, list[str]] = {}
    words = []
    pending = iter(arguments)
    for argument in pending:
        name, equals, value = argument.partition("=")
        if argument == "--" or not argument.startswith("-"):
            words += [argument] if argument != "--" else []
        elif name in VALUED:
            options.setdefault(name, []).append(value if equals else next(pending, ""))
        elif argument.startswith("-p"):
            options.setdefault("-p", []).append(argument[2:])
        else:
            options.setdefault(name, [])
    return options, words


def full_name(unit: str) -> str:
    kinds = (".service", ".timer", ".target", ".socket", ".mount", ".slice")
    return unit if unit.endswith(kinds) or "*" in unit else f"{unit}.service"


def description(unit: UnitFile) -> str:
    return unit.get("Description")


def refused(what: str) -> Answer:
    return Answer(error=f"Failed to {what}: Interactive authentication required.\n", status=1)


def join(answers: list[Answer]) -> Answer:
    """Return several answers as one; the first failure is its status."""
    status = next((answer.status for answer in answers if answer.status), 0)
    return Answer("".join(answer.output for answer in answers), "".join(answer.error for answer in answers), status)
