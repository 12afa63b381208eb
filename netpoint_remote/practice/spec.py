"""Which practice servers are asked for."""

import re
from dataclasses import dataclass

from netpoint_remote.errors import UsageError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
VERSION = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
OLDEST = (2, 7, 9)  # the first release with a virtual environment


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One practice server: its name, the release on it, and whether that is a git checkout."""

    name: str
    version: str
    git: bool = False


def parse_servers(text: str) -> tuple[ServerSpec, ...]:
    """Read `np1=3.4.9,np2=3.4.9:git`.

    Raises:
        UsageError: with what is wrong and what is expected.
    """
    specs = tuple(_parse_server(part.strip()) for part in text.split(",") if part.strip())
    if not specs:
        raise UsageError("--servers names no server; write it like np1=3.4.9,np2=3.4.9:git")
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"--servers names {', '.join(twice)} twice")
    return specs


def _parse_server(text: str) -> ServerSpec:
    name, equals, release = text.partition("=")
    version, colon, method = release.partition(":")
    if not equals or not NAME.fullmatch(name):
        raise UsageError(f"{text!r} in --servers is not like np1=3.4.9 or np1=3.4.9:git (lower case, digits, dashes)")
    if not VERSION.fullmatch(version) or tuple(map(int, version.split("."))) < OLDEST:
        raise UsageError(f"{version!r} of {name} is not a release from 2.7.9 on, such as 3.4.9")
    if colon and method not in {"git", "release"}:
        raise UsageError(f"{method!r} of {name} is not an install method: git or release")
    return ServerSpec(name=name, version=version, git=method == "git")
