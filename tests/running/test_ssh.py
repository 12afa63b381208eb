"""Connections and visits, against real sshd, some of it behind a relay that fails when told to."""

import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpoint_remote.errors import (
    AuthenticationFailed,
    ConnectError,
    HostKeyRefused,
    LineLost,
    RequestError,
    SudoRefused,
    Unreachable,
)
from netpoint_remote.planning.inventory import Host
from netpoint_remote.running import reach, ssh, wire
from netpoint_remote.running.reach import ProxyCommand, resolve
from netpoint_remote.running.ssh import Connector, Deadlines, Patience, Session, ensure_open_files, open_session
from netpoint_remote.running.ssh_config import SshConfig
from tests.support.flaky import REFUSE, STALL, Flaky
from tests.support.processes import of_folder
from tests.support.sshd import Sshd, make_key, start_sshd

Line = tuple[str, int]  # a file and a line in it
AT_ONCE = Patience(pause=0.001, longest=0.002)
PATIENCE = 120.0  # seconds for what takes less than one; the machine may be busy
PATIENT = Deadlines(resolve=PATIENCE, reach=PATIENCE, greet=PATIENCE, authenticate=PATIENCE, open=PATIENCE)
FOREVER = 10 * PATIENCE  # a wait that a test has to see the end of before it is over
SILENCE = 5  # seconds that are waited out: far more than a busy server needs to say something
BASHRC_NOISE = 'ForceCommand echo "Welcome to np1"; printf prompt; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = start_sshd(tmp_path_factory.mktemp("ssh") / "np1")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def session(server: Sshd) -> Iterator[Session]:
    with connector() as shared, shared.open(host(server)) as session:
        yield session


def host(server: Sshd, port: int | None = None) -> Host:
    known_hosts = server.known_hosts()
    if port:
        known_hosts = server.folder / f"known_hosts_{port}"
        known_hosts.write_text(f"[127.0.0.1]:{port} {server.public_key()}\n")
    return Host(
        name="np1",
        address=server.address,
        port=port or server.port,
        identity=(str(server.client_key),),
        known_hosts=str(known_hosts),
    )


def connector(config: str = "none", **options: object) -> Connector:
    return Connector(**{"config": SshConfig(config), "patience": AT_ONCE, "deadlines": PATIENT, **options})


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


# Visits


@pytest.mark.ssh
def test_a_visit_brings_the_status_and_everything_printed(session: Session) -> None:
    done = session.visit("echo out; echo err >&2; cat; exit 3", payload=b"payload\n")

    assert (done.status, done.output) == (3, "out\nerr\npayload\n")


@pytest.mark.ssh
@pytest.mark.parametrize(
    ("script", "status", "output"),
    [
        ("", 0, ""),
        ("printf x", 0, "x"),
        ("printf 'x\\n\\n\\n'", 0, "x\n\n\n"),
        ("set -e; false; echo no", 1, ""),
        ("exec sh -c 'exit 7'", 7, ""),
        ("kill -TERM $$ & wait; exit 5", None, None),
        ("cat", 0, ""),
        ('printf \'%s|\' "$#" "${nonce-}" "${password-}"', 0, "0|||"),
        ("trap 'echo bye' EXIT; exit 4", 4, "bye\n"),
        ("printf '\\001 0\\n\\001deadbeef 0\\n'", 0, "\x01 0\n\x01deadbeef 0\n"),
    ],
)
def test_a_script_ends_as_it_ends_in_a_shell(
    session: Session, script: str, status: int | None, output: str | None
) -> None:
    if status is None:
        with pytest.raises(LineLost):
            session.visit(script)
    else:
        done = session.visit(script)
        assert (done.status, done.output) == (status, output)


@pytest.mark.ssh
def test_a_script_that_no_shell_can_read_is_a_status_too(session: Session) -> None:
    done = session.visit("if; then 'x")

    assert done.status != 0
    assert "yntax error" in done.output


@pytest.mark.ssh
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    payload=st.binary(max_size=3000),
)
def test_scripts_and_payloads_arrive_unchanged(session: Session, text: str, payload: bytes) -> None:
    quoted = "'" + text.replace("'", "'\\''") + "'"

    done = session.visit(f"printf %s {quoted}; printf '|'; od -An -v -tx1 | tr -d ' \\n'", payload=payload)

    assert done.output == f"{text}|{payload.hex()}"


