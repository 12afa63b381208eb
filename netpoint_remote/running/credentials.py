"""What we show to servers to be let in: keys of files and agents, unlocked once for the run, and a password.

The keys answer as Paramiko's own do (`get_name`, `asbytes`, `public_blob`, `sign_ssh_data`), and are our
own because Paramiko's would be decrypted for each connection, cannot share an agent between threads and
do not know the agent that ssh_config names.
"""

import base64
import binascii
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from netpoint_remote.errors import RequestError
from netpoint_remote.running.known_hosts import CERTIFICATE, key_kind
from netpoint_remote.running.ssh_config import DEFAULT_KEYS, Route

OFFERED_AT_MOST = 5  # sshd hangs up after six (MaxAuthTries), and a password may be wanted too
AGENT_TIMEOUT = 60.0  # seconds: its owner may have to touch a token
PASSPHRASE_TRIES = 3
PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Ask = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class PublicBlob:
    """A certificate as it is sent in place of the key it certifies."""

    key_type: str
    key_blob: bytes


class Signer(Protocol):
    """What can sign for one public key."""

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key to offer: its public half as on the wire (`blob`), who signs for it, and where it comes from."""

    blob: bytes
    signer: Signer = field(repr=False, compare=False)
    source: str
    certificate: bytes | None = None

    @property
    def public_blob(self) -> PublicBlob | None:
        shown = self.certificate or (self.blob if key_kind(self.blob).endswith(CERTIFICATE) else None)
        return PublicBlob(key_kind(shown), shown) if shown else None

    def get_name(self) -> str:
        return key_kind(self.blob)

    def asbytes(self) -> bytes:
        return self.blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:
        """Return the signature, or an empty one, which the server refuses, where the agent will not sign."""
        name = (algorithm or self.get_name()).removesuffix(CERTIFICATE)
        try:
            return self.signer.sign(self.blob, data, name)
        except OSError:  # raised here it would end Paramiko's thread without a word
            return _string(name.encode()) + _string(b"")


class Credentials:
    """The keys and the password of one run; each is asked for at most once, and may be used from every thread.

    `passphrase` is given the path of a locked key, `password` is given `user@host`; they return None
    where the operator has none to give.
    """

    def __init__(self, *, passphrase: Ask | None = None, password: Ask | None = None) -> None:
        self._passphrase = passphrase
        self._password = password
        self._lock = threading.RLock()
        self._files: dict[str, KeyFile] = {}
        self._agents: dict[str, Agent] = {}
        self._offers: dict[tuple[object, ...], tuple[Key, ...]] = {}
        self._passwords: list[str | None] = []

    def keys(self, route: Route) -> tuple[Key, ...]:
        """Return the keys to offer, best first: those named for the host, the agent's, the usual files.

        Raises:
            RequestError: when a key that the inventory names cannot be used.
        """
        case = (route.identities, route.identities_only, route.certificates, route.agent)
        with self._lock:
            if case not in self._offers:
                unique: dict[bytes, Key] = {}
                for key in self._offered(route):
                    unique.setdefault(key.certificate or key.blob, key)
                self._offers[case] = tuple(unique.values())[:OFFERED_AT_MOST]
            return self._offers[case]

    def prepare(self, routes: Iterable[Route]) -> None:
        """Load and unlock all that the routes name, so that faults show before anything connects.

        Raises:
            RequestError: with every fault.
        """
        faults: dict[str, None] = {}
        for route in {(each.identities, each.agent, each.identities_only): each for each in routes}.values():
            try:
                self.keys(route)
            except RequestError as error:  # noqa: PERF203  every fault is wanted
                faults[str(error)] = None
        if faults:
            raise RequestError("\n".join(faults))

    def password(self, who: str) -> str | None:
        """Return the login password, None where there is none."""
        with self._lock:
            if not self._passwords:
                self._passwords.append(self._password(who) if self._password else None)
            return self._passwords[0]

    def close(self) -> None:
        """Leave the agents."""
        with self._lock:
            for agent in self._agents.values():
                agent.close()

    def _offered(self, route: Route) -> list[Key]:
        agent = self._agent(route.agent)
        named = list(self._named(route, agent))
        others = [] if route.identities_only else agent.held()
        return [key for usual, key in named if not usual] + others + [key for usual, key in named if usual]

    def _agent(self, path: str | None) -> "Agent":
        return self._agents.setdefault(path or "", Agent(path))

    def _named(self, route: Route, agent: "Agent") -> Iterator[tuple[bool, Key]]:
        certificates = [blob for path in route.certificates if (blob := read_public(path))]
        locked = []
        for path in route.identities:
            file = self._files.setdefault(path, KeyFile(path))
            keys = file.keys(agent, certificates)
            if not keys and file.locked:
                locked.append(file)
            elif not keys and route.explicit_identities:
                raise RequestError(f"the key {path} cannot be used: {file.fault}")
            yield from ((file.usual, key) for key in keys)
        for file in locked:
            if not file.usual or (not agent.held() and not any(each.loaded for each in self._files.values())):
                file.unlock(self._passphrase, must=route.explicit_identities)
                yield from ((file.usual, key) for key in file.keys(agent, certificates))


class KeyFile:
    """One private key file, read and unlocked once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.usual = Path(path).name in DEFAULT_KEYS and Path(path).parent.name == ".ssh"
        self.fault = ""
        self.locked = False
        self._private: PrivateKey | None = None
        self._public = b""
        self._certificate: bytes | None = None
        self._asked = False
        self._read()

    @property
    def loaded(self) -> bool:
        return self._private is not None

    def keys(self, agent: "Agent", certificates: list[bytes]) -> list[Key]:
        """Return the key, signed for by the agent where it can, once for each of its certificates and once plain."""
        signer: Signer | None = agent if any(key.blob == self._public for key in agent.held()) else None
        if not signer and self._private:
            signer = FileSigner(self._private)
        if not signer or not self._public:
            return []
        own = [self._certificate] if self._certificate else []
        fitting = [each for each in own + certificates if certifies(each, self._public)]
        return [
            Key(blob=self._public, signer=signer, source=self.path, certificate=each)
            for each in (*dict.fromkeys(fitting), None)
        ]

    def unlock(self, ask: Ask | None, *, must: bool) -> None:
        """Ask for the passphrase, once in a run.

        Raises:
            RequestError: when the key must be unlocked and cannot.
        """
        for attempt in range(0 if self._asked or not ask else PASSPHRASE_TRIES):
            self._asked = True
            passphrase = ask(self.path) if ask else None
            if passphrase is None:
                break
            self._load(Path(self.path).read_bytes(), passphrase.encode())
            if self._private:
                return
            self.fault = f"the passphrase is wrong (tried {attempt + 1} times)"
        if must:
            raise RequestError(f"the key {self.path} cannot be used: {self.fault}")

    def _read(self) -> None:
        try:
            content = Path(self.path).read_bytes()
        except OSError as error:
            self.fault = (error.strerror or str(error)).lower()
            return
        self._certificate = read_public(f"{self.path}-cert.pub")
        self._public = parse_public(content) or read_public(f"{self.path}.pub") or _public_of_openssh(content)
        if parse_public(content):
            self.fault = "it is a public key and the agent does not hold its private half"
        elif content.startswith(b"PuTTY-User-Key-File"):
            self.fault = f"it is in PuTTY's format; convert it: puttygen {self.path} -O private-openssh -o NEW"
        else:
            self._load(content, None)

    def _load(self, content: bytes, passphrase: bytes | None) -> None:
        try:
            private = _parse_private(content, passphrase)
        except TypeError:
            self.locked, self.fault = True, "it is locked by a passphrase; add it to the agent: ssh-add " + self.path
        except UnsupportedAlgorithm:
            self.fault = "keys of its kind work through the agent only: ssh-add " + self.path
        except ValueError:
            self.fault = "it is not a private key in OpenSSH's or PEM format"
        else:
            if isinstance(private, PrivateKey):
                self._private, self.locked = private, False
                self._public = _blob(private)
            else:
                self.fault = "keys of its kind are no longer accepted by servers"


