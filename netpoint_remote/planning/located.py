"""YAML with the line of everything in it, read strictly: a settings file is no program."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

Path = tuple[str | int, ...]

_CORE = "tag:yaml.org,2002:"
_SCALARS = frozenset(_CORE + name for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value"))
_DECIMAL = re.compile(r"[-+]?[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """One thing that is wrong, on one line (from 1)."""

    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file's plain value, the line on which each path into it begins, and what is wrong already."""

    value: object
    lines: dict[Path, int]
    faults: tuple[Fault, ...]

    def line(self, path: Path) -> int:
        """Return the line of `path`, or of the nearest thing around it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, *, is_text: Callable[[Path], bool] = lambda _path: False) -> Document:
    """Read one YAML document into mappings, lists, text, whole numbers, booleans and None.

    Keys are taken as they are typed (3.10 stays 3.10), and so are the values of the mappings for
    which `is_text` holds: an environment variable set to yes is not true. Text that YAML 1.1 takes
    for dates, fractions or base-60 numbers (22:22) stays text. Aliases and tags are faults.
    """
    reader = _Reader(is_text)
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        value = None if node is None else reader.read(node, ())
    except yaml.MarkedYAMLError as error:
        return _unreadable(error.problem_mark.line + 1 if error.problem_mark else 1, _problem(error))
    except (yaml.YAMLError, UnicodeError):
        return _unreadable(_line_of_odd_character(text), "the file has a character that YAML does not allow")
    except RecursionError:
        return _unreadable(1, "the file is nested too deeply")
    return Document(value=value, lines=reader.lines, faults=tuple(reader.faults))


def _unreadable(line: int, message: str) -> Document:
    return Document(value=None, lines={}, faults=(Fault(line=line, message=message),))


def _problem(error: yaml.MarkedYAMLError) -> str:
    place = f" {error.context}" if error.context else ""
    return f"the file is not YAML here: {error.problem}{place}; mind the indentation, and put odd text in quotes"


def _line_of_odd_character(text: str) -> int:
    lines = text.split("\n")
    return next((number for number, line in enumerate(lines, 1) if not line.rstrip("\r").isprintable()), 1)


class _Reader:
    """Walks the nodes once, noting lines and faults."""

    def __init__(self, is_text: Callable[[Path], bool]) -> None:
        self.is_text = is_text
        self.lines: dict[Path, int] = {}
        self.faults: list[Fault] = []
        self.seen: set[int] = set()

    def read(self, node: yaml.Node, path: Path) -> object:
        self.lines.setdefault(path, _line(node))
        if id(node) in self.seen:
            self.fault(path, "is an alias (*name); what hosts share goes into groups or defaults")
            return None
        self.seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _CORE + "map":
            return self.read_mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _CORE + "seq":
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self.read_scalar(node, path)
        self.fault(path, f"has the YAML tag {node.tag!r}; tags are not used here")
        return None

    def read_mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self.read_key(key_node, path)
            if key is None:
                continue
            if key in result:
                message = f"is there already, on line {self.lines[(*path, key)]}; keep one"
                self.fault((*path, key), message, line=_line(key_node))
                continue
            self.lines[(*path, key)] = _line(key_node)
            result[key] = self.read(value_node, (*path, key))
        return result

    def read_key(self, node: yaml.Node, path: Path) -> str | None:
        if isinstance(node, yaml.ScalarNode) and id(node) not in self.seen:
            self.seen.add(id(node))
            return self.checked(node, path)
        self.fault(path, "has a key that is not plain text", line=_line(node))
        return None

    def read_scalar(self, node: yaml.ScalarNode, path: Path) -> object:
        text = self.checked(node, path)
        if self.is_text(path[:-1]):
            return text
        if node.tag == _CORE + "null":
            return None
        if node.tag == _CORE + "bool":
            return yaml.SafeLoader.bool_values.get(text.lower(), text)
        if node.tag == _CORE + "int" and _DECIMAL.fullmatch(text):
            return int(text)
        return text

    def checked(self, node: yaml.ScalarNode, path: Path) -> str:
        text: str = node.value
        if not text.isprintable():
            self.fault(path, "has a line break or another invisible character; remove it")
        return text

    def fault(self, path: Path, message: str, *, line: int | None = None) -> None:
        """Note a fault; what it is about is then read as None."""
        self.faults.append(Fault(line=line or self.lines[path], message=f"{spell(path)} {message}"))


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def spell(path: Path) -> str:
    """Write a path as it is spoken of: hosts.np1.services[2]."""
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{_plain(part)}" for part in path)
    return text.removeprefix(".") or "the file"


def _plain(key: str) -> str:
    return key if key.isprintable() else repr(key)[1:-1]
