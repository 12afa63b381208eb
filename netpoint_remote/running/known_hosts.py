"""Whether a host's key is the one we know: the verdict of OpenSSH on the same known_hosts files.

Theory. OpenSSH looks up one name, `host` or `[host]:port`, in all files, and judges the key by every
line that names it: an equal key makes it known, only other keys make it changed, no line makes it
new, and a `@revoked` line outweighs them all. A new `[host]:port` is looked up once more as `host`.
A host certificate is judged by the `@cert-authority` lines; where that fails, its plain key is judged
as if there were no certificate (sshconnect.c, check_host_key).

A file is split into lines once and indexed by plain name. Hashed names cannot be indexed: each costs
one HMAC for each name asked, and is computed when it is asked for.
"""

import base64
import binascii
import fcntl
import hashlib
import hmac
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from re import Pattern
from re import compile as compile_pattern
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, ssh

from netpoint_remote.planning.word import Word

CERTIFICATE = "-cert-v01@openssh.com"
CA, REVOKED = "@cert-authority", "@revoked"
ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
# one kind of key may sign in several ways; ours in order of preference
ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    **{kind: (kind,) for kind in ECDSA},
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


class Standing(Word):
    """What the files say about a key."""

    KNOWN = "known"
    NEW = "new"
    CHANGED = "changed"
    REVOKED = "revoked"


