"""Connections to hosts and the visits made over them; the only module that knows Paramiko.

Theory. Paramiko's Transport is cheap (4 ms of CPU for a connection), but its exceptions do not say what
can pass by itself, and several of its waits have no end. So connecting goes in phases (resolve, reach,
greet, host key, authenticate), each with its own time and its own error, and every wait either has a
time or ends when another thread shuts the socket. Whatever was opened belongs to a `_Link`, which can be
closed from any thread at any moment: that is how a run is stopped.
"""

import ipaddress
import logging
import resource
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from netpoint_remote.errors import (
    AuthenticationFailed,
    ConnectError,
    HostKeyRefused,
    LineLost,
    RemoteFailed,
    RequestError,
    SudoRefused,
    Unreachable,
)
from netpoint_remote.planning.inventory import Host
from netpoint_remote.reporting.masking import mask
from netpoint_remote.running.credentials import Credentials, Key
from netpoint_remote.running.known_hosts import (
    CERTIFICATE,
    HostName,
    KnownHosts,
    Standing,
    is_revoked_by,
    key_kind,
    refusal,
    without_certificate,
)
from netpoint_remote.running.reach import ProxyCommand, reach, resolve
from netpoint_remote.running.ssh_config import Route, SshConfig
from netpoint_remote.running.wire import (
    Bounds,
    Completed,
    Conversation,
    Endless,
    NoReader,
    Output,
    command,
    opening,
    sent,
)

MIB = 1024 * 1024
SOCKET_TIMEOUT = 5.0  # seconds between two looks of an idle connection: each costs 0.1 ms of CPU
STALLED = 60.0  # seconds a write may make no progress
LONGEST_VISIT = 3600.0  # seconds, however lively the server is
LARGEST_PACKET = 256 * 1024  # bytes, as in OpenSSH
LARGEST_GREETING = 64 * 1024  # bytes before the first packet
LARGEST_OUTPUT = 64 * MIB  # bytes: more than any script of ours prints
GATEWAY_DOWN = 30.0  # seconds a gateway that could not be opened is taken for down
STOPPED = "stopped by the operator"
GONE = (paramiko.SSHException, EOFError, OSError)  # what a connection raises that is gone, here or there
OnRetry = Callable[[int, ConnectError, float], None]

if logging.getLogger("paramiko").level == logging.NOTSET:
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it reports as an error what we retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds that each phase of connecting may take."""

    resolve: float = 15.0
    reach: float = 10.0
    greet: float = 30.0  # a name server that is away costs sshd 20
    authenticate: float = 30.0
    open: float = 15.0
    shell: float = 60.0  # until the login shell has come to our command


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long connecting is tried again: at most `attempts`, begun within `seconds`.

    The pauses are random, up to `pause`, twice, four times that, at most `longest` (full jitter).
    """

    attempts: int = 5
    seconds: float = 180.0
    pause: float = 1.0
    longest: float = 30.0


