"""Folders with names that a shell, systemd or tar could stumble over, and folders that somebody else has been in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab.asking import active, served_version
from tests.lab.netpoint.install import Installation
from tests.lab.operator import fab, upgrade

if TYPE_CHECKING:
    from tests.lab.lab import Lab

STATE = """/srv/-a state's "folder" $(touch /canary) ${HOME} `touch /canary`; & \\ %n/$$state"""
BACKUP = """/srv/it's a "backup" $(touch /canary) #100%/dumps"""
EVERYTHING = r"find /etc /opt /tmp/ours /srv /var/backups -path '*/venv' -prune -o -printf '%p %u %m %T@\n'"
RAISE_GUARD = """
run=$(ls -d "$1"/runs/*)
export RUN="$run" BUNDLE="$run/bundle"
sh -ec '. "$BUNDLE/vars.sh"; . "$BUNDLE/lib.sh"; . "$BUNDLE/guard.sh"; raise_guard; guard_is_up'
: >"$run/window"
systemctl start netpoint-remote-recover
systemctl show -p Result,ConditionResult,ExecMainStatus netpoint-remote-recover
systemctl restart netpoint
systemctl show -p ActiveState,ConditionResult netpoint
rm "$run/window"
sh -ec '. "$BUNDLE/vars.sh"; . "$BUNDLE/lib.sh"; . "$BUNDLE/guard.sh"; lift_guard; guard_is_lifted'
systemctl restart netpoint
"""


def _place(lab: Lab, **folders: str) -> None:
    path = lab.write_hosts_file()
    inventory = yaml.safe_load(path.read_text())
    inventory["defaults"] |= folders
    path.write_text(yaml.safe_dump(inventory))


@pytest.mark.thorough
@pytest.mark.promise(8)
def test_what_somebody_else_has_planted_is_refused_and_oddly_named_folders_are_not(lab: Lab) -> None:
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    server.run("mkdir /tmp/ours && ln -s /etc /tmp/planted && ln -s /etc/cron.d /tmp/ours-too", user="admin")
    before = server.run(EVERYTHING).stdout

    for planted in ("/tmp/ours", "/tmp/planted", "/tmp/ours-too/state"):
        _place(lab, state_dir=planted, backup_dir=planted)
        run = upgrade(lab, "3.5.0")
        assert (run.exit_code, run.statuses) == (3, {"np1": "refused"}), run.reasons
        assert "belongs to admin" in run.reasons
    assert server.run(EVERYTHING).stdout == before

    _place(lab, state_dir=STATE, backup_dir=BACKUP)
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(server) == "3.5.0"
    dumps = server.run(["find", BACKUP, "-name", "database.dump", "-printf", "%u %m\n"]).stdout
    assert dumps == "root 600\n"
    assert server.run(["find", STATE, "!", "-user", "root"]).stdout == ""
    assert server.run(["sh", "-c", 'stat -c "%U %a" "$1" "$1/runs"', "sh", STATE]).stdout == "root 700\nroot 700\n"
    assert fab(lab, "check", "--version", "3.5.0").statuses == {"np1": "current"}

    # What systemd makes of such names is seen when it guards the window.
    guarded = server.run(["sh", "-euc", RAISE_GUARD, "sh", STATE]).stdout.split("\n")
    assert {"Result=success", "ConditionResult=yes", "ExecMainStatus=0"} <= set(guarded[:3])
    assert "ConditionResult=no" in guarded[3:]
    assert active(server) == {"netpoint": "active", "netpoint-rq": "active"}
    assert server.run("find / -xdev -name canary").stdout == ""
