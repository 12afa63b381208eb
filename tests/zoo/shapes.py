"""Reads the shapes, and makes the table of them in docs/reliability.md: `python -m tests.zoo.shapes`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
import yaml

from tests.tables import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

Method = Literal["archive", "git"]
METHODS: tuple[Method, ...] = ("archive", "git")
FOLDER = Path(__file__).parent / "shapes"
TABLE = Place(Path(__file__).parents[2] / "docs/reliability.md", "zoo")
ENDS = {
    "upgraded": "upgraded", "refused": "refused", "undone": "undone before the window", "unreachable": "not logged in",
}  # fmt: skip

TEXT = {"type": "string", "minLength": 1}
COMES_OUT = {
    "type": "object",
    "properties": {end: {"type": "array", "items": TEXT} for end in ENDS},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}
SCHEMA = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "seen", "change", "proof"), TEXT),
        **dict.fromkeys(METHODS, COMES_OUT),
        "hosts": {"type": "object"},
        "quick": {"type": "boolean"},
    },
    "required": ["name", "seen", "change"],
    "anyOf": [{"required": [method]} for method in METHODS],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A server's shape on one method of installation; `end` is one of ENDS, `words` are in the report then."""

    file: str
    name: str
    seen: str
    method: Method
    change: str
    hosts: dict[str, Any]
    end: str
    words: tuple[str, ...]
    proof: str
    quick: bool


def read(path: Path) -> list[Shape]:
    """Return the shape of a file for each of its methods.

    Raises:
        jsonschema.ValidationError: when the file does not say what a shape is.
    """
    said = yaml.safe_load(path.read_text())
    jsonschema.validate(said, SCHEMA)
    return [
        Shape(
            file=path.stem,
            name=said["name"],
            seen=said["seen"],
            method=method,
            change=said["change"],
            hosts=said.get("hosts", {}),
            end=end,
            words=tuple(words),
            proof=said.get("proof", ""),
            quick=said.get("quick", False),
        )
        for method in METHODS
        for end, words in said.get(method, {}).items()
    ]


def all_shapes() -> list[Shape]:
    return [shape for path in sorted(FOLDER.glob("*.yaml")) for shape in read(path)]


def render(shapes: Iterable[Shape]) -> str:
    """Return the table: a row a file."""
    by_file: dict[str, dict[str, Shape]] = {}
    for shape in shapes:
        by_file.setdefault(shape.file, {})[shape.method] = shape
    lines = ["| Shape | Seen in | Archive | Git |", "|---|---|---|---|"]
    for row in by_file.values():
        one = next(iter(row.values()))
        ends = (_end(row[method]) if method in row else "" for method in METHODS)
        lines.append(f"| {' | '.join((one.name, one.seen, *ends))} |")
    return "".join(f"{line}\n" for line in lines)


def _end(shape: Shape) -> str:
    words = "; ".join(f"`{word}`" for word in shape.words)
    return f"{ENDS[shape.end]}{f': {words}' if words else ''}".replace("|", "\\|")


if __name__ == "__main__":
    TABLE.write(render(all_shapes()))
