"""An undo that fails, and databases reached in every way that NetPoint can."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.lab.asking import (
    active,
    at_work,
    is_migrating,
    is_serving,
    let_migrate,
    served_version,
    wait_until_serving,
)
from tests.lab.memory import ARCHIVE, DOWN, GIT, Memory
from tests.lab.netpoint.install import ROOT
from tests.lab.netpoint.releases import Fault
from tests.lab.network import BETWEEN, forget_connections, join, plug, unplug
from tests.lab.operator import fab, start_upgrade, upgrade, wait_until

if TYPE_CHECKING:
    from tests.lab.lab import Lab
    from tests.lab.netpoint.install import Installation
    from tests.lab.operator import Fab
    from tests.lab.servers import Server

CANNOT_RESTORE = """#!/bin/sh
case " $* " in *" -L "*) echo 'out of luck' >&2; exit 1 ;; esac
exec /usr/bin/pg_restore "$@"
"""


def _break_restoring(server: Server) -> None:
    server.run("cat >/usr/local/bin/pg_restore && chmod 755 /usr/local/bin/pg_restore", text=CANNOT_RESTORE)


def _repair_restoring(server: Server) -> None:
    server.run("rm /usr/local/bin/pg_restore")


def _stuck(lab: Lab, installation: Installation) -> tuple[Memory, dict[str, object]]:
    """Return a server whose upgrade failed and could not go back, and what the report says of it."""
    server = lab.server("np1", installation)
    lab.boot()
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_FAILS))
    memory = Memory.of(server)
    _break_restoring(server)
    run = upgrade(lab, "3.5.0")
    assert (run.exit_code, run.statuses) == (2, {"np1": "failed"}), run.reasons
    assert "Undoing run_upgrade failed" in run.reasons
    return memory, run.host("np1")


@pytest.mark.thorough
@pytest.mark.promise(2, 6, method="both")
@pytest.mark.parametrize("installation", [ARCHIVE, GIT], ids=["archive", "git"])
def test_after_an_undo_that_failed_the_server_is_safe_and_can_be_repaired_by_hand(
    lab: Lab, installation: Installation
) -> None:
    """Every command of the report is typed as it stands there."""
    memory, host = _stuck(lab, installation)
    server = memory.server
    assert active(server) == DOWN
    server.power_cut()
    server.boot()
    assert active(server) == DOWN, "nobody may write to a database that is neither old nor new"
    wait_until(lambda: fab(lab, "status").statuses == {"np1": "unsettled"})  # it tried again at boot
    _repair_restoring(server)

    (by_hand,) = (problem for problem in host["problems"] if problem["code"] == "by-hand")
    commands = [line.strip() for line in by_hand["remedy"].splitlines() if line.startswith("    ")]
    for command in commands[1:]:
        server.run(command)

    wait_until_serving(server)
    memory.check_all_is_as_it_was()


@pytest.mark.thorough
@pytest.mark.promise(4, method="archive")
def test_after_an_undo_that_failed_the_same_command_goes_on_where_it_was_stuck(lab: Lab) -> None:
    """Also while the server waits to try it again by itself, as it does since its boot."""
    memory, _ = _stuck(lab, ARCHIVE)
    memory.server.power_cut()
    memory.server.boot()
    wait_until(lambda: fab(lab, "status").statuses == {"np1": "unsettled"})
    again = upgrade(lab, "3.5.0")
    assert (again.exit_code, again.statuses) == (2, {"np1": "failed"}), again.reasons
    assert active(memory.server) == DOWN
    _repair_restoring(memory.server)
    lab.write_hosts_file()

    run = upgrade(lab, "3.5.0")

    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(memory.server) == "3.5.0"


WAYS = {
    "a socket that knows the user": '{"NAME": "netpoint", "USER": "netpoint", "HOST": "", "PASSWORD": ""}',
    "a folder of sockets": '{"NAME": "netpoint", "USER": "netpoint", "HOST": "/var/run/postgresql"}',
    "a service file of NetPoint's user": '{"NAME": "netpoint", "OPTIONS": {"service": "of netpoint"}}',
    "a password file of NetPoint's user": '{"NAME": "netpoint", "USER": "netpoint", "HOST": "localhost"}',
    "TLS and another port": '{"NAME": "netpoint", "USER": "netpoint", "HOST": "localhost", "PORT": "5433", '
    '"OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/etc/tls/server.pem"}}',
}
SERVICE = "[of netpoint]\nhost=localhost\nuser=netpoint\ndbname=netpoint\n"


@pytest.mark.thorough
@pytest.mark.promise(6, method="archive")
def test_a_database_is_reached_as_netpoint_reaches_it(lab: Lab) -> None:
    server = lab.server("np1", ARCHIVE)
    lab.boot()
    lab.write_hosts_file()
    _give_the_user_files(server)
    for way, settings in WAYS.items():
        if "5433" in settings:
            _speak_tls(server)
        _configure(server, settings)
        run = fab(lab, "backup", "--verify", "full")
        assert (run.exit_code, run.statuses) == (0, {"np1": "saved"}), f"{way}: {run.reasons}"


@pytest.mark.thorough
def test_a_database_that_the_units_environment_leads_to_is_upgraded(lab: Lab) -> None:
    """The service file is named by the unit alone, and names the sessions too: our own is still told from others."""
    server = lab.server("np1", ARCHIVE)
    lab.boot()
    lab.write_hosts_file()
    server.run("mkdir /etc/np /etc/systemd/system/netpoint.service.d /etc/systemd/system/netpoint-rq.service.d")
    password = f"password={ARCHIVE.database_password}\napplication_name=NetPoint\n"
    server.run("cat >/etc/np/services && chmod 640 /etc/np/services && chgrp netpoint /etc/np/services",
               text=SERVICE + password)  # fmt: skip
    for unit in ("netpoint", "netpoint-rq"):
        server.run(f"cat >/etc/systemd/system/{unit}.service.d/database.conf",
                   text="[Service]\nEnvironment=PGSERVICEFILE=/etc/np/services\n")  # fmt: skip
    server.run("systemctl daemon-reload")
    _configure(server, '{"NAME": "netpoint", "OPTIONS": {"service": "of netpoint"}}')

    run = upgrade(lab, "3.5.0")

    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(server) == "3.5.0"


@pytest.mark.thorough
@pytest.mark.promise(2, 6, method="archive")
def test_a_database_on_another_machine_is_upgraded_and_comes_back(lab: Lab) -> None:
    """NetPoint's server has no PostgreSQL; in the migration the cable to it is pulled, then it is restarted."""
    server, elsewhere, memory, disturbed = _migrate_elsewhere(lab)
    unplug(elsewhere.slot, BETWEEN)
    time.sleep(5)  # long enough for packets to be lost; nothing is judged by it
    plug(elsewhere.slot, BETWEEN)
    assert is_migrating(elsewhere)
    elsewhere.run("systemctl restart postgresql")
    failed = disturbed.wait()
    assert failed.statuses == {"np1": "reverted"}, failed.reasons
    memory.check_all_is_as_it_was()

    lab.write_hosts_file()
    run = upgrade(lab, "3.5.0", "--limit", "np1")
    assert run.statuses == {"np1": "upgraded"}, run.reasons
    assert served_version(server) == "3.5.0"
    full = ("backup", "--verify", "full", "--limit", "np1")
    refused = fab(lab, *full)
    assert (refused.statuses, "ALTER ROLE ... CREATEDB" in refused.reasons) == ({"np1": "refused"}, True)
    elsewhere.run(["psql", "-qc", "ALTER ROLE netpoint CREATEDB"], user="postgres")
    assert fab(lab, *full).statuses == {"np1": "saved"}

    back = fab(lab, "rollback", "--yes", "--limit", "np1")
    assert back.statuses == {"np1": "rolled-back"}, back.reasons
    wait_until_serving(server)
    memory.check_all_is_as_it_was()


