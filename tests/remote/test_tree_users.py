"""What uses the releases is found: real processes, and files in a folder that looks like a system."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.remote.conftest import Client
from tests.remote.server import REAL_PATH, REMOTE, eventually, write_files
from tests.remote.test_ask import interpreters

PROGRAM = REMOTE / "tree_users.py"
SLEEPER = "import signal\nsignal.pause()\n"
SYSTEMCTL = r"""#!/bin/sh
# systemctl that knows the units in a folder, a file of properties each.
shift 3
for unit; do
    cat "$UNITS/$unit" 2>/dev/null || printf 'Id=%s\nLoadState=not-found\nActiveState=inactive\n' "$unit"
    echo
done
"""


class System:
    """A folder with an installation, and one that stands for /."""

    def __init__(self, base: Path, python: str) -> None:
        self.base, self.python = base, python
        self.root, self.system, self.units = base / "opt/netpoint", base / "system", base / "units"
        for version in ("3.4.8", "3.4.9"):
            write_files(base / f"opt/netpoint-{version}", {
                "upgrade.sh": "#!/bin/sh\n", "requirements.txt": "", "netpoint/manage.py": SLEEPER,
                "gunicorn.py": "bind = 'x'\n",
                "netpoint/netpoint/configuration.py": "A = 1\n",
            }, at=1_700_000_000)  # fmt: skip
        self.root.symlink_to("netpoint-3.4.9/")
        self.units.mkdir()
        write_files(base / "bin", {"systemctl": SYSTEMCTL})
        (self.system / "etc/cron.daily").mkdir(parents=True)

    @property
    def real(self) -> Path:
        return self.base / "opt/netpoint-3.4.9"

    def unit(self, name: str, **properties: str) -> None:
        told = {"Id": name, "LoadState": "loaded", "ActiveState": "active", "User": "netpoint", **properties}
        (self.units / name).write_text("".join(f"{key}={value}\n" for key, value in told.items()))

    def ask(self, verb: str, *words: str, text: str = "") -> list[str]:
        done = subprocess.run(
            [self.python, "-I", "-S", str(PROGRAM), verb, *words, str(self.root), "netpoint", "netpoint netpoint-rq",
             str(self.system / "etc/cron.daily"), str(self.system)],
            env={"PATH": f"{self.base}/bin:{REAL_PATH}", "UNITS": str(self.units)},
            capture_output=True, text=True, check=False, input=text,
            start_new_session=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def told(self, fact: str) -> list[dict[str, object]]:
        lines = [line.partition("=") for line in self.ask("facts")]
        assert ("tree_users.complete", "=", "yes") in lines, lines
        return [json.loads(value) for name, _, value in lines if name == fact]

    def texts(self, fact: str) -> list[str]:
        return [line.partition("=")[2] for line in self.ask("facts") if line.startswith(f"{fact}=")]


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> System:
    return System(tmp_path, str(request.param))


Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts a process that waits for its end, and returns its number."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str, cwd: Path | None = None, user: int | None = None) -> int:
        process = subprocess.Popen(
            command, cwd=cwd, user=user, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        started.append(process)
        # It has its own program once the one that started it is replaced.
        name = Path(shutil.which(command[0]) or command[0]).resolve()
        assert eventually(lambda: Path(f"/proc/{process.pid}/exe").resolve() == name)
        return process.pid

    yield begin
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)  # each leads a group of its own, with what it has started in turn
        process.wait()


STRANGER = 65534
PYTHON = os.path.realpath(sys.executable)


# ---- processes


@pytest.mark.parametrize("way", ["argument", "relative", "folder", "program", "script of a shell"])
def test_a_process_that_runs_out_of_the_release_is_found(system: System, start: Start, way: str) -> None:
    script = system.real / "wait.sh"
    script.write_text("read x\n")
    if way == "argument":
        number, command = start(PYTHON, f"{system.root}/netpoint/manage.py", "rqworker"), "manage.py rqworker"
    elif way == "relative":
        number, command = start(PYTHON, "netpoint/manage.py", "nbshell", cwd=system.real), "manage.py nbshell"
    elif way == "folder":
        number, command = start(PYTHON, "-c", SLEEPER, cwd=system.real / "netpoint"), ""
    elif way == "program":
        (system.real / "venv/bin").mkdir(parents=True)
        shutil.copy("/bin/cat", system.real / "venv/bin/worker")
        number, command = start(str(system.real / "venv/bin/worker")), "worker"
    else:
        number, command = start("/bin/sh", str(script)), "wait.sh"

    (found,) = system.told("process")

    assert (found["number"], found["tree"]) == (number, str(system.real))
    assert str(found["command"]).endswith(command)


def test_a_process_whose_name_is_no_text_is_found(system: System, start: Start) -> None:
    program = system.real / "venv/bin" / os.fsdecode(b"worker\xff")
    program.parent.mkdir(parents=True)
    shutil.copy("/bin/cat", program)

    number = start(str(program))

    assert [found["number"] for found in system.told("process")] == [number]


def test_a_process_of_an_older_release_is_told_as_that(system: System, start: Start) -> None:
    start(PYTHON, f"{system.base}/opt/netpoint-3.4.8/netpoint/manage.py", "rqworker")

    assert [found["tree"] for found in system.told("process")] == [f"{system.base}/opt/netpoint-3.4.8"]


def test_who_only_stands_in_the_release_or_reads_it_does_not_run_out_of_it(system: System, start: Start) -> None:
    start("/bin/cat", cwd=system.real)
    start("/bin/tail", "-f", f"{system.root}/gunicorn.py")
    start("/bin/sh", "-c", "read x", cwd=system.real)

    assert system.told("process") == []


def test_the_release_of_another_installation_beside_is_not_ours(system: System, start: Start) -> None:
    (system.base / "opt/netpoint-test").symlink_to("netpoint-3.4.8")
    start(PYTHON, f"{system.base}/opt/netpoint-3.4.8/netpoint/manage.py", "rqworker")

    assert system.told("process") == []


def test_what_a_command_line_holds_besides_is_not_told(system: System, start: Start) -> None:
    start(PYTHON, f"{system.root}/netpoint/manage.py", "createsuperuser", "--password", "hunter2")

    assert "hunter2" not in "\n".join(system.ask("facts") + system.ask("processes"))


def test_a_process_belongs_to_the_unit_that_has_started_it(system: System, start: Start) -> None:
    number = start("/bin/sh", "-c", f"{PYTHON} {system.root}/netpoint/manage.py rqworker; true")
    system.unit("netpoint-rq.service", MainPID=str(number))

    assert eventually(lambda: [found["unit"] for found in system.told("process")] == ["netpoint-rq.service"])


def test_other_looks_at_the_server_are_none_of_it(system: System, start: Start) -> None:
    """Two operators may run `check` at the same time, and each asks with the release's own Python."""
    text = (REMOTE / "ask.py").read_text()
    start(PYTHON, "-c", f'{text.splitlines()[0]}\n"""\n{SLEEPER}', "facts", str(system.root), cwd=system.real)

    assert system.told("process") == []