class Line(NamedTuple):
    """One line of a known_hosts file, its key not yet decoded (a tuple: there are thousands)."""

    marker: str
    kind: str
    encoded: str
    file: str
    number: int

    @property
    def key(self) -> bytes:
        """The key, empty where the line holds none that can be read."""
        try:
            key = base64.b64decode(self.encoded, validate=True)
        except (binascii.Error, ValueError):
            return b""
        return key if key_kind(key) == self.kind else b""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the files say about a key, and the line that says so."""

    standing: Standing
    line: Line | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostName:
    """What a host is looked up as: its name and port, or the alias that ssh_config gives it."""

    host: str
    port: int = 22
    alias: str | None = None

    @property
    def written(self) -> str:
        """The name as a line has it."""
        if self.alias:
            return self.alias.lower()
        host = self.host.lower()
        return host if self.port == 22 else f"[{host}]:{self.port}"  # noqa: PLR2004  the port of SSH

    @property
    def looked_up(self) -> tuple[str, ...]:
        """The names to look up, the second only where the first is in no line."""
        plain = self.host.lower()
        return (self.written,) if self.alias or self.written == plain else (self.written, plain)

    @property
    def principal(self) -> str:
        """The name that a certificate must be for."""
        return (self.alias or self.host).lower()


class KnownHosts:
    """The lines of some known_hosts files."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._clear()
        for file in files:
            self._read(file)

    def judge(self, name: HostName, key: bytes, *, now: int) -> Verdict:
        """Return what the files say about `key` (a public key or a host certificate as on the wire).

        `now` is in seconds since the epoch and decides whether a certificate is in force.
        """
        return self._judge(name.looked_up, name.principal, key, now)

    def algorithms(self, name: HostName) -> tuple[str, ...]:
        """Return the algorithms to ask the host for, those whose keys are known first."""
        lines = [line for each in name.looked_up for line in self._lines(each)]
        known = {line.kind for line in lines if not line.marker}
        ordered = sorted(ALGORITHMS, key=lambda kind: kind not in known)
        plain = tuple(algorithm for kind in ordered for algorithm in ALGORITHMS[kind])
        authority = any(line.marker == CA for line in lines)
        return tuple(algorithm + CERTIFICATE for algorithm in plain if authority) + plain

    def add(self, name: HostName, key: bytes, *, to: str, hashed: bool = False) -> None:
        """Write a new key down in the file `to`, unless someone else has meanwhile."""
        path = Path(to)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock, path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._read(str(path))
            if not any(line.key == key for line in self._lines(name.written)):
                written = _hash(name.written, os.urandom(20)) if hashed else name.written
                line = f"{written} {key_kind(key)} {base64.b64encode(key).decode()}\n"
                file.write(self._line_break(file.fileno()) + line.encode())
                file.flush()
                self._read(str(path))

    # Reading

    def _clear(self) -> None:
        self._plain: dict[str, list[Line]] = {}
        self._hashed: list[tuple[str, Line]] = []
        self._decoded: list[tuple[bytes, bytes, Line]] = []  # of the hashed names, those decoded so far
        self._patterns: list[tuple[str, Line]] = []
        self._read_so_far: dict[str, tuple[int, int, int]] = {}  # file: inode, bytes, lines

    def _read(self, name: str) -> None:
        """Read what was added to a file since it was last read; everything when it was replaced."""
        try:
            with Path(name).open("rb") as file:
                status = os.fstat(file.fileno())
                inode, offset, lines = self._read_so_far.get(name, (status.st_ino, 0, 0))
                if inode != status.st_ino or status.st_size < offset:
                    self._forget(name)
                    offset = lines = 0
                file.seek(offset)
                added = file.read()
        except OSError:
            return  # as OpenSSH: a file that is not there, or not for us, knows nothing
        self._index(name, added.decode(errors="surrogateescape").split("\n"), lines)
        whole = added.rfind(b"\n") + 1
        self._read_so_far[name] = (status.st_ino, offset + whole, lines + added.count(b"\n"))

    def _index(self, file: str, lines: list[str], number: int) -> None:
        for text in lines:
            number += 1
            fields = text.split(None, 4)
            if len(fields) < 3 or fields[0][0] == "#":  # noqa: PLR2004  names, kind and key
                continue
            marker = fields.pop(0) if fields[0][0] == "@" else ""
            if len(fields) < 3 or marker not in ("", CA, REVOKED):  # noqa: PLR2004  host, kind and key
                continue
            names, line = fields[0], Line(marker, fields[1], fields[2], file, number)
            if names[0] == "|":
                self._hashed.append((names, line))
            elif "*" in names or "?" in names or "!" in names:
                self._patterns.append((names.lower(), line))
            else:
                for each in names.lower().split(","):
                    self._plain.setdefault(each, []).append(line)

    def _forget(self, file: str) -> None:
        self._plain = {name: [x for x in lines if x.file != file] for name, lines in self._plain.items()}
        self._hashed = [(names, line) for names, line in self._hashed if line.file != file]
        self._decoded = []
        self._patterns = [(names, line) for names, line in self._patterns if line.file != file]

    @staticmethod
    def _line_break(descriptor: int) -> bytes:
        size = os.fstat(descriptor).st_size
        ends_well = not size or os.pread(descriptor, 1, size - 1) == b"\n"
        return b"" if ends_well else b"\n"

    # Judging

    def _lines(self, name: str) -> Iterator[Line]:
        yield from self._plain.get(name, ())
        yield from (line for names, line in self._patterns if matches(name, names))
        yield from self._hashed_lines(name.encode(errors="surrogateescape"))

    def _hashed_lines(self, name: bytes) -> Iterator[Line]:
        decoded = self._decoded
        if len(decoded) != len(self._hashed):
            self._decoded = decoded = [(*_salt_and_digest(names), line) for names, line in self._hashed]
        digest_of = hmac.digest
        return (line for salt, digest, line in decoded if digest_of(salt, name, "sha1") == digest)

    def _judge(self, names: tuple[str, ...], principal: str, key: bytes, now: int) -> Verdict:
        certificate = key_kind(key).endswith(CERTIFICATE)
        judge = self._judge_certificate if certificate else self._judge_plain
        verdict = judge(list(self._lines(names[0])), principal, key, now)
        if verdict.standing is Standing.NEW and len(names) > 1:
            without_port = self._judge(names[1:], principal, key, now)
            if without_port.standing in (Standing.KNOWN, Standing.REVOKED):
                return without_port
        if certificate and verdict.standing in (Standing.NEW, Standing.CHANGED):
            return self._judge(names, principal, without_certificate(key), now)
        return verdict

    @staticmethod
    def _judge_plain(lines: list[Line], _principal: str, key: bytes, _now: int) -> Verdict:
        decoded = [(line, line.key) for line in lines]
        for line, known in decoded:
            if line.marker == REVOKED and known == key:
                return Verdict(standing=Standing.REVOKED, line=line)
        plain = [(line, known) for line, known in decoded if not line.marker and known]
        for line, known in plain:
            if known == key:
                return Verdict(standing=Standing.KNOWN, line=line)
        kind = key_kind(key)
        plain.sort(key=lambda pair: pair[0].kind != kind)
        return Verdict(standing=Standing.CHANGED, line=plain[0][0]) if plain else Verdict(standing=Standing.NEW)

    @staticmethod
    def _judge_certificate(lines: list[Line], principal: str, key: bytes, now: int) -> Verdict:
        authority = _authority(key)
        revoked = (authority, without_certificate(key))
        for line in lines:
            if line.marker == REVOKED and line.key in revoked:
                return Verdict(standing=Standing.REVOKED, line=line)
        for line in lines:
            if line.marker == CA and line.key == authority and _in_force(key, principal, now):
                return Verdict(standing=Standing.KNOWN, line=line)
        return Verdict(standing=Standing.NEW)