@dataclass(frozen=True, slots=True)
class FileSigner:
    """Signs with a key of a file."""

    private: PrivateKey

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:  # noqa: ARG002  the agent needs the blob
        if isinstance(self.private, rsa.RSAPrivateKey):
            digest = hashes.SHA256() if algorithm == "rsa-sha2-256" else hashes.SHA512()
            signature = self.private.sign(data, padding.PKCS1v15(), digest)
        elif isinstance(self.private, ec.EllipticCurvePrivateKey):
            size = self.private.curve.key_size
            curve_digest = {256: hashes.SHA256(), 384: hashes.SHA384()}.get(size, hashes.SHA512())
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(curve_digest)))
            signature = _number(r) + _number(s)
        else:
            signature = self.private.sign(data)
        return _string(algorithm.encode()) + _string(signature)


class Agent:
    """The ssh-agent behind a socket, for one thread at a time."""

    SIGN_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}  # noqa: RUF012  never changed

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._keys: list[Key] | None = None

    def held(self) -> list[Key]:
        """Return the agent's keys, none where there is no agent to be reached."""
        with self._lock:
            if self._keys is None:
                self._keys = list(self._list()) if self._path else []
            return self._keys

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        """Return the signature.

        Raises:
            OSError: when the agent is gone or its owner refused.
        """
        flags = self.SIGN_FLAGS.get(algorithm, 0)
        kind, answer = self._request(b"\x0d" + _string(blob) + _string(data) + struct.pack(">I", flags))
        if kind != 14:  # noqa: PLR2004  SSH_AGENT_SIGN_RESPONSE
            raise OSError("the ssh-agent refused to sign")
        return _split(answer)[0]

    def close(self) -> None:
        with self._lock:
            if self._socket:
                self._socket.close()
                self._socket = None

    def _list(self) -> Iterator[Key]:
        try:
            kind, answer = self._request(b"\x0b")
        except OSError:
            return
        if kind != 12:  # noqa: PLR2004  SSH_AGENT_IDENTITIES_ANSWER
            return
        rest = answer[4:]
        for _ in range(int.from_bytes(answer[:4], "big")):
            blob, rest = _split(rest)
            comment, rest = _split(rest)
            yield Key(blob=blob, signer=self, source=f"agent: {comment.decode(errors='replace')}")

    def _request(self, message: bytes) -> tuple[int, bytes]:
        with self._lock:
            try:
                return self._exchange(message)
            except OSError:
                self.close()  # the agent may have been started anew
                return self._exchange(message)

    def _exchange(self, message: bytes) -> tuple[int, bytes]:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(AGENT_TIMEOUT)
            self._socket.connect(self._path or "")
        self._socket.sendall(_string(message))
        answer = self._receive(int.from_bytes(self._receive(4), "big"))
        return answer[0], answer[1:]

    def _receive(self, size: int) -> bytes:
        received = b""
        while self._socket and len(received) < size:
            part = self._socket.recv(size - len(received))
            if not part:
                raise ConnectionError("the ssh-agent hung up")
            received += part
        return received or b"\0"


