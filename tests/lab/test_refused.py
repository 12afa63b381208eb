"""What is refused: everything is checked on all servers, every problem is shown, and nothing changes anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.asking import rows
from tests.lab.lab import Lab
from tests.lab.memory import ARCHIVE, GIT, Memory, traces
from tests.lab.netpoint.install import ROOT, Installation
from tests.lab.operator import Run, fab, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.servers import Server

TOO_OLD = Installation("2.10.10")


@dataclass
class Refused:
    """Two clones without a problem, a changed checkout and a release that is too old, and two runs over all of them."""

    lab: Lab
    before: list[Memory]
    traces_before: list[Any]
    check: Run
    upgrade: Run


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    with Lab(tmp_path_factory.mktemp("refused")) as lab:
        for name in ("np1", "np2"):
            lab.server(name, ARCHIVE, cloned=True)
        git, old = lab.server("np3", GIT), lab.server("np4", TOO_OLD)
        lab.boot()
        git.run(f"echo '# mine' >> {ROOT}/netpoint/netpoint/views.py")
        lab.write_hosts_file()
        before = [Memory.of(server) for server in lab.servers if server is not old]
        traces_before = [_traces(server) for server in lab.servers]
        yield Refused(lab, before, traces_before, fab(lab, "check", "--version", "3.5.0"), upgrade(lab, "3.5.0"))


def _traces(server: Server) -> tuple[Any, ...]:
    return (*traces(server), server.run("ls /opt").stdout)


@pytest.mark.promise(1, method="both")
def test_a_check_shows_every_problem_of_every_server_at_once(refused: Refused) -> None:
    run = refused.check
    assert run.exit_code == 3
    assert (run.statuses["np3"], run.statuses["np4"]) == ("refused", "refused"), run.reasons
    assert "views.py" in str(run.host("np3")["problems"])
    assert "2.11" in str(run.host("np4")["problems"])


@pytest.mark.promise(1, method="both")
def test_one_server_that_is_refused_stops_the_whole_run(refused: Refused) -> None:
    run = refused.upgrade
    assert run.exit_code == 3
    assert run.statuses == {"np1": "not-started", "np2": "not-started", "np3": "refused", "np4": "refused"}, run.reasons
    assert "2.10.10 cannot be upgraded to 3.5.0" in run.reasons


@pytest.mark.promise(1, method="both")
def test_nothing_has_changed_on_any_server(refused: Refused) -> None:
    assert [_traces(server) for server in refused.lab.servers] == refused.traces_before
    for memory in refused.before:
        memory.check_all_is_as_it_was()


def test_servers_cloned_from_one_template_are_not_one_database(refused: Refused) -> None:
    """They have the same identifier of their database cluster."""
    np1, np2, *_ = refused.lab.servers
    ask = ["psql", "-Atc", "SELECT system_identifier FROM pg_control_system()"]
    assert np1.run(ask, user="postgres").stdout == np2.run(ask, user="postgres").stdout
    assert (refused.check.statuses["np1"], refused.check.statuses["np2"]) == ("ready", "ready"), refused.check.reasons


def test_local_changes_of_a_checkout_stay(refused: Refused) -> None:
    git = refused.lab.servers[2]
    assert git.run(f"tail -n 1 {ROOT}/netpoint/netpoint/views.py").stdout == "# mine\n"
    assert len(rows(git, ["dcim_device"])["dcim_device"]) == GIT.devices