def matches(name: str, patterns: str) -> bool:
    """Say whether a name matches a comma-separated list of patterns, none of its `!` patterns included."""
    found = False
    for pattern in patterns.split(","):
        if _pattern(pattern.removeprefix("!")).match(name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def key_kind(key: bytes) -> str:
    """Return the kind that a key on the wire begins with, such as `ssh-ed25519`; empty for no key."""
    size = int.from_bytes(key[:4], "big")
    return key[4 : 4 + size].decode("ascii", "replace") if size < len(key) else ""


def fingerprint(key: bytes) -> str:
    """Return what `ssh-keygen -l` prints for a key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def without_certificate(key: bytes) -> bytes:
    """Return the plain key of a host certificate."""
    return _public(_certificate(key).public_key())


def is_revoked_by(file: str, key: bytes) -> bool:
    """Say whether a RevokedHostKeys file, a list of keys or a KRL, has the key; one that cannot be read has all."""
    path = Path(file).expanduser()
    try:
        content = path.read_bytes()
    except OSError:
        return True
    encoded = base64.b64encode(key)
    if not content.startswith(b"SSHKRL\n\0"):
        return any(encoded in line.split() for line in content.split(b"\n") if not line.startswith(b"#"))
    with NamedTemporaryFile() as shown:
        shown.write(key_kind(key).encode() + b" " + encoded + b"\n")
        shown.flush()
        asked = ["ssh-keygen", "-Q", "-f", str(path), shown.name]
        try:
            return subprocess.run(asked, capture_output=True, check=False, timeout=30).returncode != 0
        except (OSError, subprocess.TimeoutExpired):
            return True


def refusal(name: HostName, key: bytes, verdict: Verdict, *, way: str) -> str:
    """Say why a key was refused and what to do about it; `way` is the command that goes there and asks."""
    shown = f"{_short(key_kind(key))} {fingerprint(key)}"
    line = verdict.line
    if line and verdict.standing is Standing.REVOKED:
        return f"the host key of {name.written} ({shown}) is revoked by {line.place}: do not use this server"
    if line and verdict.standing is Standing.CHANGED:
        return (
            f"the host key of {name.written} has changed: the server shows {shown}, {line.place} has "
            f"{_short(line.kind)} {fingerprint(line.key)}. Either the connection is intercepted, or the server "
            f"was reinstalled. If you know it was, remove the old key: ssh-keygen -R '{name.written}' -f '{line.file}'"
        )
    return (
        f"the host key of {name.written} is not known: the server shows {shown}. Compare that with what "
        "`ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` prints on the server; then run again with --accept-new, "
        f"or add it yourself: {way}"
    )


def _short(kind: str) -> str:
    return kind.removesuffix(CERTIFICATE).removeprefix("ssh-").split("-")[0].upper()


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> Pattern[str]:
    return compile_pattern(translate(pattern.replace("[", "[[]")))  # only * and ? are special to OpenSSH


def _hash(name: str, salt: bytes) -> str:
    digest = hmac.digest(salt, name.encode(errors="surrogateescape"), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _salt_and_digest(hashed: str) -> tuple[bytes, bytes]:
    try:
        _, version, salt, digest = hashed.split("|")
        return binascii.a2b_base64(salt), binascii.a2b_base64(digest) if version == "1" else b""
    except ValueError:
        return b"", b""


def _certificate(key: bytes) -> ssh.SSHCertificate:
    loaded = ssh.load_ssh_public_identity(key_kind(key).encode() + b" " + base64.b64encode(key))
    if not isinstance(loaded, ssh.SSHCertificate):
        raise TypeError(f"{key_kind(key)} is not a certificate")
    return loaded


def _public(key: ssh.SSHCertPublicKeyTypes) -> bytes:
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def _authority(key: bytes) -> bytes:
    return _public(_certificate(key).signature_key())


def _in_force(key: bytes, principal: str, now: int) -> bool:
    certificate = _certificate(key)
    try:
        certificate.verify_cert_signature()
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    names = certificate.valid_principals
    return (
        certificate.type is ssh.SSHCertificateType.HOST
        and certificate.valid_after <= now < certificate.valid_before
        and not certificate.critical_options
        and (not names or principal.encode() in names)
    )