class Connector:
    """What the connections of one run share; may be used from every thread.

    `stop` wakes whoever pauses between two attempts and lets nobody connect any more.
    """

    def __init__(
        self,
        *,
        config: SshConfig | None = None,
        credentials: Credentials | None = None,
        accept_new: bool = False,
        sudo_password: str | None = None,
        stop: threading.Event | None = None,
        deadlines: Deadlines | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.config = config or SshConfig()
        self.credentials = credentials or Credentials()
        self.sudo_password = sudo_password
        self.deadlines = deadlines or Deadlines()
        self._accept_new = accept_new
        self._patience = patience or Patience()
        self._stop = stop or threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._known_hosts: dict[tuple[str, ...], KnownHosts] = {}
        self._gateways: dict[tuple[Route, ...], _Gateway] = {}

    def prepare(self, hosts: Iterable[Host]) -> None:
        """Read the configuration, unlock the keys and make room for the connections, before the first one.

        Raises:
            RequestError: with everything in ssh_config or in the keys that stands in the way.
        """
        chosen = tuple(hosts)
        ensure_open_files(len(chosen))
        chains = [self._chain(host) for host in chosen]
        self.credentials.prepare(route for chain in chains for route in chain)

    def open(self, host: Host, *, on_retry: OnRetry | None = None) -> "Session":
        """Connect to a host, trying again what can pass by itself; `on_retry` is told of each pause in seconds.

        Raises:
            ConnectError: when the host cannot be reached or trusted.
            RequestError: when ssh_config or a key is at fault.
        """
        *gateways, route = self._chain(host)
        link = self._retrying(on_retry)(self._connect, route, tuple(gateways))
        return Session(self, host, link)

    def close_all(self) -> None:
        """Close everything at once; whoever waits on a connection gets its error now."""
        self._closed.set()
        self._stop.set()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()
        self.credentials.close()

    @property
    def stopped(self) -> bool:
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until everything is closed."""
        self._closed.wait(seconds)

    def __enter__(self) -> "Connector":  # noqa: PYI034  typing.Self came with Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close_all()

    # Routes

    def _chain(self, host: Host) -> list[Route]:
        """Return the gateways to pass, first to pass first, and the host's own route."""
        route = self.config.route(host)
        chain = self._gateways_of(route, (route,))
        if host.gateway:
            chain = [_as_the_inventory_says(host, each, route) for each in chain]
        return [*chain, route]

    def _gateways_of(self, route: Route, passed: tuple[Route, ...]) -> list[Route]:
        """Return the gateways as `ssh -J` takes them: the first is reached as its own configuration says."""
        hops = [self.config.gateway(jump) for jump in route.proxy_jump]
        for hop in hops[:1]:
            if any((hop.hostname, hop.port, hop.user) == (each.hostname, each.port, each.user) for each in passed):
                raise RequestError(f"ssh_config reaches the gateway {hop.name} through itself (ProxyJump)")
            hops = self._gateways_of(hop, (*passed, hop)) + hops
        return [replace(hop, proxy_jump=()) for hop in hops]

    # Connecting

    def _retrying(self, on_retry: OnRetry | None) -> Retrying:
        patience = self._patience

        def before_sleep(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if on_retry and isinstance(error, ConnectError):
                on_retry(state.attempt_number, error, state.upcoming_sleep)

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, ConnectError) and error.transient),
            wait=wait_random_exponential(multiplier=patience.pause, max=patience.longest),
            stop=stop_any(
                stop_after_attempt(patience.attempts),
                stop_after_delay(patience.seconds),
                stop_when_event_set(self._stop),
            ),
            sleep=sleep_using_event(self._stop),
            before_sleep=before_sleep,
            reraise=True,
        )

    def _connect(self, route: Route, gateways: tuple[Route, ...]) -> "_Link":
        link = _Link(route, forget=self._forget)
        with self._lock:
            self._links.add(link)
        try:
            if self._stop.is_set():
                raise Unreachable(STOPPED, transient=False)  # noqa: TRY301  closed as any failure
            begun = time.monotonic()
            self._reach(link, gateways)
            self._greet(link, time.monotonic() if gateways else begun)  # a gateway has a time of its own
            self._check_host_key(link, gateways)
            _Login(link, self.credentials, self.deadlines.authenticate).log_in()
        except BaseException as error:
            link.close()
            if self._closed.is_set() and isinstance(error, (ConnectError, LineLost, *GONE)):
                raise Unreachable(STOPPED, transient=False) from None
            raise
        return link

    def _forget(self, link: "_Link") -> None:
        with self._lock:
            self._links.discard(link)

    def _reach(self, link: "_Link", gateways: tuple[Route, ...]) -> None:
        route = link.route
        if gateways:
            link.hold(self._gateway(gateways).tunnel(route, self.deadlines.open))
        elif route.proxy_command:
            link.run(route.proxy_command)
        else:
            addresses = resolve(route.hostname, route.port, seconds=self.deadlines.resolve)
            seconds = route.connect_timeout or self.deadlines.reach
            reach(addresses, seconds=seconds, opened=link.hold)

    def _greet(self, link: "_Link", begun: float) -> None:
        """Agree on keys; a server that hangs up here is often one with too many callers (MaxStartups).

        ConnectTimeout is for reaching the server and for this together, as OpenSSH has it.
        """
        known = self._known(link.route)
        greeted = link.start(known.algorithms(_name(link.route)))
        named = link.route.connect_timeout
        left = max(begun + named - time.monotonic(), 0.1) if named else self.deadlines.greet
        in_time, transport = greeted.wait(left), link.transport
        if in_time and transport.is_active():
            return
        error = transport.get_exception()
        if isinstance(error, IncompatiblePeer):
            raise Unreachable(f"{link.route.hostname}: {error}", transient=False)
        heard = f" ({transport.remote_version})" if transport.remote_version else ""
        late = f"did not finish within {named or self.deadlines.greet:.0f} s"
        advice = "" if in_time else "; ConnectTimeout in ssh_config gives it another time"
        raise Unreachable(
            f"{_where(link.route)}{heard} {'hung up' if in_time else late} during the SSH handshake"
            f"{link.complaint()}{_detail(error)}{advice}"
        )

    def _check_host_key(self, link: "_Link", gateways: tuple[Route, ...]) -> None:
        route = link.route
        try:
            key = _wire_key(link.transport.get_remote_server_key())
        except paramiko.SSHException as error:  # there is no session any more
            raise Unreachable(f"{_where(route)} hung up after the SSH handshake") from error
        name, known = _name(route), self._known(route)
        if route.trust_loopback and link.is_loopback():
            return
        if route.revoked_host_keys and is_revoked_by(route.revoked_host_keys, key):
            raise HostKeyRefused(f"the host key of {name.written} is revoked by {route.revoked_host_keys}")
        verdict = known.judge(name, key, now=int(time.time()))
        if verdict.standing is Standing.KNOWN:
            return
        if verdict.standing is not Standing.NEW or not (self._accept_new or route.strict in ("accept-new", "no")):
            raise HostKeyRefused(refusal(name, key, verdict, way=_way(route, gateways)))
        if route.record_in:
            plain = without_certificate(key) if key_kind(key).endswith(CERTIFICATE) else key
            known.add(name, plain, to=route.record_in, hashed=route.hash_known_hosts)

    def _known(self, route: Route) -> KnownHosts:
        with self._lock:
            if route.known_hosts not in self._known_hosts:
                self._known_hosts[route.known_hosts] = KnownHosts(route.known_hosts)
            return self._known_hosts[route.known_hosts]

    # Gateways

    def _gateway(self, chain: tuple[Route, ...]) -> "_Link":
        """Return the open link to the last gateway of a chain, opened once whoever comes first."""
        with self._lock:
            gateway = self._gateways.setdefault(chain, _Gateway())
        with gateway.lock:
            if gateway.link and gateway.link.is_alive():
                return gateway.link
            if gateway.error and time.monotonic() < gateway.retry_at:
                raise _again(gateway.error)
            try:
                gateway.link = self._retrying(None)(self._connect, chain[-1], chain[:-1])
            except ConnectError as error:
                named = type(error)(f"gateway {chain[-1].name}: {error}")
                named.transient = False  # tried with patience already; the hosts behind it do not try again
                gateway.error, gateway.retry_at = named, time.monotonic() + GATEWAY_DOWN
                raise named from error
            return gateway.link