# ---- the same after as before


def before(system: System, *lines: str) -> str:
    path = system.base / "before"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def test_who_is_left_is_named_once_the_time_is_over(system: System, start: Start) -> None:
    assert system.ask("left", "any", "30") == [""]

    number = start(PYTHON, f"{system.root}/netpoint/manage.py", "rqworker")

    (line,) = system.ask("left", "other", "0")
    assert line.startswith(f"{Path(PYTHON).name} manage.py rqworker (process {number}")


def test_the_same_services_in_new_processes_are_told_as_that(system: System, start: Start) -> None:
    number = start(PYTHON, f"{system.root}/netpoint/manage.py", "rqworker")
    system.unit("netpoint-rq.service", MainPID=str(number))

    told = system.ask("compare", before(system, "netpoint-rq.service 7 8 /opt/netpoint-3.4.8 python3 manage.py"))

    assert told == [f"same netpoint-rq.service (1): as before, in new processes out of {system.real}"]


def test_a_service_that_does_not_come_back_is_told(system: System, start: Start) -> None:
    number = start(PYTHON, f"{system.root}/netpoint/manage.py", "rqworker")
    system.unit("netpoint-rq.service", MainPID=str(number))
    lines = [f"{unit}.service 7 8 /opt/netpoint-3.4.8 python3" for unit in ("netpoint", "netpoint-rq")]

    told = system.ask("compare", before(system, *lines))

    assert told == ["other netpoint.service ran before and does not run now"]


