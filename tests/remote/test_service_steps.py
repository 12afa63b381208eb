"""The steps that users notice: stopping, proving, starting, and what is scheduled."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.remote.conftest import Client, Make
from tests.remote.server import BIN, HOUSEKEEPING, PASSWORD, Server, differences, eventually, write_files

WRONG_PAGE = {
    "no answer": ("page.error=connection refused", "no answer: connection refused"),
    "an error page": ("page.login=500\npage.trouble=A module import error",
                      "the login page answered 500 A module import error"),
    "no static files": ("page.login=200\npage.static=missing (404 /static/x.css)",
                        "a static file is missing (404 /static/x.css)"),
    "the old version": ("page.login=200\npage.version.page=3.4.9", "version 3.4.9 answers, not 3.5.0 (page)"),
    "the old version of its API": ("page.login=200\npage.version.header=3.4",
                                   "version 3.4 answers, not 3.5.0 (header)"),
}  # fmt: skip
PAGES = {
    "as asked": "page.login=200\npage.static=200\npage.version.page=3.5.0\npage.version.status=3.5.0",
    "with a suffix": "page.login=200\npage.version.status=3.5.0-Docker-2.5",
    "as its API says": "page.login=200\npage.static=on-disk\npage.version.header=3.5",
}


@pytest.fixture
def stopped(server: Server) -> Server:
    server.record()
    server.apply("stop_services")
    return server


@pytest.fixture
def upgraded(make_server: Make) -> Server:
    """Return a server whose new release is built and not started."""
    server = make_server()
    server.record()
    server.apply("fetch_release", "unpack_release", "stop_services", "dump_database", "seal_backup", "run_upgrade")
    return server


# ---- what undo will need


def test_what_undo_needs_is_written_down(server: Server) -> None:
    server.unit("netpoint-rq", "x", active=False)
    server.prepare()
    server.apply("record_before")

    written = {path.name: path.read_text() for path in (server.run / "before").iterdir() if path.is_file()}
    assert written == {
        "active": "netpoint\n",
        "complete": "",
        "link": "netpoint-3.4.9/\n",
        "migrations": "dcim|0001_initial\n",
        "views": "",
        "page": "page.login=200\npage.static=200\n",
        "processes": "",
        "user": f"{Path.home().owner()}\n",
    }


def test_the_branch_of_a_checkout_is_written_down(checkout: Server) -> None:
    checkout.prepare()
    checkout.apply("record_before")

    assert (checkout.run / "before/ref").read_text() == "master\n"


def test_how_to_reach_the_database_is_for_nobody_elses_eyes(server: Server) -> None:
    done = server.prepare()

    modes = [(server.run / name).stat().st_mode & 0o777 for name in ("database.env", "upgrade.env", "settings")]
    assert (modes, PASSWORD in done.stdout) == ([0o600] * 3, False)


def test_what_the_service_calls_secret_is_bounded(server: Server) -> None:
    """Short texts would mask words of ours, and many would take long."""
    server.record()
    prints = "cat >/dev/null; echo four; seq -f 'secret %.0f' 5000"

    secrets = server.in_run(f'. "$BUNDLE/secrets.sh"; as_unit() {{ {prints}; }}; list_secrets').stdout.splitlines()

    assert ("four" in secrets, "secret 900" in secrets, "secret 1001" in secrets) == (False, True, False)


def test_a_configuration_may_take_its_password_from_the_units_environment(server: Server) -> None:
    server.unit("netpoint", "x", Environment=r""""DB_PASSWORD=it's \"\$1\"" OTHER=1""")
    (server.old / "netpoint/netpoint/configuration.py").write_text(
        "import os\nDATABASE = {'NAME': 'netpoint', 'PASSWORD': os.environ['DB_PASSWORD']}\n"
    )

    server.prepare()

    assert "export PGPASSWORD='it'\"'\"'s \"$1\"'" in (server.run / "database.env").read_text().splitlines()


def test_without_a_database_in_the_configuration_nothing_begins(server: Server) -> None:
    (server.old / "netpoint/netpoint/configuration.py").write_text("DATABASE = {}\n")

    assert server.prepare().returncode == 1
    assert server.reason.startswith("the configuration of NetPoint names no database, or cannot be read")


def test_a_database_that_does_not_answer_is_seen_before_anything_begins(server: Server) -> None:
    server.prepare()
    (server.world / "database.down").touch()

    done = server.step("record_before", "apply")

    assert (done.returncode != 0, "connection refused" in done.stdout, (server.run / "before/complete").exists()) == (
        True, True, False,
    )  # fmt: skip


def test_a_systemd_that_does_not_answer_is_not_taken_for_services_that_do_not_run(server: Server) -> None:
    """None of them would be started on the way back."""
    server.prepare()
    server.replace("systemctl", "echo 'Failed to connect to bus' >&2; exit 1")

    done = server.step("record_before", "apply")

    assert (done.returncode, server.reason) == (1, "systemd does not say whether netpoint runs")
    assert not (server.run / "before/complete").exists()


def test_where_systemd_has_what_a_reboot_clears_is_found_once(server: Server) -> None:
    server.prepare()
    found = len(server.said)
    server.apply("prove_running")

    assert "systemctl show -p FragmentPath netpoint" in server.said[:found]
    assert "systemctl show -p FragmentPath netpoint" not in server.said[found:]


# ---- stop


def test_from_the_stop_on_users_are_without_netpoint(stopped: Server) -> None:
    assert (stopped.active, stopped.journal) == ([], ["window-open stop_services "])


def test_the_housekeeping_timer_is_stopped_too_and_started_again(server: Server) -> None:
    (server.world / "units/netpoint-housekeeping.timer").touch()
    (server.world / "units/netpoint-housekeeping.timer.active").touch()
    server.prepare()
    server.apply("record_before", "stop_services")
    stopped = (server.world / "units/netpoint-housekeeping.timer.active").exists()

    server.step("stop_services", "undo")

    assert (stopped, (server.world / "units/netpoint-housekeeping.timer.active").exists()) == (False, True)


def test_what_starts_a_service_is_stopped_and_started_before_it(server: Server) -> None:
    """A socket would start it again, and cannot be started itself once its service runs."""
    server.bundle(SERVICES="netpoint netpoint-rq netpoint.socket")
    server.record()
    server.apply("stop_services")
    server.step("start_services", "apply")

    asked = [line for line in server.said if line.startswith(("systemctl stop", "systemctl start"))]
    assert asked == [f"systemctl {verb} netpoint.socket netpoint netpoint-rq" for verb in ("stop", "start")]


@contextmanager
def runs_out_of(server: Server, unit: str = "") -> Iterator[int]:
    """Let a process run out of the release, of a unit or started by hand."""
    program = [sys.executable, "-c", "import signal; signal.pause()"]
    with subprocess.Popen(program, cwd=server.old, start_new_session=True) as process:
        assert eventually(lambda: Path(f"/proc/{process.pid}/exe").resolve() == Path(sys.executable).resolve())
        if unit:
            server.unit(unit, "x", MainPID=str(process.pid))
        yield process.pid
        process.kill()


@pytest.mark.promise(2)
def test_nothing_is_stopped_while_something_else_runs_out_of_the_release(server: Server) -> None:
    server.record()
    with runs_out_of(server) as number:
        status = server.step("stop_services", "apply").returncode

    told = "nothing was stopped, for something else runs out of the release: "
    assert (status, server.active, server.journal) == (1, ["netpoint", "netpoint-rq"], [])
    assert server.reason.startswith(told)
    assert f"(process {number}" in server.reason


@pytest.mark.promise(2)
def test_a_worker_that_survives_the_stop_of_its_unit_is_seen(server: Server) -> None:
    """Its unit may say KillMode=process, as cron's does."""
    server.record()
    with runs_out_of(server, "netpoint-rq") as number:
        status = server.step("stop_services", "apply").returncode

    assert (status, server.active) == (1, [])
    assert server.reason.startswith("the services were stopped, and something still runs out of the release: ")
    assert f"(process {number} of netpoint-rq.service)" in server.reason