class Session:
    """An open connection to one host."""

    def __init__(self, connector: Connector, host: Host, link: "_Link") -> None:
        self.host = host
        self._connector = connector
        self._link = link

    def visit(
        self,
        script: str,
        *,
        payload: BinaryIO | bytes | None = None,
        on_line: Callable[[str], None] | None = None,
        silence: float = 60.0,
        seconds: float = LONGEST_VISIT,
        size: int = LARGEST_OUTPUT,
        limit: int = 4 * MIB,
    ) -> Completed:
        """Run a POSIX sh script on the server, as root where the host says so, with the payload on its input.

        Its errors come in its output. `on_line` gets each line as it comes (bytes that are no UTF-8 as surrogates, no
        more than LONGEST_LINE bytes of it). `silence` is how many seconds may pass without a byte, `seconds` how many
        in all, `size` how many bytes may come, `limit` how many of the last of them are kept.

        Raises:
            LineLost: when the end was not seen; what the server did is unknown.
            RemoteFailed: when the server does not come to an end; what it did is unknown too.
            SudoRefused: when the user may not become root; nothing was run.
            Unreachable: when the login shell never came to our command; nothing was sent.
        """
        nonce, challenge = secrets.token_hex(16), secrets.token_hex(8)
        output = Output(nonce, challenge=challenge, on_line=on_line, limit=limit)
        password = self._connector.sudo_password if self.host.become else None
        source = sent(output, opening(script, nonce=nonce), password, payload)
        bounds = Bounds(shell=self._connector.deadlines.shell, silence=silence, seconds=seconds, size=size)
        channel = self._open_channel(output)
        try:
            channel.set_combine_stderr(combine=True)
            _request_exec(channel, command(become=self.host.become, challenge=challenge))
            reason = Conversation(channel, source, output, bounds).hold() + self._link.fault()
        except Endless as error:
            raise RemoteFailed(f"{_where(self._link.route)} {error}{self._said(output)}") from None
        except NoReader:
            raise Unreachable(self._no_reader(output), transient=False) from None
        except (paramiko.SSHException, EOFError) as error:
            reason = f"hung up{_detail(error)}"
        finally:
            with suppress(*GONE):
                channel.close()
        if output.status is not None:
            return Completed(output.status, output.text)
        if output.refused:
            word, _, said = output.text.partition("\n")
            raise SudoRefused(_sudo_refusal(self._link.route, word.strip(), self._masked(said)))
        raise LineLost(self._lost(reason, output))

    def close(self) -> None:
        """Hang up; never waits."""
        self._link.close()

    def __enter__(self) -> "Session":  # noqa: PYI034  as above
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_channel(self, output: Output) -> paramiko.Channel:
        """Open a channel; a server that allows one session frees it a moment after the last visit."""
        pause = threading.Event()
        for seconds in (0.05, 0.1, 0.2, 0.4, 0.8, 0.0):
            try:
                return self._link.transport.open_session(timeout=self._connector.deadlines.open)
            except paramiko.ChannelException as error:  # noqa: PERF203  this is a retry
                if not seconds:
                    raise LineLost(f"the server opens no session: {error.text}") from error
                pause.wait(seconds)
            except GONE as error:
                raise LineLost(self._lost(f"hung up{_detail(error)}", output)) from error
        raise AssertionError

    def _lost(self, reason: str, output: Output) -> str:
        if self._link.closed:
            return STOPPED if self._connector.stopped else "the connection was closed here"
        before = "" if output.begun else " before the script began"
        return f"{_where(self._link.route)} {reason}{before}{self._said(output)}"

    def _no_reader(self, output: Output) -> str:
        route = self._link.route
        return (
            f"the login shell of {route.user}@{_where(route)} did not come to our command within "
            f"{self._connector.deadlines.shell:.0f} s{self._said(output)}. What it begins with (.bashrc or the like) "
            "reads standard input, starts another shell or waits: let it do so for interactive shells only; "
            "nothing was sent"
        )

    def _said(self, output: Output) -> str:
        """Quote the last line that was printed; the password may be in it, for it came from us."""
        last = self._masked(output.text).strip().split("\n")[-1].strip()[-200:]
        return f"; its last output: {last}" if last else ""

    def _masked(self, text: str) -> str:
        return mask(text, filter(None, [self._connector.sudo_password]))


