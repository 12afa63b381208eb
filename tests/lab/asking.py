"""What tests ask a lab server: its rows, its files, its pages."""

from __future__ import annotations

import http.client
import re
import time
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.lab.netpoint.install import PASSWORD, ROOT, USER
from tests.lab.netpoint.releases import GO_ON
from tests.lab.servers import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.lab.servers import Server

PASSING = frozenset({"django_session", "django_migrations", "auth_user"})
"""Tables that change by themselves: logins, the record of migrations, the time of the last login."""

SERVING_TIMEOUT = 300
"""Seconds NetPoint may take from the start of its units to its first page; on an idle machine it takes five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer of the web service."""

    status: int
    headers: Mapping[str, str]
    text: str


def page(server: Server, path: str, *, headers: Mapping[str, str] | None = None, body: str | None = None) -> Page:
    """Return a page as a user gets it through the front web server; with a body, its answer to that."""
    line = http.client.HTTPConnection(server.address, 80, timeout=60)
    try:
        line.request("GET" if body is None else "POST", path, body=body, headers=dict(headers or {}))
        answer = line.getresponse()
        cookies = "; ".join(value for name, value in answer.getheaders() if name == "Set-Cookie")
        found = {**dict(answer.getheaders()), "Set-Cookie": cookies}
        return Page(status=answer.status, headers=found, text=answer.read().decode(errors="replace"))
    finally:
        line.close()


def log_in(server: Server, *, base_path: str = "") -> str:
    """Log in as a user does, and return the session as the text of a Cookie header."""
    login = f"/{base_path}login/"
    token = _cookie(page(server, login), "csrftoken")
    answer = page(
        server,
        login,
        headers={"Cookie": f"csrftoken={token}", "Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode({"username": USER, "password": PASSWORD, "csrfmiddlewaretoken": token}),
    )
    if answer.status != http.HTTPStatus.FOUND:
        raise LabError(f"{server.name} let nobody in: {answer}")
    return f"sessionid={_cookie(answer, 'sessionid')}"


def is_logged_in(server: Server, cookie: str, *, base_path: str = "") -> bool:
    """Tell whether a session is still one of a logged-in user.

    An error page does not answer that: each worker gives one after the database was restarted, so it is asked again.
    """
    deadline = time.monotonic() + SERVING_TIMEOUT
    while True:
        answer = page(server, f"/{base_path}", headers={"Cookie": cookie})
        if answer.status < http.HTTPStatus.INTERNAL_SERVER_ERROR or time.monotonic() > deadline:
            return f"{USER} (v" in answer.text
        time.sleep(0.2)


def served_version(server: Server, *, base_path: str = "") -> str:
    """Return the version the login page shows."""
    found = re.search(r"\.css\?v=([^\"]+)", page(server, f"/{base_path}login/").text)
    return found[1] if found else ""


def wait_until_serving(server: Server) -> None:
    """Wait until the web service answers and the worker has registered."""
    deadline = time.monotonic() + SERVING_TIMEOUT
    ready = "curl -so /dev/null http://127.0.0.1:8001/login/ && redis-cli scard rq:workers | grep -qv '^0'"
    while server.run(ready, check=False).returncode != 0:
        if not _units(server):
            return
        if time.monotonic() > deadline:
            raise LabError(f"NetPoint on {server.name} does not serve")
        time.sleep(0.2)


def rows(server: Server, tables: Iterable[str] = (), *, without: Iterable[str] = PASSING) -> dict[str, list[str]]:
    """Return every row of these tables (all but the passing ones), to compare with another time."""
    names = list(tables) or [name for name in _query(server, _TABLES) if name not in set(without)]
    return {name: _query(server, f'SELECT t::text FROM "{name}" t ORDER BY 1') for name in names}


def migrations(server: Server) -> set[str]:
    """Return the migrations the database has recorded, as `dcim.0130_sitegroup`."""
    return set(_query(server, "SELECT app || '.' || name FROM django_migrations"))


def is_migrating(database: Server) -> bool:
    """Tell whether a migration in this server's database waits for `let_migrate` (Fault.MIGRATION_WAITS)."""
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %{GO_ON}%' AND state = 'active'"
    return _query(database, waiting, check=False) == ["1"]


def let_migrate(*databases: Server) -> None:
    """Let the migrations that wait in the databases of these servers continue, now and from now on."""
    for database in databases:
        _query(database, f"CREATE ROLE {GO_ON}")


def is_serving(server: Server, version: str) -> bool:
    """Tell whether the web service answers with a release."""
    try:
        return served_version(server) == version
    except OSError:
        return False


def at_work(server: Server) -> bool:
    """Tell whether a plan is in progress on the server: its lock is held."""
    return server.run("flock -n /var/lib/netpoint-remote/lock true", check=False).returncode != 0


def tree(server: Server, path: str) -> dict[str, str]:
    """Return every file under a path with its mode, owner, group and checksum."""
    listing = server.run(
        f"cd {path} && find . -type f -printf '%p|%m %u %g ' -exec sh -c 'sha256sum < \"$1\"' sh {{}} \\;"
    ).stdout
    return dict(line.split("|", 1) for line in listing.splitlines())


def active(server: Server, *units: str) -> dict[str, str]:
    """Return the state of units: active, inactive, failed, activating."""
    wanted = units or ("netpoint", "netpoint-rq")
    states = server.run(["systemctl", "is-active", *wanted], check=False).stdout.split()
    return dict(zip(wanted, states, strict=True))


def current(server: Server) -> str:
    """Return the folder that /opt/netpoint stands for."""
    return server.run(["readlink", "-f", ROOT]).stdout.strip()


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def _query(server: Server, sql: str, *, check: bool = True) -> list[str]:
    command = ["psql", "--no-align", "--tuples-only", "--quiet", "--dbname=netpoint", f"--command={sql}"]
    return server.run(command, user="postgres", check=check).stdout.splitlines()


def _units(server: Server) -> bool:
    return server.run("systemctl is-enabled netpoint netpoint-rq", check=False).returncode == 0


def _cookie(answer: Page, name: str) -> str:
    cookies = SimpleCookie(answer.headers["Set-Cookie"])
    if name not in cookies:
        raise LabError(f"no cookie {name} in {answer}")
    return cookies[name].value
