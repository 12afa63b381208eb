"""The page about reports names everything that a report can say."""

from pathlib import Path

import pytest

from netpoint_remote.reporting.event import Kind
from netpoint_remote.reporting.json import schema
from netpoint_remote.reporting.report import Status, StepStatus

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
KEYS = {key for part in (schema(), *schema()["$defs"].values()) for key in part.get("properties", {})}


@pytest.mark.parametrize("word", sorted({*KEYS, *Status, *StepStatus, *Kind}))
def test_the_page_names_it(word: str) -> None:
    assert f"`{word}`" in PAGE
