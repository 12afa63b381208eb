"""Takes user and password out of the addresses that pip gets, into a netrc file.

pip hands its addresses on as arguments to the pip that it starts for what a package is built with, and every user of
a server sees arguments. What a netrc file says it asks for itself.
"""

import re
import urllib.parse
from collections.abc import Mapping

PIP_ADDRESSES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")  # each may hold several
PLAIN = re.compile(r"[!$-\[\]-~]+")  # what a netrc of every Python has as it is: no blank, no quote, no # and backslash


def take_accounts_out(environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the environment with pip's addresses bare, and the text of the netrc file that goes with it.

    An account that a netrc cannot hold (odd characters, a second one for the same server) stays where it is, and so do
    all where the operator names a netrc file.
    """
    accounts: dict[str, tuple[str, str]] = {}

    def bare(found: re.Match[str]) -> str:
        try:
            parts = urllib.parse.urlsplit(found[0])
        except ValueError:  # a bracket that is not closed
            return found[0]
        account = (urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or ""))
        host = parts.hostname or ""
        fits = all(map(PLAIN.fullmatch, (*account, host))) and accounts.get(host, account) == account
        if not fits:
            return found[0]
        accounts[host] = account
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    if "NETRC" in environment:
        return dict(environment), ""
    given = {
        name: re.sub(r"https?://\S+", bare, text) if name in PIP_ADDRESSES else text
        for name, text in environment.items()
    }
    return given, "".join(
        f"machine {host} login {user} password {password}\n" for host, (user, password) in accounts.items()
    )
