"""Services that run in odd but legal ways: what stands in for them runs as they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpoint_remote.running.bundle import text_of
from tests.lab.asking import active, served_version
from tests.lab.netpoint.install import Installation
from tests.lab.operator import fab, upgrade

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.servers import Server

ODD = """[Service]
ProtectSystem=strict
ReadWritePaths=/opt /var/tmp
RuntimeDirectory={name}
SupplementaryGroups=redis
LimitNOFILE=4321
Environment=PATH=/opt/netpoint/venv/bin ROOT=/x NEW=/y RUN=/z PROMETHEUS_MULTIPROC_DIR=/run/{name} WEB_PORT=8123
EnvironmentFile=-/etc/default/not-there
EnvironmentFile=/etc/netpoint.env
"""
BIND = """[Service]
ExecStart=
ExecStart=/opt/netpoint/venv/bin/gunicorn --pid /run/netpoint/pid --pythonpath /opt/netpoint/netpoint \\
    --config /etc/netpoint-gunicorn.py --bind "127.0.0.1:${WEB_PORT}" netpoint.wsgi
"""
GUNICORN = """
bind = "127.0.0.1:8001"
pidfile, accesslog, errorlog = "/run/netpoint/other-pid", "/run/netpoint/access.log", "/run/netpoint/error.log"
user = group = "netpoint"
workers = 2
def on_starting(server):
    open("/run/netpoint/began", "a").write("x")
"""
CONFIGURED = """
import os
assert os.environ["NEEDED"] == "a 'b' $c"
assert os.environ["ROOT"] == "/x"
assert os.path.isdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
"""
SHUT_IN = """
import resource
if "NETPOINT_REMOTE_COMMAND" in os.environ:  # what stands in for the service, but for the quick look of `check`
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 4321
    assert any(" / " in line and " ro" in line for line in open("/proc/self/mounts"))
if os.geteuid() != 0:
    assert os.environ["DB_ONLY"] == "x"
"""
UPSTREAM = "sed -i s/8001/8123/ /etc/nginx/sites-enabled/netpoint && systemctl reload nginx"
SETTINGS = "/opt/netpoint/netpoint/netpoint/configuration.py"
TEMPLATE = r"""[Unit]
OnFailure=must-not-start.service
[Service]
Type=notify
DynamicUser=yes
ProtectSystem=strict
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
RuntimeDirectory=odd-%i
StateDirectory=odd
Environment=PATH=/nowhere "QUOTED=a b\"c" UNIT=%n PORT=99
EnvironmentFile=-/etc/default/%p
ExecStartPre=+/bin/sh -c 'exec /bin/touch /run/began'
ExecStart=-@/bin/sleep zzz \
  # of the admin
  infinity --bind "127.0.0.1:${PORT}" 'a $x' "b\x20c"
FailureAction=reboot
"""
ASKS = """
. /root/remote/lib.sh; . /root/remote/as_unit.sh
as_unit ask /opt/netpoint /bin/sh -c '
    for word in "$0" "$@"; do echo "<$word>"; done
    echo "$PATH|$QUOTED|$UNIT|$FROM_FILE|$RUNTIME_DIRECTORY"
    /bin/cat /proc/net/dev | /bin/grep -c :
    /bin/touch /etc/x 2>/dev/null || echo shut in
    : >"$RUNTIME_DIRECTORY/mine" && : >"$STATE_DIRECTORY/mine" && [ "$(/usr/bin/id -u)" -ge 61184 ] && echo made
