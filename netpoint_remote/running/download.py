"""Downloads one file over HTTP(S), with patience for what passes and none for what does not."""

import base64
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from typing import IO

from netpoint_remote.errors import ReleaseError

PAUSES = (1.0, 4.0, 15.0)
MAX_SIZE = 512 * 1024**2
_PIECE = 256 * 1024
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait: seconds without a byte, seconds for the whole file, and the pauses between attempts."""

    silence: float = 30.0
    total: float = 1800.0
    pauses: tuple[float, ...] = PAUSES


class NotThere(ReleaseError):  # noqa: N818  says what it is
    """The server has no such file."""


class _Passing(Exception):  # noqa: N818  never leaves this module
    """A failure that trying again may cure."""


def download(
    url: str,
    file: IO[bytes],
    *,
    patience: Patience | None = None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> None:
    """Write what the URL serves into `file`; `on_note` hears of every attempt that failed.

    Proxies and certificates are those of the environment (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE).

    Raises:
        NotThere: on 404 and 410.
        ReleaseError: when it cannot be had.
        OSError: when it cannot be written here.
    """
    from tenacity import (  # noqa: PLC0415  costly
        RetryCallState,
        Retrying,
        retry_if_exception_type,
        stop_after_attempt,
        wait_chain,
        wait_fixed,
    )

    patience = patience or Patience()
    pauses = patience.pauses

    def note(state: RetryCallState) -> None:
        if state.outcome:
            on_note(f"{state.outcome.exception()}; trying again")

    attempts = Retrying(
        retry=retry_if_exception_type(_Passing),
        stop=stop_after_attempt(len(pauses) + 1),
        wait=wait_chain(*map(wait_fixed, pauses or (0,))),
        before_sleep=note,
        reraise=True,
    )
    try:
        attempts(_attempt, url, file, patience)
    except _Passing as error:
        raise ReleaseError(f"{error} ({len(pauses) + 1} attempts)") from error


def without_secrets(url: str) -> str:
    """Return the URL as it may be shown: no user, no password, no query, no control characters."""
    parts = urllib.parse.urlsplit(url)
    shown = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        query="..." if parts.query else "",
        fragment="",
    ).geturl()
    return re.sub(r"[^\x21-\x7e]", "?", shown)


def has_secrets(url: str) -> bool:
    """Tell whether the URL must not leave this machine."""
    parts = urllib.parse.urlsplit(url)
    return "@" in parts.netloc or bool(parts.query)


def _attempt(url: str, file: IO[bytes], patience: Patience) -> None:
    file.seek(0)
    file.truncate()
    shown = without_secrets(url)
    deadline = time.monotonic() + patience.total
    with _open(url, shown, patience.silence) as response:
        expected = response.headers.get("Content-Length", "")
        while piece := _read(response, shown):
            file.write(piece)
            _check_progress(file.tell(), deadline, shown)
    if expected.isdigit() and int(expected) != file.tell():
        raise _Passing(f"{shown}: only {file.tell():,} of {int(expected):,} bytes came")


def _open(url: str, shown: str, silence: float) -> HTTPResponse:
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    try:
        response: HTTPResponse = opener.open(_request(url), timeout=silence)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error, shown) from None
    except urllib.error.URLError as error:
        raise _unreached(error.reason, shown) from None
    except (InvalidURL, ValueError) as error:
        raise ReleaseError(f"{shown} is no URL to download from: {error}") from None
    except (HTTPException, OSError) as error:
        raise _Passing(f"{shown}: {_say(error)}") from error
    return response


def _request(url: str) -> urllib.request.Request:
    """Take user and password out of the URL: urllib knows them there only for proxies."""
    parts = urllib.parse.urlsplit(url)
    account, _, server = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=server, fragment="").geturl())  # noqa: S310  scheme: _HANDLERS
    request.add_header("User-Agent", "netpoint-remote")
    if account:
        plain = urllib.parse.unquote(account).encode()
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(plain).decode())
    return request


def _read(response: HTTPResponse, shown: str) -> bytes:
    try:
        return response.read1(_PIECE)  # what has come: a whole piece of a server that drips takes for ever
    except (HTTPException, OSError) as error:
        raise _Passing(f"{shown}: {_say(error)}") from error


def _check_progress(size: int, deadline: float, shown: str) -> None:
    if size > MAX_SIZE:
        raise ReleaseError(f"{shown} is larger than {MAX_SIZE // 1024**2} MB, which no release is")
    if time.monotonic() > deadline:
        raise ReleaseError(f"{shown} comes too slowly; fetch it by other means and give it as release.archive")


def _refusal(error: urllib.error.HTTPError, shown: str) -> Exception:
    if error.code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return NotThere(f"{shown}: there is no such file (HTTP {error.code})")
    message = f"{shown}: HTTP {error.code} {_say(error.reason)}"
    if error.code in _PASSING or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Passing(message)
    return ReleaseError(message)


def _unreached(reason: object, shown: str) -> Exception:
    message = f"{shown}: {_say(reason)}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return ReleaseError(f"{message}; name your authority's certificate in SSL_CERT_FILE")
    if isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN:
        advice = "set HTTPS_PROXY for this command, or name a file with --archive (docs/releases.md)"
        return ReleaseError(f"{message}; {advice}")
    return _Passing(message) if isinstance(reason, OSError) else ReleaseError(message)


def _say(reason: object) -> str:
    """Put a failure, perhaps in the words of a stranger, into one printable line."""
    text = str(reason) or type(reason).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where the release is, but not from a protected address to an open one."""

    def redirect_request(  # noqa: PLR0917  the signature is urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            shown = without_secrets(req.full_url)
            raise ReleaseError(f"{shown} sends on to {without_secrets(newurl)}, which is not protected")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


# no file: and no ftp:, wherever a server may send us
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
    _Redirects,
)