@pytest.mark.ssh
def test_lines_come_as_they_are_printed(session: Session, tmp_path: Path) -> None:
    """What is printed next waits until the first line has come."""
    came: list[str] = []

    def on_line(line: str) -> None:
        came.append(line)
        (tmp_path / line).touch()

    session.visit(
        f"echo one; echo; until [ -e {tmp_path}/one ]; do sleep 0.01; done; echo two; printf three", on_line=on_line
    )

    assert came == ["one", "", "two", "three"]


@pytest.mark.ssh
def test_a_megabyte_of_output_is_kept_only_at_its_end(session: Session) -> None:
    lines = 0

    def count(_: str) -> None:
        nonlocal lines
        lines += 1

    done = session.visit("seq 1 150000", on_line=count, limit=1000)

    assert done.output.endswith("\n149999\n150000\n")
    assert len(done.output) == 1000
    assert lines == 150000


@pytest.mark.ssh
def test_a_payload_streams_while_output_comes_back(session: Session) -> None:
    """Eight megabytes each way: more than the windows of both sides hold."""
    done = session.visit("head -c 8000000 /dev/zero; wc -c", payload=BytesIO(b"x" * 8_000_000), limit=100)

    assert done.output.endswith("8000000\n")


@pytest.mark.ssh
def test_a_script_that_does_not_read_its_payload_ends_all_the_same(session: Session) -> None:
    assert session.visit("exit 6", payload=b"x" * 8_000_000).status == 6
    assert session.visit("echo still there").output == "still there\n"


@pytest.mark.ssh
def test_a_process_left_behind_does_not_hold_the_visit(session: Session) -> None:
    done = session.visit("tail -f /dev/null & echo $!", silence=PATIENCE)

    os.kill(int(done.output), signal.SIGKILL)  # it is still there


@pytest.mark.ssh
def test_silence_is_a_lost_line(session: Session) -> None:
    with pytest.raises(LineLost, match=f"sent nothing for {SILENCE} s; its last output: begun"):
        session.visit("echo begun; exec tail -f /dev/null", silence=SILENCE)


@pytest.mark.ssh
def test_what_login_scripts_print_is_not_output(tmp_path: Path) -> None:
    noisy = start_sshd(tmp_path / "noisy", options=(BASHRC_NOISE,))
    try:
        with connector() as shared, shared.open(host(noisy)) as session:
            assert session.visit("echo mine").output == "mine\n"
    finally:
        noisy.stop()


@pytest.mark.ssh
def test_an_account_without_a_shell_is_a_lost_line_that_says_why(tmp_path: Path) -> None:
    closed = start_sshd(tmp_path / "closed", options=("ForceCommand echo This account is not available.; exit 1",))
    try:
        with (
            connector() as shared,
            shared.open(host(closed)) as session,
            pytest.raises(LineLost, match="is not available"),
        ):
            session.visit("true")
    finally:
        closed.stop()


@pytest.mark.ssh
@pytest.mark.parametrize("shell", ["bash", "dash", "tcsh", "csh", "fish", "zsh", "ksh"])
def test_every_login_shell_will_do(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"NOT TESTED: there is no {shell} here")
    account = start_sshd(tmp_path / shell, options=(f'ForceCommand exec {shell} -c "$SSH_ORIGINAL_COMMAND"',))
    stand_in_sudo(account, "let=nobody password=s3cr3t!$x")
    try:
        with connector(sudo_password="s3cr3t!$x") as shared, shared.open(host(account)) as session:
            done = session.visit('echo "it\'s $((1 + 1)) !"; cat', payload=b"\\ payload '\n")
    finally:
        account.stop()

    assert done.output == "it's 2 !\n\\ payload '\n"


@pytest.mark.ssh
def test_a_server_that_allows_one_session_can_be_visited_again_and_again(tmp_path: Path) -> None:
    narrow = start_sshd(tmp_path / "narrow", options=("MaxSessions 1",))
    try:
        with connector() as shared, shared.open(host(narrow)) as session:
            assert [session.visit(f"echo {n}").output for n in range(5)] == [f"{n}\n" for n in range(5)]
    finally:
        narrow.stop()


# sudo

SUDO = """#!/bin/sh
# Asks as the real one does: -n never asks, -S reads one line; what it was told stands in sudo.settings.
here=$(dirname "$0"); let=nobody; password=; says=
. "$here/sudo.settings"
echo "$*" >>"$here/sudo.log"
if [ "$1" = -n ]; then
    shift
    if [ "$let" != everybody ]; then echo "sudo: ${says:-a password is required}" >&2; exit 1; fi
else
    IFS= read -r given
    echo asked >>"$here/sudo.asked"
    if [ "$given" != "$password" ]; then
        printf 'Sorry, try again.\\nsudo: no password was provided\\nsudo: 1 incorrect password attempt\\n' >&2
        exit 1
    elif [ -n "$says" ]; then echo "$says" >&2; exit 1; fi
    shift 4
fi
BECAME=root exec "$@"
"""


