"""Each promise has its tests, and the developers' page says which."""

from pathlib import Path

from tests.promises import PROMISES, TABLE, Evidence, all_evidence, missing, render
from tests.tables import Place

README = TABLE.page.parents[1] / "README.md"

MARKED = """
import pytest
pytestmark = pytest.mark.ssh

@pytest.mark.promise(2, 3, method="both")
@pytest.mark.thorough
def test_a(): ...

@pytest.mark.parametrize("method", [
    pytest.param("archive", marks=pytest.mark.promise(6, method="archive")),
    pytest.param("git", marks=[pytest.mark.promise(6, method="git"), pytest.mark.thorough]),
])
def test_b(method): ...

@pytest.mark.promise(8)
def test_c(): ...
"""


def evidence(promise: int, test: str, *, method: str = "either", thorough: bool = False, ring: str = "ssh") -> Evidence:
    return Evidence(promise=promise, method=method, ring=ring, test=f"tests/test_x.py{test}", thorough=thorough)


def read(folder: Path, text: str) -> list[Evidence]:
    (folder / "tests").mkdir()
    (folder / "tests/test_x.py").write_text(text)
    return all_evidence(folder / "tests")


def test_every_promise_is_shown_by_make_test_on_each_method() -> None:
    assert missing(all_evidence()) == []


def test_the_table_of_the_promises_is_up_to_date() -> None:
    """`python -m tests.promises` brings it up to date."""
    assert TABLE.has(render(all_evidence()))


def test_the_readme_has_the_same_promises() -> None:
    text = README.read_text()

    assert [promise.name for promise in PROMISES if not promise.missing and f"**{promise.name}.**" not in text] == []


def test_marks_are_read_from_tests_and_from_their_parameters(tmp_path: Path) -> None:
    assert read(tmp_path, MARKED) == [
        evidence(2, "::test_a", method="both", thorough=True),
        evidence(3, "::test_a", method="both", thorough=True),
        evidence(6, "::test_b", method="archive"),
        evidence(6, "::test_b", method="git", thorough=True),
        evidence(8, "::test_c"),
    ]


def test_a_file_as_a_whole_may_show_a_promise(tmp_path: Path) -> None:
    assert read(tmp_path, "pytestmark = pytest.mark.promise(8)\ndef test_a(): ...\n") == [evidence(8, "", ring="fast")]


def test_a_promise_that_only_thorough_tests_show_is_missing() -> None:
    by_quick = [evidence(promise.number, "", method="both") for promise in PROMISES]
    without_git = [evidence(2, "", method="archive"), evidence(2, "", method="git", thorough=True)]

    assert missing(by_quick) == []
    assert missing([each for each in by_quick if each.promise != 2] + without_git) == ["2, git"]


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n")
    Place(page, "x").write("new\n")

    assert page.read_text() == "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n"
    assert Place(page, "x").has("new\n")
    assert not Place(page, "x").has("old\n")
