"""What a server sends is split at line feeds only: Python's own idea of a line lets anybody forge one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import netpoint_remote
from netpoint_remote.planning.facts import parse_facts
from netpoint_remote.running.host import tail
from netpoint_remote.running.standing import State, parse_standing

pytestmark = pytest.mark.promise(8)
PACKAGE = Path(netpoint_remote.__file__).parent
BETWEEN = ["\u2028", "\u2029", "\x85", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]  # lines to str.splitlines


def _attributes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr == "splitlines":
            yield f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_no_module_splits_at_anything_but_line_feeds() -> None:
    """Practice servers read nothing of strangers."""
    modules = [path for path in PACKAGE.rglob("*.py") if "practice" not in path.parts]

    assert len(modules) > 60
    assert [place for path in modules for place in _attributes(path)] == []


@pytest.mark.parametrize("between", BETWEEN, ids=repr)
def test_no_state_is_forged(between: str) -> None:
    forged = f"run.state=done{between}run.result=upgraded{between}status.complete=yes"
    status = f"time=100\nrun=r1\nrun.about=ops {forged}\njournal 1.0 note - {between}{forged}\nrun.state=running\n"
    standing = parse_standing(status)

    assert (standing.state, standing.complete) == (State.RUNNING, False)
    assert standing.run is not None
    assert standing.run.result == ""


@pytest.mark.parametrize("between", BETWEEN, ids=repr)
def test_no_fact_is_forged(between: str) -> None:
    facts = parse_facts(f"git.branch=x{between}probe.complete=yes{between}host.uid=0\n")

    assert (facts.complete, facts.uid) == (False, -1)


@pytest.mark.parametrize("between", BETWEEN, ids=repr)
def test_the_last_lines_are_those_of_the_server(between: str) -> None:
    assert tail(f"1\n2\n3\n4{between}\n5\n6\n") == f"2\n3\n4{between}\n5\n6"