def stand_in_sudo(server: Sshd, settings: str) -> None:
    assignments = [word.split("=", 1) for word in settings.split(" ", 1)[:1] + settings.split(" ", 1)[1:]]
    lines = "".join(f"{name}='{value}'\n" for name, value in assignments)
    (server.bin / "sudo.settings").write_text(lines)
    for log in ("sudo.log", "sudo.asked"):
        (server.bin / log).unlink(missing_ok=True)
    server.add_program("sudo", SUDO)
    server.add_program("id", "#!/bin/sh\necho 1000\n")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Sshd]:
    server = start_sshd(tmp_path / "account")
    yield server
    server.stop()


def visit_as_root(server: Sshd, password: str | None, script: str = 'printf %s "$BECAME"; cat') -> str:
    with connector(sudo_password=password) as shared, shared.open(host(server)) as session:
        return session.visit(script, payload=b" payload").output


@pytest.mark.ssh
@pytest.mark.parametrize("password", [None, "needless"])
def test_sudo_without_a_password_is_tried_first(account: Sshd, password: str | None) -> None:
    stand_in_sudo(account, "let=everybody")

    assert visit_as_root(account, password) == "root payload"
    assert not (account.bin / "sudo.asked").exists()


@pytest.mark.ssh
@pytest.mark.parametrize("password", ["secret", "a  b\\n %s 'q\" $x `y`", " öß ", "netpoint-remote"])
def test_the_sudo_password_arrives_whatever_is_in_it(account: Sshd, password: str) -> None:
    stand_in_sudo(account, "let=nobody")
    (account.bin / "sudo.settings").write_text('password=$(cat "$here/password"; echo .); password=${password%.}\n')
    (account.bin / "password").write_text(password)

    assert visit_as_root(account, password) == "root payload"


@pytest.mark.ssh
def test_root_needs_no_sudo_and_an_ordinary_visit_neither(account: Sshd) -> None:
    account.add_program("sudo", "#!/bin/sh\nexit 99\n")
    account.add_program("id", "#!/bin/sh\necho 0\n")
    assert visit_as_root(account, "secret", "echo root") == "root\n"

    account.add_program("id", "#!/bin/sh\necho 1000\n")
    with connector() as shared, shared.open(replace(host(account), become=False)) as session:
        assert session.visit("echo self").output == "self\n"


@pytest.mark.ssh
@pytest.mark.parametrize(
    ("settings", "password", "message"),
    [
        ("let=nobody", None, "sudo wants a password"),
        ("password=right", "wrong", r"refused the password of root@.* \(tried once\)"),
        ("password=right", "", "sudo wants a password"),
        ("says=np is not in the sudoers file.", "", "may not use sudo there"),
        ("says=sorry, you must have a tty to run sudo", None, "sudo wants a terminal"),
    ],
)
def test_a_refusal_of_sudo_says_which_it_is(account: Sshd, settings: str, password: str | None, message: str) -> None:
    name, value = settings.split("=", 1)
    stand_in_sudo(account, "let=nobody")
    (account.bin / "sudo.settings").write_text(f"{name}='{value}'\n")

    with pytest.raises(SudoRefused, match=message):
        visit_as_root(account, password)


@pytest.mark.ssh
def test_a_wrong_password_is_tried_once(account: Sshd) -> None:
    stand_in_sudo(account, "password=right")

    with pytest.raises(SudoRefused):
        visit_as_root(account, "wrong")

    assert (account.bin / "sudo.asked").read_text() == "asked\n"


@pytest.mark.ssh
def test_a_server_without_sudo_says_so(tmp_path: Path) -> None:
    bare = start_sshd(tmp_path / "bare", options=(f"SetEnv PATH={tmp_path}/bare/bin SHLVL=9",))
    bare.add_program("id", "#!/bin/sh\necho 1000\n")
    (bare.bin / "sh").symlink_to("/bin/sh")
    try:
        with pytest.raises(SudoRefused, match="there is no sudo for root@"):
            visit_as_root(bare, None)
    finally:
        bare.stop()