ELSEWHERE = "db.session=7 4711 192.0.2.9 - - 0.5 db1 5432 5432 pgadmin\n"


def pooled(client: Client) -> str:
    """Return what the database says of no session first, and then of one that a pooler of this server has."""
    return f"\ndb.session=7 {client.port} 127.0.0.1 - - 0.5 127.0.0.1 {client.listens} {client.far} gunicorn\n"


@pytest.mark.promise(2)
@pytest.mark.parametrize(("counts", "status"), [("00000", 0), ("1100000", 0), ("0001" * 6, 1), ("0000", 1)], ids=str)
def test_sessions_of_a_pooler_are_ended_and_one_that_is_lent_again_is_refused(
    server: Server, client: Client, counts: str, status: int
) -> None:
    server.record()
    write_files(server.world, {
        "sessions": "2\n", "sessions.next": "".join(f"{count}\n" for count in counts), "strangers": pooled(client),
    })  # fmt: skip

    done = server.step("stop_services", "apply")

    assert done.returncode == status
    assert status == 0 or server.reason.startswith("other sessions are open on NetPoint's database: ")


def test_another_program_that_connects_while_a_pooler_is_watched_is_refused(server: Server, client: Client) -> None:
    server.record()
    write_files(server.world, {
        "sessions": "2\n", "sessions.next": "0\n" * 5, "strangers": pooled(client) + ELSEWHERE,
    })  # fmt: skip

    assert server.step("stop_services", "apply").returncode == 1
    assert server.reason == "other sessions are open on NetPoint's database: 192.0.2.9 (pgadmin)"