@pytest.mark.parametrize(("release", "judged"), [("3.4.8", "other"), ("3.4.9", "wrong")])
def test_a_service_that_was_not_started_anew_is_wrong(system: System, start: Start, release: str, judged: str) -> None:
    number = start(PYTHON, f"{system.base}/opt/netpoint-{release}/netpoint/manage.py", "rqworker")
    system.unit("netpoint-rq.service", MainPID=str(number))
    was = system.ask("processes") if release == "3.4.9" else ["netpoint-rq.service 7 8 /opt/netpoint-3.4.8 python3"]

    (told,) = system.ask("compare", before(system, *was))

    why = "still runs as before" if release == "3.4.9" else f"runs out of {system.base}/opt/netpoint-3.4.8"
    assert told.startswith(f"{judged} process {number} of netpoint-rq.service (")
    assert told.endswith(why)


# ---- sessions of NetPoint's role


def session(client: Client, *, address: str = "127.0.0.1", reached_by: int = 5432) -> str:
    return f"db.session=1 {client.port} {address} - - 12.5 127.0.0.1 {reached_by} {client.far} figures\n"


def sessions(system: System, text: str) -> list[dict[str, object]]:
    return [json.loads(line.partition("=")[2]) for line in system.ask("sessions", text=text)]


def test_who_holds_a_session_by_tcp_is_named(system: System, client: Client) -> None:
    (found,) = sessions(system, session(client))

    assert (found["process"], found["seconds"], found["elsewhere"]) == (client.process, 12, False)
    assert str(found["command"]).startswith("python")


def test_a_connection_from_the_same_port_to_another_one_is_no_session(system: System, client: Client) -> None:
    (found,) = sessions(system, session(replace(client, far=client.listens)))

    assert found["process"] == 0


def test_sessions_of_a_service_have_no_name(system: System, client: Client) -> None:
    system.unit("netpoint.service", MainPID=str(client.process))

    (found,) = sessions(system, session(client) * 2)

    assert (found["process"], found["count"]) == (0, 2)


def test_a_unit_that_the_hosts_file_calls_by_another_name_is_a_service(system: System, client: Client) -> None:
    (system.units / "netpoint.service").write_text(f"Id=ipam.service\nLoadState=loaded\nMainPID={client.process}\n")

    assert [found["process"] for found in sessions(system, session(client))] == [0]


def test_who_is_behind_a_program_that_passes_sessions_on_is_not_known(system: System, client: Client) -> None:
    text = session(client, reached_by=client.listens)

    assert [found["process"] for found in sessions(system, text)] == [0]
    assert system.ask("pooled", "", text=text) == ["1"]


@pytest.mark.promise(2)
def test_only_sessions_of_a_pooler_are_pooled(system: System, client: Client) -> None:
    ended = Client(process=0, port=1, far=client.far, listens=0)
    of_a_service = session(client, reached_by=client.listens)

    assert system.ask("pooled", "", text=session(client) + session(ended)) == [""]
    system.unit("netpoint.service", MainPID=str(client.process))
    assert system.ask("pooled", "", text=of_a_service) == [""]


@pytest.mark.parametrize(
    ("addresses", "own", "pooled"),
    [
        ("192.0.2.9 192.0.2.9 192.0.2.1 1 192.0.2.9", "", "7"),
        ("192.0.2.9 192.0.2.9 192.0.2.1 1 192.0.2.9", "192.0.2.9", ""),
        ("192.0.2.8 192.0.2.9 192.0.2.1 1 192.0.2.9", "", ""),
        ("127.0.0.1 127.0.0.1 127.0.0.1 1 192.0.2.1", "192.0.2.9", "7"),
        ("- - - 1 192.0.2.1", "192.0.2.9", "7"),
        ("- - - 1 /var/run/postgresql", "192.0.2.9", ""),
        ("127.0.0.1 127.0.0.1 127.0.0.1 1 localhost", "192.0.2.9", ""),
    ],
)
def test_a_pooler_of_another_server_is_where_our_own_session_comes_from(
    system: System, addresses: str, own: str, pooled: str
) -> None:
    text = f"db.session=7 1 {addresses} 6432 5432 figures\n"

    assert system.ask("pooled", own, text=text) == [pooled]


@pytest.mark.parametrize(("address", "elsewhere"), [("192.0.2.9", True), ("127.0.0.1", False), ("::1", False)])
def test_a_session_whose_end_is_not_here(system: System, address: str, *, elsewhere: bool) -> None:
    """That of a process which has just ended is not from elsewhere."""
    ended = Client(process=0, port=1, far=5432, listens=0)

    (found,) = sessions(system, session(ended, address=address))

    assert (found["process"], found["address"], found["elsewhere"]) == (0, address, elsewhere)


