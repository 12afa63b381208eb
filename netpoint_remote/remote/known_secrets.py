"""List what is secret to a run, a line each, the longest first, so that no log keeps it (`mask` in lib.sh).

Runs on the server beside ask.py, under the same Pythons: as the service runs, as `known_secrets.py ROOT PRODUCT`, for
what is in its environment and in the configuration; as root for what the hosts file gives to upgrade.sh, pip and libpq.
"""

import html
import json
import os
import re
import sys
import urllib.parse

import ask

SHORTEST = 5  # characters: what is shorter is in every text by chance
SHORTEST_USER = 16  # of a user without a password, which is a token then
NAMED = re.compile("passw|passphrase|pwd$|secret|token|credential|api_?key|_key$|^key$", re.IGNORECASE)
PLAIN_HEADERS = re.compile("host|accept|user-agent|content-type|x-forwarded-", re.IGNORECASE)


def secrets(environment, configuration):
    """Yield what is secret, as it is."""
    for name, value in environment.items():
        if name == "HEALTH_HEADERS":
            for found in header_secrets(value):
                yield found
        elif NAMED.search(name):
            yield value
        for word in value.split():
            for found in address_secrets(word):
                yield found
    for found in setting_secrets("", configuration):
        yield found


def header_secrets(headers):
    for line in headers.split("\n"):
        name, _, value = line.partition(": ")
        if not PLAIN_HEADERS.match(name):
            yield value
            yield value.split(" ")[-1]


def address_secrets(word):
    """Yield the password of an address, or the user where there is none, and what its query says."""
    if "://" not in word:
        return
    try:
        parts = urllib.parse.urlsplit(word)
    except ValueError:
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if password or len(user) >= SHORTEST_USER:
        yield password or user
        yield urllib.parse.unquote(password or user)
    for _, value in urllib.parse.parse_qsl(parts.query):
        yield value


def setting_secrets(name, value):
    """Yield the secrets of a setting, however deep they are in it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for found in setting_secrets(str(key), inner):
                yield found
    elif isinstance(value, (list, tuple)):
        for inner in value:
            for found in setting_secrets(name, inner):
                yield found
    elif isinstance(value, str):
        if NAMED.search(name):
            yield value
        for found in address_secrets(value):
            yield found


def spellings(secret):
    """Yield a secret as it may be written: as it is, in Python, in JSON, in HTML, for a shell, in an address."""
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield html.escape(secret)
    yield secret.replace("'", "'\"'\"'")
    yield secret.replace("'", "'\\''")
    yield urllib.parse.quote(secret)
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)


def is_worth_hiding(line, plain):
    """Leave out what is no secret (a path) and what would make every line unreadable (the product's name)."""
    return len(line) >= SHORTEST and not is_path(line) and line not in plain


def is_path(line):
    """Say whether it is a path: a password may begin with a slash, but nothing lies where it leads."""
    return line.startswith("/") and "\0" not in line and os.path.exists(line)


def main(root, product):
    try:
        configuration = vars(ask.read_configuration(root, product)) if root else {}
    except BaseException:  # noqa: BLE001  whatever the operator's file raises, SystemExit included
        configuration = {}
    settings = {name: value for name, value in configuration.items() if name.isupper()}
    lines = {
        line.rstrip("\r")
        for secret in secrets(dict(os.environ), settings)
        for spelling in spellings(ask.as_bytes(secret).decode("utf-8", "replace"))
        for line in spelling.split("\n")
    }
    for line in sorted(lines, key=len, reverse=True):
        if is_worth_hiding(line, root + " " + product):
            ask.say(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
