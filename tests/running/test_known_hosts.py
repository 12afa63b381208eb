"""The verdict on host keys, beside the one of the real ssh on the same files."""

import base64
import hashlib
import hmac
import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from netpoint_remote.errors import AuthenticationFailed, HostKeyRefused
from netpoint_remote.planning.inventory import Host
from netpoint_remote.running.credentials import Credentials
from netpoint_remote.running.known_hosts import HostName, KnownHosts, Standing, matches
from netpoint_remote.running.ssh import Connector
from netpoint_remote.running.ssh_config import SshConfig
from tests.support.sshd import Sshd, make_key, start_sshd

ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"


# what ssh-keygen is told when it makes the certificate of a server
CERTIFICATES = {
    "good": ("-h", "-n", "127.0.0.1"),
    "for another name": ("-h", "-n", "np9"),
    "expired": ("-h", "-n", "127.0.0.1", "-V", "20200101:20210101"),
    "a user's": ("-n", "127.0.0.1"),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server with three keys, servers that also show a certificate, and a stranger's keys."""

    plain: Sshd
    certified: dict[str, Sshd]
    folder: Path

    def key(self, kind: str = "ed25519") -> str:
        return self.plain.public_key(kind)

    def other(self, kind: str = "ed25519") -> str:
        return " ".join((self.folder / f"other_{kind}.pub").read_text().split()[:2])

    @property
    def authority(self) -> str:
        return " ".join((self.folder / "ca.pub").read_text().split()[:2])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("known-hosts")
    for kind in ("ed25519", "rsa", "ecdsa"):
        make_key(folder / f"other_{kind}", kind)
    make_key(folder / "ca")
    plain = start_sshd(folder / "plain", kinds=("ed25519", "rsa", "ecdsa"))
    certified = {name: start_certified(folder, name) for name in CERTIFICATES}
    yield Place(plain=plain, certified=certified, folder=folder)
    for server in (plain, *certified.values()):
        server.stop()


def start_certified(folder: Path, name: str) -> Sshd:
    key = make_key(folder / name.replace("'", ""))
    subprocess.run(
        ["ssh-keygen", "-q", "-s", folder / "ca", "-I", "np1", *CERTIFICATES[name], f"{key}.pub"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate = f'"{key}-cert.pub"'
    return start_sshd(
        folder / f"server {name}".replace("'", "").replace(" ", "-"),
        kinds=(),
        options=(f'HostKey "{key}"', f"HostCertificate {certificate}"),
    )


def hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def openssh_accepts(server: Sshd, config: Path) -> bool:
    """Say whether ssh goes on to log in (where it is refused: it has no key)."""
    done = subprocess.run(
        ["ssh", "-F", config, "-p", str(server.port), "-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no",
         "-o", "KexAlgorithms=curve25519-sha256", "127.0.0.1", "true"],
        capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if "Permission denied" in done.stderr:
        return True
    assert "Host key verification failed" in done.stderr, done.stderr
    return False


def we_accept(server: Sshd, config: Path) -> bool:
    host = Host(name="np1", address="127.0.0.1", port=server.port)
    with Connector(config=SshConfig(str(config)), credentials=Credentials()) as connector:
        try:
            connector.open(host)
        except AuthenticationFailed:
            return True
        except HostKeyRefused:
            return False
    raise AssertionError("there was no key to log in with")


def configure(folder: Path, text: str, *, strict: str = "yes", more: str = "") -> tuple[Path, Path]:
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(text)
    config = folder / "ssh_config"
    config.write_text(
        f"UserKnownHostsFile {known_hosts}\nGlobalKnownHostsFile {folder}/global\n"
        f"IdentityFile none\nIdentityAgent none\nStrictHostKeyChecking {strict}\n{more}\n"
    )
    return known_hosts, config


PLAIN = {
    "good": (True, lambda p, n: f"{n} {p.key()}"),
    "good, with a comment behind": (True, lambda p, n: f"# mine\n\n  {n}\t{p.key()} admin@np1"),
    "good, in capitals among others": (True, lambda p, n: f"NP9,{n.upper()},np8 {p.key()}"),
    "good, only the rsa key": (True, lambda p, n: f"{n} {p.key('rsa')}"),
    "good, only the ecdsa key": (True, lambda p, n: f"{n} {p.key('ecdsa')}"),
    "hashed": (True, lambda p, n: f"{hashed(n)} {p.key()}"),
    "hashed, another name": (False, lambda p, _: f"{hashed('np9')} {p.key()}"),
    "hashed, broken": (False, lambda p, _: f"|1|x {p.key()}"),
    "without its port": (True, lambda p, _: f"127.0.0.1 {p.key()}"),
    "without its port, another key": (False, lambda p, _: f"127.0.0.1 {p.other()}"),
    "with another port": (False, lambda p, _: f"[127.0.0.1]:1 {p.key()}"),
    "a wildcard": (True, lambda p, n: f"[127.*]:{n.rpartition(':')[2]} {p.key()}"),
    "a question mark": (True, lambda p, n: f"[127.0.0.?]:{n.rpartition(':')[2]} {p.key()}"),
    "a wildcard with an exception": (False, lambda p, n: f"[127.*]:*,!{n} {p.key()}"),
    "only an exception": (False, lambda p, _: f"!np9 {p.key()}"),
    "unknown": (False, lambda _p, _n: ""),
    "another key": (False, lambda p, n: f"{n} {p.other()}"),
    "another key of another kind": (False, lambda p, n: f"{n} {p.other('rsa')}"),
    "another key with the port, the right one without": (False, lambda p, n: f"{n} {p.other()}\n127.0.0.1 {p.key()}"),
    "an old key and the new one": (True, lambda p, n: f"{n} {p.other()}\n{n} {p.key()}"),
    "revoked": (False, lambda p, n: f"@revoked {n} {p.key()}"),
    "known and revoked": (False, lambda p, n: f"{n} {p.key()}\n@revoked * {p.key()}"),
    "another key revoked": (True, lambda p, n: f"@revoked {n} {p.other()}\n{n} {p.key()}"),
    "a key that is no key": (False, lambda _p, n: f"{n} ssh-ed25519 AAAA"),
    "a broken line before": (True, lambda p, n: f"{n} ssh-ed25519 !!!\n@nonsense {n} {p.key()}\nx\n{n} {p.key()}"),
    "a line of the first protocol": (True, lambda p, n: f"{n} 1024 35 1234567\n{n} {p.key()}"),
    "hashed and revoked": (False, lambda p, n: f"{n} {p.key()}\n@revoked {hashed(n)} {p.key()}"),
    "hashed among unhashed names": (False, lambda p, n: f"np9,{hashed(n)} {p.key()}"),
    "with the line ends of another system": (True, lambda p, n: f"np9 {p.other()}\r\n{n} {p.key()}\r"),
    "in a very long line": (True, lambda p, n: f"{','.join(f'np{i}' for i in range(3000))},{n} {p.key()}"),
    "with blanks at its end": (True, lambda p, n: f"{n} {p.key()}   "),
    "a key that goes on": (False, lambda p, n: f"{n} {p.key()}AAAA"),
    "a key of another kind by its name": (False, lambda p, n: f"{n} ssh-rsa {p.key().split()[1]}"),
    "an authority, but no certificate": (False, lambda p, n: f"@cert-authority {n} {p.authority}"),
    "an authority and the key": (True, lambda p, n: f"@cert-authority * {p.authority}\n{n} {p.key()}"),
    "the key as an authority": (False, lambda p, n: f"@cert-authority {n} {p.key()}"),
}


@pytest.mark.promise(8)
@pytest.mark.ssh
@pytest.mark.parametrize("case", PLAIN)
def test_a_host_key_is_judged_as_openssh_judges_it(case: str, place: Place, tmp_path: Path) -> None:
    expected, lines = PLAIN[case]
    _, config = configure(tmp_path, lines(place, place.plain.name) + "\n")

    assert (we_accept(place.plain, config), openssh_accepts(place.plain, config)) == (expected, expected)


CERTIFIED = {
    "its authority": (True, "good", lambda p, n, _: f"@cert-authority {n} {p.authority}"),
    "its authority for all": (True, "good", lambda p, _n, _k: f"@cert-authority * {p.authority}"),
    "its authority, without the port": (True, "good", lambda p, _n, _k: f"@cert-authority 127.0.0.1 {p.authority}"),
    "another authority": (False, "good", lambda p, _n, _k: f"@cert-authority * {p.other()}"),
    "another authority, the plain key": (True, "good", lambda p, n, k: f"@cert-authority * {p.other()}\n{n} {k}"),
    "only the plain key": (True, "good", lambda _, n, k: f"{n} {k}"),
    "its authority revoked": (
        False,
        "good",
        lambda p, n, _: f"@cert-authority {n} {p.authority}\n@revoked * {p.authority}",
    ),
    "its key revoked": (False, "good", lambda p, n, k: f"@cert-authority {n} {p.authority}\n@revoked * {k}"),
    "for another name": (False, "for another name", lambda p, n, _: f"@cert-authority {n} {p.authority}"),
    "expired": (False, "expired", lambda p, n, _: f"@cert-authority {n} {p.authority}"),
    "a user's": (False, "a user's", lambda p, n, _: f"@cert-authority {n} {p.authority}"),
}


@pytest.mark.ssh
@pytest.mark.parametrize("case", CERTIFIED)
def test_a_host_certificate_is_judged_as_openssh_judges_it(case: str, place: Place, tmp_path: Path) -> None:
    expected, certificate, lines = CERTIFIED[case]
    server = place.certified[certificate]
    key = " ".join((place.folder / f"{certificate}.pub".replace("'", "")).read_text().split()[:2])
    _, config = configure(tmp_path, lines(place, server.name, key) + "\n")

    assert (we_accept(server, config), openssh_accepts(server, config)) == (expected, expected)


@pytest.mark.ssh
@pytest.mark.parametrize("more", ["HostKeyAlias Np1.Example", "HostKeyAlias np1.example\nHashKnownHosts yes"])
def test_accept_new_adds_the_line_that_openssh_would_add(more: str, place: Place, tmp_path: Path) -> None:
    known_hosts, config = configure(tmp_path, "# no line break at the end", strict="accept-new", more=more)

    assert we_accept(place.plain, config)
    ours = known_hosts.read_text().splitlines()
    known_hosts.write_text("# no line break at the end\n")
    assert openssh_accepts(place.plain, config)
    theirs = known_hosts.read_text().splitlines()

    assert len(ours) == len(theirs) == 2
    assert ours[1].split()[1:] == theirs[1].split()[1:]
    assert ours[1].split()[0] == theirs[1].split()[0] or (ours[1].startswith("|1|") and theirs[1].startswith("|1|"))
    assert we_accept(place.plain, configure(tmp_path, "\n".join(ours), more=more)[1])
    assert openssh_accepts(place.plain, config)


@pytest.mark.promise(8)
@pytest.mark.ssh
@pytest.mark.parametrize("strict", ["accept-new", "no"])
def test_a_changed_key_is_refused_even_where_new_ones_are_accepted(strict: str, place: Place, tmp_path: Path) -> None:
    """With `no` OpenSSH would warn and go on; we do not."""
    known_hosts, config = configure(tmp_path, f"{place.plain.name} {place.other()}\n", strict=strict)

    assert not we_accept(place.plain, config)
    assert known_hosts.read_text() == f"{place.plain.name} {place.other()}\n"


@pytest.mark.ssh
@pytest.mark.parametrize("form", ["list", "krl", "of others", "krl of others", "missing"])
def test_a_file_of_revoked_keys_is_heeded_as_by_openssh(form: str, place: Place, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked"
    if form != "missing":
        revoked.write_text(f"# gone\n{place.other() if 'others' in form else place.key()}\n")
    if form.startswith("krl"):
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, shutil.copy(revoked, tmp_path / "list")], check=True)
    _, config = configure(tmp_path, f"{place.plain.name} {place.key()}\n", more=f"RevokedHostKeys {revoked}")

    expected = "others" in form
    assert (we_accept(place.plain, config), openssh_accepts(place.plain, config)) == (expected, expected)


@pytest.mark.ssh
@pytest.mark.parametrize(
    ("own", "everybodys", "expected"),
    [("", "{name} {key}", True), ("{name} {other}", "{name} {key}", True), ("{name} {key}", "@revoked * {key}", False)],
)
def test_the_systems_file_counts_as_with_openssh(
    own: str, everybodys: str, place: Place, tmp_path: Path, *, expected: bool
) -> None:
    words = {"name": place.plain.name, "key": place.key(), "other": place.other()}
    _, config = configure(tmp_path, own.format(**words) + "\n")
    (tmp_path / "global").write_text(everybodys.format(**words) + "\n")

    assert (we_accept(place.plain, config), openssh_accepts(place.plain, config)) == (expected, expected)


@pytest.mark.ssh
def test_a_refusal_says_which_key_and_what_to_do(place: Place, tmp_path: Path) -> None:
    host = Host(name="np1", address="127.0.0.1", port=place.plain.port)
    shown = base64.b64encode(hashlib.sha256(base64.b64decode(place.key().split()[1])).digest()).decode().rstrip("=")
    known_hosts, config = configure(tmp_path, f"\n{place.plain.name} {place.other()}\n")

    with pytest.raises(HostKeyRefused) as changed:
        Connector(config=SshConfig(str(config))).open(host)
    known_hosts.write_text("")
    with pytest.raises(HostKeyRefused) as unknown:
        Connector(config=SshConfig(str(config))).open(host)

    assert f"SHA256:{shown}" in str(changed.value)
    assert f"{known_hosts}:2 has ED25519 SHA256:" in str(changed.value)
    assert f"ssh-keygen -R '{place.plain.name}' -f '{known_hosts}'" in str(changed.value)
    assert f"SHA256:{shown}" in str(unknown.value)
    assert "--accept-new" in str(unknown.value)
    assert f"ssh -p {place.plain.port} -o StrictHostKeyChecking=ask -o UserKnownHostsFile=" in str(unknown.value)


def test_a_name_added_by_another_process_is_not_added_again(tmp_path: Path) -> None:
    file = str(tmp_path / "folder" / "known_hosts")
    # Fresh processes: a forked one would have the threads' locks and the signal handlers of the test run.
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_add, [file] * 16))

    assert Path(file).read_text().count("\n") == 1


def _add(file: str) -> None:
    KnownHosts((file,)).add(HostName(host="np1"), ED25519 + bytes(32), to=file)


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"np1 ssh-ed25519 {base64.b64encode(ED25519 + bytes(32)).decode()}\n")
    known = KnownHosts((str(file),))
    file.unlink()
    file.write_text("# emptied\n")

    known.add(HostName(host="np2"), ED25519 + bytes(32), to=str(file))

    assert known.judge(HostName(host="np1"), ED25519 + bytes(32), now=0).standing is Standing.NEW
    assert known.judge(HostName(host="np2"), ED25519 + bytes(32), now=0).standing is Standing.KNOWN