@pytest.mark.promise(2)
def test_sessions_of_an_unknown_program_are_not_ended(server: Server) -> None:
    server.record()
    write_files(server.world, {"sessions": "2\n", "sessions.next": "0\n" * 5})

    assert server.step("stop_services", "apply").returncode == 1


def test_sessions_of_netpoint_itself_are_waited_for(server: Server) -> None:
    server.record()
    server.tell(sessions="2\n1\n0\n")

    server.apply("stop_services")


@pytest.mark.promise(2)
def test_somebody_else_in_the_database_stops_the_upgrade(server: Server) -> None:
    server.record()
    server.tell(sessions="1\n")

    assert server.step("stop_services", "apply").returncode == 1
    assert server.reason == "other sessions are open on NetPoint's database: 10.0.0.9 (pgadmin)"


@pytest.mark.promise(2)
def test_a_session_from_elsewhere_is_seen_before_anything_is_stopped(server: Server) -> None:
    server.record()
    server.tell(strangers=ELSEWHERE * 40)

    status = server.step("stop_services", "apply").returncode

    assert (status, server.active, server.journal) == (1, ["netpoint", "netpoint-rq"], [])
    assert server.reason.endswith("other sessions of NetPoint's role are open: 192.0.2.9 (pgadmin)")


def test_a_session_that_ends_by_itself_is_waited_for(server: Server) -> None:
    server.record()
    server.tell(strangers=ELSEWHERE * 3)

    server.apply("stop_services")


def test_only_what_ran_before_is_started_again(server: Server) -> None:
    server.unit("netpoint-rq", "x", active=False)
    server.record()
    server.apply("stop_services")

    server.step("stop_services", "undo")

    assert (server.active, server.journal[-1]) == (["netpoint"], "window-closed stop_services ")


def test_a_service_that_does_not_come_back_keeps_no_other_from_it(server: Server) -> None:
    server.record()
    server.apply("stop_services")
    (server.world / "units/netpoint-rq.service.dies").touch()
    (server.run / "before/active").write_text("netpoint-rq\nnetpoint\n")

    done = server.step("stop_services", "undo")

    assert (done.returncode, server.active, server.reason) == (1, ["netpoint"], "systemctl could not start netpoint-rq")


def test_a_service_that_dies_again_is_told(stopped: Server) -> None:
    (stopped.world / "units/netpoint-rq.service.fades").touch()

    assert stopped.step("stop_services", "undo").returncode == 0
    told = "warning stop_services netpoint-rq was started again and is inactive: journalctl -u netpoint-rq"
    assert stopped.journal[-2:] == ["window-closed stop_services ", told]


def test_an_old_release_that_does_not_answer_is_told(stopped: Server) -> None:
    stopped.tell(page="page.error=connection refused\n", pace="20\n")

    assert stopped.step("stop_services", "undo").returncode == 1
    assert stopped.reason == "the old release was started and does not answer"


def test_a_run_that_did_not_write_down_whether_the_page_answered_is_judged_as_if_it_had(stopped: Server) -> None:
    (stopped.run / "before/page").unlink()
    stopped.tell(page="page.error=connection refused\n", pace="20\n")

    assert stopped.step("stop_services", "undo").returncode == 1


@pytest.mark.parametrize("page", ["page.error=connection refused\n", "page.login=404\n", ""], ids=str.strip)
def test_a_page_that_did_not_answer_before_need_not_answer_after(server: Server, page: str) -> None:
    """A health_url that is wrong, or an installation that is repaired: no undo would ever come to its end."""
    server.tell(page=page or "page.trouble=nothing\n", pace="20\n")
    server.prepare()
    server.apply("record_before", "stop_services")

    done = server.step("stop_services", "undo")

    assert (done.returncode, server.active) == (0, ["netpoint", "netpoint-rq"]), done.stdout
    told = "the login page does not answer, as it did not before this run"
    assert server.journal[-2:] == [f"warning stop_services {told}", "window-closed stop_services "]


def test_a_service_that_cannot_be_started_is_a_warning_where_no_page_answered_before(server: Server) -> None:
    """Systemd calls `activating` what it starts again and again, so a broken installation counts as one that runs."""
    server.tell(page="page.error=connection refused\n", pace="20\n")
    server.prepare()
    server.apply("record_before", "stop_services")
    (server.world / "units/netpoint.service.dies").touch()

    assert server.step("stop_services", "undo").returncode == 0
    assert "warning stop_services netpoint was started again and is inactive: journalctl -u netpoint" in server.journal


