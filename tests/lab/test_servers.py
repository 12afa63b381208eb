"""The lab itself: its servers are real, its NetPoint is one, and the official procedure works on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import active, current, is_logged_in, log_in, migrations, page, rows, served_version, tree
from tests.lab.lab import Lab
from tests.lab.netpoint.install import USUAL_PAUSE, Installation, upgrade_sh
from tests.lab.netpoint.releases import Fault, make_release
from tests.lab.operator import wait_until
from tests.lab.servers import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.servers import Server

CARRIED = (
    "local_requirements.txt",
    "netpoint/netpoint/configuration.py",
    "gunicorn.py",
    "netpoint/media",
    "netpoint/scripts",
    "netpoint/reports",
)
OWN = ("netpoint/media", "netpoint/scripts", "netpoint/reports")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two servers that no test changes for good: one from an archive, one from git."""
    with Lab(tmp_path_factory.mktemp("pair")) as lab:
        lab.server("np1", Installation("3.4.9"))
        lab.server("np2", Installation("3.4.9", method="git"), sudo_asks=True)
        lab.boot()
        yield lab


def test_a_server_lets_its_admin_in_and_up(pair: Lab) -> None:
    archive, _ = pair.servers
    assert archive.ssh("sudo -n id -un").stdout == "root\n"


def test_sudo_can_ask_for_a_password(pair: Lab) -> None:
    _, git = pair.servers
    assert "password is required" in git.ssh("sudo -n id -un").stderr


def test_netpoint_serves_its_login_page_with_its_version(pair: Lab) -> None:
    assert [served_version(server) for server in pair.servers] == ["3.4.9", "3.4.9"]


def test_netpoint_serves_static_files_through_the_front_only(pair: Lab) -> None:
    archive, _ = pair.servers
    assert page(archive, "/static/netpoint-light.css?v=3.4.9").status == 200
    beside = archive.run("curl -so /dev/null -w '%{http_code}' http://127.0.0.1:8001/static/netpoint-light.css")
    assert beside.stdout == "404"


def test_the_api_tells_its_version_and_its_worker(pair: Lab) -> None:
    archive, _ = pair.servers
    status = page(archive, "/api/status/", headers={"Content-Type": "application/json"})
    assert '"netpoint-version": "3.4.9"' in status.text
    assert '"rq-workers-running": 1' in status.text
    assert status.headers["API-Version"] == "3.4"


def test_the_api_version_header_needs_a_json_request(pair: Lab) -> None:
    archive, _ = pair.servers
    assert "API-Version" not in page(archive, "/api/status/").headers


def test_a_user_can_log_in(pair: Lab) -> None:
    archive, _ = pair.servers
    assert is_logged_in(archive, log_in(archive))


def test_a_checkout_is_clean(pair: Lab) -> None:
    _, git = pair.servers
    assert git.run("git -C /opt/netpoint status --porcelain").stdout == ""


def test_servers_have_databases_of_their_own(pair: Lab) -> None:
    ask = ["psql", "-Atc", "SELECT system_identifier FROM pg_control_system()"]
    assert len({server.run(ask, user="postgres").stdout for server in pair.servers}) == 2


@pytest.mark.thorough
def test_a_power_cut_keeps_the_rows(lab: Lab) -> None:
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    boot = server.run("cat /proc/sys/kernel/random/boot_id").stdout
    server.run(["psql", "-qc", "INSERT INTO dcim_sitegroup (name) VALUES ('new')", "netpoint"], user="postgres")
    before = rows(server)
    server.power_cut()
    lab.boot()
    assert rows(server) == before
    assert served_version(server) == "3.4.9"
    assert server.run("cat /proc/sys/kernel/random/boot_id").stdout != boot


@pytest.mark.thorough
def test_a_pulled_cable_cuts_the_line(lab: Lab) -> None:
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    server.unplug()
    with pytest.raises(OSError, match=r"timed out|No route"):
        page(server, "/login/")
    server.plug()
    assert page(server, "/login/").status == 200


