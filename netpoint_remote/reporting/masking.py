"""Keep the secrets that we know ourselves out of what is quoted of a server: it may print what it got from us."""

import html
import json
import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import TypeVar

Value = TypeVar("Value")
SHORTEST = 5  # characters: what is shorter is in every word by chance, and is looked for as a word of its own
MASK = "***"
OURS = frozenset({"name", "host"})  # what the operator calls a host is no word of a server


def mask(text: str, secrets: Iterable[str]) -> str:
    r"""Return the text with `***` in place of every secret, however it is spelled there.

    >>> mask('{"p": "it\\"s me"}', ['it"s me'])
    '{"p": "***"}'
    """
    found = _spellings(tuple(secrets))
    return found.sub(MASK, text) if found else text


def masked(value: Value, secrets: Iterable[str]) -> Value:
    """Return the value with every text in it masked: a report, an event, a plan. Names of hosts stay."""
    known = tuple(secrets)
    return _masked(value, known) if _spellings(known) else value


def _masked(value: Value, secrets: tuple[str, ...]) -> Value:
    if isinstance(value, str) and not isinstance(value, Enum):
        return mask(value, secrets)  # type: ignore[return-value]  # a str as it was
    if isinstance(value, tuple):
        return tuple(_masked(each, secrets) for each in value)  # type: ignore[return-value]  # a tuple as it was
    if is_dataclass(value) and not isinstance(value, type):
        shown = {each.name: getattr(value, each.name) for each in fields(value) if each.init and each.name not in OURS}
        return replace(value, **{name: _masked(each, secrets) for name, each in shown.items()})
    return value


@lru_cache(maxsize=16)
def _spellings(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """Find the secrets as they may be written (as they are, quoted, in JSON, HTML, an address), the longest first."""
    found = {
        spelling
        for secret in filter(None, secrets)
        for spelling in (
            secret,
            repr(secret)[1:-1],
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            secret.replace("'", "'\"'\"'"),
            secret.replace("'", "'\\''"),
            html.escape(secret),
            urllib.parse.quote(secret, errors="replace"),
            urllib.parse.quote(secret, safe="", errors="replace"),
            urllib.parse.quote_plus(secret, errors="replace"),
        )
    }
    return re.compile("|".join(map(_pattern, sorted(found, key=len, reverse=True)))) if found else None


def _pattern(spelling: str) -> str:
    plain = re.escape(spelling)
    return plain if len(spelling) >= SHORTEST else rf"(?<!\w){plain}(?!\w)"