# ---- prove beside


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_the_new_release_is_proved_on_a_socket_of_ours(upgraded: Server, page: str) -> None:
    upgraded.tell(page=f"{page}\n")

    upgraded.apply("prove_beside")

    started = next(line for line in upgraded.said if line.startswith("gunicorn"))
    assert started.startswith(
        f"gunicorn - {upgraded.new} netpoint {upgraded.folder}/run/netpoint_remote.r1.sockets/pages."
    )
    assert started.endswith(f" {upgraded.root}={upgraded.new} {upgraded.old}={upgraded.new} -- gunicorn netpoint.wsgi")
    assert upgraded.active == []


@pytest.mark.parametrize(("page", "why"), list(WRONG_PAGE.values()), ids=WRONG_PAGE)
def test_a_new_release_that_does_not_work_is_not_started(upgraded: Server, page: str, why: str) -> None:
    upgraded.tell(page=f"{page}\n", pace="20\n")

    assert upgraded.step("prove_beside", "apply").returncode == 1
    assert upgraded.reason == f"the new release does not work: started beside, its pages are not right: {why}"


def test_a_new_release_that_ends_by_itself_is_told_with_its_error(upgraded: Server) -> None:
    (upgraded.world / "gunicorn.fails").touch()

    assert upgraded.step("prove_beside", "apply").returncode == 1
    assert upgraded.reason.endswith("it ended by itself: Error: no module named wsgi")


def test_migrations_that_are_left_are_seen(upgraded: Server) -> None:
    upgraded.tell(showmigrations="[X]  dcim.0001_initial\n[ ]  dcim.0172_new\n")

    assert upgraded.step("prove_beside", "apply").returncode == 1
    assert upgraded.reason.startswith("the new release does not work: migrations are left unapplied")


def test_a_worker_that_cannot_be_loaded_is_seen(upgraded: Server) -> None:
    (upgraded.world / "worker.fails").touch()

    assert upgraded.step("prove_beside", "apply").returncode == 1
    assert upgraded.reason.startswith("the new release does not work: the worker's command cannot be loaded")


def test_what_was_started_beside_ends(upgraded: Server) -> None:
    upgraded.apply("prove_beside")

    assert eventually(lambda: not (upgraded.world / "beside").exists())


def test_no_number_from_a_file_decides_what_is_ended(upgraded: Server) -> None:
    """The service's user can write what its process prints: `-1` would be every process of root's."""
    (upgraded.world / "gunicorn.fails").touch()
    with subprocess.Popen(["tail", "-f", "/dev/null"], start_new_session=True) as process:
        birth = Path(f"/proc/{process.pid}/stat").read_text().split()[21]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        (upgraded.run / "beside.log").write_text(f"{process.pid} {birth}\n{boot}")

        done = upgraded.step("prove_beside", "undo")

        alive = process.poll() is None
        process.kill()
    assert (done.returncode, alive) == (0, True)


def test_what_was_started_beside_by_a_step_that_was_killed_is_ended(upgraded: Server) -> None:
    upgraded.replace("sleep", 'while ! [ -e "$WORLD/beside" ]; do :; done; kill -KILL 0')
    upgraded.sh([str(upgraded.run / "bundle/step.sh"), "prove_beside", "apply"])
    assert (upgraded.world / "beside").exists()

    upgraded.step("prove_beside", "undo")

    assert eventually(lambda: not (upgraded.world / "beside").exists())


# ---- prove the running release


def test_the_running_release_is_proved_while_it_serves_by_what_will_prove_the_new_one(server: Server) -> None:
    server.record()

    server.apply("prove_running")

    started = next(line for line in server.said if line.startswith("gunicorn"))
    assert started.startswith(f"gunicorn - {server.old} netpoint ")
    assert (server.active, [line for line in server.said if line.startswith("systemctl stop netpoint ")]) == (
        ["netpoint", "netpoint-rq"], [],
    )  # fmt: skip


@pytest.mark.parametrize(("page", "why"), list(WRONG_PAGE.values())[:3], ids=list(WRONG_PAGE)[:3])
def test_a_running_release_that_cannot_be_proved_stops_nothing_and_names_the_setting(
    server: Server, page: str, why: str
) -> None:
    server.record()
    server.tell(page=f"{page}\n", pace="20\n")

    assert server.step("prove_running", "apply").returncode == 4
    assert (why in server.reason, "--repair-broken" in server.reason) == (True, True), server.reason
    assert (server.active, (server.run / "window").exists()) == (["netpoint", "netpoint-rq"], False)


def test_migrations_of_a_plugin_that_were_never_applied_are_told(server: Server) -> None:
    """The running release serves all the same, and upgrade.sh will apply them."""
    server.record()
    server.tell(showmigrations="[X]  dcim.0001_initial\n[ ]  plugin.0002_more\n")

    server.apply("prove_running")

    (told,) = [line for line in server.journal if line.startswith("warning")]
    assert "plugin.0002_more" in told


