"""Hypothesis' profiles, and the rings' account at the end of a run (CONTRIBUTING, "Tests")."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.rings import RINGS, Ring, plain_reason, ring_of

# A busy machine is no failure; `--hypothesis-profile` wins over the variable.
# A continuous integration tries the same examples each time: it judges the change, and others look for new ones.
settings.register_profile("fast", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow],
                          derandomize=bool(os.environ.get("CI")))  # fmt: skip
settings.register_profile("ci", max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# fixtures of the lab that one process should have alone, for several tests share their servers
SHARED = frozenset({"upgraded", "results", "guarded", "pair"})
ACCOUNT = pytest.StashKey[dict[str, Ring]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ACCOUNT] = {name: Ring(name=name) for name in RINGS}
    config.pluginmanager.register(Accountant(config.stash[ACCOUNT]))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, and what shares servers stay in one process (pytest-xdist)."""
    items.sort(key=lambda item: ring_of(mark.name for mark in item.iter_markers()) != "lab")
    for item in items:
        if ring_of(mark.name for mark in item.iter_markers()) != "lab":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
        elif shared := SHARED & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.xdist_group(f"{item.path}:{min(shared)}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> object:
    report: pytest.TestReport = yield
    report.user_properties.append(("ring", ring_of(mark.name for mark in item.iter_markers())))
    return report


class Accountant:
    """Counts each test once: by its call, or by what kept it from being called."""

    def __init__(self, account: dict[str, Ring]) -> None:
        self._account = account

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and not report.passed):
            reason = plain_reason(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
            self._account[str(dict(report.user_properties)["ring"])].count(report.outcome, reason)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workerinput"):  # one process of several knows a part only
        return
    account = session.config.stash[ACCOUNT].values()
    if os.environ.get("CI") and exitstatus == pytest.ExitCode.OK and any(ring.could_not_run for ring in account):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("rings")
    for ring in config.stash[ACCOUNT].values():
        for line in ring.lines():
            terminalreporter.write_line(line, yellow=ring.could_not_run, bold=ring.could_not_run)