@pytest.mark.promise(7)
@pytest.mark.ssh
def test_the_password_is_in_no_argument_and_no_environment(account: Sshd) -> None:
    """The script itself looks at every process there is; it is told what to look for by halves."""
    stand_in_sudo(account, "password=hush-hush-7")
    look = """
        for process in /proc/[0-9]*; do cat "$process/cmdline" "$process/environ"; echo; done 2>/dev/null |
        tr '\\0' '\\n' |
        awk 'index($0, "hush-" "hush-7") { n++ } index($0, "netpoint") { m++ } END { print n + 0, (m > 0) }'
    """

    seen = visit_as_root(account, "hush-hush-7", look)

    assert seen.strip() == "0 1"
    assert "hush-hush-7" not in (account.bin / "sudo.log").read_text()


@pytest.mark.parametrize("script", ["a\0b"])
def test_a_script_with_a_nul_is_a_bug_of_ours(script: str) -> None:
    from netpoint_remote.running.wire import opening  # noqa: PLC0415  for this test alone

    with pytest.raises(ValueError, match="NUL"):
        opening(script, nonce="x")


# Lines that fail


@pytest.mark.ssh
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.83])
def test_what_passes_by_itself_is_tried_again(server: Sshd, share: float) -> None:
    """Wherever the handshake or the login is cut; what is counted may include 300 bytes that come after the login."""
    with Flaky(server.port) as relay, connector() as shared:
        shared.open(host(server, relay.port))
        whole = relay.bytes_to_client
    retries: list[tuple[int, ConnectError, float]] = []
    with Flaky(server.port, [REFUSE, int(share * whole), None]) as relay, connector() as shared:
        opened = shared.open(host(server, relay.port), on_retry=lambda *retry: retries.append(retry))
        assert opened.visit("echo well").output == "well\n"

    assert [(attempt, type(error)) for attempt, error, _ in retries] == [(1, Unreachable), (2, Unreachable)]
    assert all(0 <= pause <= 0.002 for _, _, pause in retries)


@pytest.mark.ssh
def test_a_line_lost_while_a_key_is_sent_is_no_refusal(server: Sshd) -> None:
    """The thread that writes may find the line gone before the one that reads."""

    def lose_the_line(_: object) -> list[str]:
        raise EOFError

    with connector() as shared:
        link = shared.open(host(server, server.port))._link
        login = ssh._Login(link, shared.credentials, 600)
        with pytest.raises(Unreachable, match="hung up while logging in"):
            login._try("a key", lose_the_line)


@pytest.mark.ssh
def test_patience_ends(server: Sshd) -> None:
    with Flaky(server.port, [REFUSE] * 9) as relay, connector(patience=replace(AT_ONCE, attempts=3)) as shared:
        with pytest.raises(Unreachable, match="hung up during the SSH handshake"):
            shared.open(host(server, relay.port))
        assert relay.connections == 3


@pytest.mark.ssh
def test_a_port_where_nobody_listens_is_tried_again_and_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        retries: list[int] = []
        with connector() as shared, pytest.raises(Unreachable, match=f"127.0.0.1:{port}: connection refused"):
            shared.open(Host(name="np1", address="127.0.0.1", port=port), on_retry=lambda n, _e, _p: retries.append(n))

    assert retries == [1, 2, 3, 4]


@pytest.mark.ssh
def test_a_server_that_accepts_and_says_nothing_has_its_time(server: Sshd) -> None:
    quick = replace(PATIENT, greet=1)
    with Flaky(server.port, [STALL, None]) as relay, connector(deadlines=quick) as shared:
        assert shared.open(host(server, relay.port)).visit("echo well").output == "well\n"


