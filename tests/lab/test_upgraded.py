"""Two servers, one of each method, are upgraded while users write, and rolled back later."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import active, current, is_logged_in, page, rows, served_version, tree, wait_until_serving
from tests.lab.lab import Lab
from tests.lab.memory import (
    ARCHIVE,
    GIT,
    UP,
    WRITTEN,
    Memory,
    Writer,
    add_rights_of_others,
    boot,
    own_files,
    rights,
    traces,
    without,
)
from tests.lab.netpoint.install import OWN_FILES, ROOT, USUAL_PAUSE
from tests.lab.operator import Run, fab, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.servers import Server

UNTOUCHED = ("dcim_site", "dcim_sitegroup", "dcim_cable", "extras_objectchange", "auth_user")
"""Tables whose rows no migration from 3.4.9 to 3.5.0 changes."""

LOCAL_FILES = {"local/notes.txt": "kept\n", "netpoint/extra.py": "NAME = 1\n"}
"""Files of the admins that the upgrade document does not name, in the folder of the release."""


@dataclass
class Upgraded:
    """Servers of both methods, what they were like, who wrote meanwhile, and the run that upgraded them."""

    lab: Lab
    before: list[Memory]
    rights: list[str]
    writers: list[Writer]
    run: Run

    @property
    def servers(self) -> list[Server]:
        return self.lab.servers


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    with Lab(tmp_path_factory.mktemp("upgraded")) as lab:
        before = boot(lab, restart_pause=USUAL_PAUSE, np1=ARCHIVE, np2=GIT)
        for memory in before:
            add_rights_of_others(memory.server)
        _add_local_files(before[0].server)
        others = [rights(memory.server) for memory in before]
        lab.write_hosts_file()
        writers = [Writer(memory) for memory in before]
        for writer in writers:
            writer.start()
        run = upgrade(lab, "3.5.0")
        for writer in writers:
            writer.stop()
        yield Upgraded(lab, before, others, writers, run)


def _add_local_files(archive: Server) -> None:
    for path, text in LOCAL_FILES.items():
        archive.run(f'mkdir -p "$(dirname {path})" && cat >{path}'.replace(path, f"{ROOT}/netpoint/{path}"), text=text)


@pytest.mark.promise(3, method="both")
def test_both_methods_are_upgraded(upgraded: Upgraded) -> None:
    assert upgraded.run.statuses == {"np1": "upgraded", "np2": "upgraded"}, upgraded.run.reasons
    assert upgraded.run.exit_code == 0


@pytest.mark.promise(9)
def test_the_report_says_from_where_to_where_and_how_long(upgraded: Upgraded) -> None:
    for name, method in (("np1", "archive"), ("np2", "git")):
        host = upgraded.run.host(name)
        assert (host["from"], host["to"], host["method"]) == ("3.4.9", "3.5.0", method)
        assert 0 < host["window_seconds"] < upgraded.run.report["seconds"]
        assert {step["status"] for step in host["steps"]} <= {"done", "unchanged"}


def test_the_parts_of_the_upgrade_script_are_timed(upgraded: Upgraded) -> None:
    parts = [part["name"] for step in upgraded.run.host("np1")["steps"] for part in step["parts"]]
    assert any(part.startswith("Applying database migrations") for part in parts)


def test_the_new_release_serves(upgraded: Upgraded) -> None:
    assert [served_version(server) for server in upgraded.servers] == ["3.5.0", "3.5.0"]
    assert [active(server) for server in upgraded.servers] == [UP, UP]
    assert all('"rq-workers-running": 1' in page(server, "/api/status/").text for server in upgraded.servers)


@pytest.mark.promise(2, method="both")
def test_no_acknowledged_write_is_lost_by_an_upgrade(upgraded: Upgraded) -> None:
    """Users write before the window and after it, and try to all the time."""
    assert all(writer.acknowledged for writer in upgraded.writers)
    assert [writer.lost() for writer in upgraded.writers] == [[], []]


@pytest.mark.promise(2, method="both")
def test_every_row_is_still_there(upgraded: Upgraded) -> None:
    for memory in upgraded.before:
        now = without(WRITTEN, rows(memory.server))
        assert {table: now[table] for table in UNTOUCHED if table in now} == {
            table: memory.rows[table] for table in UNTOUCHED if table in now
        }
        assert len(now["dcim_device"]) == len(memory.rows["dcim_device"])


def test_the_migrations_moved_the_data(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        devices = rows(server, ["dcim_device"])["dcim_device"]
        assert all("/SN" in device for device in devices)


def test_media_scripts_and_reports_kept_their_owner_mode_and_content(upgraded: Upgraded) -> None:
    assert [own_files(memory.server) for memory in upgraded.before] == [memory.own_files for memory in upgraded.before]


def test_local_files_the_document_does_not_name_come_along(upgraded: Upgraded) -> None:
    archive, _ = upgraded.servers
    assert current(archive) == "/opt/netpoint-3.5.0"
    assert {path: archive.run(f"cat {ROOT}/netpoint/{path}").stdout for path in LOCAL_FILES} == LOCAL_FILES
    assert set(OWN_FILES) <= {f"netpoint/{path[2:]}" for path in tree(archive, f"{ROOT}/netpoint")}


def test_scripts_were_in_place_before_the_migrations_looked_for_them(upgraded: Upgraded) -> None:
    """Those registered later would never be seen (netbox-community/netbox#12614)."""
    for server in upgraded.servers:
        registered = "\n".join(rows(server, ["extras_managedfile"])["extras_managedfile"])
        assert "audit.py" in registered
        assert "cabling.py" in registered


def test_sessions_survive(upgraded: Upgraded) -> None:
    assert all(is_logged_in(memory.server, memory.cookie) for memory in upgraded.before)


def test_the_configuration_stays_unreadable_for_others(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        found = server.run(f"stat -c '%U:%G %a' {ROOT}/netpoint/netpoint/configuration.py").stdout
        assert found == "root:netpoint 640\n"


@pytest.mark.promise(6, method="both")
def test_the_old_release_is_kept(upgraded: Upgraded) -> None:
    archive, git = upgraded.servers
    assert current(archive) == "/opt/netpoint-3.5.0"
    assert archive.run("test -x /opt/netpoint-3.4.9/venv/bin/gunicorn", check=False).returncode == 0
    aside = f"{ROOT}/.git/netpoint-remote/3.4.9"
    assert git.run(f"find {aside} -path '*/bin/gunicorn' -perm -u=x").stdout.count("gunicorn") == 1


def test_the_checkout_is_clean_and_at_the_tag(upgraded: Upgraded) -> None:
    _, git = upgraded.servers
    assert git.run(f"git -C {ROOT} describe --tags").stdout == "v3.5.0\n"
    assert git.run(f"git -C {ROOT} status --porcelain").stdout == ""


@pytest.mark.promise(6, method="both")
def test_the_dump_is_kept_and_for_root_alone(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        modes = server.run("find /var/backups/netpoint-remote -name '*.dump' -printf '%U %m\\n'").stdout
        assert modes == "0 600\n"


def test_housekeeping_is_scheduled(upgraded: Upgraded) -> None:
    for server in upgraded.servers:
        assert server.run("run-parts --test /etc/cron.daily").stdout.count("netpoint-housekeeping") == 1


@pytest.mark.promise(4, method="both")
def test_the_second_run_changes_nothing(upgraded: Upgraded) -> None:
    before = [traces(server) for server in upgraded.servers]
    run = upgrade(upgraded.lab, "3.5.0")
    assert run.statuses == {"np1": "unchanged", "np2": "unchanged"}, run.reasons
    assert run.exit_code == 0
    assert [traces(server) for server in upgraded.servers] == before


def test_check_calls_them_current(upgraded: Upgraded) -> None:
    run = fab(upgraded.lab, "check", "--version", "3.5.0")
    assert (run.exit_code, run.statuses) == (0, {"np1": "current", "np2": "current"}), run.reasons


# --- the way back -------------------------------------------------------------------------------


@dataclass
class RolledBack:
    """The servers of `upgraded`, rolled back: how that was refused at first, and how many sites there were before."""

    upgraded: Upgraded
    refused: Run
    refused_at: list[str]
    run: Run
    sites_before: list[int]


@pytest.fixture(scope="module")
def rolled_back(upgraded: Upgraded) -> RolledBack:
    """Roll back the servers of `upgraded`; only tests below this line come after it."""
    lab, servers = upgraded.lab, upgraded.servers
    refused = fab(lab, "rollback", "--yes")
    refused_at = [served_version(server) for server in servers]
    sites = [_sites(server) for server in servers]
    return RolledBack(upgraded, refused, refused_at, fab(lab, "rollback", "--yes", "--accept-loss"), sites)


def _sites(server: Server) -> int:
    return len(rows(server, ["dcim_site"])["dcim_site"])


@pytest.mark.promise(2, method="both")
def test_a_rollback_that_would_lose_writes_is_refused(rolled_back: RolledBack) -> None:
    refused = rolled_back.refused
    assert (refused.exit_code, refused.statuses) == (3, {"np1": "refused", "np2": "refused"}), refused.reasons
    assert all("discards the changes made since" in str(refused.host(name)) for name in ("np1", "np2"))
    assert rolled_back.refused_at == ["3.5.0", "3.5.0"]


@pytest.mark.promise(6, method="both")
def test_a_rollback_brings_back_what_was_there_before_the_upgrade(rolled_back: RolledBack) -> None:
    assert rolled_back.run.statuses == {"np1": "rolled-back", "np2": "rolled-back"}, rolled_back.run.reasons
    for memory in rolled_back.upgraded.before:
        wait_until_serving(memory.server)
        memory.check_all_is_as_it_was(but_for=WRITTEN)


@pytest.mark.promise(6, method="both")
def test_a_rollback_keeps_the_objects_and_rights_of_others(rolled_back: RolledBack) -> None:
    assert [rights(memory.server) for memory in rolled_back.upgraded.before] == rolled_back.upgraded.rights


@pytest.mark.promise(2, method="both")
def test_a_rollback_loses_as_much_as_it_had_said(rolled_back: RolledBack) -> None:
    for name, server, before in zip(
        ("np1", "np2"), rolled_back.upgraded.servers, rolled_back.sites_before, strict=True
    ):
        said = re.search(r"discards the changes made since: (\d+) change", str(rolled_back.refused.host(name)))
        assert said
        assert before - _sites(server) == int(said[1]) > 0