' ARGUMENTS </dev/null
start_as_unit beside /opt/netpoint /bin/sh -c '/bin/sleep 12345 & /bin/sleep 12346' </dev/null
until /bin/pgrep -x -f '/bin/sleep 12346' >/dev/null; do sleep 0.1; done
unit_runs beside && echo runs
remove_units "$RUN"
/bin/pgrep -x -f '/bin/sleep 1234.' || echo ended
as_unit ask /opt/netpoint /bin/false </dev/null || echo "=$?"
as_unit ask /opt/netpoint /bin/head -c 200000000 /dev/zero </dev/null >/dev/null 2>&1 || echo flooded
[ "$(du -sm /run/netpoint_remote.r1 | cut -f 1)" -le 64 ] && echo bounded
remove_units "$RUN"
ls -d /run/netpoint_remote.r1 2>/dev/null || echo removed
"""


def _write(server: Server, path: str, text: str, *, more: bool = False) -> None:
    server.run(["sh", "-c", f'mkdir -p "$(dirname "$1")" && cat {">>" if more else ">"} "$1"', "sh", path], text=text)


@pytest.fixture
def odd(lab: Lab) -> Server:
    """Return a server whose services are shut in, and have most of what they need from systemd."""
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    for name in ("netpoint", "netpoint-rq"):
        _write(server, f"/etc/systemd/system/{name}.service.d/odd.conf", ODD.format(name=name))
    _write(server, "/etc/systemd/system/netpoint.service.d/bind.conf", BIND)
    _write(server, "/etc/netpoint.env", "NEEDED=\"a 'b' $c\"\nDB_ONLY='x'\n")
    _write(server, "/etc/netpoint-gunicorn.py", GUNICORN)
    _write(server, SETTINGS, CONFIGURED + SHUT_IN, more=True)
    server.run(UPSTREAM)
    server.run("systemctl daemon-reload && systemctl restart netpoint netpoint-rq")
    serves = "curl -sf http://127.0.0.1/login/ && redis-cli scard rq:workers | grep -qv '^0'"
    server.run(f"until {serves} >/dev/null; do sleep 0.2; done", timeout=300)
    lab.write_hosts_file()
    return server


@pytest.mark.promise(8)
def test_what_stands_in_for_a_service_runs_as_it_does(lab: Lab, odd: Server) -> None:
    run = upgrade(lab, "3.5.0")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(odd) == "3.5.0"
    assert active(odd) == {"netpoint": "active", "netpoint-rq": "active"}
    assert odd.run("ls /run /run/systemd/system | grep netpoint_remote", check=False).stdout == ""
    assert odd.run("cat /run/netpoint/began").stdout == "x"
    assert fab(lab, "check", "--version", "3.5.0").statuses == {"np1": "current"}


def test_a_unit_of_a_template_with_a_user_that_systemd_makes_is_asked_as_it_runs(lab: Lab) -> None:
    """In its own network, with its folders, which stay as they are, and without what starts and stops it."""
    server = lab.server("np1", Installation("3.4.9"))
    lab.boot()
    _write(server, "/etc/systemd/system/odd@.service", TEMPLATE)
    _write(server, "/etc/default/odd", 'FROM_FILE="it\'s $x"\n')
    for name in ("lib.sh", "as_unit.sh"):
        _write(server, f"/root/remote/{name}", text_of(name))
    server.run("systemctl daemon-reload; mkdir -p /root/runs/r1")

    known = "RUN=/root/runs/r1 SERVICES=odd@one ROOT=/opt/netpoint OLD=/opt/netpoint-3.4.9 PRODUCT=netpoint"
    said = server.run(["sh", "-c", f"{known}\n{ASKS}"]).stdout.splitlines()

    assert said == [
        "<zzz>", "<infinity>", "<--bind>", "<127.0.0.1:99>", "<a $x>", "<b c>",
        """/nowhere|a b"c|odd@one.service|it's $x|/run/odd-one""", "1", "shut in", "made", "runs", "ended", "=1",
        "flooded", "bounded", "removed",
    ]  # fmt: skip
    left = "ls /run /run/private /run/systemd/system /run/began 2>/dev/null | grep -e netpoint_remote -e began"
    assert server.run(left, check=False).stdout == ""
    assert server.run("systemctl list-units --all --plain --no-legend 'netpoint_remote*'").stdout == ""