def test_pages_that_are_right_beside_and_not_where_users_reach_them_name_the_address(server: Server) -> None:
    """The proof beside is right: what is wrong is where we look for users' pages."""
    server.record()
    nobody = "echo page.address=http://127.0.0.1:8001; echo page.error=connection refused; exit"
    asked = f'*unix:*) ;; *"/ask.py page "*) {nobody} ;;'
    (server.run / "python").unlink()
    server.replace("python3", f'case " $* " in {asked} esac; exec "$STAND_INS/python3" "$@"')

    assert server.step("prove_running", "apply").returncode == 4
    assert "where users reach it (http://127.0.0.1:8001), no answer: connection refused" in server.reason
    assert "set health.url in the hosts file" in server.reason


def test_a_worker_that_cannot_be_loaded_is_known_before_anything_stops(server: Server) -> None:
    server.record()
    (server.world / "worker.fails").touch()

    assert server.step("prove_running", "apply").returncode == 4
    assert "the worker's command cannot be loaded" in server.reason


@pytest.mark.promise(8)
def test_root_does_not_run_an_environment_that_others_can_write_to_see_that_it_is_let_in(server: Server) -> None:
    server.record()
    python, called = server.old / "venv/bin/python3", server.world / "called"
    python.write_text(python.read_text().replace("exec ", f"echo \"$*\" >>'{called}'\nexec ", 1))
    python.chmod(0o757)
    server.replace("psql", 'echo "psql: error: Peer authentication failed" >&2; exit 2')

    assert server.step("prove_running", "apply").returncode == 4
    assert "for root the configuration or the database does not work" in server.reason
    assert "Peer authentication failed" in server.reason
    assert [line for line in called.read_text().splitlines() if "reach" in line or line.startswith("-I")] == []


def test_where_root_is_not_let_in_its_way_out_is_told(server: Server) -> None:
    server.record()
    server.replace("psql", 'echo "psql: error: Peer authentication failed" >&2; exit 2')

    assert server.step("prove_running", "apply").returncode == 4
    assert server.reason.startswith(
        "upgrade.sh runs as root, and for root the configuration or the database does not work"
    )


def test_a_user_that_a_unit_gives_by_number_is_known_by_name(server: Server) -> None:
    server.unit("netpoint", "x", User=str(os.getuid()))

    server.prepare()

    assert (server.run / "before/user").read_text() == f"{getpass.getuser()}\n"


@pytest.mark.promise(8)
def test_what_an_open_environment_would_have_brought_is_told_as_not_known(server: Server) -> None:
    server.record()
    (server.old / "venv/bin/python3").chmod(0o757)
    configuration = server.old / "netpoint/netpoint/configuration.py"
    configuration.write_text("import a_package_of_the_environment\n")

    server.apply("prove_running")

    assert any("whether root is let into the database is not known" in line for line in server.journal)


# ---- units


def test_a_unit_from_before_virtual_environments_gets_the_example_of_the_release(server: Server) -> None:
    path = server.unit("netpoint", "/usr/local/bin/gunicorn --config /opt/netpoint/gunicorn.py netpoint.wsgi")
    server.record()

    server.apply("update_units")

    written = path.read_text()
    assert (f"ExecStart={server.root}/venv/bin/gunicorn netpoint.wsgi" in written, "User=netpoint" in written) == (
        True, Path.home().owner() == "netpoint",
    )  # fmt: skip
    assert "systemctl daemon-reload" in server.said


def test_a_unit_that_there_was_no_room_to_change_needs_no_room_to_be_put_back(server: Server) -> None:
    path = server.unit("netpoint", "/usr/local/bin/gunicorn --config /opt/netpoint/gunicorn.py netpoint.wsgi")
    server.record()
    before = server.look()
    path.with_name("netpoint.service.partial").mkdir()
    assert server.step("update_units", "apply").returncode != 0

    server.replace("cp", "exit 1")

    done = server.step("update_units", "undo")

    assert (done.returncode, differences(before, server.look())) == (0, [])


WRAPPER = "#!/bin/sh\nexec {root}/venv/bin/gunicorn netpoint.wsgi\n"
OF_PIP = "#!/usr/bin/python3\nfrom gunicorn.app.wsgiapp import run\n"


COMMANDS = {
    "another program": ("/usr/local/bin/start-netpoint", "", False),
    "a wrapper that names gunicorn": ("{folder}/netpoint-gunicorn --config x", WRAPPER, False),
    "a wrapper that is called gunicorn": ("{folder}/gunicorn", WRAPPER, False),
    "gunicorn by pip": ("{folder}/gunicorn \\\n  netpoint.wsgi", OF_PIP, True),
    "a shell": ("/bin/sh -c 'exec /usr/local/bin/gunicorn netpoint.wsgi'", "", False),
    "gunicorn that is gone": ("-/usr/local/bin/gunicorn netpoint.wsgi", "", True),
    "the environment's gunicorn": ("/usr/bin/python3 {root}/venv/bin/gunicorn netpoint.wsgi", "", False),
    "the server's Python": ("/usr/bin/python3 \\\n  /opt/netpoint/netpoint/manage.py rqworker", "", True),
    "another script": ("/usr/bin/python3 /opt/jobs/jobs.py --with manage.py", "", False),
    "a drop-in": ("/bin/x\n# /a.service\n# /a.service.d/b.conf\nExecStart=\nExecStart=/usr/bin/gunicorn", "", False),
}