@pytest.mark.thorough
@pytest.mark.promise(3, 4, method="archive")
def test_a_power_cut_is_settled_though_a_database_elsewhere_has_not_noticed_it(lab: Lab) -> None:
    """Nothing tells it that the other end is gone: the lock and the migration of before are still there at boot."""
    server, elsewhere, memory, disturbed = _migrate_elsewhere(lab)
    unplug(elsewhere.slot, BETWEEN)
    server.power_cut()
    disturbed.kill()
    forget_connections(server.slot)
    assert "netpoint-remote" in _sessions(elsewhere)
    plug(elsewhere.slot, BETWEEN)
    assert is_migrating(elsewhere)
    server.boot()

    wait_until(lambda: is_serving(server, "3.4.9") and not at_work(server))
    memory.check_all_is_as_it_was()
    let_migrate(elsewhere)
    run = upgrade(lab, "3.5.0", "--limit", "np1")
    assert run.statuses == {"np1": "upgraded"}, run.reasons


def _migrate_elsewhere(lab: Lab) -> tuple[Server, Server, Memory, Fab]:
    """Let a server upgrade the database of another one; return both, what was there, and the upgrade that migrates."""
    server, elsewhere = lab.server("np1", ARCHIVE), lab.server("np2", ARCHIVE)
    lab.boot()
    _use_database_of(elsewhere, server)
    memory = Memory.of(server, database=elsewhere)
    lab.write_hosts_file(release=lab.publish("3.5.0", Fault.MIGRATION_WAITS))
    disturbed = start_upgrade(lab, "3.5.0", "--limit", "np1")
    wait_until(lambda: is_migrating(elsewhere), fab=disturbed)
    return server, elsewhere, memory, disturbed


