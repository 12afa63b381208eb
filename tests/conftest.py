"""Hypothesis' profiles, the order of the tests, and what a run prints of itself (CONTRIBUTING, "Tests")."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.accounts import Account
from tests.again import Again
from tests.outcomes import NoteTaker
from tests.progress import Progress
from tests.rings import ring_of

# A busy machine is no failure; `--hypothesis-profile` wins over the variable.
# A continuous integration tries the same examples each time: it judges the change, and others look for new ones.
settings.register_profile("fast", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow],
                          derandomize=bool(os.environ.get("CI")))  # fmt: skip
settings.register_profile("ci", max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# fixtures of the lab that one process should have alone, for several tests share their servers
SHARED = frozenset({"upgraded", "results", "guarded", "pair"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--again", action="store_true", help="run what fails in the ssh and lab rings once more, alone")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NoteTaker())
    if hasattr(config, "workerinput"):  # one process of several knows a part only
        return
    account, progress = Account(), Progress(config)
    for plugin in (account, progress, *([Again(config, account, progress)] if config.getoption("again") else [])):
        config.pluginmanager.register(plugin)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, and what shares servers stay in one process (pytest-xdist)."""
    items.sort(key=lambda item: ring_of(mark.name for mark in item.iter_markers()) != "lab")
    for item in items:
        if ring_of(mark.name for mark in item.iter_markers()) != "lab":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
        elif shared := SHARED & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.xdist_group(f"{item.path}:{min(shared)}"))