@pytest.mark.parametrize("method", ["archive", pytest.param("git", marks=pytest.mark.thorough)])
def test_the_official_procedure_upgrades_by_hand(lab: Lab, method: str) -> None:
    server = lab.server("np1", Installation("3.4.9", method="git" if method == "git" else "archive"))
    lab.boot()
    cookie = log_in(server)
    before = {path: tree(server, f"/opt/netpoint/{path}") for path in OWN}
    _put_in_place(server, "3.5.0", method)
    said = upgrade_sh(server, "/opt/netpoint")
    server.run("systemctl restart netpoint netpoint-rq")
    lab.wait()
    assert served_version(server) == "3.5.0"
    assert is_logged_in(server, cookie)
    assert {path: tree(server, f"/opt/netpoint/{path}") for path in OWN} == before
    assert "Applying dcim.0169_move_serials... OK" in said
    assert rows(server, ["dcim_device"])["dcim_device"][0].endswith("/SN1)")
    assert {row.split(",")[1] for row in rows(server, ["extras_managedfile"])["extras_managedfile"]} == {
        "scripts",
        "reports",
    }


@pytest.mark.thorough
def test_a_major_release_cannot_be_skipped(lab: Lab) -> None:
    """As with the real one: Django itself refuses, and nothing is lost."""
    server = lab.server("np1", Installation("2.10.10"))
    lab.boot()
    before, recorded = rows(server), migrations(server)
    _put_in_place(server, "3.5.0", "archive", carried=CARRIED)
    with pytest.raises(LabError, match=r"NodeNotFoundError.*dcim\.0130_sitegroup.*dcim\.0003_squashed_0130"):
        upgrade_sh(server, "/opt/netpoint")
    assert (rows(server), migrations(server)) == (before, recorded)


@pytest.mark.thorough
def test_the_long_way_climbs_through_every_release(lab: Lab) -> None:
    server = lab.server("np1", Installation("2.10.10"))
    lab.boot()
    for version in ("2.11.12", "3.5.0", "3.7.2"):
        _put_in_place(server, version, "archive")
        upgrade_sh(server, "/opt/netpoint")
    server.run("systemctl restart netpoint netpoint-rq")
    lab.wait()
    assert served_version(server) == "3.7.3-dev"
    assert current(server) == "/opt/netpoint-3.7.2"


@pytest.mark.thorough
def test_a_failing_migration_leaves_half_of_its_work(lab: Lab, tmp_path: Path) -> None:
    make_release("3.5.0", tmp_path, faults=[Fault.MIGRATION_FAILS])
    server = lab.server("np1", Installation("3.4.9"), shares={"/srv/releases": tmp_path})
    lab.boot()
    _put_in_place(server, "3.5.0", "archive")
    with pytest.raises(LabError, match="division by zero"):
        upgrade_sh(server, "/opt/netpoint")
    assert len(rows(server, ["dcim_device"])["dcim_device"]) == 1000


@pytest.mark.thorough
def test_a_dying_service_is_up_at_first(lab: Lab, tmp_path: Path) -> None:
    make_release("3.5.0", tmp_path, faults=[Fault.SERVICE_DIES])
    server = lab.server("np1", Installation("3.4.9"), restart_pause=USUAL_PAUSE, shares={"/srv/releases": tmp_path})
    lab.boot()
    _put_in_place(server, "3.5.0", "archive")
    upgrade_sh(server, "/opt/netpoint")
    server.run("systemctl restart netpoint netpoint-rq")
    assert active(server) == {"netpoint": "active", "netpoint-rq": "active"}
    wait_until(lambda: active(server)["netpoint"] == "activating")
    assert active(server)["netpoint-rq"] == "active"


def _put_in_place(server: Server, version: str, method: str, *, carried: tuple[str, ...] = CARRIED) -> None:
    """Do section 3 of the upgrade document."""
    if method == "git":
        server.run(f"cd /opt/netpoint && git fetch --quiet --tags origin && git checkout --quiet v{version}")
        return
    old = current(server)
    new = f"/opt/netpoint-{version}"
    server.run(f"mkdir {new} && tar -xzf /srv/releases/v{version}.tar.gz -C {new} --strip-components=1")
    server.run(f"ln -sfn {new}/ /opt/netpoint")
    for path in carried:
        server.run(f"cp -pr {old}/{path} /opt/netpoint/{path.rpartition('/')[0]}")
