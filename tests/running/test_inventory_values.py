"""Whatever an inventory says is refused with a sentence, or arrives on a server as it is.

It never becomes shell or an option. The canary is a file that every hostile value tries to make.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netpoint_remote.errors import ConnectError, InventoryError, RequestError, UsageError
from netpoint_remote.planning.hosts_file import parse_hosts_file
from netpoint_remote.planning.inventory import Host, Inventory
from netpoint_remote.planning.plan import make_plan
from netpoint_remote.planning.selection import parse_hosts_option, select
from netpoint_remote.running.bundle import bundle_files, probe_script
from netpoint_remote.running.ssh import Connector, Patience, Session
from netpoint_remote.running.ssh_config import SshConfig
from tests.builders import case, facts, host
from tests.support.sshd import Sshd, start_sshd

CANARY = "/tmp/netpoint-remote-canary"
SPELLS = [
    f"$(touch {CANARY})", f"`touch {CANARY}`", f"; touch {CANARY} #", f"'; touch {CANARY}; '", f'"; touch {CANARY}; "',
    f"| touch {CANARY}", f"&& touch {CANARY}", f"\ntouch {CANARY}\n", f"-oProxyCommand=touch {CANARY}",
    f"--upload-pack=touch {CANARY}", f"${{IFS}}touch${{IFS}}{CANARY}", "-", "--", "-rf", "*", "~root", "$HOME", "%h",
    "\\", "'", '"', " ", "a b", "\t", "\r", "\0", "\x1b[2J", "\x7f", "\u202e", "ä€", "!", "#", "{a,b}",
    "<x", ">x", "..",
]  # fmt: skip
words = st.lists(st.sampled_from(SPELLS) | st.text(max_size=4), min_size=1, max_size=3).map("".join)
paths = words.map("/srv/{}".format) | words
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True) | words
SETTINGS = {
    "root": paths, "python": paths, "backup_dir": paths, "state_dir": paths, "cron_dir": paths,
    "services": st.lists(words, min_size=1, max_size=2),
    "health": st.fixed_dictionaries(
        {}, optional={"url": words.map("http://{}".format), "headers": st.dictionaries(names, words, max_size=2)}
    ),
    "environment": st.dictionaries(names, words, max_size=3),
}  # fmt: skip
PRINT = f"""
{sys.executable} - <<'END' "$ROOT" "$PYTHON" "$BACKUP_DIR" "$STATE_DIR" "$CRON_DIR" "$SERVICES" "$HEALTH_URL"
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
END
"""
quick = settings(max_examples=20, deadline=None, suppress_health_check=[*HealthCheck])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = start_sshd(tmp_path_factory.mktemp("values") / "np1")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def session(server: Sshd) -> Iterator[Session]:
    with Connector(config=SshConfig("none")) as connector, connector.open(reachable(server)) as session:
        yield session


@pytest.fixture(autouse=True)
def no_canary() -> Iterator[None]:
    Path(CANARY).unlink(missing_ok=True)
    yield
    assert not Path(CANARY).exists()


def reachable(server: Sshd, **changes: object) -> Host:
    known_hosts = str(server.known_hosts())
    key = (str(server.client_key),)
    return host(
        address=server.address, port=server.port, identity=key, known_hosts=known_hosts, become=False, **changes
    )


def read(said: dict[str, object]) -> Host | None:
    """Return the host of a hosts file that says so; None where it is refused, which takes a sentence."""
    text = yaml.safe_dump({"hosts": {"np1": said}}, allow_unicode=True)
    try:
        return parse_hosts_file(text, "hosts.yaml").hosts[0]
    except InventoryError as error:
        told = error.faults
    assert told
    assert all(fault.startswith("hosts.yaml:") and fault.isprintable() for fault in told)
    return None


@pytest.mark.ssh
@quick
@given(said=st.fixed_dictionaries({}, optional=SETTINGS))
def test_what_an_inventory_says_is_refused_or_arrives_unchanged(session: Session, said: dict[str, object]) -> None:
    """One setting at a time, so that a refusal of the one hides nothing of the other."""
    for setting, value in said.items():
        found = read({setting: value})
        if found is not None:
            arrives_unchanged(session, found)


def arrives_unchanged(session: Session, found: Host) -> None:
    order = case(facts(), on=found)
    named = bundle_files(order, make_plan(order), run_id="r1", operator="o", about="a", constraints=False)
    done = session.visit(named["bundle/vars.sh"] + named["bundle/environment.sh"] + PRINT)

    assert done.status == 0, done.output
    values, environment = json.loads(done.output)
    assert values == [
        str(found.root), found.python or "", str(found.backup_dir), str(found.state_dir), str(found.cron_dir),
        " ".join(found.services), found.health_url or "",
    ]  # fmt: skip
    headers = "\n".join(f"{name}: {value}" for name, value in found.health_headers)
    assert environment.get("HEALTH_HEADERS", "") == headers
    assert dict(found.environment).items() <= environment.items()


@pytest.mark.ssh
@settings(quick, max_examples=8)
@given(said=st.fixed_dictionaries({}, optional=SETTINGS))
def test_a_look_at_a_server_survives_whatever_an_inventory_says(session: Session, said: dict[str, object]) -> None:
    kept = {setting: value for setting, value in said.items() if read({setting: value}) is not None}
    found = read(kept) if kept else None
    if found is not None:
        done = session.visit(probe_script(found, "3.5.0"))
        assert "probe.complete=yes" in done.output, done.output


users = words | st.sampled_from(["root", "a b", "$USER", "a\\", "%r", "-l", "x@y"])


@pytest.mark.ssh
@quick
@given(user=users)
def test_no_name_of_a_user_becomes_shell_or_an_option(server: Sshd, tmp_path: Path, user: str) -> None:
    """Also where ssh_config puts it into a command: a ProxyCommand, and a Match."""
    config = tmp_path / "config"
    config.write_text(f'Match exec "true %r %n"\nProxyCommand {sys.executable} -c "" %r %n; exec false\n')
    said = read({"user": user})
    for each in (
        replace(reachable(server), user=user),
        *([replace(reachable(server), user=said.user)] if said else []),
    ):
        with (
            Connector(config=SshConfig(str(config)), patience=Patience(attempts=1)) as connector,
            pytest.raises((ConnectError, RequestError)),
        ):
            connector.open(each)


@pytest.mark.ssh
@quick
@given(text=words | words.map("{}@np1".format) | words.map("np1:{}".format))
def test_no_host_of_the_command_line_becomes_shell_or_an_option(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config"
    config.write_text(f'Match exec "true %r %n %h"\nProxyCommand {sys.executable} -c "" %r %h %p; exec false\n')
    try:
        chosen = select(Inventory(), parse_hosts_option(text), None)
    except UsageError:
        return
    for each in chosen:
        with (
            Connector(config=SshConfig(str(config)), patience=Patience(attempts=1)) as connector,
            pytest.raises((ConnectError, RequestError)),
        ):
            connector.open(each)