def test_without_sessions_nothing_is_told(system: System) -> None:
    assert sessions(system, "db.size_mb=7\n") == []


# ---- units


def test_a_second_worker_is_found_by_its_unit_file(system: System) -> None:
    write_files(system.system / "etc/systemd/system", {
        "netpoint-rq2.service": f"[Service]\nExecStart={system.root}/venv/bin/python3 manage.py rqworker\n",
        "netpoint.service": f"[Service]\nExecStart=/usr/bin/env \\\n {system.root}/venv/bin/gunicorn\n",
        "reports.service": f"[Service]\nWorkingDirectory={system.root}\nExecStart=/usr/bin/python3 reports.py\n",
        "backup.service": f"[Service]\nWorkingDirectory={system.root}\nExecStart=/usr/bin/tar czf /backup .\n",
        "nginx.service.d/x.conf": f"[Service]\nReadOnlyPaths={system.root}\n",
        "other.service": "[Service]\nExecStart=/opt/netpoint-tools/x\n",
        "old.service": f"[Service]\n# ExecStart={system.root}/x\nExecStart=/bin/true\n",
    })  # fmt: skip
    for name in (
        "netpoint.service",
        "netpoint-rq2.service",
        "reports.service",
        "nginx.service",
        "other.service",
        "old.service",
        "backup.service",
    ):
        system.unit(name, Type="exec")

    assert {str(unit["name"]): unit["in_tree"] for unit in system.told("tree_unit")} == {
        "netpoint.service": True, "netpoint-rq2.service": True, "reports.service": True,
    }  # fmt: skip


RUN = [
    "{root}/venv/bin/python3 {root}/netpoint/manage.py x",
    "/usr/bin/python3 {root}/netpoint/manage.py x",
    "cd {root}/netpoint && python3 manage.py x",
    "cd {real} && ./sync.sh",
    "cd {root} && . venv/bin/activate && true",
    "PYTHONPATH={root}/netpoint gunicorn x.wsgi",
    "/usr/bin/gunicorn --chdir={root}/netpoint x.wsgi",
    "/usr/bin/uwsgi --ini {root}/uwsgi.ini",
    "/usr/bin/env python3 {root}/sync.py",
    "sudo -u netpoint -- {root}/venv/bin/rqworker",
    "flock -n /run/lock/x nice -n 5 {root}/sync.sh",
    "su netpoint -s /bin/sh -c '{root}/venv/bin/python x'",
    "/bin/sh -c 'exec {root}/venv/bin/python x'",
    "bash {root}/contrib/x.sh",
    "[ -x {root}/venv/bin/python ] && {root}/venv/bin/python x",
    "NP={root}; $NP/venv/bin/python ${{NP}}/netpoint/manage.py x",
    "{base}/local/in-python",
    "{base}/local/in-shell",
]
READ = [
    "tar czf /backup/x.tgz {root}",
    "cd {root} && tar czf /backup/x.tgz .",
    "sudo rsync -a {root}/netpoint/media/ backup:/x",
    "nice -n 19 cp {root}/netpoint/netpoint/configuration.py /root",
    "cp -a {real}/upgrade.sh /root",
    "find {root}/netpoint/media -name '*.py' -mtime +30 -delete",
    "/usr/local/bin/backup {root}/netpoint/media",
    "/usr/bin/python3 /usr/local/bin/backup.py {root}/netpoint/media",
    "[ -d {root} ] && restic backup {root}",
    "NP={root}; tar cz $NP | ssh backup 'cat >x.tgz'",
    "chown -R netpoint {root}/netpoint/media; logger done {root}/upgrade.sh",
    "{base}/local/backup",
    "{base}/local/backup-in-python",
]
SCRIPTS = {
    "in-python": "#!/usr/bin/env python3\nimport subprocess\nsubprocess.run(['{root}/venv/bin/python', 'x'])\n",
    "in-shell": "#!/bin/bash -e\n# a comment\nROOT={root}\nexec \\\n  $ROOT/venv/bin/python x\n",
    "backup": "#!/bin/sh\ncd {root} || exit 1\ntar czf /backup/x.tgz netpoint/media upgrade.sh\n",
    "backup-in-python": "#!/usr/bin/python3\nimport shutil\nshutil.copytree('{root}/netpoint/media', '/backup')\n",
}