@pytest.mark.ssh
def test_what_never_passes_is_tried_once(server: Sshd, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    (tmp_path / "nobody").write_text("")
    with Flaky(server.port) as relay, connector() as shared:
        good = host(server, relay.port)
        with pytest.raises(AuthenticationFailed, match=f"root@127.0.0.1:{relay.port} was refused; tried: {stranger}"):
            shared.open(replace(good, identity=(str(stranger),)))
        with pytest.raises(HostKeyRefused):
            shared.open(replace(good, known_hosts=str(tmp_path / "nobody")))
        assert relay.connections == 2


@pytest.mark.ssh
def test_a_server_tired_of_keys_is_not_asked_again(tmp_path: Path) -> None:
    keys = tuple(str(make_key(tmp_path / f"key{n}")) for n in range(4))
    strict = start_sshd(tmp_path / "strict", options=("MaxAuthTries 2",))
    try:
        with Flaky(strict.port) as relay, connector() as shared:
            with pytest.raises(AuthenticationFailed, match="it hung up after that"):
                shared.open(replace(host(strict, relay.port), identity=keys))
            assert relay.connections == 1
    finally:
        strict.stop()


def test_a_name_that_cannot_be_is_not_looked_up_again() -> None:
    retries: list[int] = []
    with connector() as shared, pytest.raises(Unreachable, match="check the spelling"):
        shared.open(Host(name="np1", address="x" * 70 + ".invalid"), on_retry=lambda n, _e, _p: retries.append(n))

    assert retries == []


def test_a_port_out_of_range_or_a_name_for_a_shell_is_refused() -> None:
    with connector() as shared, pytest.raises((RequestError, Unreachable)):
        shared.open(Host(name="np1", address="np1;reboot"))


@pytest.mark.ssh
def test_a_cut_in_the_middle_of_a_visit_is_a_lost_line(server: Sshd) -> None:
    with Flaky(server.port) as relay, connector() as shared, shared.open(host(server, relay.port)) as session:
        with pytest.raises(LineLost, match="hung up; its last output: begun"):
            session.visit("echo begun; sleep 9", on_line=lambda _: relay.cut_all())
        with pytest.raises(LineLost, match=r"hung up \(SSH session not active\) before the script began"):
            session.visit("echo again")


@pytest.mark.ssh
def test_output_cut_short_is_never_taken_for_whole(server: Sshd) -> None:
    """Wherever the line is cut, the visit is either whole or lost."""
    outcomes = set()
    for size in (2600, 3000, 4000, 9000, 20000, 60000):
        with Flaky(server.port, [size] * 5) as relay, connector() as shared:
            try:
                output = shared.open(host(server, relay.port)).visit("seq 1 2000").output
            except (LineLost, Unreachable) as error:
                outcomes.add(type(error))
            else:
                assert output.splitlines() == [str(n) for n in range(1, 2001)]
                outcomes.add(str)
    assert {LineLost, str} <= outcomes


@pytest.mark.ssh
def test_a_line_that_falls_silent_is_lost_even_while_writing(server: Sshd) -> None:
    with (
        Flaky(server.port) as relay,
        connector() as shared,
        shared.open(host(server, relay.port)) as session,
        pytest.raises(LineLost, match=f"sent nothing for {SILENCE} s"),
    ):
        session.visit(
            "echo begun; cat >/dev/null", payload=Endless(), silence=SILENCE, on_line=lambda _: relay.fall_silent()
        )


class Endless(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return b"x" * (size or 1)


# Ends


@pytest.mark.ssh
def test_nothing_is_left_after_failures_and_closes(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "nobody").write_text("")
    with connector() as warm:
        warm.open(host(server)).visit("true")
    others = set(_transports())
    files = _open_files()

    with Flaky(server.port, [REFUSE, 900, None]) as relay, connector() as shared:
        for broken in (replace(host(server), known_hosts=str(tmp_path / "nobody")), replace(host(server), port=1)):
            with pytest.raises(ConnectError):
                shared.open(broken)
        shared.open(host(server, relay.port)).visit("true")
        for _ in range(5):
            shared.open(host(server)).close()
        wait_until(lambda: len(set(_transports()) - others) == 1)
    wait_until(lambda: not set(_transports()) - others)

    wait_until(lambda: _open_files() <= files)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _transports() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "Transport" in type(thread).__name__]


@pytest.mark.ssh
def test_close_all_frees_every_worker_at_once(server: Sshd) -> None:
    patient = Patience(pause=FOREVER, longest=FOREVER)
    stalled = Deadlines(reach=FOREVER, greet=FOREVER)
    with Flaky(server.port, [STALL]) as relay, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
        shared = connector(patience=patient, deadlines=stalled)
        working = shared.open(host(server))
        heard = threading.Event()
        with ThreadPoolExecutor(4) as workers:
            waits = [
                workers.submit(working.visit, "echo here; exec tail -f /dev/null", on_line=lambda _: heard.set()),
                workers.submit(shared.open, host(server, relay.port)),
                workers.submit(shared.open, replace(host(server), port=nobody)),
            ]
            assert heard.wait(PATIENCE)
            wait_until(lambda: relay.connections == 1)
            shared.close_all()
            errors = [type(wait.exception(timeout=PATIENCE)) for wait in waits]

    assert errors == [LineLost, Unreachable, Unreachable]
    with pytest.raises(Unreachable, match="stopped by the operator"):
        shared.open(host(server))


@pytest.mark.ssh
def test_closing_everything_is_told_as_what_it_is_wherever_it_comes(server: Sshd) -> None:
    told = _at_lines(server, lambda shared, _: shared.close_all(), first=0)

    assert {str(error) for error in told if error} == {"stopped by the operator"}
    assert {type(error) for error in told if error} == {Unreachable, LineLost}


@pytest.mark.ssh
def test_a_line_that_is_cut_is_told_as_what_it_is_wherever_that_comes(server: Sshd) -> None:
    told = _at_lines(server, lambda _, relay: relay.cut_all(), first=1)

    assert {type(error) for error in told if error} == {Unreachable, LineLost}


def _at_lines(server: Sshd, strike: Callable[[Connector, Flaky], None], *, first: int) -> list[BaseException | None]:
    """Visit once for every second line of ours that a visit passes, struck there; return what each ended with.

    A visit costs 50 ms of CPU and has some 230 lines: the two tests share them.
    """

    def visit(stop: Line | None = None) -> list[Line]:
        shared = connector(patience=Patience(attempts=1))
        with Flaky(server.port) as relay, shared:
            with _watching(lambda line: _apart(lambda: strike(shared, relay)) if line == stop else None) as lines:
                shared.open(host(server, relay.port)).visit("echo here")
            return lines

    lines = visit()
    assert len(lines) > 200
    with ThreadPoolExecutor(4) as workers:
        return [ended.exception() for ended in [workers.submit(visit, line) for line in lines[first::2]]]


@contextmanager
def _watching(on_line: Callable[[Line], object]) -> Iterator[list[Line]]:
    """Tell of each line of the modules that this thread comes to for the first time."""
    lines: list[Line] = []
    ours = {module.__file__ for module in (reach, ssh, wire)}

    def trace(frame: FrameType, event: str, _: object) -> object:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and line not in lines:
            lines.append(line)
            on_line(line)
        return trace

    before = sys.gettrace()
    sys.settrace(lambda frame, *rest: trace(frame, *rest) if frame.f_code.co_filename in ours else None)
    try:
        yield lines
    finally:
        sys.settrace(before)


def _apart(work: Callable[[], None]) -> None:
    """Do something in another thread, and wait for it; who holds a lock that it needs does not wait for long."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(0.2)


@pytest.mark.ssh
def test_stopping_wakes_who_pauses_and_leaves_open_lines_alone(server: Sshd) -> None:
    stop = threading.Event()
    with Flaky(server.port, [REFUSE] * 9) as relay:
        shared = connector(patience=Patience(pause=FOREVER, longest=FOREVER), stop=stop)
        session = shared.open(host(server))
        with ThreadPoolExecutor(1) as workers:
            waiting = workers.submit(shared.open, host(server, relay.port), on_retry=lambda *_: stop.set())
            assert isinstance(waiting.exception(timeout=PATIENCE), Unreachable)
        assert session.visit("echo there").output == "there\n"
        shared.close_all()


def test_the_limit_of_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        ensure_open_files(1000)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(2256, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.ssh
def test_paramiko_prints_nothing(
    server: Sshd, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with Flaky(server.port, [5, 900]) as relay, connector() as shared, caplog.at_level(logging.WARNING):
        shared.open(host(server, relay.port)).visit("true")

    assert capfd.readouterr() == ("", "")
    assert not caplog.records


# Ways


@pytest.mark.ssh
def test_an_ipv6_address_is_reached(tmp_path: Path) -> None:
    try:
        six = start_sshd(tmp_path / "six", address="::1")
    except OSError:
        pytest.skip("NOT TESTED: there is no IPv6 here")
    try:
        with open_session(host(six), connector()) as session:
            assert session.visit("echo six").output == "six\n"
    finally:
        six.stop()


@dataclass
class Chain:
    """Two gateways and a server, known to an ssh_config as hop1, hop2 and target."""

    hop1: Sshd
    hop2: Sshd
    target: Sshd
    folder: Path

    def config(self, more: str) -> str:
        known = self.folder / "known_hosts"
        blocks = []
        lines = []
        for name, server in (("hop1", self.hop1), ("hop2", self.hop2), ("target", self.target)):
            blocks.append(f"Host {name}\n HostName 127.0.0.1\n Port {server.port}\n IdentityFile {server.client_key}\n")
            lines.append(f"{server.name} {server.public_key()}\n")
        known.write_text("".join(lines))
        path = self.folder / "ssh_config"
        path.write_text(
            "".join(blocks) + f"{more}\nHost *\n UserKnownHostsFile {known}\n IdentityAgent none\n User root\n"
        )
        return str(path)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("chain")
    servers = [start_sshd(folder / name, options=("LogLevel DEBUG1",)) for name in ("hop1", "hop2", "target")]
    yield Chain(*servers, folder=folder)
    for each in servers:
        each.stop()


TARGET = Host(name="target", address="target")


@pytest.mark.ssh
def test_gateways_are_passed_in_the_order_of_proxyjump(chain: Chain) -> None:
    """Nobody but hop2 reaches the target, nobody but hop1 reaches hop2: it is in their logs."""
    config = chain.config("Host target\n ProxyJump hop1,hop2")

    with connector(config) as shared, shared.open(TARGET) as session:
        assert session.visit("echo there").output == "there\n"

    assert f"target 127.0.0.1 port {chain.hop2.port}" in _forwarded(chain.hop1)
    assert f"target 127.0.0.1 port {chain.target.port}" in _forwarded(chain.hop2)
    assert f"target 127.0.0.1 port {chain.target.port}" not in _forwarded(chain.hop1)


def _forwarded(server: Sshd) -> str:
    return "\n".join(line for line in server.log.splitlines() if "direct_tcpip" in line)


@pytest.mark.ssh
def test_a_gateway_is_opened_once_for_all_hosts(chain: Chain) -> None:
    config = chain.config("")
    before = chain.hop1.log.count("Accepted publickey")
    hosts = [replace(TARGET, name=f"np{n}", gateway="hop1") for n in range(8)]

    with connector(config) as shared, ThreadPoolExecutor(8) as workers:
        outputs = list(workers.map(lambda each: shared.open(each).visit(f"echo {each.name}").output, hosts))

    assert outputs == [f"np{n}\n" for n in range(8)]
    assert chain.hop1.log.count("Accepted publickey") == before + 1


@pytest.mark.ssh
def test_a_gateway_that_is_down_is_tried_once_for_all_hosts(chain: Chain) -> None:
    hosts = [replace(TARGET, name=f"np{n}", gateway="down") for n in range(8)]
    with Flaky(chain.hop1.port, [REFUSE] * 99) as relay:
        config = chain.config(f"Host down\n HostName 127.0.0.1\n Port {relay.port}")
        with connector(config, patience=replace(AT_ONCE, attempts=2)) as shared, ThreadPoolExecutor(8) as workers:
            errors = [wait.exception() for wait in [workers.submit(shared.open, each) for each in hosts]]

        assert relay.connections == 2

    assert {type(error) for error in errors} == {Unreachable}
    assert all(str(error).startswith("gateway down: ") for error in errors)


@pytest.mark.ssh
def test_a_gateway_that_does_not_reach_the_host_is_named(chain: Chain) -> None:
    config = chain.config("Host lost\n HostName 127.0.0.1\n Port 1\n ProxyJump hop1")

    with (
        connector(config) as shared,
        pytest.raises(Unreachable, match=r"gateway hop1 does not connect to 127\.0\.0\.1:1"),
    ):
        shared.open(Host(name="lost", address="lost"))


def test_a_gateway_behind_itself_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump b\n")

    with connector(str(tmp_path / "config")) as shared, pytest.raises(RequestError, match="through itself"):
        shared.prepare([Host(name="a", address="a")])


@pytest.mark.ssh
def test_a_proxy_command_carries_the_line(chain: Chain) -> None:
    relay = 'python3 -c "import socket,sys,threading,shutil;s=socket.create_connection((sys.argv[1],int(sys.argv[2])));'
    relay += "f=s.makefile('rwb',0);i=open(0,'rb',0);o=open(1,'wb',0);"
    relay += "threading.Thread(target=shutil.copyfileobj,args=(i,f,1),daemon=True).start();"
    relay += "[o.write(x) for x in iter(lambda: s.recv(9999), b'')]\" %h %p"
    config = chain.config(
        f"Host other\n HostName 127.0.0.1\n Port {chain.target.port}\n IdentityFile {chain.target.client_key}\n"
        f" ProxyCommand {relay}"
    )

    with connector(config) as shared, shared.open(Host(name="other", address="other")) as session:
        assert session.visit("echo proxied").output == "proxied\n"


@pytest.mark.ssh
def test_a_proxy_command_that_fails_says_why_and_costs_nothing(chain: Chain) -> None:
    config = chain.config("Host other\n ProxyCommand echo no such bastion >&2")
    spent = time.process_time()

    with connector(config) as shared, pytest.raises(Unreachable, match="the ProxyCommand printed: no such bastion"):
        shared.open(Host(name="other", address="other"))

    assert time.process_time() - spent < 5  # of PATIENCE, if it kept asking a pipe that has ended


def test_a_proxy_command_dies_with_its_line() -> None:
    command = ProxyCommand("sleep 60")
    process = command._process

    command.close()

    assert process.returncode is not None


@pytest.mark.ssh
def test_closing_everything_ends_a_proxy_command_wherever_it_comes(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "sleep").symlink_to(str(shutil.which("sleep")))
    config = chain.config(f"Host other\n ProxyCommand {tmp_path}/sleep {2 * PATIENCE:.0f}\n")

    def reach_for(stop: Line | None = None) -> list[Line]:
        shared = connector(config, deadlines=Deadlines(greet=0.2), patience=Patience(attempts=1))
        with shared, _watching(lambda line: _apart(shared.close_all) if line == stop else None) as lines:
            with pytest.raises(Unreachable):
                shared.open(Host(name="other", address="other"))
            return lines

    lines = reach_for()
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(reach_for, lines))

    wait_until(lambda: not of_folder(tmp_path))


@pytest.mark.ssh
def test_eight_hosts_at_once_leave_one_line_in_known_hosts(server: Sshd, tmp_path: Path) -> None:
    file = tmp_path / "new" / "known_hosts"
    each = replace(host(server), known_hosts=str(file))

    with connector(accept_new=True) as shared, ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda _: shared.open(each).close(), range(8)))

    assert file.read_text() == f"{server.name} {server.public_key()}\n"


def test_an_address_needs_no_name_server() -> None:
    assert resolve("::1", 22, seconds=PATIENCE) == [(socket.AF_INET6, ("::1", 22, 0, 0))]


# Ways in


@pytest.mark.ssh
@pytest.mark.parametrize("second", ["password", "publickey"])
def test_a_server_that_wants_more_than_a_key_says_what(tmp_path: Path, second: str) -> None:
    options = (f"AuthenticationMethods publickey,{second}", "PasswordAuthentication yes")
    strict = start_sshd(tmp_path / "strict", options=options)
    stranger = str(make_key(tmp_path / "stranger"))
    try:
        with (
            connector() as shared,
            pytest.raises(AuthenticationFailed, match=rf"accepted {strict.client_key} and wants {second} besides"),
        ):
            shared.open(replace(host(strict), identity=(stranger, str(strict.client_key))))
    finally:
        strict.stop()


@contextmanager
def _late(port: int, seconds: float) -> Iterator[int]:
    """Yield a port whose server says its first word so much later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pass_on(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    theirs, _ = listener.accept()
                    time.sleep(seconds)
                    ours = socket.create_connection(("127.0.0.1", port))
                    threading.Thread(target=pass_on, args=(theirs, ours), daemon=True).start()
                    threading.Thread(target=pass_on, args=(ours, theirs), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.ssh
def test_connect_timeout_is_for_the_handshake_too(server: Sshd, tmp_path: Path) -> None:
    """As OpenSSH has it: an sshd whose name server is away says nothing for 20 seconds."""
    quick = replace(PATIENT, reach=PATIENCE, greet=0.2)
    config = tmp_path / "config"
    with _late(server.port, 1.0) as port:
        config.write_text(f"Host *\n ConnectTimeout {PATIENCE:.0f}\n IdentityAgent none\n User root\n")
        with connector(str(config), deadlines=quick) as shared:
            assert shared.open(host(server, port)).visit("echo late").output == "late\n"

        config.write_text("Host *\n ConnectTimeout 1\n IdentityAgent none\n User root\n")
        once = Patience(attempts=1)
        with (
            connector(str(config), patience=once) as shared,
            pytest.raises(Unreachable, match="did not finish within 1 s during the SSH handshake; ConnectTimeout in"),
        ):
            shared.open(host(server, port))


@pytest.mark.ssh
def test_the_way_to_an_unknown_key_is_that_of_the_connection(chain: Chain, tmp_path: Path) -> None:
    """Through the gateway of the hosts file, into the known_hosts of the hosts file; the command is tried."""
    config = chain.config("")
    known = tmp_path / "known hosts"
    known.write_text(f"{chain.hop1.name} {chain.hop1.public_key()}\n")
    behind = replace(TARGET, gateway="hop1", known_hosts=str(known))

    with connector(config) as shared, pytest.raises(HostKeyRefused, match="is not known") as error:
        shared.open(behind)

    way = str(error.value).partition("or add it yourself: ")[2]
    assert f"-J root@hop1:{chain.hop1.port}" in way
    carried_out = way.replace("ssh ", f"ssh -F {config} ", 1).replace("=ask", "=accept-new")
    # the ssh of -J is given our configuration as well
    subprocess.run(["sh", "-c", carried_out], check=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)
    assert chain.target.public_key() in known.read_text()
    with connector(config) as shared:
        assert shared.open(behind).visit("echo there").output == "there\n"
