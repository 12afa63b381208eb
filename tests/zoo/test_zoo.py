"""Every shape comes out as its file says: upgraded, or told before the window with nothing stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.lab.asking import active, served_version
from tests.lab.netpoint.install import Installation
from tests.lab.operator import fab, upgrade
from tests.zoo.shapes import Shape, all_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.lab import Lab
    from tests.lab.servers import Server

STATUSES = {"upgraded": "upgraded", "refused": "refused", "undone": "reverted", "unreachable": "unreachable"}
STEADY = "cd /etc/systemd/system && systemctl show -p Id,MainPID,NRestarts *.service"
PRELUDE = """set -eu
TREE=$(readlink -f /opt/netpoint)
restart() {
    systemctl daemon-reload
    systemctl restart netpoint netpoint-rq
    until curl -sf http://127.0.0.1/login/ >/dev/null && redis-cli scard rq:workers | grep -qv '^0'; do sleep 0.2; done
}
configure() { cat >>"$TREE/netpoint/netpoint/configuration.py"; }
pooler() { # let NetPoint reach its database through pgbouncer, which has these settings besides
    runuser -u postgres -- psql -q -c "ALTER ROLE netpoint PASSWORD 'secret'"
    echo '"netpoint" "secret"' >/etc/pgbouncer/userlist.txt
    printf '%s\\n' '[databases]' 'netpoint = host=127.0.0.1 port=5432' '[pgbouncer]' 'listen_addr = 127.0.0.1' \\
        'listen_port = 6432' 'auth_type = scram-sha-256' 'auth_file = /etc/pgbouncer/userlist.txt' "$@" \\
        >/etc/pgbouncer/pgbouncer.ini
    # Debian 11 has no unit for it.
    systemctl start pgbouncer 2>/dev/null ||
        systemd-run -q --unit=pgbouncer --uid=postgres /usr/sbin/pgbouncer /etc/pgbouncer/pgbouncer.ini
    until ss -ltn | grep -q :6432; do sleep 0.2; done
    echo 'DATABASE.update(HOST="127.0.0.1", PORT="6432", PASSWORD="secret")' | configure
    restart
}
drop_in() { mkdir -p "/etc/systemd/system/$1.d" && cat >"/etc/systemd/system/$1.d/$2.conf"; }
"""


def _parameter(shape: Shape) -> object:
    marks = () if shape.quick else (pytest.mark.thorough,)
    return pytest.param(shape, id=f"{shape.file}-{shape.method}", marks=marks)


@pytest.mark.parametrize("shape", [_parameter(shape) for shape in all_shapes()])
def test_a_shape_comes_out_as_its_file_says(lab: Lab, shape: Shape) -> None:
    server = lab.server("np1", Installation("3.4.9", method=shape.method))
    lab.boot()
    _write_hosts_file(lab, shape)
    _do(server, shape.change)
    before = _steady(server)

    run = upgrade(lab, "3.5.0")

    told = "\n".join(_texts(run.host("np1")))
    assert run.statuses == {"np1": STATUSES[shape.end]}, run.reasons
    assert [word for word in shape.words if word not in told] == [], told
    if shape.end == "upgraded":
        assert served_version(server) == "3.5.0"
        assert set(active(server).values()) == {"active"}
        assert fab(lab, "check", "--version", "3.5.0").statuses == {"np1": "current"}
        _do(server, shape.proof)
    else:
        assert run.host("np1")["window_seconds"] is None
        assert _steady(server).items() >= before.items()


def _steady(server: Server) -> dict[str, str]:
    """Return the main process of each unit that nobody has started again by itself."""
    shown = (
        dict(line.split("=", 1) for line in block.splitlines()) for block in server.run(STEADY).stdout.split("\n\n")
    )
    return {unit["Id"]: unit["MainPID"] for unit in shown if (unit["MainPID"] != "0", unit["NRestarts"]) == (True, "0")}


def _texts(told: object) -> Iterator[str]:
    """Yield every text in what a report says of a host."""
    if isinstance(told, str):
        yield told
    elif isinstance(told, (list, dict)):
        for each in told.values() if isinstance(told, dict) else told:
            yield from _texts(each)


def _write_hosts_file(lab: Lab, shape: Shape) -> None:
    path = lab.write_hosts_file()
    inventory = yaml.safe_load(path.read_text())
    inventory["hosts"]["np1"] |= shape.hosts
    path.write_text(yaml.safe_dump(inventory))


def _do(server: Server, commands: str) -> None:
    server.run(["sh", "-s"], text=f"{PRELUDE}{commands}")
