"""Every exception of the project, sorted by what its catcher does next.

NetPointRemoteError
├── RequestError            the request itself is wrong: fix the command or the file (exit 1)
│   ├── UsageError          the command line
│   ├── InventoryError      the hosts file, every fault in it at once
│   └── ReleaseError        an unknown, unreadable or unverifiable release
├── ConnectError            this host could not be reached or trusted (exit 4)
│   ├── Unreachable         resolving or reaching it failed; may pass by itself
│   ├── HostKeyRefused      its key is unknown, changed or revoked
│   ├── AuthenticationFailed
│   └── SudoRefused
├── LineLost                the connection died in the middle of a visit: reconnect and look
└── RemoteFailed            a script on the server ended badly: this host fails
"""


class NetPointRemoteError(Exception):
    """Any failure that the operator is told about in one sentence."""


class RequestError(NetPointRemoteError):
    """The request itself is wrong; nothing was touched."""


class UsageError(RequestError):
    """The command line cannot be carried out as typed."""


class InventoryError(RequestError):
    """The hosts file is wrong; `faults` has one sentence for each place, with its line."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type["InventoryError"], tuple[tuple[str, ...]]]:
        return type(self), (self.faults,)


class ReleaseError(RequestError):
    """A release is missing, unreadable, hostile or not what it says."""


class ConnectError(NetPointRemoteError):
    """A host could not be reached or trusted; `transient` says whether trying again can help."""

    transient = False


class Unreachable(ConnectError):
    """Resolving the name, reaching the port or the first bytes of SSH failed."""

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_unreachable, (str(self), self.transient)


def _rebuild_unreachable(message: str, transient: bool) -> Unreachable:  # noqa: FBT001  pickle passes it by position
    return Unreachable(message, transient=transient)


class HostKeyRefused(ConnectError):
    """The host's key is unknown, changed or revoked; the message has the fingerprint and what to do."""


class AuthenticationFailed(ConnectError):
    """The host refused the user, or there is no key to offer."""


class SudoRefused(ConnectError):
    """The user may not become root as asked."""


class LineLost(NetPointRemoteError):
    """The end marker of a visit never came: what the server did is unknown until it is asked."""


class RemoteFailed(NetPointRemoteError):
    """A script ended with a status other than zero; `tail` holds its last lines."""

    def __init__(self, message: str, *, status: int = 1, tail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.tail = tail

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_remote_failed, (str(self), self.status, self.tail)


def _rebuild_remote_failed(message: str, status: int, tail: str) -> RemoteFailed:
    return RemoteFailed(message, status=status, tail=tail)
