"""What else runs out of the release, is mounted in it or names its folder: refused, or taken along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import served_version
from tests.lab.netpoint.install import Installation
from tests.lab.operator import fab, upgrade

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.servers import Server

OLD = "/opt/netpoint-3.4.9"
MEDIA = f"{OLD}/netpoint/media"
ODD = rf"""
sed 's/Description=.*/Description=Reports/' /etc/systemd/system/netpoint-rq.service >/etc/systemd/system/reports.service
systemctl daemon-reload
systemctl start reports
printf '*/5 * * * * netpoint /opt/netpoint/venv/bin/python /opt/netpoint/netpoint/manage.py nbshell\n' >/etc/cron.d/sync
mkdir -p /srv/media /etc/nginx/conf.d /etc/systemd/system/netpoint.service.d
cp -a {MEDIA}/. /srv/media
mount --bind /srv/media {MEDIA}
printf 'location /static/ {{ alias {OLD}/netpoint/static/; }}\n' >/etc/nginx/conf.d/zz-static.inc
printf '[Service]\nWorkingDirectory={OLD}\n' >/etc/systemd/system/netpoint.service.d/folder.conf
systemctl daemon-reload
systemd-run -q --scope --unit=by-hand setpriv --reuid=netpoint --regid=netpoint --clear-groups sh -c '
    cd /opt/netpoint/netpoint && ../venv/bin/python3 -c "import signal; signal.pause()" </dev/null >/dev/null 2>&1 &'
"""
SECOND_WORKER = rf"""
mv {MEDIA} /srv/media
ln -s /srv/media {MEDIA}
cp /etc/systemd/system/netpoint-rq.service /etc/systemd/system/netpoint-rq2.service
mv /etc/cron.daily/netpoint-housekeeping /etc/cron.weekly/nightly
systemctl daemon-reload
systemctl enable --now netpoint-rq2
"""


def _main_process(server: Server, unit: str) -> str:
    return server.run(["systemctl", "show", "-p", "MainPID", "--value", unit]).stdout.strip()


def test_what_uses_the_release_is_refused_with_the_way_out(lab: Lab) -> None:
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    lab.write_hosts_file()
    assert fab(lab, "check", "--version", "3.5.0").statuses == {"np1": "ready"}

    server.run(["sh", "-euc", ODD])
    run = fab(lab, "check", "--version", "3.5.0")
    codes = sorted(problem["code"] for problem in run.host("np1")["problems"] if problem["severity"] == "error")
    assert (run.exit_code, codes) == (
        3, ["cron", "mount", "not-in-services", "old-folder", "old-folder", "process"],
    ), run.reasons  # fmt: skip
    assert "services: [netpoint, netpoint-rq, reports]" in run.reasons
    assert "services: [netpoint, netpoint-rq, cron]" in run.reasons
    assert "/etc/cron.d/sync line 1" in run.reasons
    assert f"mounted inside the release: {MEDIA}" in run.reasons
    assert f"/etc/nginx/conf.d/zz-static.inc line 1 names {OLD}" in run.reasons
    assert f"/etc/systemd/system/netpoint.service.d/folder.conf line 2 names {OLD}" in run.reasons
    assert "(process " in run.reasons
    assert upgrade(lab, "3.5.0").statuses == {"np1": "refused"}


@pytest.mark.thorough
def test_what_belongs_to_the_product_is_taken_along(lab: Lab) -> None:
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    lab.write_hosts_file()
    server.run(["sh", "-euc", SECOND_WORKER])
    before = {unit: _main_process(server, unit) for unit in ("netpoint", "netpoint-rq", "netpoint-rq2")}
    crons = server.run("ls /etc/cron.daily /etc/cron.weekly").stdout
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(server) == "3.5.0"
    after = {unit: _main_process(server, unit) for unit in before}
    assert [unit for unit in before if after[unit] in {"0", before[unit]}] == []
    told = str(run.host("np1")["facts"]["services"])
    assert all(f"{unit}.service (" in told for unit in before), told
    assert told.endswith("as before, in new processes out of /opt/netpoint-3.5.0")
    assert server.run(f"readlink {MEDIA.replace('3.4.9', '3.5.0')}").stdout == "/srv/media\n"
    assert server.run("ls /etc/cron.daily /etc/cron.weekly").stdout == crons


ODD_CHECKOUT = r"""
mkdir /srv/media
cp -a /opt/netpoint/netpoint/media/. /srv/media
mount --bind /srv/media /opt/netpoint/netpoint/media
git -C /opt/netpoint -c safe.directory=/opt/netpoint init -q --separate-git-dir=/opt/netpoint.git
echo mine >/opt/netpoint/note.txt
"""


@pytest.mark.thorough
def test_a_checkout_with_media_on_a_mount_and_its_git_elsewhere_goes_there_and_back(lab: Lab) -> None:
    server = lab.server("np1", Installation("3.4.9", method="git"))
    lab.boot()
    lab.write_hosts_file()
    server.run(["sh", "-euc", ODD_CHECKOUT])
    media = server.run("ls -R /srv/media").stdout

    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert "note.txt" in run.reasons
    assert fab(lab, "rollback", "--yes").statuses == {"np1": "rolled-back"}
    assert served_version(server) == "3.4.9"
    assert server.run("ls -R /srv/media").stdout == media
    assert server.run("mountpoint -q /opt/netpoint/netpoint/media && cat /opt/netpoint/note.txt").stdout == "mine\n"
