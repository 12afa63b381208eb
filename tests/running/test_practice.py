"""Practice servers, asked by the system's own `ssh` client."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import netpoint_remote
from netpoint_remote.errors import UsageError
from netpoint_remote.planning.hosts_file import parse_hosts_file
from netpoint_remote.practice import ServerSpec, parse_servers
from netpoint_remote.practice.install import RESTART_SECONDS
from netpoint_remote.running.ssh import open_session
from tests.support.processes import STOPS_WITH_US, of_folder

pytest.importorskip("asyncssh")

PATIENCE = 600  # seconds for what takes less than one; disk and cores may be busy with others


@dataclass(frozen=True)
class Practice:
    """A folder of practice servers that are being served."""

    folder: Path
    pid: int

    @property
    def hosts(self) -> dict[str, Any]:
        hosts: dict[str, Any] = yaml.safe_load((self.folder / "hosts.yaml").read_text())["hosts"]
        return hosts

    def ssh(self, host: str, command: str, *, text: str = "", user: str = "admin") -> subprocess.CompletedProcess[str]:
        line = self.command_line(host, command, user=user)
        return subprocess.run(line, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def start(self, host: str, command: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command_line(host, command), stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def command_line(self, host: str, command: str, *, user: str = "admin") -> list[str]:
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none",
                   f"UserKnownHostsFile={self.folder}/known_hosts", "GlobalKnownHostsFile=/dev/null"]  # fmt: skip
        flags = [word for option in options for word in ("-o", option)]
        place = ["-F", "none", "-i", str(self.folder / "key"), "-p", str(self.hosts[host]["port"])]
        return ["ssh", *place, *flags, f"{user}@127.0.0.1", command]

    def run(self, host: str, command: str) -> str:
        """Run a command that has to go well; returns what it printed."""
        done = self.ssh(host, command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def root(self, host: str) -> Path:
        return self.folder / host

    def address(self, host: str) -> str:
        text = (self.root(host) / "opt/netpoint/gunicorn.py").read_text()
        return "http://" + text.split("'")[1]

    def get(self, host: str, path: str = "/login/", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.address(host) + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode() + str(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode() + str(error.headers)


@contextmanager
def serve(folder: Path, servers: str) -> Iterator[Practice]:
    program = [sys.executable, "-m", "netpoint_remote.practice"]
    command = [*STOPS_WITH_US, *program, "--dir", str(folder), "--servers", servers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        try:
            line = process.stdout.readline()
            assert line.startswith("ready "), line + process.stdout.read()
            yield Practice(folder, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read() == ""
            assert process.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    folder = tmp_path_factory.mktemp("practice") / "a-folder-with-a-name-that-is-longer-than-what-a-socket-may-have"
    with serve(folder, "np1=3.4.9,np2=3.4.9:git,np3=2.10.10") as served:
        yield served


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def answers(practice: Practice, host: str) -> bool:
    try:
        return practice.get(host)[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("np1=3.4.9", [ServerSpec(name="np1", version="3.4.9")]),
        (
            " np1=2.10.10, np-2=3.4.9:git,",
            [ServerSpec(name="np1", version="2.10.10"), ServerSpec(name="np-2", version="3.4.9", git=True)],
        ),
        ("a=3.5.0:release", [ServerSpec(name="a", version="3.5.0")]),
    ],
)
def test_servers_are_named_with_version_and_method(text: str, expected: list[ServerSpec]) -> None:
    assert list(parse_servers(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", ",", "np1", "np1=", "np1=3.5", "np1=3.5.0:docker", "../x=3.5.0", "a=3.5.0,a=3.5.0", "np1=1.0.0", "=3.5.0"],
)
def test_what_names_no_server_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_servers(text)


@pytest.mark.ssh
def test_one_logs_in_with_the_key_and_becomes_root_by_sudo(practice: Practice) -> None:
    assert practice.run("np1", "hostname; sudo -n id -u; echo $PATH").splitlines()[:2] == ["np1", "0"]
    greeting = practice.run("np2", "sudo GREETING='good day' sh -c 'echo $GREETING $HOME'")
    assert greeting == f"good day {practice.root('np2')}/root\n"


@pytest.mark.ssh
def test_our_own_ssh_reaches_a_server_by_its_hosts_file(practice: Practice) -> None:
    hosts = parse_hosts_file((practice.folder / "hosts.yaml").read_text(), "hosts.yaml").hosts
    host = next(host for host in hosts if host.name == "np2")
    with open_session(host) as session:
        visited = session.visit("id -u; systemctl is-active netpoint; cat; exit 5", payload=b"payload")
    assert (visited.status, visited.output) == (5, "0\nactive\npayload")


@pytest.mark.ssh
def test_nobody_else_gets_in(practice: Practice) -> None:
    assert practice.ssh("np1", "true", user="root").returncode == 255


@pytest.mark.ssh
def test_a_command_gets_its_input_and_gives_its_output_errors_and_status(practice: Practice) -> None:
    done = practice.ssh("np1", "cat; echo trouble >&2; exit 7", text="x" * 1_000_000)
    assert (len(done.stdout), done.stderr, done.returncode) == (1_000_000, "trouble\n", 7)


@pytest.mark.ssh
def test_one_looks_around_on_a_terminal(practice: Practice) -> None:
    line = practice.command_line("np1", "")
    typed = "stty rows 33 cols 99; tty; hostname; stty size; exit 3\n"
    done = subprocess.run(
        ["ssh", "-tt", *line[1:-1]], input=typed, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "/dev/pts/" in done.stdout
    assert "\nnp1\n33 99\n" in done.stdout.replace("\r\n", "\n")


@pytest.mark.ssh
def test_sudo_asks_for_a_password_where_the_server_has_one(practice: Practice) -> None:
    password = practice.root("np3") / "etc/sudo-password"
    password.write_text('it\'s "$1" \\\n')
    try:
        assert "a password is required" in practice.ssh("np3", "sudo -n true").stderr
        wrong = practice.ssh("np3", "printf 'no\\n' | sudo -k -S -p '' true")
        assert (wrong.returncode, "1 incorrect password attempt" in wrong.stderr) == (1, True)
        right = practice.ssh("np3", "sudo -S -p '' cat", text='it\'s "$1" \\\nthe rest\n')
        assert (right.returncode, right.stdout) == (0, "the rest\n")
    finally:
        password.unlink()


@pytest.mark.ssh
def test_netpoint_answers_as_the_real_one(practice: Practice) -> None:
    status, page = practice.get("np1", "/login/")
    assert (status, "/static/netpoint-light.css?v=3.4.9" in page) == (200, True)
    assert practice.get("np1", "/static/netpoint-light.css?v=3.4.9")[0] == 200
    status, text = practice.get("np1", "/api/status/", **{"Content-Type": "application/json"})
    assert '"netpoint-version": "3.4.9"' in text
    assert '"rq-workers-running": 1' in text
    assert "API-Version: 3.4" in text
    assert "API-Version" not in practice.get("np1", "/api/status/")[1]
    assert practice.get("np1", Host="np1.example.org:8001")[0] == 200
    assert practice.get("np1", Host="elsewhere.example.org")[0] == 400


@pytest.mark.ssh
def test_stopping_a_service_stops_what_answers(practice: Practice) -> None:
    assert "authentication required" in practice.ssh("np1", "systemctl stop netpoint").stderr
    practice.run("np1", "sudo systemctl stop netpoint")
    assert not answers(practice, "np1")
    assert practice.ssh("np1", "systemctl is-active netpoint netpoint-rq").stdout == "inactive\nactive\n"
    practice.run("np1", "sudo systemctl start netpoint")
    assert eventually(lambda: answers(practice, "np1"))


@pytest.mark.ssh
def test_a_service_that_dies_is_started_again_after_its_pause(practice: Practice) -> None:
    def shown(key: str) -> str:
        return practice.run("np3", f"systemctl show -p {key} --value netpoint").strip()

    old = shown("MainPID")
    practice.run("np3", f"kill -9 {old}")
    assert eventually(lambda: shown("NRestarts") == "1")
    pause = int(shown("ExecMainStartTimestampMonotonic")) - int(shown("ExecMainExitTimestampMonotonic"))
    assert pause >= RESTART_SECONDS * 1_000_000
    assert eventually(lambda: answers(practice, "np3"))
    assert shown("MainPID") not in {old, "0"}


@pytest.mark.ssh
def test_a_service_whose_program_is_missing_waits_in_vain(practice: Practice) -> None:
    unit = practice.root("np3") / "etc/systemd/system/broken.service"
    unit.write_text("[Service]\nExecStart=/nowhere/program\nRestart=on-failure\nRestartSec=30\n")
    practice.run("np3", "sudo systemctl daemon-reload; sudo systemctl start broken")
    shown = practice.run("np3", "systemctl show -p ActiveState,SubState,ExecMainStatus,Result broken")
    expected = {"ActiveState=activating", "SubState=auto-restart", "ExecMainStatus=203", "Result=exit-code"}
    assert set(shown.split()) == expected
    practice.run("np3", "sudo systemctl stop broken")


@pytest.mark.ssh
def test_a_dump_puts_the_database_back(practice: Practice) -> None:
    script = """
        psql -XqAt -c 'SELECT count(*) FROM dcim_site'
        pg_dump -Fc -f dump
        psql -XqAt -c "DELETE FROM dcim_site WHERE id > 3" -c 'CREATE TABLE newer (id integer)'
        pg_restore -f dump.sql dump
        { echo 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;'; cat dump.sql; } > restore.sql
        psql -XqAt -1 -v ON_ERROR_STOP=1 -f restore.sql
        psql -XqAt -c "SELECT count(*) FROM dcim_site; SELECT count(*) FROM pg_tables WHERE tablename = 'newer'"
        pg_restore -l dump | grep -c 'TABLE DATA'
        head -c 200 dump > part; pg_restore -l part || echo refused
        PGPASSWORD=wrong psql -c 'SELECT 1' || echo "status $?"
    """
    assert practice.run("np3", reach(practice, "np3") + script).split() == [
        "40",
        "40",
        "0",
        "10",
        "refused",
        "status",
        "2",
    ]


def reach(practice: Practice, host: str) -> str:
    """Return the shell that lets libpq reach the database as NetPoint does."""
    root = practice.root(host)
    password = (root / "run/postgresql/roles").read_text().strip().split(":", 1)[1].replace("'", "'\\''")
    return f"export PGHOST={root}/run/postgresql PGUSER=netpoint PGDATABASE=netpoint PGPASSWORD='{password}'; cd; "


def asked(session: "subprocess.Popen[str]", statement: str) -> str:
    """Ask an open session of psql; returns the one line that it answers with."""
    assert session.stdin
    assert session.stdout
    session.stdin.write(f"{statement}\n")
    session.stdin.flush()
    return session.stdout.readline().rstrip("\n")


LOCK = """SELECT CASE WHEN pg_try_advisory_lock{}(7, 9) THEN 'locked' ELSE 'held by ' || (
    SELECT string_agg(application_name, ', ') FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = 7 AND objid = 9) END;"""


@pytest.mark.ssh
def test_a_lock_in_the_database_is_its_sessions_and_ends_with_it(practice: Practice) -> None:
    command = reach(practice, "np3") + "exec env PGAPPNAME={} psql -XqAt -f -"
    alone, shared = LOCK.format(""), LOCK.format("_shared")
    with (
        practice.start("np3", command.format("first")) as first,
        practice.start("np3", command.format("other")) as other,
    ):
        assert [asked(first, alone), asked(first, alone)] == ["locked", "locked"]
        assert [asked(other, alone), asked(other, shared)] == ["held by first", "held by first"]
        first.communicate()
        assert eventually(lambda: asked(other, shared) == "locked")
        with practice.start("np3", command.format("third")) as third:
            assert [asked(third, shared), asked(third, alone)] == ["locked", "held by other, third"]
            assert asked(third, "SELECT pg_try_advisory_lock(7, 9);") == "f"
            third.communicate()
        other.communicate()


@pytest.mark.ssh
def test_what_is_dumped_is_counted_as_it_is_dumped(practice: Practice) -> None:
    """The very script that the steps use; somebody writes while it runs."""
    sql = (Path(netpoint_remote.__file__).parent / "remote/dump.sql").read_text()
    sql = sql.replace("\\! ", "\\! psql -qc \"INSERT INTO dcim_site (name) VALUES ('late')\" & ")
    done = practice.ssh("np3", reach(practice, "np3") + "psql -XqAt -f - 3>dump; pg_restore -f dump.sql dump", text=sql)
    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    dumped = practice.run("np3", "cd; grep -c 'INSERT INTO \"dcim_site\"' dump.sql").strip()
    assert (told["pg_dump.status"], told["rows.public.dcim_site"], dumped) == ("0", "40", "40")
    assert told["changes.extras_objectchange"] == "40 2024-01-01"
    names = practice.run("np3", reach(practice, "np3") + "psql -XqAt -c 'SELECT app, name FROM django_migrations'")
    plain = " ".join(sorted(line.replace("|", ".") for line in names.split()))
    assert told["migrations"] == f"{len(names.split())} {hashlib.md5(plain.encode()).hexdigest()}"
    asked = "SELECT count(*) FROM dcim_site WHERE name = 'late'"
    count = reach(practice, "np3") + f'psql -XqAt -c "{asked}"'
    assert eventually(lambda: practice.run("np3", count) == "1\n")
    practice.run("np3", reach(practice, "np3") + "psql -qc \"DELETE FROM dcim_site WHERE name = 'late'\"")


@pytest.mark.ssh
def test_the_superuser_of_the_database_makes_a_scratch_one(practice: Practice) -> None:
    make = "psql -XqAt -c 'CREATE DATABASE scratch OWNER netpoint'"
    assert "permission denied" in practice.ssh("np3", reach(practice, "np3") + make).stderr
    practice.run("np3", f"sudo runuser -u postgres -- {make} -d postgres")
    here = reach(practice, "np3")
    restored = practice.run("np3", here + "pg_dump -Fc -f d; pg_restore -f - d | psql -Xq -d dbname=scratch; rm d")
    assert restored == ""
    counted = 'psql -XqAt -d dbname=scratch -c \'SELECT count(*) FROM "public"."dcim_site"\''
    assert practice.run("np3", f"{here}{counted}; psql -c 'DROP DATABASE scratch'") == "40\n"
    assert 'database "scratch" does not exist' in practice.ssh("np3", here + counted).stderr


@pytest.mark.ssh
def test_a_major_cannot_be_skipped(practice: Practice) -> None:
    """The release itself refuses, as Django does, and the database stays as it is."""
    done = practice.ssh("np3", by_archive(practice, "np3", "2.10.10", "3.5.0", flip=False))
    assert done.returncode == 1
    assert "NodeNotFoundError" in done.stderr
    assert "Applying database migrations (python3 netpoint/manage.py migrate)..." in done.stdout.splitlines()


@pytest.mark.ssh
def test_the_document_upgrades_a_release_by_hand(practice: Practice) -> None:
    output = practice.run("np1", by_archive(practice, "np1", "3.4.9", "3.5.0", flip=True))
    assert "Upgrade complete! Don't forget to restart the NetPoint services:" in output
    assert_upgraded(practice, "np1")
    assert (practice.root("np1") / "opt/netpoint").resolve().name == "netpoint-3.5.0"


@pytest.mark.ssh
def test_the_document_upgrades_a_checkout_by_hand(practice: Practice) -> None:
    root = practice.root("np2")
    asked = f"cd {root}/opt/netpoint && git status --porcelain && git branch --show-current"
    assert practice.run("np2", asked) == "master\n"
    pip = f"PIP_NO_INDEX=1 PIP_FIND_LINKS={practice.folder}/wheels"
    output = practice.run(
        "np2",
        f"set -e; cd {root}/opt/netpoint; sudo git fetch -q origin tag v3.5.0; sudo git checkout -q v3.5.0;"
        f" sudo {pip} ./upgrade.sh; sudo systemctl restart netpoint netpoint-rq",
    )
    assert "Removing old virtual environment..." in output.splitlines()
    assert_upgraded(practice, "np2")
    assert practice.run("np2", f"cd {root}/opt/netpoint && git status --porcelain") == ""


def by_archive(practice: Practice, host: str, old: str, new: str, *, flip: bool) -> str:
    """Return the document's option A, word by word, but for where things are."""
    opt = practice.root(host) / "opt"
    switch = f"sudo ln -sfn {opt}/netpoint-{new}/ {opt}/netpoint; sudo systemctl restart netpoint netpoint-rq"
    return f"""
        set -e
        sudo tar -xzf {practice.folder}/releases/v{new}.tar.gz -C {opt}
        old={opt}/netpoint-{old} new={opt}/netpoint-{new}
        sudo cp $old/local_requirements.txt $new/
        sudo cp $old/netpoint/netpoint/configuration.py $new/netpoint/netpoint/
        sudo cp -pr $old/netpoint/media/ $new/netpoint/
        sudo cp -r $old/netpoint/scripts $new/netpoint/
        sudo cp -r $old/netpoint/reports $new/netpoint/
        sudo cp $old/gunicorn.py $new/
        sudo PIP_NO_INDEX=1 PIP_FIND_LINKS={practice.folder}/wheels $new/upgrade.sh
        {switch if flip else ""}
    """


def assert_upgraded(practice: Practice, host: str) -> None:
    def page() -> str:
        try:
            return practice.get(host, "/login/")[1]
        except OSError:
            return ""

    assert eventually(lambda: "?v=3.5.0" in page())
    assert '"count": 40' in practice.get(host, "/api/dcim/sites/")[1]
    manage = f"{practice.root(host)}/opt/netpoint/venv/bin/python {practice.root(host)}/opt/netpoint/netpoint/manage.py"
    assert "[ ]" not in practice.run(host, f"{manage} showmigrations && {manage} migrate --check")
    assert eventually(lambda: '"rq-workers-running": 1' in practice.get(host, "/api/status/")[1])


@pytest.mark.ssh
def test_the_end_leaves_nothing_running(tmp_path: Path) -> None:
    with serve(tmp_path / "dir", "np1=3.5.0") as served:
        served.run("np1", f"sudo systemd-run --unit=away --collect -p Type=exec sh -c 'sleep 4321; : {tmp_path}'")
        served.run("np1", f"setsid sh -c 'sleep 4321; : {tmp_path}' </dev/null >/dev/null 2>&1 &")
        assert len(of_folder(tmp_path)) >= 5
    assert eventually(lambda: of_folder(tmp_path) == [])


@pytest.mark.ssh
def test_a_client_that_stays_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serve(tmp_path / "dir", "np1=3.5.0") as served, served.start("np1", "echo there; exec cat") as client:
        assert client.stdout
        assert client.stdout.readline() == "there\n"
        os.kill(served.pid, signal.SIGTERM)
        assert client.wait(PATIENCE) == 255


@pytest.mark.ssh
def test_signals_at_any_moment_of_the_end_do_not_change_it(tmp_path: Path) -> None:
    """The last ones come when there is no loop any more, and no interpreter."""
    program = [*STOPS_WITH_US, sys.executable, "-m", "netpoint_remote.practice"]
    command = [*program, "--dir", str(tmp_path / "dir"), "--servers", "np1=3.5.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("ready ")
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            time.sleep(0.001)

        assert (process.returncode, process.stdout.read()) == (0, "")


@pytest.mark.ssh
def test_the_demo_keeps_its_word_and_only_its_report(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path / "scratch"),
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(netpoint_remote.__file__).parents[1]),
    }
    (tmp_path / "scratch").mkdir()
    command = [*STOPS_WITH_US, sys.executable, "-m", "netpoint_remote.practice.demo"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=10 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = tmp_path / done.stdout.splitlines()[-1]
    assert report.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "scratch"]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert list((tmp_path / "runs").iterdir()) == [report.parent]
    assert of_folder(tmp_path) == []


@pytest.mark.ssh
def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    command = [sys.executable, "-m", "netpoint_remote.practice", "--dir", str(tmp_path), "--servers", "np1=3.5.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.ssh
def test_redis_wants_its_password(practice: Practice) -> None:
    text = (practice.root("np1") / "opt/netpoint/netpoint/netpoint/configuration.py").read_text()
    names: dict[str, Any] = {}
    exec(text, names)
    redis = names["REDIS"]["tasks"]
    with socket.create_connection((redis["HOST"], redis["PORT"]), timeout=PATIENCE) as connection:
        for sent, expected in (
            ("PING", b"-NOAUTH"), ("AUTH wrong", b"-WRONGPASS"), (f"AUTH {redis['PASSWORD']}", b"+OK"),
            ("PING", b"+PONG"), ("INFO server", b"redis_version:7"),
        ):  # fmt: skip
            connection.sendall(sent.encode() + b"\r\n")
            assert expected in connection.recv(4096)