def test_what_runs_the_release_is_told_from_what_only_reads_it(system: System) -> None:
    """A server whose backup copies the release is healthy: nothing of it goes on with old code in the window."""
    paths = {"root": system.root, "real": system.real, "base": system.base}
    write_files(system.base / "local", {name: text.format(**paths) for name, text in SCRIPTS.items()})
    lines = [command.format(**paths) for command in (*RUN, *READ)]
    write_files(system.system / "etc", {"cron.d/x": "".join(f"*/5 * * * * root {line}\n" for line in lines)})
    for number, line in enumerate(lines):
        # What only a shell understands is given to one.
        text = f'/bin/sh -c "{line}"' if re.search(r"[;|&=]", line) else line
        write_files(system.system / "etc/systemd/system", {f"x{number}.service": f"[Service]\nExecStart={text}\n"})
        system.unit(f"x{number}.service")

    jobs = {lines[int(str(job["line"])) - 1] for job in system.told("cron_job")}
    units = {lines[int(str(unit["name"])[1:].partition(".")[0])] for unit in system.told("tree_unit")}

    assert jobs == units == set(lines[: len(RUN)])


def test_what_starts_a_unit_by_itself_is_found(system: System) -> None:
    write_files(system.system / "etc/systemd/system", {"sync.service": f"[Service]\nExecStart={system.root}/sync.sh\n"})
    system.unit("sync.service", ActiveState="inactive", Type="oneshot", TriggeredBy="sync-often.timer")
    system.unit("sync-often.timer", Triggers="sync.service")

    assert [(unit["name"], unit["triggers"]) for unit in system.told("tree_unit")] == [
        ("sync.service", []), ("sync-often.timer", ["sync.service"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("times", "seldom"),
    [
        ({"TimersCalendar": "{ OnCalendar=*-*-* 03:15:00 ; next_elapse=Sat 2026-11-28 03:15:00 UTC }"}, True),
        ({"TimersCalendar": "{ OnCalendar=Mon..Fri *-*-* 06,18:00:00 ; next_elapse=n/a }"}, True),
        ({"TimersCalendar": "{ OnCalendar=*-*-* *:00/5:00 ; next_elapse=n/a }"}, False),
        ({"TimersCalendar": "{ OnCalendar=*-*-* 00/6:00:00 Europe/Berlin ; next_elapse=n/a }"}, False),
        ({"TimersMonotonic": "{ OnUnitActiveUSec=5min ; next_elapse=1h 2s }"}, False),
        ({"TimersMonotonic": "{ OnUnitInactiveUSec=1d 2h ; next_elapse=1h 2s }"}, True),
        ({"TimersMonotonic": "{ OnUnitActiveUSec=1w ; x=0 }\nTimersMonotonic={ OnBootUSec=5min ; x=0 }"}, True),
        ({"TimersCalendar": "{ OnCalendar=*-*-* 03:15:00 ; }\nTimersCalendar={ OnCalendar=*-*-* *:15:00 ; }"}, False),
        ({}, False),
    ],
)  # fmt: skip
def test_a_timer_is_told_with_how_often_it_starts(system: System, times: dict[str, str], seldom: bool) -> None:  # noqa: FBT001
    write_files(system.system / "etc/systemd/system", {"sync.service": f"[Service]\nExecStart={system.root}/sync.sh\n"})
    system.unit("sync.service", ActiveState="inactive", Type="oneshot", TriggeredBy="sync.timer")
    system.unit("sync.timer", Triggers="sync.service", **times)

    assert {unit["name"]: unit["seldom"] for unit in system.told("tree_unit")}["sync.timer"] is seldom


# ---- cron


@pytest.mark.parametrize(
    ("when", "often"),
    [
        ("*/5 * * * *", True), ("0 * * * *", True), ("0 8-18 * * 1-5", True), ("@hourly", True), ("15 2 * * *", False),
        ("0 2,14 * * *", False), ("*/5 2 * * *", False), ("@daily", False), ("@reboot", False),
    ],
)  # fmt: skip
def test_a_job_of_cron_is_told_with_how_often_it_starts(system: System, when: str, often: bool) -> None:  # noqa: FBT001
    write_files(
        system.system / "var/spool/cron/crontabs", {"netpoint": f"MAILTO={system.root}\n{when} {system.root}/x.sh\n"}
    )

    (job,) = system.told("cron_job")

    assert (job["often"], job["line"]) == (often, 2)


@pytest.mark.parametrize(
    ("place", "link"),
    [
        ("etc/systemd/user", "etc/systemd/user/timers.target.wants/sync.timer"),
        ("usr/lib/systemd/user", "etc/systemd/user/timers.target.wants/sync.timer"),
    ],
)
def test_what_a_users_own_systemd_starts_is_found(system: System, place: str, link: str) -> None:
    manager = f"user@{os.getuid()}.service"
    system.unit(manager, Type="notify")
    (system.system / f"run/user/{os.getuid()}").mkdir(parents=True)
    write_files(system.system / place, {
        "sync.service": f"[Service]\nExecStart={system.root}/venv/bin/python {system.root}/netpoint/manage.py sync\n",
        "sync.timer": "[Timer]\nOnCalendar=*:0/5\n",
    })  # fmt: skip
    assert manager not in [unit["name"] for unit in system.told("tree_unit")]
    (system.system / link).parent.mkdir(parents=True)
    (system.system / link).symlink_to(system.system / place / "sync.timer")

    (unit,) = (unit for unit in system.told("tree_unit") if unit["name"] == manager)

    assert (unit["in_tree"], unit["triggers"], unit["active"]) == (True, ["sync.timer"], "active")


def test_housekeeping_by_a_users_own_systemd_is_found(system: System) -> None:
    system.unit(f"user@{os.getuid()}.service")
    (system.system / f"run/user/{os.getuid()}").mkdir(parents=True)
    write_files(system.system / "etc/systemd/user", {
        "nightly.service": f"[Service]\nExecStart={system.root}/contrib/netpoint-housekeeping.sh\n",
        "nightly.timer": "[Timer]\nOnCalendar=daily\n",
    })  # fmt: skip
    (system.system / "etc/systemd/user/timers.target.wants").mkdir()
    (system.system / "etc/systemd/user/timers.target.wants/nightly.timer").symlink_to("../nightly.timer")

    assert system.ask("housekeeping") == [f"timer user@{os.getuid()}.service"]


def test_a_job_that_calls_a_script_elsewhere_is_found(system: System) -> None:
    write_files(
        system.base, {"local/sync": f"#!/bin/sh\ncd {system.root} && ./venv/bin/python3 netpoint/manage.py x\n"}
    )
    write_files(
        system.system / "etc",
        {"cron.d/sync": f"* * * * * root {system.base}/local/sync\n* * * * * root /bin/true # {system.real}-x\n"},
    )

    assert [(job["file"], job["line"]) for job in system.told("cron_job")] == [(f"{system.system}/etc/cron.d/sync", 1)]


HOUSEKEEPING = "#!/bin/sh\n{root}/venv/bin/python {root}/netpoint/manage.py housekeeping\n"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("cron.daily/netpoint-housekeeping", "#!/bin/sh\n{command}\n"),
        ("cron.daily/nightly", "#!/bin/sh\n{command}\n"),
        ("cron.weekly/x", "#!/bin/sh\n{command}\n"),
        ("crontab", "5 4 * * * root {command}\n"),
        ("anacrontab", "SHELL=/bin/sh\n1 15 netpoint.housekeeping {command}\n"),
    ],
)
def test_housekeeping_is_found_under_any_name(system: System, place: str, text: str) -> None:
    write_files(system.real, {"venv/bin/python": ""})
    command = HOUSEKEEPING.format(root=system.root).splitlines()[1]
    write_files(system.system / "etc", {place: text.format(command=command)})

    assert system.ask("housekeeping") == [f"cron {system.system}/etc/{place}"]


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("place", "user", "ours"),
    [
        ("var/spool/cron/crontabs/nobody", "nobody", False),
        ("etc/cron.d/x", "nobody", False),
        ("var/spool/cron/crontabs/root", "root", True),
        ("var/spool/cron/netpoint", "netpoint", True),
    ],
)
def test_a_job_of_a_stranger_is_no_housekeeping_and_blocks_nothing(
    system: System, place: str, user: str, *, ours: bool
) -> None:
    system.unit("netpoint.service")
    write_files(system.real, {"venv/bin/python": ""})
    command = HOUSEKEEPING.format(root=system.real).splitlines()[1]
    column = f"{user} " if place.startswith("etc") else ""
    write_files(system.system, {place: f"* * * * * {column}{command}\n"})

    (job,) = system.told("cron_job")

    assert (job["user"], job["stranger"]) == (user, not ours)
    assert system.ask("housekeeping") == ([f"cron {system.system}/{place}"] if ours else [])
    assert [mention["kind"] for mention in system.told("mention")] == [
        "other" if user == "nobody" and "spool" in place else "cron"
    ]


