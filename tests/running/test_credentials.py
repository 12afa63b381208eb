"""Keys of every form, agents and passwords, shown to real servers."""

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from netpoint_remote.errors import AuthenticationFailed, RequestError
from netpoint_remote.planning.inventory import Host
from netpoint_remote.running.credentials import OFFERED_AT_MOST, Credentials, certifies, parse_public
from netpoint_remote.running.ssh import Connector, Deadlines, Patience
from netpoint_remote.running.ssh_config import Route, SshConfig
from tests.support.processes import DIES_WITH_US
from tests.support.sshd import Sshd, make_key, start_sshd

# kind, and what ssh-keygen calls the format
FORMS = {
    "ed25519": ("ed25519", "RFC4716"),
    "rsa": ("rsa", "RFC4716"),
    "ecdsa": ("ecdsa", "RFC4716"),
    "rsa in PEM": ("rsa", "PEM"),
    "ecdsa in PEM": ("ecdsa", "PEM"),
    "rsa in PKCS8": ("rsa", "PKCS8"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make one key of each kind: an RSA key may take a second."""
    folder = tmp_path_factory.mktemp("keys")
    return {kind: make_key(folder / kind, kind) for kind in ("ed25519", "rsa", "ecdsa")}


def copied(key: Path, folder: Path, *, form: str = "RFC4716", passphrase: str = "") -> Path:
    """Copy a key into another format, locked where a passphrase is given."""
    copy = Path(shutil.copy(key, folder / "key"))
    shutil.copy(f"{key}.pub", f"{copy}.pub")
    change = ["ssh-keygen", "-q", "-p", "-a", "1", "-m", form, "-P", "", "-N", passphrase, "-f", copy]
    subprocess.run(change, check=True, capture_output=True)
    return copy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("credentials")
    make_key(folder / "ca")
    server = start_sshd(folder / "np1", options=(f"TrustedUserCAKeys {folder}/ca.pub",))
    server.known_hosts()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def no_keys_of_yours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no agent and no keys of the person who runs the tests."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def agent(no_keys_of_yours: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: ARG001  first the other
    """Start a real ssh-agent."""
    path = tmp_path / "agent"
    command = [*DIES_WITH_US, "ssh-agent", "-D", "-a", path]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.exists():
        assert running.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    running.kill()
    running.wait()


def add_to_agent(*keys: Path) -> None:
    subprocess.run(["ssh-add", "-q", *keys], check=True, capture_output=True)


def let_in(server: Sshd, *keys: Path) -> None:
    (server.folder / "authorized_keys").write_text("".join(Path(f"{key}.pub").read_text() for key in keys))


def host(server: Sshd, *keys: Path) -> Host:
    return Host(
        name="np1",
        address="127.0.0.1",
        port=server.port,
        identity=tuple(map(str, keys)),
        known_hosts=str(server.folder / "known_hosts"),
    )


def connector(config: str = "none", credentials: Credentials | None = None) -> Connector:
    return Connector(
        config=SshConfig(config),
        credentials=credentials or Credentials(),
        patience=Patience(attempts=1),
        deadlines=Deadlines(reach=60, greet=60, authenticate=60),
    )


def log_in(server: Sshd, *keys: Path, config: str = "none", credentials: Credentials | None = None) -> None:
    with connector(config, credentials) as shared:
        shared.open(host(server, *keys)).close()


def route(**options: object) -> Route:
    return Route(**{"name": "np1", "hostname": "np1", "user": "me", **options})


@pytest.mark.ssh
@pytest.mark.parametrize("form", FORMS)
def test_a_key_of_every_form_opens_the_door(form: str, server: Sshd, made: dict[str, Path], tmp_path: Path) -> None:
    kind, written = FORMS[form]
    key = copied(made[kind], tmp_path, form=written)
    let_in(server, key)

    log_in(server, key)


@pytest.mark.ssh
@pytest.mark.parametrize("form", FORMS)
def test_a_locked_key_is_unlocked_once_for_all_hosts(
    form: str, server: Sshd, made: dict[str, Path], tmp_path: Path
) -> None:
    kind, written = FORMS[form]
    key = copied(made[kind], tmp_path, form=written, passphrase="open sesame")
    let_in(server, key)
    asked: list[str] = []

    def passphrase(path: str) -> str:
        asked.append(path)
        return "open sesame"

    with connector(credentials=Credentials(passphrase=passphrase)) as shared, ThreadPoolExecutor(4) as workers:
        shared.prepare([host(server, key)] * 4)
        list(workers.map(lambda _: shared.open(host(server, key)).close(), range(4)))

    assert asked == [str(key)]


def test_a_wrong_passphrase_is_an_error_before_anything_connects(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", "ed25519", "right")
    asked: list[str] = []
    given = Credentials(passphrase=lambda path: asked.append(path) or "wrong")

    with pytest.raises(RequestError, match=r"key cannot be used: the passphrase is wrong \(tried 3 times\)"):
        given.prepare([route(identities=(str(key),), explicit_identities=True, identities_only=True)])

    assert len(asked) == 3


def test_every_key_that_cannot_be_used_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "putty.ppk").write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")
    (tmp_path / "text").write_text("not a key\n")
    make_key(tmp_path / "public")
    make_key(tmp_path / "locked", "ed25519", "secret")
    (tmp_path / "public").write_text((tmp_path / "public.pub").read_text())
    names = ("missing", "putty.ppk", "text", "public", "locked")
    routes = [
        route(identities=(str(tmp_path / name),), explicit_identities=True, identities_only=True) for name in names
    ]

    with pytest.raises(RequestError) as error:
        Credentials().prepare(routes)

    lines = str(error.value).splitlines()
    assert [line.split(" cannot be used: ")[0] for line in lines] == [f"the key {tmp_path / name}" for name in names]
    assert "no such file" in lines[0]
    assert "puttygen" in lines[1]
    assert "not a private key" in lines[2]
    assert "agent does not hold" in lines[3]
    assert "locked by a passphrase" in lines[4]


def test_files_that_ssh_config_names_are_skipped_where_they_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a key\n")
    key = make_key(tmp_path / "key")

    keys = Credentials().keys(route(identities=(str(tmp_path / "text"), str(tmp_path / "missing"), str(key))))

    assert [each.source for each in keys] == [str(key)]


@pytest.mark.ssh
def test_a_certificate_beside_the_key_opens_the_door(server: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    let_in(server)
    with pytest.raises(AuthenticationFailed):
        log_in(server, key)

    sign(server, key, "root")

    log_in(server, key)


@pytest.mark.ssh
def test_a_certificate_named_apart_goes_with_its_key(server: Sshd, made: dict[str, Path], tmp_path: Path) -> None:
    key = copied(made["rsa"], tmp_path)
    sign(server, key, "root")
    elsewhere = (tmp_path / "key-cert.pub").rename(tmp_path / "elsewhere.pub")
    let_in(server)
    (tmp_path / "config").write_text(f"IdentityFile {key}\nCertificateFile {elsewhere}\nIdentityAgent none\n")

    log_in(server, config=str(tmp_path / "config"))


@pytest.mark.ssh
def test_a_certificate_held_by_the_agent_opens_the_door(server: Sshd, tmp_path: Path, agent: Path) -> None:
    key = make_key(tmp_path / "key")
    sign(server, key, "root")
    add_to_agent(key)
    assert agent.exists()
    let_in(server)
    for each in tmp_path.glob("key*"):
        each.unlink()

    log_in(server)


def sign(server: Sshd, key: Path, *principals: str) -> None:
    authority = server.folder.parent / "ca"
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", ",".join(principals), f"{key}.pub"],
        check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.ssh
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_sixteen_threads_share_one_agent(
    kind: str, server: Sshd, made: dict[str, Path], tmp_path: Path, agent: Path
) -> None:
    key = copied(made[kind], tmp_path)
    add_to_agent(key)
    assert agent.exists()
    let_in(server, key)

    with connector() as shared, ThreadPoolExecutor(16) as workers:
        list(workers.map(lambda _: shared.open(host(server)).close(), range(16)))


@pytest.mark.ssh
def test_a_locked_key_that_the_agent_holds_needs_no_passphrase(server: Sshd, tmp_path: Path, agent: Path) -> None:
    key = make_key(tmp_path / "key")
    add_to_agent(key)
    assert agent.exists()
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", "locked", "-f", key], check=True, capture_output=True
    )
    let_in(server, key)

    log_in(server, key)
    key.write_text((tmp_path / "key.pub").read_text())
    log_in(server, key)


@pytest.mark.usefixtures("agent")
def test_only_the_named_keys_are_offered_where_that_is_asked(tmp_path: Path) -> None:
    named, other = make_key(tmp_path / "named"), make_key(tmp_path / "other")
    add_to_agent(named, other)
    both = route(identities=(str(named),), agent=os.environ["SSH_AUTH_SOCK"])

    assert [key.source for key in Credentials().keys(both)] == [str(named), "agent: other"]
    assert [key.source for key in Credentials().keys(replace(both, identities_only=True))] == [str(named)]


@pytest.mark.usefixtures("agent")
def test_never_more_than_a_handful_is_offered_the_named_first(tmp_path: Path) -> None:
    add_to_agent(*(make_key(tmp_path / f"agent{n}") for n in range(8)))
    named = make_key(tmp_path / "named")

    keys = Credentials().keys(route(identities=(str(named),), agent=os.environ["SSH_AUTH_SOCK"]))

    assert keys[0].source == str(named)
    assert len(keys) == OFFERED_AT_MOST


@pytest.mark.ssh
def test_an_agent_that_refuses_to_sign_is_passed_over(server: Sshd, tmp_path: Path, agent: Path) -> None:
    """The agent loses the key between being asked for its keys and being asked to sign."""
    lost, good = make_key(tmp_path / "lost"), make_key(tmp_path / "good")
    add_to_agent(lost)
    assert agent.exists()
    let_in(server, lost, good)
    (tmp_path / "config").write_text(f"IdentityFile {lost}.pub\nIdentityFile {good}\n")
    with connector(str(tmp_path / "config")) as shared:
        shared.prepare([host(server)])
        subprocess.run(["ssh-add", "-q", "-D"], check=True, capture_output=True)

        shared.open(host(server)).close()


def test_an_agent_that_is_gone_is_no_agent() -> None:
    assert Credentials().keys(route(agent="/nowhere/agent")) == ()


@pytest.mark.ssh
def test_no_key_at_all_is_said_with_what_to_do(server: Sshd) -> None:
    with (
        pytest.raises(AuthenticationFailed, match=r"there is no key to offer to root@.*ssh-add"),
        connector() as shared,
    ):
        shared.open(replace(host(server), user="root"))


class PasswordServer:
    """A server that lets `me` in by a password, asked for in one of the two ways."""

    def __init__(self, folder: Path, *, way: str) -> None:
        import asyncssh  # noqa: PLC0415  0.3 s that the other tests need not pay

        class Login(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return bool(username)

            def public_key_auth_supported(self) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return way == "password"

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == ("me", "öpen")

            def kbdint_auth_supported(self) -> bool:
                return way != "password"

            def get_kbdint_challenge(self, *_: object) -> tuple[str, str, str, list[tuple[str, bool]]]:
                return "", "", "", [("Password: ", False)]

            def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:
                return (username, list(responses)) == ("me", ["öpen"])

        self._loop = asyncio.new_event_loop()
        key = make_key(folder / "host")
        self.known_hosts = folder / "known_hosts"
        listening = asyncssh.listen("127.0.0.1", 0, server_factory=Login, server_host_keys=[str(key)])
        self._server = self._loop.run_until_complete(listening)
        self.port = self._server.sockets[0].getsockname()[1]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {Path(f'{key}.pub').read_text()}")
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.mark.ssh
@pytest.mark.parametrize("way", ["password", "keyboard-interactive"])
def test_a_password_is_asked_for_once_and_opens_the_door(way: str, tmp_path: Path) -> None:
    server = PasswordServer(tmp_path, way=way)
    asked: list[str] = []
    credentials = Credentials(password=lambda who: asked.append(who) or "öpen")
    np1 = Host(name="np1", address="127.0.0.1", user="me", port=server.port, known_hosts=str(server.known_hosts))
    try:
        with connector(credentials=credentials) as shared:
            shared.open(np1).close()
            shared.open(
                replace(np1, identity=(str(make_key(tmp_path / "key1")), str(make_key(tmp_path / "key2"))))
            ).close()
            with pytest.raises(AuthenticationFailed, match="tried: the password"):
                shared.open(replace(np1, user="you"))
    finally:
        server.close()

    assert asked == ["me@127.0.0.1"]


def test_a_certificate_belongs_to_one_key(tmp_path: Path) -> None:
    make_key(tmp_path / "ca")
    key, other = make_key(tmp_path / "key"), make_key(tmp_path / "other")
    subprocess.run(
        ["ssh-keygen", "-q", "-s", tmp_path / "ca", "-I", "me", f"{key}.pub"], check=True, capture_output=True
    )
    certificate, public, another = (
        parse_public(path.read_bytes())
        for path in (tmp_path / "key-cert.pub", Path(f"{key}.pub"), Path(f"{other}.pub"))
    )

    assert certificate
    assert public
    assert another
    assert certifies(certificate, public)
    assert not certifies(certificate, another)
    assert parse_public(b"-----BEGIN OPENSSH PRIVATE KEY-----") is None