def open_session(host: Host, connector: Connector | None = None) -> Session:
    """Connect to one host, with the operator's own ssh_config, keys and known_hosts unless told otherwise.

    Raises:
        ConnectError: when the host cannot be reached or trusted.
    """
    return (connector or Connector()).open(host)


def ensure_open_files(hosts: int) -> None:
    """Raise the limit of open files so that so many connections fit, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * hosts + 256  # a connection, and perhaps a log, for each
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


class _Link:
    """One SSH connection and all it stands on; can be closed from any thread, at any moment."""

    def __init__(self, route: Route, *, forget: Callable[["_Link"], None]) -> None:
        self.route = route
        self.closed = False
        self._forget = forget
        self._lock = threading.Lock()
        self._sockets: list[Any] = []
        self._transport: _Transport | None = None
        self._command: ProxyCommand | None = None
        self._greeted = threading.Event()

    @property
    def socket(self) -> Any:  # noqa: ANN401  a socket, or a channel of a gateway, which is no socket
        return self._sockets[-1]

    @property
    def transport(self) -> "_Transport":
        if self._transport is None:
            raise LineLost(STOPPED)
        return self._transport

    def hold(self, connection: Any) -> None:  # noqa: ANN401  see `socket`
        """Own a socket from now on.

        Raises:
            Unreachable: when the link was closed meanwhile.
        """
        with self._lock:
            self._sockets.append(connection)
            closed = self.closed
        if closed:
            connection.close()
            raise Unreachable(STOPPED, transient=False)

    def run(self, proxy_command: str) -> None:
        """Stand on a ProxyCommand.

        Raises:
            Unreachable: when the link was closed meanwhile.
        """
        self._command = ProxyCommand(proxy_command)
        try:
            self.hold(self._command.socket)
        except Unreachable:
            self._command.close()
            raise

    def start(self, algorithms: tuple[str, ...]) -> threading.Event:
        """Begin to speak SSH; the event comes with the first keys, or with the end."""
        transport = _Transport(self.socket, algorithms)
        with self._lock:
            if self.closed:
                raise Unreachable(STOPPED, transient=False)
            self._transport = transport
        transport.start_client(event=self._greeted)
        return self._greeted

    def tunnel(self, route: Route, seconds: float) -> paramiko.Channel:
        """Return a channel that this server connects to another.

        Raises:
            Unreachable: when it cannot.
        """
        to = (route.hostname, route.port)
        try:
            return self.transport.open_channel("direct-tcpip", to, ("127.0.0.1", 0), timeout=seconds)
        except paramiko.ChannelException as error:
            forbidden = error.code == 1  # administratively prohibited
            message = f"gateway {self.route.name} does not connect to {_where(route)}: {error.text}"
            raise Unreachable(message, transient=not forbidden) from error
        except GONE as error:
            raise Unreachable(
                f"gateway {self.route.name} does not connect to {_where(route)}{_detail(error)}"
            ) from error

    def is_alive(self) -> bool:
        return not self.closed and self._transport is not None and self._transport.is_active()

    def is_loopback(self) -> bool:
        """Say whether the other end is this machine."""
        with suppress(OSError, AttributeError, IndexError, ValueError):
            peer = self.socket.getpeername()
            return isinstance(self.socket, socket.socket) and ipaddress.ip_address(peer[0]).is_loopback
        return False

    def fault(self) -> str:
        """Return which rule of SSH was broken as the line ended."""
        error = self._transport.get_exception() if self._transport else None
        return _detail(error) if isinstance(error, paramiko.SSHException) else ""

    def complaint(self) -> str:
        """Return what the ProxyCommand said when it failed."""
        said = self._command.complaint() if self._command else ""
        return f"; the ProxyCommand printed: {said}" if said else ""

    def close(self) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed = True
            sockets = list(self._sockets)
        for each in sockets:
            with suppress(*GONE):
                if isinstance(each, socket.socket):
                    each.shutdown(socket.SHUT_RDWR)  # wakes whoever waits on it
        if self._transport:
            with suppress(*GONE):
                self._transport.close()
        self._greeted.set()  # Paramiko does so only for an end that comes from the other side
        for each in sockets:
            with suppress(*GONE):
                each.close()
        if self._command:
            self._command.close()
        self._forget(self)


class _Attempt(AuthHandler):
    """Shows one thing to the server; asks it for the login service only the first time (asyncssh hangs up at a second).

    Each way returns what the server wants besides: nothing when it lets us in.
    """

    def __init__(self, transport: "_Transport", user: str, *, first: bool) -> None:
        super().__init__(transport)
        self._user = user
        self._first = first
        self._answered = threading.Event()
        transport.auth_handler = self

    def show_key(self, key: Key) -> list[str]:
        self.auth_publickey(self._user, key, self._answered)  # type: ignore[arg-type]  # see credentials.py
        return self.wait_for_response(self._answered)

    def show_password(self, password: str) -> list[str]:
        self.auth_password(self._user, password, self._answered)
        return self.wait_for_response(self._answered)

    def answer_with(self, password: str) -> list[str]:
        def answers(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
            return [password] if len(prompts) == 1 else [""] * len(prompts)

        self.auth_interactive(self._user, answers, self._answered)
        return self.wait_for_response(self._answered)

    def _request_auth(self) -> None:
        if self._first:
            super()._request_auth()  # type: ignore[misc]  # not in its types
        else:
            accepted = paramiko.Message()
            accepted.add_string("ssh-userauth")
            accepted.rewind()
            self._parse_service_accept(accepted)  # type: ignore[attr-defined]  # not in its types


class _Login:
    """Shows one key after the other, then the password, until the server lets us in."""

    def __init__(self, link: _Link, credentials: Credentials, seconds: float) -> None:
        self._link = link
        self._credentials = credentials
        self._deadline = time.monotonic() + seconds
        self._methods: list[str] | None = None  # what the server takes, None until it has said so
        self._tried: list[str] = []
        self._passed: list[str] = []
        self._asked = False

    def log_in(self) -> None:
        """Log in.

        Raises:
            AuthenticationFailed: when the server takes nothing we have.
            Unreachable: when it hung up or fell silent.
        """
        route = self._link.route
        for key in self._credentials.keys(route):
            if self._takes("publickey") and self._try(key.source, partial(_Attempt.show_key, key=key)):
                return
        if self._takes("password", "keyboard-interactive"):
            password = self._credentials.password(f"{route.user}@{route.name}")
            if password is not None and self._password_is_taken(password):
                return
        raise AuthenticationFailed(self._refusal())

    def _password_is_taken(self, password: str) -> bool:
        """Give the password once: in answer to a question only where the server takes it no other way."""
        if self._takes("password") and self._try("the password", lambda login: login.show_password(password)):
            return True
        if self._methods is None or "password" in self._methods or not self._takes("keyboard-interactive"):
            return False
        return self._try("the password", lambda login: login.answer_with(password))

    def _takes(self, *methods: str) -> bool:
        return self._methods is None or any(each in self._methods for each in methods)

    def _try(self, what: str, attempt: Callable[[_Attempt], list[str]]) -> bool:
        transport = self._link.transport
        transport.auth_timeout = max(0.1, self._deadline - time.monotonic())
        try:
            self._methods = (
                attempt(_Attempt(transport, self._link.route.user, first=not self._asked)) or None
            )  # some: this was right, and more is wanted
        except paramiko.BadAuthenticationType as error:
            self._methods = list(error.allowed_types)
        except GONE as error:
            self._check_still_there(error)
        else:
            if self._methods is None:
                return True
            self._passed.append(what)
            return False
        finally:
            self._asked = True
        self._tried.append(what)
        return False

    def _check_still_there(self, error: Exception) -> None:
        where = _where(self._link.route)
        # What could not be written is a lost line, though Paramiko's reading thread may not have noticed it yet.
        if self._link.transport.is_active() and not isinstance(error, EOFError):
            if time.monotonic() >= self._deadline:
                raise Unreachable(f"{where} did not answer in time while logging in") from error
        elif self._tried or self._passed:
            raise AuthenticationFailed(f"{self._refusal()}; it hung up after that (MaxAuthTries)") from error
        else:
            raise Unreachable(f"{where} hung up while logging in{_detail(error)}") from error

    def _refusal(self) -> str:
        route = self._link.route
        who = f"{route.user}@{_where(route)}"
        if self._passed:
            wanted = ", ".join(self._methods or ())
            return (
                f"{who} accepted {', '.join(self._passed)} and wants {wanted} besides, which cannot be given here: let "
                "a key alone do for this account (AuthenticationMethods publickey, in a Match block of its sshd_config)"
            )
        if self._tried:
            return (
                f"{who} was refused; tried: {', '.join(self._tried)}. Is the user right, and is one of these keys in "
                "its authorized_keys? Name another by `identity` in the hosts file or IdentityFile in ssh_config"
            )
        takes = f" (the server takes {', '.join(self._methods)})" if self._methods else ""
        return (
            f"there is no key to offer to {who}{takes}: start an ssh-agent and ssh-add a key, or name one by "
            "`identity` in the hosts file or IdentityFile in ssh_config"
        )


@dataclass
class _Gateway:
    """The one connection to a gateway; whoever holds the lock opens it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    link: _Link | None = None
    error: ConnectError | None = None
    retry_at: float = 0.0