def test_known_kinds_of_keys_are_asked_for_first(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("np1 ssh-rsa AAAA\nnp2 ssh-ed25519 AAAA\n@cert-authority *.ca ssh-ed25519 AAAA\n")
    known = KnownHosts((str(file),))

    assert known.algorithms(HostName(host="np1"))[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert known.algorithms(HostName(host="np2", port=2222))[0] == "ssh-ed25519"
    assert known.algorithms(HostName(host="x.ca"))[0] == "ssh-ed25519-cert-v01@openssh.com"


def test_eight_thousand_lines_are_read_in_a_moment(tmp_path: Path) -> None:
    key = base64.b64encode(ED25519 + bytes(32)).decode()
    file = tmp_path / "known_hosts"
    file.write_text("".join(f"np{n},10.0.{n // 250}.{n % 250} ssh-ed25519 {key}\n" for n in range(8000)))

    started = time.process_time()
    known = KnownHosts((str(file),))
    spent = time.process_time() - started

    assert known.judge(HostName(host="np7999"), ED25519 + bytes(32), now=0).standing is Standing.KNOWN
    assert spent < 2  # measured: 0.02; where each line costs a look at all others, it is minutes


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("np1", "np1", True),
        ("np1", "np?", True),
        ("np10", "np?", False),
        ("np1", "*", True),
        ("np1", "!np1,*", False),
        ("np1", "*,!np1", False),
        ("np1", "!np2", False),
        ("[np1]:22", "[np1]:22", True),
        ("n", "[np1]:22", False),
    ],
)
def test_patterns_mean_what_they_mean_to_openssh(name: str, patterns: str, *, expected: bool) -> None:
    assert matches(name, patterns) is expected
