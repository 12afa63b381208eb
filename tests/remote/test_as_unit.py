"""What stands in for a service has all its settings but when it is started and stopped, and its command as words."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.remote.server import REAL_PATH, REMOTE, Server, eventually, write_files

TEMPLATE = r"""
[Unit]
OnFailure=page-the-admin.service
Conflicts=other.service
[Service]
# A comment \
Type=notify
NotifyAccess=all
User=np
DynamicUser=yes
RuntimeDirectory=%p-%i
EnvironmentFile=-/etc/default/%p
Environment="NAME=%n" BARE=%N FORMAT=%%n SHARE=80%
MemoryMax=80%
ProtectSystem=strict
ExecStartPre=/bin/false
ExecStart=/usr/bin/old
ExecStop=/usr/bin/stop
Restart=always
RestartForceExitStatus=1
FailureAction=reboot
Sockets=np.socket
StandardOutput=append:/var/log/np
[Install]
WantedBy=multi-user.target
# /etc/systemd/system/np@one.service.d/more.conf
[Service]
LimitNOFILE=1234
ExecStart=
ExecStart=-@/opt/np/venv/bin/gunicorn np \
  # of the admin
  --bind "127.0.0.1:${PORT}" 'a $x' %i
"""
KEPT = """\
User=np
DynamicUser=yes
RuntimeDirectory=np-one
EnvironmentFile=-/etc/default/np
Environment="NAME=np@one.service" BARE=np@one FORMAT=%%n SHARE=80%
MemoryMax=80%
ProtectSystem=strict
LimitNOFILE=1234
ExecStart=
ExecStart=/bin/sh -c ${NETPOINT_REMOTE_COMMAND} np    --bind "127.0.0.1:${PORT}" 'a $x' one
"""


def settings(text: str, unit: str) -> str:
    """Return what is taken over of a unit's files."""
    return in_library('service_settings "$1"', unit, text=text)


def in_library(script: str, *words: str, text: str = "", **more: str) -> str:
    """Return what a script prints that has the library."""
    known = {"RUN": "/r", "SERVICES": "np", "ROOT": "/opt/np", "OLD": "/opt/np-1", "PATH": REAL_PATH, **more}
    known |= {"LIB": str(REMOTE / "lib.sh"), "AS_UNIT": str(REMOTE / "as_unit.sh")}
    command = ["sh", "-c", f'. "$LIB"; . "$AS_UNIT"; {script}', "sh", *words]
    return subprocess.run(command, input=text, env=known, capture_output=True, text=True, check=True).stdout


def test_all_that_says_how_a_service_runs_is_taken_over_and_nothing_of_when() -> None:
    assert settings(TEMPLATE, "np@one") == KEPT


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("ExecStart=/a b", "/a b"),
        ("ExecStart=!!/a b", "/a b"),
        ("ExecStart=+-/a b", "/a b"),
        ("ExecStart=:/a $b", "/a $$b"),
        ("  ExecStart = /a   b  ", "/a   b"),
        ("ExecStart=/a b\r", "/a b"),
        ("ExecStart=/a \\\n b", "/a   b"),
        ("Type=simple", "sh"),
    ],
)
def test_its_command_becomes_words_that_systemd_itself_reads(line: str, command: str) -> None:
    (last,) = settings(f"[Service]\n{line}\n", "np").splitlines()[-1:]

    assert last == f"ExecStart=/bin/sh -c ${{NETPOINT_REMOTE_COMMAND}} {command}"


def as_unit(server: Server, script: str) -> str:
    """Return what a script prints that has the libraries of a step."""
    server.record()
    return server.in_run(f'. "$BUNDLE/as_unit.sh"; {script}', text="hunter2").stdout


HOSTILE = {
    "ROOT": "/x",
    "NEW": "/y",
    "RUN": "/z",
    "OLD": "/o",
    "BUNDLE": "/b",
    "STEP": "s",
    "LC_ALL": "de_DE",
}


def test_a_units_variables_reach_one_process_and_never_our_shell(server: Server) -> None:
    given = " ".join(f"{name}={value}" for name, value in HOSTILE.items())
    server.unit("netpoint", "x", Environment=given)

    seen = as_unit(server, 'as_unit ask "$OLD" env </dev/null; echo "$ROOT|$NEW|$RUN|$OLD|$BUNDLE"').splitlines()

    assert {f"{name}={value}" for name, value in HOSTILE.items()} <= set(seen)
    assert seen[-1] == f"{server.root}|{server.new}|{server.run}|{server.old}|{server.run}/bundle"


def test_words_come_as_they_are_and_the_status_goes_back(server: Server) -> None:
    words = ("it's", '"$HOME"', "`id`", "a\\b", "$(id)", "", "%n %%", "é")
    quoted = " ".join(f'"$({_printf(word)})"' for word in words)

    said = as_unit(server, f'as_unit ask "$OLD" sh -c \'printf "<%s>" "$@"; cat; exit 3\' sh {quoted} || echo "=$?"')

    assert said == "".join(f"<{word}>" for word in words) + "hunter2=3\n"


def _printf(word: str) -> str:
    return "printf '" + "".join(f"\\{byte:03o}" for byte in word.encode()) + "'"