@pytest.mark.promise(8)
@pytest.mark.skipif(os.geteuid() != 0, reason="starts a process of another user, which only root may")
def test_a_process_of_a_stranger_blocks_nothing(system: System, start: Start) -> None:
    """Anybody can go to the folder of a release and start a Python there."""
    number = start("/usr/bin/python3", "-c", SLEEPER, cwd=system.real, user=STRANGER)

    (process,) = system.told("process")
    assert (process["number"], process["user"], process["stranger"]) == (number, "nobody", True)
    assert system.ask("left", "any", "0") == [""]
    assert system.ask("processes") == []

    system.unit("netpoint.service", User="nobody")
    (process,) = system.told("process")
    assert process["stranger"] is False
    assert system.ask("left", "any", "0") != [""]


def test_housekeeping_by_a_timer_of_any_name_is_found(system: System) -> None:
    write_files(system.system / "etc/systemd/system", {
        "nightly.service": f"[Service]\nExecStart={system.root}/venv/bin/python manage.py housekeeping\n",
    })  # fmt: skip
    system.unit("nightly.service", ActiveState="inactive", TriggeredBy="nightly.timer")
    system.unit("nightly.timer", Triggers="nightly.service")

    assert system.ask("housekeeping") == ["timer nightly.timer"]


def test_a_job_that_run_parts_passes_over_schedules_nothing(system: System) -> None:
    write_files(system.real, {"venv/bin/python": ""})
    text = HOUSEKEEPING.format(root=system.root)
    write_files(system.system / "etc", {
        "debian_version": "12.1\n", "cron.daily/netpoint.sh": text,
        "cron.daily/not-executable": text.removeprefix("#!"),
    })  # fmt: skip

    assert system.ask("housekeeping") == []