@pytest.mark.parametrize(("command", "program", "outdated"), COMMANDS.values(), ids=COMMANDS)
def test_only_a_unit_from_before_virtual_environments_is_replaced(
    server: Server, tmp_path: Path, command: str, program: str, *, outdated: bool
) -> None:
    """A script of the admin's is the admin's, and so is what a drop-in starts."""
    if program:
        name = "netpoint-gunicorn" if "netpoint-gunicorn" in command else "gunicorn"
        write_files(tmp_path, {name: program.format(root=server.root)})
    server.unit("netpoint", command.format(root=server.root, folder=tmp_path))

    assert server.step("update_units", "check").returncode == int(outdated)


# ---- start


def test_users_have_netpoint_again_when_the_login_page_answers(stopped: Server) -> None:
    stopped.apply("start_services")

    assert (stopped.active, stopped.journal[-1]) == (["netpoint", "netpoint-rq"], "window-closed start_services ")


def test_a_login_page_that_does_not_come_is_waited_for_and_told(stopped: Server) -> None:
    stopped.tell(page="page.error=connection refused\n", pace="20\n")
    before = int((stopped.world / "clock").read_text())

    status = stopped.step("start_services", "apply").returncode

    waited = int((stopped.world / "clock").read_text()) - before
    assert (status, 20 < waited < 120, stopped.reason) == (
        1, True, "the services were started and the login page does not answer: connection refused",
    )  # fmt: skip


def test_a_unit_that_cannot_be_started_is_told(stopped: Server) -> None:
    (stopped.world / "units/netpoint.service.dies").touch()

    assert stopped.step("start_services", "apply").returncode == 1
    assert stopped.reason == "systemctl could not start netpoint netpoint-rq"


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    ("rows", "lost"),
    [("9\n", "2 rows"), ("1\n", "an unknown number of rows")],
    ids=["since the start", "before PostgreSQL counted anew"],
)
def test_rows_that_users_wrote_are_not_thrown_away(stopped: Server, rows: str, lost: str) -> None:
    stopped.apply("start_services")
    stopped.tell(rows=rows)

    done = stopped.step("start_services", "undo")

    assert (done.returncode, stopped.active) == (3, ["netpoint", "netpoint-rq"])
    assert [line.split()[0] for line in stopped.journal] == ["window-open", "window-closed"] * 2
    assert stopped.reason == f"undoing would discard {lost} written since the new release was started"


def test_a_change_that_the_statistics_do_not_have_yet_is_not_thrown_away(stopped: Server) -> None:
    """A session that a pooler keeps open tells the statistics of its rows up to 10 s later, or at its next use."""
    stopped.tell(changelog="core_objectchange 5 2030-01-01T00:00:00+00\n", changes="x 5\n")
    stopped.apply("start_services")
    stopped.tell(changes="x 5\nx 6\n")

    done = stopped.step("start_services", "undo")

    assert (done.returncode, stopped.active) == (3, ["netpoint", "netpoint-rq"])
    assert stopped.reason == "undoing would discard 1 row written since the new release was started"


def test_a_timer_that_the_new_release_has_no_more_undoes_nothing(server: Server) -> None:
    """NetBox 4.4 took its timer out; the admin's link in /etc/systemd/system leads nowhere after the flip."""
    (server.world / "units/netpoint-housekeeping.timer").touch()
    (server.world / "units/netpoint-housekeeping.timer.active").touch()
    server.prepare()
    server.apply("record_before", "stop_services")
    (server.world / "units/netpoint-housekeeping.timer.dies").touch()

    assert server.step("start_services", "apply").returncode == 0
    told = "netpoint-housekeeping.timer could not be started: see systemctl status netpoint-housekeeping.timer"
    assert f"warning start_services {told}" in server.journal


def test_a_start_that_was_cut_off_before_users_could_write_is_undone(stopped: Server) -> None:
    """PostgreSQL counts anew after a crash; nobody has written a row for all that."""
    write_files(stopped.run, {"rows": "7 0\n", "window": ""})
    stopped.tell(rows="1\n")

    assert stopped.step("start_services", "undo").returncode == 0


def test_a_start_that_may_have_let_users_in_says_so_before_it_does(stopped: Server) -> None:
    (stopped.world / "units/netpoint.service.dies").touch()

    stopped.step("start_services", "apply")

    assert (stopped.run / "opened").exists()