def _sessions(database: Server) -> str:
    asked = "SELECT application_name FROM pg_stat_activity WHERE usename = 'netpoint'"
    return database.run(["psql", "-XAtc", asked], user="postgres").stdout


def _use_database_of(elsewhere: Server, server: Server) -> None:
    """Let NetPoint on `server` use the database of `elsewhere`, whose own NetPoint is gone."""
    here, there = join(server.slot, elsewhere.slot)
    elsewhere.run("systemctl disable --now netpoint netpoint-rq 2>&1")
    elsewhere.run("echo \"listen_addresses = '*'\" >>$(ls /etc/postgresql/*/main/postgresql.conf)")
    elsewhere.run(f"echo host all all {here}/32 scram-sha-256 >>$(ls /etc/postgresql/*/main/pg_hba.conf)")
    elsewhere.run("systemctl restart postgresql")
    server.run("systemctl stop netpoint netpoint-rq && systemctl disable --now postgresql 2>&1")
    _configure(server, f"{{**DATABASE, 'HOST': '{there}'}}")


def _give_the_user_files(server: Server) -> None:
    password = ARCHIVE.database_password.replace("\\", "\\\\").replace(":", "\\:")
    server.run("systemctl stop netpoint netpoint-rq")
    server.run("mkdir -p /srv/netpoint-home && usermod --home /srv/netpoint-home netpoint")
    server.run("cat >/srv/netpoint-home/.pgpass", text=f"localhost:*:*:netpoint:{password}\n")
    server.run("cat >/srv/netpoint-home/.pg_service.conf", text=SERVICE)
    server.run("chmod 600 /srv/netpoint-home/.pgpass && chown -R netpoint: /srv/netpoint-home")


def _speak_tls(server: Server) -> None:
    server.run(
        "mkdir /etc/tls && openssl req -new -x509 -days 2 -nodes -subj /CN=localhost"
        " -addext subjectAltName=DNS:localhost -out /etc/tls/server.pem -keyout /etc/tls/server.key 2>&1"
        " && chmod 755 /etc/tls && chown postgres /etc/tls/server.key"
    )
    settings = "port = 5433\nssl = on\nssl_cert_file = '/etc/tls/server.pem'\nssl_key_file = '/etc/tls/server.key'\n"
    server.run("cat >>$(ls /etc/postgresql/*/main/postgresql.conf)", text=settings)
    server.run("systemctl restart postgresql")


def _configure(server: Server, settings: str) -> None:
    path = f"{ROOT}/netpoint/netpoint/configuration.py"
    text = server.run(f"cat {path}").stdout
    server.run(f"cat >{path}", text=f"{text}\nDATABASE = {settings}\n")
    server.run("systemctl restart netpoint netpoint-rq")
    wait_until_serving(server)