class _Packetizer(Packetizer):
    """Paramiko's, with a write that ends when the other side takes nothing, and packets of the size that OpenSSH takes.

    There is no timer thread for the handshake.
    """

    def __init__(self, connection: Any) -> None:  # noqa: ANN401  see `_Link.socket`
        super().__init__(connection)
        self._connection = connection
        self._greeting = 0  # bytes

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001, FBT002  the signature is Paramiko's
        """Read so many bytes of a packet, whose size the other side chooses."""
        if n > LARGEST_PACKET:
            raise paramiko.SSHException(f"a packet of {n:,} bytes")
        return super().read_all(n, check_rekey)

    def _read_timeout(self, timeout: float) -> bytes:
        """Read a part of a line: what comes before the first packet."""
        received: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # not in its types
        self._greeting += len(received)
        if self._greeting > LARGEST_GREETING:
            raise paramiko.SSHException(" that does not end")
        return received

    def start_handshake(self, timeout: float) -> None:
        """Leave the time to whoever waits for the handshake."""

    def write_all(self, out: bytes) -> None:  # type: ignore[override]  # Paramiko writes bytes only
        deadline = time.monotonic() + STALLED
        while out:
            try:
                sent = self._connection.send(out)
            except TimeoutError:
                if self.closed or time.monotonic() > deadline:
                    raise EOFError from None
                continue
            except (OSError, paramiko.SSHException):
                raise EOFError from None
            if not sent:
                raise EOFError
            out = out[sent:]
            deadline = time.monotonic() + STALLED


