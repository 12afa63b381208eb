"""The zoo is part of the lab ring; `make test` has a few shapes of it, `make zoo` all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.conftest import lab, lab_can_run

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
__all__ = ["lab", "lab_can_run"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
