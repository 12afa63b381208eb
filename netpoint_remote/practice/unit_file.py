"""Unit files of systemd, as far as the services of NetPoint need them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "": 1}
LISTS = {"Environment", "EnvironmentFile", "ExecStart", "ExecStartPre"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    """The settings of one unit: (section, key, value) in the order in which they were read."""

    path: Path | None
    drop_ins: tuple[Path, ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()

    def all(self, key: str) -> list[str]:
        """Return every value of a key; an empty one forgets those before it."""
        values: list[str] = []
        for _, name, value in self.settings:
            if name == key:
                values = [*values, value] if value else []
        return values

    def get(self, key: str, default: str = "") -> str:
        return (self.all(key) or [default])[-1]

    def seconds(self, key: str, default: float) -> float:
        return parse_span(self.get(key)) if self.get(key) else default

    @property
    def command(self) -> list[str]:
        """The words of ExecStart, without the signs that systemd allows before the program."""
        words = shlex.split((self.all("ExecStart") or [""])[0])
        return [words[0].lstrip("-@:+!"), *words[1:]] if words else []

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair for value in self.all("Environment") for pair in shlex.split(value)]
        pairs += [pair for value in self.all("EnvironmentFile") for pair in _read_pairs(value)]
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def read_unit(folder: Path, name: str) -> UnitFile | None:
    """Read a unit and its drop-ins, or one that lasts until the next boot; None where there is no such unit."""
    if not (folder / name).exists():
        folder = folder.parents[2] / "run/systemd/system"
    path = folder / name
    if not path.exists():
        return None
    drop_ins = tuple(sorted((folder / f"{name}.d").glob("*.conf")))
    settings = tuple(setting for file in (path, *drop_ins) for setting in _parse(file.read_text("utf-8")))
    return UnitFile(path=path, drop_ins=drop_ins, settings=settings)


def _parse(text: str) -> list[tuple[str, str, str]]:
    section, settings = "", []
    for line in text.replace("\\\n", " ").splitlines():
        plain = line.strip()
        if plain.startswith("["):
            section = plain.strip("[]")
        elif plain and plain[0] not in "#;" and "=" in plain:
            key, _, value = plain.partition("=")
            settings.append((section, key.strip(), value.strip()))
    return settings


def parse_span(text: str) -> float:
    """Read `30`, `2s`, `1min 30s` or `500ms`."""
    parts = re.findall(r"([\d.]+)\s*([a-z]*)", text)
    return sum(float(number) * SPANS.get(unit, 1) for number, unit in parts)


def spell_span(seconds: float) -> str:
    """Write a span as systemctl shows it."""
    if seconds == 0:
        return "0"
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    parts = [f"{minutes}min"] if minutes else []
    whole, thousandths = divmod(rest, 1000)
    parts += [f"{whole}s"] if whole else []
    parts += [f"{thousandths}ms"] if thousandths else []
    return " ".join(parts)


def _read_pairs(value: str) -> list[str]:
    try:
        lines = Path(value.removeprefix("-")).read_text("utf-8").splitlines()
    except OSError:
        return []
    plain = [line.strip() for line in lines if line.strip() and line.strip()[0] not in "#;"]
    return ["=".join((name, _unquoted(rest))) for name, _, rest in (line.partition("=") for line in plain)]


def _unquoted(value: str) -> str:
    if value.startswith('"') and value.endswith('"'):
        return re.sub(r'\\(["\\$`])', r"\1", value[1:-1])
    return "".join(shlex.split(value))