GUNICORN = "<gunicorn><--bind><127.0.0.1:8123>"
SHELL_LINES = {
    "gunicorn --bind 127.0.0.1:8123": GUNICORN,
    "source /a/activate && exec gunicorn --bind 127.0.0.1:8123": f"<exec>{GUNICORN}",
    ". /a; gunicorn --bind 127.0.0.1:$PORT": GUNICORN,
    'gunicorn --bind "127.0.0.1:${PORT:-1}" *': f"{GUNICORN}<*>",
    "gunicorn --bind 127.0.0.1:8123 >>/tmp/log 2>&1": GUNICORN,
    "gunicorn --bind 127.0.0.1:8123 2>&1 | logger": GUNICORN,
    "cd / && gunicorn --bind 127.0.0.1:8123 &": GUNICORN,
    'gunicorn --bind 127.0.0.1:8123 --log "%(h)s"': f"{GUNICORN}<--log><%(h)s>",
    "gunicorn --bind $(cat /etc/bind)": None,
    "gunicorn --bind `cat /etc/bind`": None,
    "(gunicorn --bind 127.0.0.1:8123)": None,
    "if true\nthen gunicorn\nfi": None,
    'gunicorn --access-logformat "a; b"': None,
}


@pytest.mark.parametrize("line", SHELL_LINES)
@pytest.mark.parametrize("shell", ["/bin/bash -c", "sh -ec", "/opt/start.sh -c"])
def test_of_a_line_for_a_shell_the_words_of_its_last_command_are_taken(shell: str, line: str) -> None:
    """What is not simple stays as it is, and nothing of it is executed."""
    words = (*shell.split(), line)

    seen = in_library('exec sh -c "$(command_line printf "<%s>" ARGUMENTS)" "$@"', *words, PORT="8123")

    whole = "".join(f"<{word}>" for word in words)
    assert seen == (whole if "start" in shell else SHELL_LINES[line] or whole)


def test_another_tree_is_asked_where_it_will_work(server: Server) -> None:
    server.unit("netpoint", "x", WorkingDirectory=f"{server.root}/netpoint")
    write_files(server.new, {"netpoint/x": ""})

    assert as_unit(server, 'as_unit ask "$OLD" pwd; as_unit ask "$NEW" pwd').splitlines() == [
        f"{server.old}/netpoint", f"{server.new}/netpoint",
    ]  # fmt: skip


def test_nothing_of_it_stays(server: Server) -> None:
    runtime = server.folder / "run"
    before = sorted(runtime.rglob("*"))
    script = 'as_unit ask "$OLD" true; start_as_unit beside "$OLD" tail -f /dev/null; unit_runs beside && echo runs'

    assert as_unit(server, f'{script}; remove_units "$RUN"; unit_runs beside || echo ended') == "runs\nended\n"
    assert sorted(runtime.rglob("*")) == before


def test_what_it_writes_down_is_for_root_alone(server: Server) -> None:
    as_unit(server, 'as_unit ask "$OLD" true')

    files = [path for path in (server.folder / "run").rglob("*") if "netpoint_remote" in str(path)]
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    assert Path(server.folder / "run/systemd/system/netpoint_remote.r1.ask.service") in files


@pytest.mark.promise(8)
def test_a_unit_of_roots_has_nothing_that_decides_what_it_loads(server: Server) -> None:
    server.unit("netpoint", "x", User="", Environment="OPENSSL_CONF=/x MEDIA=/m LD_PRELOAD=/y")

    as_unit(server, 'as_unit ask "$OLD" true')

    text = (server.folder / "run/systemd/system/netpoint_remote.r1.ask.service").read_text()
    assert [line for line in text.splitlines() if line.startswith("Unset")] == [
        "UnsetEnvironment=LD_PRELOAD OPENSSL_CONF"
    ]


@pytest.mark.promise(8)
def test_a_question_is_not_answered_by_what_an_earlier_one_has_left(server: Server) -> None:
    """A process of the service's user may have kept a descriptor of the file."""
    out = shlex.quote(str(server.folder / "run/netpoint_remote.r1/ask/out"))
    first, second = 'as_unit ask "$OLD" true', 'as_unit ask "$OLD" echo yes'

    said = as_unit(server, f'out={out}; {first}; exec 3>"$out"; {second}; echo no >&3; cat "$out"')

    assert said == "yes\nyes\n"


@pytest.mark.promise(8)
def test_the_socket_of_the_release_that_is_proved_is_for_nobody_else(tmp_path: Path) -> None:
    """Who has an account in NetPoint could write by it while the database is dumped and changed."""
    folder = tmp_path / "sockets"
    folder.mkdir(mode=0o755)
    write_files(tmp_path, {"netpoint/netpoint/__init__.py": "", "netpoint/netpoint/wsgi.py": "application = None\n"})
    words = (str(tmp_path), "netpoint", str(folder / "pages"), "--", "uwsgi")
    with subprocess.Popen([sys.executable, str(REMOTE / "beside.py"), *words], umask=0) as process:
        try:
            assert eventually((folder / "pages").exists)
            modes = [oct(path.stat().st_mode & 0o777) for path in (folder, folder / "pages")]
        finally:
            process.kill()

    assert modes == ["0o700", "0o600"]