def test_a_database_that_cannot_be_asked_for_rows_counts_as_written_to(stopped: Server) -> None:
    stopped.apply("start_services")
    (stopped.world / "database.down").touch()

    assert (stopped.step("start_services", "undo").returncode, stopped.active) == (3, ["netpoint", "netpoint-rq"])


# ---- prove in place


@pytest.mark.parametrize(("page", "why"), list(WRONG_PAGE.values()), ids=WRONG_PAGE)
def test_a_page_that_is_wrong_in_place_is_told(server: Server, page: str, why: str) -> None:
    server.tell(page=f"{page}\n")

    assert (server.step("prove_in_place", "apply").returncode, server.reason) == (1, why)


def test_units_are_watched_as_long_as_it_takes(server: Server) -> None:
    server.unit("netpoint", "x", RestartUSec="2s")

    server.apply("prove_in_place")

    assert server.said.count("systemctl is-active netpoint netpoint-rq") == 7


@pytest.mark.parametrize(
    ("pauses", "seconds"),
    [
        (("100ms", "100ms"), 5),
        (("30s", "100ms"), 35),
        (("1min 2s 500ms", "30s"), 67),
        (("0", "500us"), 5),
        (("1h", "30s"), 125),
        (("infinity", "30s"), 125),
        (("", ""), 5),
    ],
)
def test_units_are_watched_for_longer_than_systemd_pauses(
    server: Server, pauses: tuple[str, str], seconds: int
) -> None:
    for name, pause in zip(("netpoint", "netpoint-rq"), pauses, strict=True):
        server.unit(name, "x", RestartUSec=pause)
    sourced = "".join(f'. "$RUN/bundle/{name}"; ' for name in ("vars.sh", "lib.sh", "steps/prove_in_place.sh"))

    assert server.sh(["-c", f"{sourced}watch_time"]).stdout == f"{seconds}\n"


def test_what_runs_after_the_start_is_compared_with_what_ran_before(server: Server) -> None:
    write_files(server.run, {"before/processes": f"netpoint-rq.service 7 8 {server.old.name} python3 manage.py\n"})
    with runs_out_of(server, "netpoint"):
        server.apply("prove_in_place")

    told = "netpoint-rq.service ran before and does not run now; netpoint.service runs now and did not before"
    assert server.journal[-1] == f"warning prove_in_place {told}"


def test_a_service_that_was_not_started_anew_fails_the_proof(server: Server) -> None:
    with runs_out_of(server, "netpoint") as number:
        server.record()
        write_files(server.run, {"before/processes": server.tree_users("processes")})
        status = server.step("prove_in_place", "apply").returncode

    assert (status, server.reason.startswith(f"process {number} of netpoint.service (")) == (1, True)


def test_a_unit_that_dies_while_it_is_watched_is_told(server: Server) -> None:
    server.replace("sleep", 'rm -f "$WORLD/units/netpoint-rq.service.active"')

    assert server.step("prove_in_place", "apply").returncode == 1
    assert server.reason.startswith("a unit does not stay up: ")
    assert "Id=netpoint-rq.service" in server.reason


def test_a_unit_that_was_restarted_while_it_was_watched_is_told(server: Server) -> None:
    server.replace("sleep", 'sed -i "s/^MainPID=.*/MainPID=8/" "$WORLD/units/netpoint.service"')

    assert server.step("prove_in_place", "apply").returncode == 1
    assert server.reason.startswith("a unit was restarted while it was watched:")


# ---- housekeeping