Feed = Callable[[paramiko.Channel, paramiko.Message], None]


def _within_window(feed: Feed) -> Feed:
    """Cut the line to whoever sends more than was asked for: Paramiko would keep it all in memory."""

    def bounded(channel: Any, message: paramiko.Message) -> None:  # noqa: ANN401  its types lack the buffers
        feed(channel, message)
        if len(channel.in_buffer) + len(channel.in_stderr_buffer) > channel.in_window_size:
            raise paramiko.SSHException("it sends more than the window of the channel")

    return bounded


class _Transport(paramiko.Transport):
    """Paramiko's, with its ciphers in the order of their cost, and the host's keys in the order of what is known."""

    _channel_handler_table = {  # noqa: RUF012  as in Paramiko
        kind: _within_window(feed) if kind in (94, 95) else feed  # SSH_MSG_CHANNEL_DATA and _EXTENDED_DATA
        for kind, feed in paramiko.Transport._channel_handler_table.items()  # type: ignore[attr-defined]  # noqa: SLF001  its own subclass
    }

    _preferred_ciphers = (
        "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr",
    )  # fmt: skip
    _preferred_macs = (
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    )
    # big primes cost twenty times the rest: they are for servers that have nothing else, the smallest first
    _preferred_kex = tuple(
        sorted(
            paramiko.Transport._preferred_kex,  # type: ignore[attr-defined]  # noqa: SLF001  its own subclass
            key=lambda name: (name.startswith("diffie-hellman"), "group14" not in name),
        )
    )

    def __init__(self, connection: Any, algorithms: tuple[str, ...]) -> None:  # noqa: ANN401  see `_Link.socket`
        super().__init__(connection, packetizer_class=_Packetizer)
        self._algorithms = algorithms
        connection.settimeout(SOCKET_TIMEOUT)  # closing shuts the socket, so nobody has to look more often
        self.banner_timeout = 120  # the deadline is kept by whoever waits

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self._algorithms

    def get_exception(self) -> Exception | None:
        """Return what the line ended with; what a broken packet makes Paramiko stumble over is an end of it too."""
        error = super().get_exception()
        if error is None or isinstance(error, GONE):
            return error
        return paramiko.SSHException(f"it broke the rules of SSH: {type(error).__name__}")


