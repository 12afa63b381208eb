"""What ssh_config means, beside the answers of `ssh -G` itself."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from netpoint_remote.errors import RequestError
from netpoint_remote.planning.inventory import Host
from netpoint_remote.running.ssh_config import Route, SshConfig, expand, parse_jump, split_jumps

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="NOT TESTED: there is no ssh here")

CONFIG = """
Include {folder}/more/*.conf
Host np1 np2
    User admin
    Port 2201
Host web* !web9
    HostName %h.example.com
    ProxyJump hop1,me@hop2:2222
Host *.corp
    ProxyCommand nc -X 5 %h %p
    IdentityFile {folder}/key-%h
host=quoted   "also quoted"
    ConnectTimeout 7
Host none
    ProxyJump none
    UserKnownHostsFile none
    IdentityFile none
    IdentityAgent none
Host 10.0.*
    HostKeyAlias rack
    StrictHostKeyChecking accept-new
    HashKnownHosts yes
Host np?
    User nobody
Host *
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_%n "{folder}/blank file"
"""
NAMES = (
    "np1", "np2", "np3", "np17", "web1", "web2", "web9", "a.corp", "b.corp", "quoted", "also", "none",
    "10.0.0.1", "10.0.0.2", "10.1.0.1", "included", "np5.included", "plain", "other", "::1",
)  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.conf").write_text("Host included *.included\n  Port 99\n")
    path = tmp_path / "config"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with one line for each time that ssh was started."""
    log = tmp_path / "asked"
    log.touch()
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexec {shutil.which("ssh")} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    return log


def named(name: str, **options: object) -> Host:
    return Host(**{"name": name, "address": name, **options})


def openssh(config: Path, name: str) -> dict[str, str]:
    text = subprocess.run(["ssh", "-F", config, "-G", name], capture_output=True, text=True, check=True).stdout
    return dict(line.partition(" ")[::2] for line in text.splitlines())


def test_every_name_means_what_ssh_says(config: Path) -> None:
    shared = SshConfig(str(config))
    for name in NAMES:
        route, said = shared.route(named(name)), openssh(config, name)
        assert (route.hostname, route.user, str(route.port)) == (said["hostname"], said["user"], said["port"]), name
        assert ",".join(route.proxy_jump) == said.get("proxyjump", "none").replace("none", ""), name
        assert route.host_key_alias == said.get("hostkeyalias"), name
        assert (route.strict == "accept-new") == (said["stricthostkeychecking"] == "accept-new"), name
        assert route.hash_known_hosts == (said["hashknownhosts"] == "yes"), name
        assert route.connect_timeout == (7 if name == "quoted" else None), name


def test_names_that_match_the_same_heads_are_asked_for_once(config: Path, asked: Path) -> None:
    shared = SshConfig(str(config))

    for number in range(200):
        assert shared.route(named(f"node{number}")).hostname == f"node{number}"
        assert shared.route(named(f"web{number + 100}")).hostname == f"web{number + 100}.example.com"
        assert shared.route(named(f"x{number}.corp")).proxy_command == f"nc -X 5 x{number}.corp 22"
        assert shared.route(named(f"10.0.0.{number}")).host_key_alias == "rack"

    assert len(asked.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "head", ["Match host np1", "Match exec true", "CanonicalizeHostname yes\nHost x", "Include ~/%n"]
)
def test_names_that_only_ssh_can_judge_are_each_asked_for(head: str, tmp_path: Path, asked: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"{head}\n  Port 77\n" if "%" not in head else f"{head}\n")
    shared = SshConfig(str(config))

    try:
        routes = [shared.route(named(name)) for name in ("np1", "np2", "np1")]
    except RequestError:
        pytest.skip("this ssh does not know that directive")

    assert [str(route.port) for route in routes] == [openssh(config, name)["port"] for name in ("np1", "np2", "np1")]
    assert len([line for line in asked.read_text().splitlines() if "np" in line and "-F" in line and "--" in line]) == 2


def test_what_the_host_itself_says_wins(config: Path) -> None:
    route = SshConfig(str(config)).route(
        named("np1", user="me", port=5, identity=("~/k",), known_hosts="/kh", gateway="a@b:1,[::1]:2")
    )

    assert (route.user, route.port, route.known_hosts, route.record_in) == ("me", 5, ("/kh",), "/kh")
    assert route.identities == (str(Path("~/k").expanduser()),)
    assert route.explicit_identities
    assert route.proxy_jump == ("a@b:1", "[::1]:2")
    assert SshConfig(str(config)).route(named("web1", gateway="none")).proxy_jump == ()


def test_keys_that_are_not_there_are_skipped_and_tokens_are_read(config: Path, tmp_path: Path) -> None:
    (tmp_path / "key-a.corp").write_text("")
    shared = SshConfig(str(config))

    assert shared.route(named("a.corp")).identities == (str(tmp_path / "key-a.corp"),)
    assert shared.route(named("b.corp")).identities == ()


def test_known_hosts_files_are_those_of_ssh(config: Path, tmp_path: Path) -> None:
    route = SshConfig(str(config)).route(named("np1"))
    system = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")

    assert route.known_hosts == (f"{tmp_path}/known_np1", f"{tmp_path}/blank file", *system)
    assert route.record_in == f"{tmp_path}/known_np1"
    assert SshConfig(str(config)).route(named("none")).record_in is None


def test_the_agent_is_the_one_that_ssh_would_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/usual")
    monkeypatch.setenv("OTHER", "/other")
    config = tmp_path / "config"
    agents = {"": "/usual", "none": None, "SSH_AUTH_SOCK": "/usual", "$OTHER": "/other", "/a/%n": "/a/np1"}

    for word, expected in agents.items():
        config.write_text(f"IdentityAgent {word}\n" if word else "")
        assert SshConfig(str(config)).route(named("np1")).agent == expected


def test_a_configuration_that_ssh_cannot_read_is_an_error_with_its_words(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host *\n  Port many\n")

    with pytest.raises(RequestError, match=r"(?i)config.*line 2.*"):
        SshConfig(str(tmp_path / "config")).route(named("np1"))


def test_an_ssh_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(RequestError, match="see what `ssh -G"):
        SshConfig(patience=0.2).route(Host(name="np1", address="np1"))


def test_without_ssh_it_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    notes: list[str] = []
    shared = SshConfig(note=notes.append)

    routes = [shared.route(named(f"np{n}", user="me")) for n in range(3)]

    assert [(route.hostname, route.user, route.port) for route in routes] == [(f"np{n}", "me", 22) for n in range(3)]
    assert len(notes) == 1


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a;b", "$(x)", "a b", "`x`", ""])
def test_a_name_that_means_something_to_a_shell_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="is not the name or address of a host"):
        SshConfig("none").route(named(name))


def test_a_user_that_means_something_to_a_shell_is_refused() -> None:
    with pytest.raises(RequestError, match="is not the name of a user"):
        SshConfig("none").route(named("np1", user="me;reboot"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bastion", (None, "bastion", None)),
        ("me@bastion:2222", ("me", "bastion", 2222)),
        ("me@corp@bastion", ("me@corp", "bastion", None)),
        ("[::1]:22", (None, "::1", 22)),
        ("ssh://me@bastion:2222/", ("me", "bastion", 2222)),
    ],
)
def test_gateways_are_written_as_for_ssh(text: str, expected: tuple[str | None, str, int | None]) -> None:
    assert parse_jump(text) == expected


@pytest.mark.parametrize("text", ["", "::1", "a:b", "me@"])
def test_what_is_no_gateway_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="user@host:port"):
        parse_jump(text)


def test_jumps_are_split_in_order_and_none_is_none() -> None:
    assert split_jumps("a, b,c") == ("a", "b", "c")
    assert split_jumps("none") == split_jumps("") == ()


def test_unknown_tokens_stay() -> None:
    assert expand("%h %% %Z", {"h": "np1", "%": "%"}) == "np1 % %Z"


def test_routes_are_values() -> None:
    assert Route(name="a", hostname="a", user="me") == Route(name="a", hostname="a", user="me")
