"""How a host is reached: the meaning OpenSSH gives ssh_config, asked from `ssh -G`.

Theory. `ssh -G` is never wrong and costs 5 ms. So the files are read only for their `Host` and `Match`
heads, to know which names are bound to get the same answer: names that the same heads match. For such
a group `ssh` is asked once, with a stand-in name that those heads match too, and the stand-in is
replaced by each name. Where that cannot be known (a `Match`, a canonical name) each name is asked for.
"""

import os
import pwd
import re
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from glob import glob
from hashlib import sha1
from pathlib import Path

from netpoint_remote.errors import RequestError
from netpoint_remote.planning.inventory import Host
from netpoint_remote.running.known_hosts import matches

STAND_IN = "netpoint-remote-stand-in"
SYSTEM_CONFIG = "/etc/ssh/ssh_config"
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
# what OpenSSH takes for a host name: nothing that means something to a shell, for a ProxyCommand may hold it
NAME = re.compile(r"[^-\s\x00-\x20'`\"$\\;&<>|(){}][^\s\x00-\x20'`\"$\\;&<>|(){}]*")
USER = re.compile(r"[^-\s\x00-\x20'`\";&<>|(){}][^\x00-\x1f'`\";&<>|(){}]*")
Settings = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How one host, or one gateway, is reached.

    `name` is what was asked for, `hostname` and `port` where that leads. `proxy_jump` are the gateways
    in the order they are passed. `identities` are key files that exist; `explicit_identities` says that
    the operator named them, so that a fault in one of them is an error. `record_in` is the one of `known_hosts`
    that new keys go to. `strict` is OpenSSH's word: yes, ask, accept-new or no.
    `agent` is the agent's socket, None for no agent. `connect_timeout` is in seconds.
    """

    name: str
    hostname: str
    user: str
    port: int = 22
    identities: tuple[str, ...] = ()
    explicit_identities: bool = False
    identities_only: bool = False
    certificates: tuple[str, ...] = ()
    agent: str | None = None
    proxy_jump: tuple[str, ...] = ()
    proxy_command: str | None = None
    connect_timeout: float | None = None
    known_hosts: tuple[str, ...] = ()
    record_in: str | None = None
    host_key_alias: str | None = None
    hash_known_hosts: bool = False
    strict: str = "ask"
    revoked_host_keys: str | None = None
    trust_loopback: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    user: str | None
    port: int | None


class SshConfig:
    """The operator's ssh_config; `file` stands instead of the user's and the system's (as `ssh -F`).

    `note` is told, once, what the operator should know.
    """

    def __init__(
        self, file: str | None = None, *, note: Callable[[str], None] = lambda _: None, patience: float = 60.0
    ) -> None:
        self._file = file
        self._patience = patience  # seconds for ssh to answer, a `Match exec` and looking names up included
        self._note = note
        self._lock = threading.Lock()
        self._heads: _Heads | None = None
        self._answers: dict[_Question, Settings] = {}
        self._asking: dict[_Question, threading.Lock] = {}
        self._routes: dict[Host, Route] = {}
        self._without_ssh = False

    def route(self, host: Host) -> Route:
        """Return how a host is reached; what the host itself says wins over ssh_config.

        Raises:
            RequestError: when ssh cannot make sense of its configuration.
        """
        route = self._routes.get(host)  # asked for before the run, and again for each connection
        if route is None:
            route = self._routes[host] = self._read_route(host)
        return route

    def _read_route(self, host: Host) -> Route:
        route = self._resolve(_Question(host.address, host.user, host.port))
        if host.identity:
            keys = tuple(str(Path(each).expanduser()) for each in host.identity)
            route = replace(route, identities=keys, explicit_identities=True, identities_only=True)
        if host.known_hosts:
            file = str(Path(host.known_hosts).expanduser())
            route = replace(route, known_hosts=(file,), record_in=file)
        if host.gateway:
            route = replace(route, proxy_jump=split_jumps(host.gateway), proxy_command=None)
        return route

    def gateway(self, jump: str) -> Route:
        """Return how a gateway is reached, written as `user@host:port` or `ssh://user@host:port`."""
        user, name, port = parse_jump(jump)
        return self._resolve(_Question(name, user, port))

    def _resolve(self, question: _Question) -> Route:
        if not NAME.fullmatch(question.name):
            raise RequestError(f"{question.name!r} is not the name or address of a host")
        if question.user and not USER.fullmatch(question.user):
            raise RequestError(f"{question.user!r} is not the name of a user")
        return _route(question, self._settings(question))

    def _settings(self, question: _Question) -> Settings:
        with self._lock:
            self._heads = self._heads or _Heads.read(self._file)
        stand_in = self._heads.stand_in(question.name)
        if stand_in:
            shared = self._ask(replace(question, name=stand_in))
            if shared.get("canonicalizehostname", ("false",))[0] in ("false", "no", "none"):
                return _substitute(shared, stand_in, question.name)
        return self._ask(question)

    def _ask(self, question: _Question) -> Settings:
        """Ask each question once, different ones at the same time (a `Match exec` may take its time)."""
        with self._lock:
            asking = self._asking.setdefault(question, threading.Lock())
        with asking:
            if question not in self._answers:
                self._answers[question] = {} if self._without_ssh else self._run(question)
            return self._answers[question]

    def _run(self, question: _Question) -> Settings:
        options = (("-F", self._file), ("-l", question.user), ("-p", question.port))
        arguments = [str(part) for option in options if option[1] is not None for part in option]
        try:
            done = subprocess.run(
                ["ssh", "-G", *arguments, "--", question.name],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape", check=False,
                timeout=self._patience,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise RequestError(
                f"ssh took more than {self._patience:g} s to say what its configuration means for {question.name}: "
                f"see what `ssh -G {question.name}` waits for (a Match exec, or a name server)"
            ) from None
        except OSError:
            return self._do_without_ssh()
        if done.returncode:
            raise RequestError(f"ssh cannot make sense of its configuration: {_complaint(done.stderr)}")
        return _parse(done.stdout)

    def _do_without_ssh(self) -> Settings:
        with self._lock:
            first, self._without_ssh = not self._without_ssh, True
        if first:
            self._note("there is no ssh program here, so ssh_config is not read")
        return {}


def split_jumps(jumps: str) -> tuple[str, ...]:
    """Return the gateways of a ProxyJump, first to pass first; `none` is no gateway."""
    return () if jumps.strip().lower() in ("", "none") else tuple(part.strip() for part in jumps.split(","))


def parse_jump(jump: str) -> tuple[str | None, str, int | None]:
    """Read `user@host:port`, each but the host optional, an IPv6 address in brackets.

    Raises:
        RequestError: when it is none of that.
    """
    found = re.fullmatch(
        r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:@\[\]]+))(?::(?P<port>\d{1,5}))?/?", jump
    )
    if not found:
        raise RequestError(f"the gateway {jump!r} is not of the form user@host:port")
    return found["user"], found["v6"] or found["name"], int(found["port"]) if found["port"] else None


class _Heads:
    """The `Host` heads of the configuration, and whether there is anything that only ssh can judge."""

    def __init__(self, heads: tuple[str, ...], *, only_ssh_knows: bool) -> None:
        self._heads = heads
        self._only_ssh_knows = only_ssh_knows

    @classmethod
    def read(cls, file: str | None) -> "_Heads":
        heads: list[str] = []
        for keyword, arguments in _directives(file):
            if keyword == "host":
                heads.append(",".join(arguments))
            elif keyword == "match" and arguments != ["all"]:
                return cls((), only_ssh_knows=True)
        return cls(tuple(dict.fromkeys(heads)), only_ssh_knows=False)

    def stand_in(self, name: str) -> str | None:
        """Return a name that gets the same answer as `name`, None where only `name` itself will do."""
        if self._only_ssh_knows:
            return None
        wanted = self._matching(name)
        for stand_in in self._candidates(name):
            if self._matching(stand_in) == wanted:
                return stand_in
        return None

    def _candidates(self, name: str) -> Iterator[str]:
        """Yield names that are the same for many hosts: nothing of the host but what a pattern demands."""
        yield STAND_IN
        for pattern in dict.fromkeys(each for head in self._heads for each in head.split(",")):
            if pattern.count("*") == 1 and "?" not in pattern and matches(name, pattern):
                yield pattern.replace("*", STAND_IN)

    def _matching(self, name: str) -> tuple[bool, ...]:
        return tuple(matches(name, head) for head in self._heads)


def _directives(file: str | None) -> Iterator[tuple[str, list[str]]]:
    if file is not None:
        yield from () if file == "none" else _read(Path(file), _home() / ".ssh", 0)
        return
    yield from _read(_home() / ".ssh" / "config", _home() / ".ssh", 0)
    yield from _read(Path(SYSTEM_CONFIG), Path(SYSTEM_CONFIG).parent, 0)


def _read(path: Path, folder: Path, depth: int) -> Iterator[tuple[str, list[str]]]:
    try:
        lines = path.read_text(errors="surrogateescape").split("\n")
    except OSError:
        return
    for line in lines:
        found = re.match(r"\s*(host|match|include)(?:\s*=\s*|\s+)(.*)", line, re.IGNORECASE)
        if not found:
            continue
        keyword, arguments = found[1].lower(), _words(found[2])
        if keyword != "include":
            yield keyword, arguments
        elif depth > 16 or any("%" in each or "${" in each for each in arguments):  # noqa: PLR2004  OpenSSH's own depth
            yield "match", ["what", "only", "ssh", "can", "read"]
        else:
            for each in arguments:
                for included in sorted(glob(str(folder / Path(each).expanduser()))):  # noqa: PTH207  absolute too
                    yield from _read(Path(included), folder, depth + 1)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _home() -> Path:
    """OpenSSH takes the home folder from the accounts, whatever HOME says."""
    return Path(pwd.getpwuid(os.getuid()).pw_dir)


def _parse(text: str) -> Settings:
    settings: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        keyword, _, value = line.partition(" ")
        settings[keyword.lower()] = (*settings.get(keyword.lower(), ()), value)
    return settings


def _substitute(settings: Settings, stand_in: str, name: str) -> Settings:
    named = {
        keyword: tuple(value.replace(stand_in, name) for value in values)
        for keyword, values in settings.items()
        if stand_in in " ".join(values)
    }
    return {**settings, **named}


def _complaint(text: str) -> str:
    lines = [line for line in text.split("\n") if not line.startswith("Pseudo-terminal")]
    return "; ".join(lines) or "ssh -G failed"


def _route(question: _Question, settings: Settings) -> Route:
    def one(keyword: str, default: str) -> str:
        return settings.get(keyword, (default,))[0]

    def some(keyword: str) -> str | None:
        value = one(keyword, "none")
        return None if value.lower() == "none" else value

    hostname = one("hostname", question.name)
    user = one("user", question.user or pwd.getpwuid(os.getuid()).pw_name)
    port = int(one("port", str(question.port or 22)))
    alias = some("hostkeyalias")
    jumps = split_jumps(one("proxyjump", "none"))
    tokens = _tokens({"n": question.name, "h": hostname, "r": user, "p": str(port), "j": jumps[-1] if jumps else ""})
    tokens["k"] = alias or question.name
    command = some("proxycommand")
    defaults = tuple(f"~/.ssh/{name}" for name in DEFAULT_KEYS)
    named = settings.get("identityfile", defaults)
    own_files = _known_hosts(settings, tokens, "user")
    keys = tuple(_path(each, tokens) for each in named if each.lower() != "none")
    return Route(
        name=question.name,
        hostname=hostname,
        user=user,
        port=port,
        identities=tuple(each for each in keys if Path(each).exists()),
        identities_only=one("identitiesonly", "no") in ("yes", "true"),
        certificates=tuple(_path(each, tokens) for each in settings.get("certificatefile", ()) if each != "none"),
        agent=_agent(one("identityagent", "SSH_AUTH_SOCK"), tokens),
        proxy_jump=jumps,
        proxy_command=expand(command, tokens) if command and not jumps else None,
        connect_timeout=float(some("connecttimeout") or 0) or None,
        known_hosts=own_files + _known_hosts(settings, tokens, "global"),
        record_in=next(iter(own_files), None),
        host_key_alias=alias,
        hash_known_hosts=one("hashknownhosts", "no") in ("yes", "true"),
        strict={"true": "yes", "false": "no", "off": "no"}.get(word := one("stricthostkeychecking", "ask"), word),
        revoked_host_keys=some("revokedhostkeys"),
        trust_loopback=one("nohostauthenticationforlocalhost", "no") in ("yes", "true") and not alias,
    )


def _tokens(own: Mapping[str, str]) -> dict[str, str]:
    """Return the TOKENS of ssh_config(5): `own`, and what they are for every host."""
    here = socket.gethostname()
    me = pwd.getpwuid(os.getuid())
    unique = (here + own["h"] + own["p"] + own["r"] + own["j"]).encode()
    return {
        **own,
        "%": "%",
        "C": sha1(unique, usedforsecurity=False).hexdigest(),
        "d": me.pw_dir,
        "i": str(os.getuid()),
        "L": here.split(".")[0],
        "l": here,
        "u": me.pw_name,
    }


def expand(text: str, tokens: Mapping[str, str]) -> str:
    """Replace the tokens such as %h; an unknown one stays."""
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)


def _path(text: str, tokens: Mapping[str, str]) -> str:
    path = expand(text, tokens) if "%" in text else text
    if "${" in path:
        path = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), path)
    if not path.startswith("~"):
        return path
    return tokens["d"] + path[1:] if path == "~" or path.startswith("~/") else str(Path(path).expanduser())


def _agent(word: str, tokens: Mapping[str, str]) -> str | None:
    if word == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if word.lower() == "none":
        return None
    return os.environ.get(word[1:]) if re.fullmatch(r"\$\w+", word) else _path(word, tokens)


def _known_hosts(settings: Settings, tokens: Mapping[str, str], whose: str) -> tuple[str, ...]:
    """`ssh -G` separates the files by blanks and does not quote: a new one begins with a slash."""
    default = {"user": "~/.ssh/known_hosts", "global": "/etc/ssh/ssh_known_hosts"}[whose]
    files = settings.get(f"{whose}knownhostsfile", (f"{default} {default}2",))[0]
    return tuple(_path(each, tokens) for each in re.split(r" (?=[/~])", files) if each != "none")