def read_public(path: str) -> bytes | None:
    """Return the public key or certificate in a `.pub` file, None where there is none."""
    try:
        return parse_public(Path(path).read_bytes())
    except OSError:
        return None


def parse_public(content: bytes) -> bytes | None:
    """Return the key of a line such as `ssh-ed25519 AAAA... comment`, None where it is none."""
    fields = content.split(None, 2)
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (IndexError, binascii.Error):
        return None
    return blob if key_kind(blob).encode() == fields[0] else None


def certifies(certificate: bytes, public: bytes) -> bool:
    """Say whether a certificate is for a public key: both hold the same fields, one behind a nonce."""
    kind, fields = _split(public)
    certificate_kind, rest = _split(certificate)
    if certificate_kind != kind + CERTIFICATE.encode():
        return False
    _nonce, rest = _split(rest)
    return rest.startswith(fields)


def _parse_private(content: bytes, passphrase: bytes | None) -> object:
    try:
        return load_ssh_private_key(content, passphrase)
    except ValueError:
        if b"BEGIN OPENSSH" in content:
            raise
    return load_pem_private_key(content, passphrase)


def _public_of_openssh(content: bytes) -> bytes:
    """Return the public half, which OpenSSH's format holds in the clear also when the key is locked."""
    magic = b"openssh-key-v1\0"
    lines = [line for line in content.split(b"\n") if line and not line.startswith(b"-----")]
    try:
        decoded = base64.b64decode(b"".join(lines))
    except binascii.Error:
        return b""
    rest = decoded.removeprefix(magic)
    if rest == decoded:
        return b""
    for _ in ("cipher", "kdf", "options"):
        rest = _split(rest)[1]
    return _split(rest[4:])[0]


def _blob(private: PrivateKey) -> bytes:
    return base64.b64decode(private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _split(data: bytes) -> tuple[bytes, bytes]:
    size = 4 + int.from_bytes(data[:4], "big")
    return data[4:size], data[size:]


def _number(value: int) -> bytes:
    return _string(value.to_bytes(value.bit_length() // 8 + 1, "big"))
