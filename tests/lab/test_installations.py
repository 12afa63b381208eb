"""Other ways to set a server up, and a release that does not say what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import page, served_version
from tests.lab.memory import ARCHIVE, boot
from tests.lab.netpoint.install import Installation
from tests.lab.operator import upgrade
from tests.lab.rootfs import SUDO_PASSWORD

if TYPE_CHECKING:
    from tests.lab.lab import Lab

pytestmark = pytest.mark.thorough
PROTECTED = Installation(
    "3.4.9", base_path="ipam/", login_required=True, allowed_hosts=("ipam.example.com",), housekeeping=False
)


def test_a_base_path_a_login_wall_and_a_narrow_host_list_are_no_obstacle(lab: Lab) -> None:
    server = lab.server("np1", PROTECTED, sudo_asks=True)
    lab.boot()
    lab.write_hosts_file()
    run = upgrade(lab, "3.5.0", environment={"NETPOINT_REMOTE_SUDO_PASSWORD": SUDO_PASSWORD})
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    login = page(server, "/ipam/login/", headers={"Host": "ipam.example.com"})
    assert "?v=3.5.0" in login.text
    assert server.run("run-parts --test /etc/cron.daily").stdout.count("netpoint-housekeeping") == 1


def test_the_released_netpoint_that_calls_itself_a_development_version_is_installed(lab: Lab) -> None:
    (memory,) = boot(lab, np1=ARCHIVE)
    lab.write_hosts_file()
    run = upgrade(lab, "3.7.2")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(memory.server) == "3.7.3-dev"
    assert upgrade(lab, "3.7.2").statuses == {"np1": "unchanged"}
