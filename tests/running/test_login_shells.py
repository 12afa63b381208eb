"""Nothing is sent before our own reader has spoken: what a login shell begins with may show or run what it gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netpoint_remote.errors import LineLost, NetPointRemoteError, SudoRefused, Unreachable
from netpoint_remote.planning.inventory import Host
from netpoint_remote.reporting.event import Event
from netpoint_remote.running.fleet import Request, run
from netpoint_remote.running.ssh import Connector, Deadlines
from netpoint_remote.running.ssh_config import SshConfig
from tests.support.sshd import Sshd, start_sshd

pytestmark = [pytest.mark.ssh, pytest.mark.promise(7)]
PASSWORD = "hush-hush-7"
TOKEN = "t0ken-in-the-script"
OURS = '/bin/sh -c "$SSH_ORIGINAL_COMMAND"'
# what stands in .bashrc and the like; $GOT collects what came on standard input
GREEDY = {
    "reads a line and shows it": f'IFS= read -r x; echo "$x" | tee $GOT; exec {OURS}',
    "reads all and shows it": f"tee $GOT; exec {OURS}",
    "becomes another shell": "exec sh -c 'tee $GOT | sh'",
    "shows what it runs, then reads": 'set -v; set -x; : "$SSH_ORIGINAL_COMMAND"; IFS= read -r x; echo "$x" | tee $GOT',
    "answers as an older reader did": 'printf "\\001reader\\n\\001 reader\\n\\001password\\n"; tee $GOT',
    "reads a byte at a time": "head -c 1 | tee $GOT; head -c 9 | tee -a $GOT; tee -a $GOT",
}


@pytest.fixture
def folder() -> Iterator[list[Sshd]]:
    servers: list[Sshd] = []
    yield servers
    for server in servers:
        server.stop()


def account(tmp_path: Path, servers: list[Sshd], begins: str) -> Sshd:
    """Return a server whose login shell begins with something of its own; sudo there wants a password."""
    script = tmp_path / "begins.sh"
    script.write_text(f"GOT={tmp_path}/got\n{begins}\n")
    server = start_sshd(tmp_path / "np1", options=(f"ForceCommand exec sh {script}",))
    servers.append(server)
    server.add_program("id", "#!/bin/sh\necho 1000\n")
    server.add_program(
        "sudo",
        '#!/bin/sh\n[ "$1" != -n ] || exit 1\nIFS= read -r given\n'
        'if [ "$given" != hush-hush-7 ]; then echo "no: $given" >&2; exit 1; fi\nshift 4\nexec "$@"\n',
    )
    return server


def visit(server: Sshd, password: str | None = PASSWORD, **options: object) -> str:
    deadlines = Deadlines(resolve=60, reach=60, greet=60, authenticate=60, open=60, **{"shell": 1.5, **options})
    known_hosts = server.known_hosts()
    np1 = Host(
        name="np1", address=server.address, port=server.port, identity=(str(server.client_key),),
        known_hosts=str(known_hosts),
    )  # fmt: skip
    with Connector(config=SshConfig("none"), sudo_password=password, deadlines=deadlines) as shared:
        return shared.open(np1).visit(f"echo {TOKEN}; cat", payload=b"payload", seconds=60).output


@pytest.mark.parametrize("begins", GREEDY.values(), ids=GREEDY)
def test_what_reads_standard_input_before_us_gets_nothing(tmp_path: Path, folder: list[Sshd], begins: str) -> None:
    server = account(tmp_path, folder, begins)

    with pytest.raises(NetPointRemoteError) as error:
        visit(server)

    got = (tmp_path / "got").read_text() if (tmp_path / "got").exists() else ""
    assert PASSWORD not in str(error.value) + got + server.log
    assert TOKEN not in str(error.value) + got
    assert got.strip() == ""


def test_it_is_said_what_is_wrong_with_the_account(tmp_path: Path, folder: list[Sshd]) -> None:
    server = account(tmp_path, folder, f"echo Welcome; {GREEDY['reads all and shows it']}")

    with pytest.raises(Unreachable, match="reads standard input") as error:
        visit(server)

    assert not error.value.transient
    assert "Welcome" in str(error.value)


def test_what_only_looks_at_standard_input_for_a_moment_does_no_harm(tmp_path: Path, folder: list[Sshd]) -> None:
    server = account(tmp_path, folder, f"timeout 0.5 cat; echo Welcome; exec {OURS}")

    assert visit(server, shell=60.0) == f"{TOKEN}\npayload"


def test_the_password_goes_only_where_sudo_asks_for_it(tmp_path: Path, folder: list[Sshd]) -> None:
    server = account(tmp_path, folder, f"exec {OURS}")
    assert visit(server, shell=60.0) == f"{TOKEN}\npayload"

    server.add_program("sudo", '#!/bin/sh\nshift\nif [ "$1" = sh ]; then tee "$0.got" | "$@"; else exec "$@"; fi\n')
    assert visit(server, shell=60.0) == f"{TOKEN}\npayload"
    assert PASSWORD not in (server.bin / "sudo.got").read_text()


def add_sudo(server: Sshd, then: str) -> None:
    """Let sudo ask for a password, which is in `$given` then."""
    server.add_program("sudo", f'#!/bin/sh\n[ "$1" != -n ] || exit 1\nread -r given\n{then}')


def test_a_sudo_that_shows_its_password_does_not_show_it_to_others(tmp_path: Path, folder: list[Sshd]) -> None:
    server = account(tmp_path, folder, f"exec {OURS}")
    add_sudo(server, 'echo "not $given"\nexit 1\n')

    with pytest.raises(SudoRefused, match=r"sudo: not \*\*\*"):
        visit(server, shell=60.0)


def test_what_was_said_last_on_a_lost_line_has_no_password(tmp_path: Path, folder: list[Sshd]) -> None:
    server = account(tmp_path, folder, f"exec {OURS}")
    add_sudo(server, 'case $* in *true) ;; *) echo "not $given" ;; esac\n')

    with pytest.raises(LineLost, match=r"its last output: not \*\*\*"):
        visit(server, shell=60.0)


def test_a_password_that_a_script_repeats_is_in_no_report(tmp_path: Path, folder: list[Sshd]) -> None:
    """The worst of servers: what it got for sudo is what it says of itself, and where the probe ends."""
    server = account(tmp_path, folder, f"exec {OURS}")
    add_sudo(
        server,
        "case $* in *true) exit ;; *) ;; esac\n"
        'read -r mark size nonce\nprintf "\\001%s begin\\n" "$nonce"\n'
        'printf "host.user=%s\\n%s\\n\\n\\001%s 7\\n" "$given" "{\\"$given\\"}" "$nonce"\n',
    )
    known_hosts = server.known_hosts()
    np1 = Host(
        name="np1", address=server.address, port=server.port, identity=(str(server.client_key),),
        known_hosts=str(known_hosts),
    )  # fmt: skip
    events: list[Event] = []
    request = Request(command="check", hosts=(np1,), sudo_password=PASSWORD, report_dir=tmp_path / "runs")

    class Watching:
        def on_event(self, event: Event) -> None:
            events.append(event)

    outcome = run(request, Watching())

    written = "".join(path.read_text() for path in outcome.folder.iterdir())
    assert "***" in outcome.report.hosts[0].reason
    assert PASSWORD not in repr(outcome) + repr(events) + written