def test_a_job_at_a_nonstandard_path_has_its_paths_updated(server: Server) -> None:
    server.record()
    server.apply("schedule_housekeeping")

    job = server.folder / "etc/cron.daily/netpoint-housekeeping"
    assert (os.access(job, os.X_OK), f"{server.root}/netpoint/manage.py housekeeping" in job.read_text()) == (
        True,
        True,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner can be given by root only")
def test_a_root_whose_link_belongs_to_the_service_user_gets_its_job(server: Server) -> None:
    server.record()
    os.chown(server.root.parent, 65534, 65534)
    os.chown(server.root, 65534, 65534, follow_symlinks=False)

    server.apply("schedule_housekeeping")

    job = server.folder / "etc/cron.daily/netpoint-housekeeping"
    assert f"{server.root}/netpoint/manage.py housekeeping" in job.read_text()


def test_a_job_at_the_documented_path_is_the_documented_link(server: Server) -> None:
    server.record()
    server.bundle(ROOT="/opt/netpoint")

    server.apply("schedule_housekeeping")

    job = server.folder / "etc/cron.daily/netpoint-housekeeping"
    assert str(job.readlink()) == "/opt/netpoint/contrib/netpoint-housekeeping.sh"


@pytest.mark.parametrize("there", ["dangling", "not executable"])
def test_what_was_in_the_place_of_the_job_comes_back(server: Server, there: str) -> None:
    job = server.folder / "etc/cron.daily/netpoint-housekeeping"
    job.symlink_to("/nowhere") if there == "dangling" else job.write_text("#!/bin/sh\n")
    server.record()
    before = server.look()
    server.apply("schedule_housekeeping")

    server.step("schedule_housekeeping", "undo")

    assert differences(before, server.look()) == []


def test_a_job_of_another_name_is_enough(server: Server) -> None:
    """The probe and the step ask the same question in the same way."""
    write_files(server.folder / "etc/cron.daily", {"nightly": HOUSEKEEPING.replace("/opt/netpoint", str(server.root))})
    write_files(server.old, {"venv/bin/python": ""})
    before = server.look()

    assert server.step("schedule_housekeeping", "check").returncode == 0
    assert differences(before, server.look()) == []


@pytest.mark.parametrize("name", ["netpoint-housekeeping", "nb"])
def test_a_script_that_an_admin_had_edited_for_this_root_starts_in_the_new_release_too(
    server: Server, name: str
) -> None:
    job, script = server.folder / "etc/cron.daily" / name, server.new / "contrib/netpoint-housekeeping.sh"
    ours = HOUSEKEEPING.replace("/opt/netpoint", str(server.root))
    write_files(server.old, {"contrib/netpoint-housekeeping.sh": ours, "venv/bin/python": ""})
    job.symlink_to(server.root / "contrib/netpoint-housekeeping.sh")
    server.record()
    server.apply("fetch_release", "unpack_release", "flip_link")
    write_files(server.new, {"venv/bin/python": ""})
    shutil.copy(BIN / "python3", server.new / "venv/bin/python3")
    before = server.look()

    server.apply("schedule_housekeeping")

    assert (server.step("schedule_housekeeping", "check").returncode, job.is_symlink()) == (0, True)
    assert script.read_text() == ours
    assert [line for line in server.journal if line.startswith("warning")] == []
    server.step("schedule_housekeeping", "undo")
    assert differences(before, server.look()) == []


def test_what_an_admin_has_changed_of_the_script_besides_its_paths_is_told(server: Server) -> None:
    edited = HOUSEKEEPING.replace("/opt/netpoint", str(server.root)) + "mail -s done admin\n"
    write_files(server.old, {"contrib/netpoint-housekeeping.sh": edited})
    (server.folder / "etc/cron.daily/nb").symlink_to(server.root / "contrib/netpoint-housekeeping.sh")
    server.record()
    server.apply("fetch_release", "unpack_release", "flip_link")
    write_files(server.new, {"venv/bin/python": ""})
    shutil.copy(BIN / "python3", server.new / "venv/bin/python3")

    server.apply("schedule_housekeeping")

    (told,) = [line for line in server.journal if line.startswith("warning")]
    assert told.startswith("warning schedule_housekeeping the housekeeping script was edited here")


def test_a_job_of_a_checkout_gets_a_copy_with_this_root_in_it(checkout: Server) -> None:
    """A changed file in a checkout would keep the next upgrade from it."""
    job = checkout.folder / "etc/cron.daily/netpoint-housekeeping"
    job.symlink_to(checkout.root / "contrib/netpoint-housekeeping.sh")
    write_files(checkout.old, {"venv/bin/python": ""})
    checkout.record()
    before = checkout.look()

    checkout.apply("schedule_housekeeping")

    assert job.read_text() == HOUSEKEEPING.replace("/opt/netpoint", str(checkout.root))
    assert (job.is_symlink(), checkout.run_git("status", "--porcelain")) == (False, "")
    checkout.step("schedule_housekeeping", "undo")
    assert differences(before, checkout.look()) == []


def test_a_job_that_names_what_is_not_there_is_told_and_stops_nothing(server: Server) -> None:
    job = server.folder / "etc/cron.daily/nb"
    write_files(
        job.parent, {"nb": f"#!/bin/sh\n{server.root}/venv/bin/gone {server.root}/netpoint/manage.py housekeeping\n"}
    )
    server.record()

    server.apply("schedule_housekeeping")

    assert server.step("schedule_housekeeping", "check").returncode == 0
    told = f"housekeeping does not start: {job} names what is not there; see to its paths"
    assert server.journal[-1] == f"warning schedule_housekeeping {told}"


def test_a_running_timer_is_enough(server: Server) -> None:
    (server.world / "units/netpoint-housekeeping.timer.active").touch()

    assert server.step("schedule_housekeeping", "check").returncode == 0


def test_a_release_without_housekeeping_needs_none(server: Server) -> None:
    (server.root / "contrib/netpoint-housekeeping.sh").unlink()

    assert server.step("schedule_housekeeping", "check").returncode == 0