def test_a_job_whose_script_names_another_root_does_not_start(system: System) -> None:
    write_files(system.real, {"contrib/netpoint-housekeeping.sh": HOUSEKEEPING.format(root="/opt/netpoint")})
    job = system.system / "etc/cron.daily/nb"
    job.symlink_to(system.root / "contrib/netpoint-housekeeping.sh")

    assert system.ask("housekeeping") == [f"broken {job}"]


def test_the_housekeeping_of_another_installation_is_not_ours(system: System) -> None:
    write_files(system.system / "etc/cron.daily", {"other": HOUSEKEEPING.format(root="/srv/netpoint")})

    assert system.ask("housekeeping") == []


# ---- files that name a release


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("nginx/conf.d/netpoint.conf", "web"), ("apache2/sites-enabled/netpoint.conf", "web"),
        ("nginx/sites-available/netpoint", "other"), ("systemd/system/netpoint.service", "unit"),
        ("systemd/system/netpoint.service.d/x.conf", "unit"), ("cron.d/netpoint", "cron"),
        ("logrotate.d/netpoint", "other"),
    ],
)  # fmt: skip
def test_a_file_that_names_the_folder_of_the_release_is_found(system: System, file: str, kind: str) -> None:
    text = f"# {system.real}\nroot {system.root}/x;\nalias {system.real}/netpoint/static/;\nother {system.real}.bak\n"
    write_files(system.system / "etc", {file: text})

    (found,) = system.told("mention")

    assert (found["kind"], found["tree"], found["file"], found["line"]) == (
        kind, str(system.real), f"{system.system}/etc/{file}", 3,
    )  # fmt: skip


def test_a_copy_elsewhere_that_ends_like_our_path_is_not_ours(system: System) -> None:
    lines = (f"root /mnt/backup{system.real}/x;", f"root /mnt/backup/{system.real}/x;", f"root ~{system.real};")
    write_files(system.system / "etc/nginx", {"nginx.conf": "\n".join(lines)})

    assert system.told("mention") == []


@pytest.mark.parametrize("before", ["ExecStart=-", "x -C", "x -C ", "'", "url=file://", "unix:", "PATH=/bin:", "@"])
def test_a_path_is_found_behind_what_may_come_before_one(system: System, before: str) -> None:
    write_files(system.system / "etc/x", {"a": f"{before}{system.real}/x\n"})

    assert [found["line"] for found in system.told("mention")] == [1]


def test_a_site_that_is_available_counts_once_it_is_enabled(system: System) -> None:
    write_files(system.system / "etc/nginx", {"sites-available/x": f"alias {system.real}/netpoint/static/;\n"})
    (system.system / "etc/nginx/sites-enabled").mkdir()
    (system.system / "etc/nginx/sites-enabled/x").symlink_to("../sites-available/x")

    assert [found["kind"] for found in system.told("mention")] == ["web"]


