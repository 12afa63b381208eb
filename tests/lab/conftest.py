"""The lab ring: skipped where this machine cannot run it, failed instead where CI is set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import cache, slots
from tests.lab.lab import Lab
from tests.lab.rootfs import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session", autouse=True)
def lab_can_run() -> None:
    """Skip the ring, or fail it, where it cannot run, for every folder of tests that boots servers.

    Where it can, take away first what killed runs left.
    """
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(f"THE LAB RING DID NOT RUN: {reason}", pytrace=False)
    if reason:
        pytest.skip(f"THE LAB RING DID NOT RUN: {reason}")
    slots.sweep()
    cache.remove_unused()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Give an empty laboratory; its servers end with the test."""
    with Lab(tmp_path) as some_lab:
        yield some_lab
