"""The JSON Schema of the hosts file, and its findings in our own sentences.

Editors read the same file: `errorMessage` (what a value must be) is a keyword that they know too,
`namesMessage` (what the free keys of a mapping must be) is ours.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from netpoint_remote.planning.located import Document, Fault, Path, spell

Schema = Mapping[str, Any]

SECRET_PLACES = frozenset({"environment", "headers"})  # values that no message repeats
WRONG_LISTS = {"uniqueItems": "has an item twice", "required": "lacks a key"}
ACCOUNT = re.compile(r"//.*@")  # user and password of an address
LONG = 60


@cache
def hosts_schema() -> Schema:
    """Return the schema that ships with the package."""
    text = files("netpoint_remote.planning").joinpath("hosts.schema.json").read_text("utf-8")
    schema: Schema = json.loads(text)
    return schema


def schema_faults(document: Document) -> Iterator[Fault]:
    """Say everything in which a document differs from the schema."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  only a run that reads a hosts file pays for it

    for error in Draft202012Validator(hosts_schema()).iter_errors(document.value):
        path = tuple(error.absolute_path)
        if error.validator in ("additionalProperties", "unevaluatedProperties"):
            yield from _unknown_keys(document, path, error.schema, error.instance)
        else:
            shown = WRONG_LISTS.get(str(error.validator)) or _shown(error.instance)
            yield Fault(line=document.line(path), message=_sentence(path, shown, error.schema))


def _unknown_keys(document: Document, path: Path, schema: Schema, keys: Mapping[str, object]) -> Iterator[Fault]:
    allowed = _allowed_keys(schema)
    patterns = tuple(schema.get("patternProperties", ()))
    for key in keys:
        if key in allowed or any(re.search(pattern, key) for pattern in patterns):
            continue
        message = schema["namesMessage"] if patterns else _nearest(key, allowed)
        yield Fault(line=document.line((*path, key)), message=f"{spell((*path, key))} is not known: {message}")


def _allowed_keys(schema: Schema) -> tuple[str, ...]:
    inherited = hosts_schema()["$defs"]["settings"]["properties"] if "$ref" in schema else {}
    return (*schema.get("properties", {}), *inherited)


def _nearest(key: str, allowed: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, allowed, n=2)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{meant}allowed here are {', '.join(allowed)}"


def _sentence(path: Path, shown: str, schema: Schema) -> str:
    if SECRET_PLACES.intersection(path):
        return f"{spell(path)} {schema['errorMessage']}"
    return f"{spell(path)} {shown}; it {schema['errorMessage']}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "is empty"
        case bool():
            return "is yes" if value else "is no"
        case dict():
            return "is a mapping" if value else "is an empty mapping"
        case list():
            return "is a list" if value else "is an empty list"
        case _:
            text = ACCOUNT.sub("//...@", repr(value))
            return f"is {text if len(text) <= LONG else text[:LONG] + '...'}"
