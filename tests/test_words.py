"""No message and no page has a word that readers stumble over (CONTRIBUTING.md, "Words")."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "netpoint_remote"
AVOIDED = re.compile(
    r"\b(told|said|nobody|somebody|whoever|the very|mend(ed|s)?|as asked|all the same|to its end|half-way|of no use"
    r"|stands? in the way|looked at|ha(d|s) to|shall|beside|meanwhile|ones)\b",
    re.IGNORECASE,
)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MODULES = sorted(
    path for part in ("cli", "planning", "reporting", "running") for path in (PACKAGE / part).rglob("*.py")
)
SCRIPTS = sorted((PACKAGE / "remote").rglob("*.sh"))
SHOWN = re.compile(r"\b(fail|give_up|refuse|journal (?:note|warning)|leave_unsettled|say) \"([^\"]*)\"")
EXPANDED = re.compile(r"\$\([^)]*\)|\$\S+")
CODE = re.compile(r"`[^`]*`")
GENERATED = re.compile(r"tests/\S+::")
HELP = {"tasks.py", "options.py"}  # their docstrings are what `--help` prints


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that have more than one word, without docstrings that nobody but us reads."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and (path.name not in HELP or not isinstance(node, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_message_has_no_avoided_word(path: Path) -> None:
    found = [(line, text) for line, text in sentences(path) if " " in text.strip() and AVOIDED.search(text)]

    assert found == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_a_server_prints_has_no_avoided_word(path: Path) -> None:
    found = [
        text for _, text in SHOWN.findall(path.read_text()) if AVOIDED.search(re.sub(r"\$\([^)]*\)|\$\S+", "", text))
    ]

    assert found == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_has_no_avoided_word(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not GENERATED.search(line)]

    assert [line for line in lines if AVOIDED.search(CODE.sub("", line))] == []