def _as_the_inventory_says(host: Host, gateway: Route, route: Route) -> Route:
    """Return the gateway that the hosts file names, with what it says of keys for the host."""
    if host.identity:
        gateway = replace(gateway, identities=route.identities + gateway.identities)
    if host.known_hosts:
        gateway = replace(gateway, known_hosts=route.known_hosts, record_in=route.record_in)
    return gateway


def _request_exec(channel: paramiko.Channel, text: str) -> None:
    """Ask for a command without waiting for a word of it: Paramiko's own waits without end, and for a round trip."""
    message = paramiko.Message()
    message.add_byte(b"\x62")  # SSH_MSG_CHANNEL_REQUEST
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(False)
    message.add_string(text)
    channel.transport._send_user_message(message)  # type: ignore[union-attr]  # noqa: SLF001  no other way


def _name(route: Route) -> HostName:
    return HostName(host=route.hostname, port=route.port, alias=route.host_key_alias)


def _way(route: Route, gateways: tuple[Route, ...]) -> str:
    """Return the command by which OpenSSH goes the same way, asks whether the key is right, and writes it down."""
    through = ",".join(f"{each.user}@{each.name}:{each.port}" for each in gateways)
    options = ["-J", through] if through else []
    options += ["-p", str(route.port)] if route.port != 22 else []  # noqa: PLR2004  the port of SSH
    file = (route.record_in or "FILE").replace("%", "%%")
    quoted = f'"{file}"' if " " in file else file
    options += ["-o", "StrictHostKeyChecking=ask", "-o", f"UserKnownHostsFile={quoted}"]
    return shlex.join(["ssh", *options, f"{route.user}@{route.name}", "exit"])