def test_a_link_into_the_folder_of_a_release_is_found(system: System) -> None:
    (system.system / "etc/cron.daily/a").symlink_to(system.base / "opt/netpoint-3.4.8/contrib/x.sh")
    (system.system / "etc/cron.daily/b").symlink_to(system.root / "contrib/x.sh")

    assert [(found["kind"], found["tree"]) for found in system.told("mention")] == [
        ("link", f"{system.base}/opt/netpoint-3.4.8")
    ]


@pytest.mark.parametrize("target", ["{real}/etc/x.py", "../../../netpoint-3.4.9/etc/x.py"])
def test_a_link_of_the_release_that_names_its_own_folder_is_found(system: System, target: str) -> None:
    link = system.real / "netpoint/netpoint/configuration.py"
    link.unlink()
    link.symlink_to(target.format(real=system.real))

    (found,) = system.told("mention")

    assert (found["kind"], found["file"], found["path"]) == ("link", str(link), f"{system.real}/etc/x.py")


@pytest.mark.parametrize("target", ["../../etc/x.py", "{root}/etc/x.py", "../../../etc/x.py"])
def test_a_link_of_the_release_that_holds_for_the_next_one_too_is_right(system: System, target: str) -> None:
    (system.real / "netpoint/netpoint/extra.py").symlink_to(target.format(root=system.root))

    assert system.told("mention") == []


def test_what_names_a_link_that_will_be_passed_by_is_found(system: System) -> None:
    (system.base / "opt/current").symlink_to("netpoint-3.4.9")
    system.root.unlink()
    system.root.symlink_to("current")
    write_files(system.system / "etc/nginx", {"nginx.conf": f"alias {system.base}/opt/current/netpoint/static/;\n"})

    assert system.texts("middle_link") == [f"{system.base}/opt/current"]
    assert [(found["tree"], found["path"]) for found in system.told("mention")] == [
        (str(system.real), f"{system.base}/opt/current")
    ]


def test_a_local_file_that_names_its_own_release_is_found(system: System) -> None:
    (system.real / "gunicorn.py").write_text(f"chdir = '{system.real}/netpoint'\n")

    assert [(found["kind"], found["file"]) for found in system.told("mention")] == [
        ("local", f"{system.real}/gunicorn.py")
    ]


def test_a_file_that_cannot_be_read_or_is_huge_is_passed_over(system: System) -> None:
    (system.system / "etc/fifo.d").mkdir()
    os.mkfifo(system.system / "etc/fifo.d/pipe")
    (system.system / "etc/huge").write_bytes(f"{system.real}\n".encode() * 100_000)

    assert system.told("mention") == []


# ---- mounts and packages


def test_what_is_to_be_mounted_below_a_release_is_found(system: System) -> None:
    media = system.real / "netpoint/my media"
    media.mkdir()
    write_files(
        system.system / "etc",
        {"fstab": f"# x\nnas:/m {system.root}/netpoint/my\\040media nfs defaults 0 0\n/dev/sda1 /opt ext4\n"},
    )

    assert system.texts("mount") == [str(media)]


def test_a_package_that_an_older_release_has_left_is_found(system: System) -> None:
    came = {"netpoint/dcim/apps.py": "", "netpoint/dcim/__init__.py": ""}
    write_files(system.real, came, at=1_700_000_000)
    left = ("netpoint/secrets/apps.py", "netpoint/local/x.py", "netpoint/old/migrations/__init__.py")
    write_files(system.real, dict.fromkeys(left, ""), at=1_600_000_000)

    assert system.texts("stray_package") == ["old", "secrets"]


# ---- whatever happens


def test_an_installation_that_is_not_there_is_none(tmp_path: Path) -> None:
    system = System(tmp_path, sys.executable)
    shutil.rmtree(system.base / "opt")

    assert system.ask("facts")[-1] == "tree_users.complete=yes"


@pytest.mark.parametrize("way", ["loop", "nowhere"])
def test_a_link_that_leads_nowhere_is_survived(tmp_path: Path, way: str) -> None:
    system = System(tmp_path, sys.executable)
    system.root.unlink()
    system.root.symlink_to("netpoint" if way == "loop" else "gone")

    assert system.ask("facts")[-1] == "tree_users.complete=yes"
