"""The promises of the README, the tests that show them, and the table of both in docs/developing.md.

A test says which promises it shows, and on servers of which method of installation where that matters:

    @pytest.mark.promise(2, 6, method="both")      # archive, git or both; default: either

`python -m tests.promises` writes the table anew.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rings import FOLDERS_OF_THE_LAB, ring_of
from tests.tables import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TESTS = Path(__file__).parent
TABLE = Place(TESTS.parent / "docs/developing.md", "promises")
METHODS = {"archive": ("archive",), "git": ("git",), "both": ("archive", "git"), "either": ()}
"""What a mark may say of the method of installation, and which methods that means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise; `missing` says what of it does not hold yet."""

    number: int
    name: str
    depends_on_method: bool = False
    missing: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods on which it has to be shown; 'either' where one test is enough."""
        return METHODS["both"] if self.depends_on_method else ("either",)


PROMISES = (
    Promise(number=1, name="Look before touching", depends_on_method=True),
    Promise(number=2, name="No write is lost", depends_on_method=True),
    Promise(number=3, name="A host finishes what it started", depends_on_method=True),
    Promise(number=4, name="Running it again is always right", depends_on_method=True),
    Promise(number=5, name="One at a time", depends_on_method=True),
    Promise(number=6, name="The way back stays open", depends_on_method=True),
    Promise(number=7, name="Secrets stay home", depends_on_method=True),
    Promise(number=8, name="No stranger is trusted"),
    Promise(number=9, name="Everyone is accounted for"),
    Promise(
        number=10,
        name="A bad release stops early",
        missing="Not built yet: there are no canaries and batches. A server that is refused stops the run (promise 1).",
    ),
    Promise(number=11, name="Fail closed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One test, or one file of tests, that shows a promise."""

    promise: int
    method: str
    ring: str
    test: str
    thorough: bool

    def shows(self, promise: Promise, method: str) -> bool:
        return self.promise == promise.number and (method == "either" or method in METHODS[self.method])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A mark of pytest as it stands in a file, without being imported."""

    name: str
    numbers: tuple[int, ...] = ()
    method: str = "either"


def all_evidence(folder: Path = TESTS) -> list[Evidence]:
    """Return what the marks of all tests say."""
    return [each for path in sorted(folder.rglob("test_*.py")) for each in _evidence_of(path, folder)]


def missing(evidence: Iterable[Evidence]) -> list[str]:
    """Return the promises, and their methods, that no test of `make test` shows."""
    quick = [each for each in evidence if not each.thorough]
    return [
        f"{promise.number}, {method}"
        for promise in PROMISES
        for method in promise.methods
        if not promise.missing and not any(each.shows(promise, method) for each in quick)
    ]


def render(evidence: Iterable[Evidence]) -> str:
    """Return the table in Markdown: a row for each test, the best ring first."""
    rows = ["| Promise | Installed from | Ring | Run by | Test |", "|---|---|---|---|---|"]
    found = list(evidence)
    for promise in PROMISES:
        shown = sorted((each for each in found if each.promise == promise.number), key=_order)
        if promise.missing:
            rows.append(f"| {promise.number}. {promise.name} | | | | {promise.missing} |")
        for number, each in enumerate(shown):
            title = "" if number or promise.missing else f"{promise.number}. {promise.name}"
            method = " and ".join(METHODS[each.method]) or "either"
            rows.append(f"| {title} | {method} | `{each.ring}` | {_target(each)} | `{each.test}` |")
    return "".join(f"{row}\n" for row in rows)


def _order(evidence: Evidence) -> tuple[bool, bool, str]:
    return evidence.thorough, evidence.ring != "lab", evidence.test


def _target(evidence: Evidence) -> str:
    return "`make stories`" if evidence.thorough else "`make test`"


def _evidence_of(path: Path, folder: Path) -> Iterator[Evidence]:
    module = ast.parse(path.read_text())
    name = f"{folder.name}/{path.relative_to(folder)}"
    of_file = [mark for node in module.body if _is_pytestmark(node) for mark in _marks(node)]
    if path.parent.name in FOLDERS_OF_THE_LAB:
        of_file.append(_Mark(name="lab"))
    yield from _evidence(of_file, (), name)
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield from _evidence_of_test(node, of_file, f"{name}::{node.name}")


def _evidence_of_test(node: ast.FunctionDef, of_file: list[_Mark], name: str) -> Iterator[Evidence]:
    parameters = [each for decorator in node.decorator_list for each in ast.walk(decorator) if _is_param(each)]
    of_parameters = {id(inner) for each in parameters for inner in ast.walk(each)}
    of_test = [mark for decorator in node.decorator_list for mark in _marks(decorator, without=of_parameters)]
    yield from _evidence(of_test, of_file, name)
    for each in parameters:
        yield from _evidence(list(_marks(each)), [*of_file, *of_test], name)


def _evidence(marks: Iterable[_Mark], inherited: Iterable[_Mark], name: str) -> Iterator[Evidence]:
    """Yield what these marks promise; the inherited ones say only where and when the test runs."""
    names = {mark.name for mark in (*marks, *inherited)}
    for mark in marks:
        for number in mark.numbers:
            yield Evidence(
                promise=number, method=mark.method, ring=ring_of(names), test=name, thorough="thorough" in names
            )


def _marks(node: ast.AST, *, without: Iterable[int] = ()) -> Iterator[_Mark]:
    """Yield the marks in a piece of a file: `pytest.mark.ssh`, `pytest.mark.promise(2, method="git")`."""
    left_out = set(without)
    calls = {id(each.func): each for each in ast.walk(node) if isinstance(each, ast.Call)}
    for each in ast.walk(node):
        if id(each) not in left_out and isinstance(each, ast.Attribute) and ast.unparse(each.value) == "pytest.mark":
            call = calls.get(id(each)) if each.attr == "promise" else None
            numbers = tuple(ast.literal_eval(argument) for argument in call.args) if call else ()
            methods = [ast.literal_eval(word.value) for word in call.keywords if word.arg == "method"] if call else []
            yield _Mark(name=each.attr, numbers=numbers, method=methods[0] if methods else "either")


def _is_pytestmark(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["pytestmark"]


def _is_param(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.param"


if __name__ == "__main__":
    TABLE.write(render(all_evidence()))
