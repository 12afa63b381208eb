"""The order of the tests, and what a run prints of itself (CONTRIBUTING, "Tests")."""

from collections.abc import Generator

import pytest

from tests.accounts import Account
from tests.again import Again
from tests.lab import signals, slots
from tests.lab.errors import LabError
from tests.outcomes import NoteTaker
from tests.progress import Progress, PytestProgress, past_the_capture
from tests.rings import RINGS, ring_of


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--again", action="store_true", help="run what fails in the ssh and lab rings once more, alone")
    parser.addoption("--no-again", dest="again", action="store_false", help="do not")


def pytest_configure(config: pytest.Config) -> None:
    signals.end_in_order()
    config.pluginmanager.register(NoteTaker())
    if hasattr(config, "workerinput"):  # one process of several knows a part only
        return
    account, progress = Account(), Progress(noun="test")
    progress.print_every_minute(past_the_capture())
    shown = PytestProgress(progress)
    for plugin in (account, shown, *([Again(config, account, progress)] if config.getoption("again") else [])):
        config.pluginmanager.register(plugin)


@pytest.hookimpl(tryfirst=True, wrapper=True)  # before pytest-xdist's own
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Take away what tests of this process have left; the run is red when something stays."""
    try:
        slots.free_all()
    except LabError as error:
        session.shouldfail = str(error)
    return (yield)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow rings first, and tests that share a module's servers in one process (pytest-xdist).

    All other tests are free to run anywhere, so that no process is left with a whole file at the end.
    """
    slowest_first = [*reversed(RINGS)]
    items.sort(key=lambda item: slowest_first.index(ring_of(mark.name for mark in item.iter_markers())))
    for item in items:
        if shared := _shared_fixtures(item):
            item.add_marker(pytest.mark.xdist_group(f"{item.location[0]}:{min(shared)}"))


def _shared_fixtures(item: pytest.Item) -> set[str]:
    """Return the fixtures of a module that a test needs and that need no other fixture of the module."""
    known = item._fixtureinfo.name2fixturedefs  # there is no public way to ask for scopes
    shared = {name: found[-1] for name, found in known.items() if any(each.scope == "module" for each in found)}
    return {name for name, found in shared.items() if not shared.keys() & {*found.argnames}}