def _where(route: Route) -> str:
    host = f"[{route.hostname}]" if ":" in route.hostname else route.hostname
    return host if route.port == 22 else f"{host}:{route.port}"  # noqa: PLR2004  the port of SSH


def _wire_key(key: paramiko.PKey) -> bytes:
    return key.public_blob.key_blob if key.public_blob else key.asbytes()


def _detail(error: BaseException | None) -> str:
    text = str(error or "").strip()
    return f" ({text})" if text else ""


def _again(error: ConnectError) -> ConnectError:
    """Return the same error for another thread: a traceback belongs to one."""
    copied = type(error)(str(error))
    copied.transient = error.transient
    return copied


SUDO_REFUSALS = {
    "no-sudo": "there is no sudo for {who}: log in as root, install sudo, or set `become: false`",
    "needs-password": "sudo wants a password from {who}: give it by --ask-sudo-pass, or allow NOPASSWD in sudoers",
    "wrong-password": "sudo refused the password of {who} (tried once)",
    "not-allowed": "{who} may not use sudo there: add a line to sudoers",
    "needs-tty": "sudo wants a terminal from {who}: add `Defaults:{user} !requiretty` to sudoers",
}


def _sudo_refusal(route: Route, word: str, said: str) -> str:
    sentence = SUDO_REFUSALS.get(word, "{who} cannot become root").format(
        who=f"{route.user}@{_where(route)}", user=route.user
    )
    last = [line.strip() for line in said.split("\n") if line.strip()][-1:]
    return f"{sentence} (sudo: {last[0][-200:]})" if last else sentence
