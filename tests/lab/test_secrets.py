"""Promise 7, "secrets stay home": everything a run writes, shows and starts is searched for every secret of the lab."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import threading
import urllib.parse
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.lab.lab import Lab
from tests.lab.netpoint.install import ROOT, Installation, archives, git_folder
from tests.lab.netpoint.releases import write_tree
from tests.lab.rootfs import SUDO_PASSWORD
from tests.lab.terminal import type_fab
from tests.lab.wheels import wheels
from tests.support.locked_web import LockedWeb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from tests.lab.operator import Run
    from tests.lab.servers import Server

ARCHIVE = Installation("3.4.9")
GIT = Installation("3.4.9", method="git")
PASSPHRASE = "open sesame 5"
TOKEN = "health-token-0123456789"
INDEX, RELEASES, REPOSITORY = "index-secret-6", "releases-secret-7", "repository-secret-8"
HOLDS_SECRETS = re.compile(
    r"/configuration\.py$|/__pycache__/configuration\.|^var/lib/postgresql/|/database\.dump$|/files\.tar$|^etc/(shadow|gshadow)"
)
"""What on a server is meant to hold secrets: the configuration, the database, and what was saved of them."""
PLAIN = r"tr -cd '\\11\\12\\40-\\176'"
SDIST = {
    "lab_sdist-1.0/pyproject.toml": "[build-system]\nrequires = ['setuptools']\n",
    "lab_sdist-1.0/setup.py": "import setuptools\nsetuptools.setup(name='lab-sdist', version='1.0', py_modules=[])\n",
    "lab_sdist-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: lab-sdist\nVersion: 1.0\n",
}


class ProcessLists:
    """Reads the arguments of every process of this machine, the lab's servers included, again and again.

    A new process is read several times, for it may still become another program; who is known, now and then.
    """

    def __init__(self, secrets: dict[str, str]) -> None:
        self._secrets = {name: secret.encode() for name, secret in secrets.items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.rounds = 0
        self.seen: set[str] = set()
        self.found: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        looks: dict[int, int] = {}
        newest = _newest_process()
        while not self._stop.wait(0.004):
            before, newest = newest, _newest_process()
            if self.rounds % 125 == 0 or newest < before:  # their numbers begin anew at some point
                looks |= dict.fromkeys((int(path.name) for path in Path("/proc").glob("[0-9]*")), 1)
            looks |= dict.fromkeys(range(before + 1, newest + 1), 6)
            looks = {process: left - 1 for process, left in looks.items() if self._look_at(process) and left > 1}
            self.rounds += 1

    def _look_at(self, process: int) -> bool:
        """Look at the arguments of a process, and tell whether it is there."""
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            return False
        self.seen.add(Path(os.fsdecode(words.split(b"\0")[0])).name)
        for name, secret in self._secrets.items():
            if secret in words:
                self.found.add(f"{name}: {words[:600]!r}")
        return True


def _newest_process() -> int:
    return int(Path("/proc/loadavg").read_text().split()[-1])


@dataclass
class Guarded:
    """A lab full of secrets, and what was seen while it was worked with."""

    lab: Lab
    webs: dict[str, LockedWeb] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def archive(self) -> Server:
        return self.lab.servers[0]

    @property
    def git(self) -> Server:
        return self.lab.servers[1]

    def learn(self) -> None:
        """Know every secret, in each way in which it might be written."""
        plain = {
            "sudo password": SUDO_PASSWORD, "passphrase": PASSPHRASE, "database password": ARCHIVE.database_password,
            "health token": TOKEN, "index": INDEX, "releases": RELEASES, "repository": REPOSITORY,
        }  # fmt: skip
        for server in self.lab.servers:
            configuration = server.run(f"cat {ROOT}/netpoint/netpoint/configuration.py").stdout
            plain[f"SECRET_KEY of {server.name}"] = re.search('SECRET_KEY = "(.*)"', configuration)[1]
        for name, secret in plain.items():
            written = {secret, repr(secret)[1:-1], urllib.parse.quote(secret, safe=""), secret.replace("'", "'\\''")}
            self.secrets |= {f"{name} ({number})": each for number, each in enumerate(sorted(written))}

    def write_hosts_file(self, **per_host: dict[str, Any]) -> None:
        inventory = yaml.safe_load(self.lab.write_hosts_file().read_text())
        for setting in ("environment", "release"):
            del inventory["defaults"][setting]
        for server in self.lab.servers:
            index = f"http://pip:{INDEX}@{self.webs[f'index {server.name}'].place}"
            inventory["hosts"][server.name] |= {
                "environment": {
                    "PIP_INDEX_URL": f"{index}/simple",
                    "PIP_EXTRA_INDEX_URL": f"{index}/extra",
                    "PIP_TRUSTED_HOST": server.slot.gateway,
                },
                "health": {"headers": {"Authorization": f"Token {TOKEN}"}},
                "release": {
                    "url": f"http://me:{RELEASES}@{self.webs['releases'].place}/v{{version}}.tar.gz",
                    "git": f"http://git:{REPOSITORY}@{self.webs['repository'].place}/netpoint.git",
                },
                **per_host.get(server.name, {}),
            }
        (self.lab.folder / "hosts.yaml").write_text(yaml.safe_dump(inventory, sort_keys=False))

    def run(self, task: str, *options: str) -> tuple[Run, ProcessLists]:
        """Run a task for all servers from a terminal, where the secrets are typed, with an eye on all processes."""
        answers = {"passphrase of": PASSPHRASE, "sudo password: ": SUDO_PASSWORD}
        places = {name: str(self.lab.folder / name) for name in ("home", "tmp")}
        for place in places.values():
            Path(place).mkdir(exist_ok=True)
        with ProcessLists(self.secrets) as processes:
            run = type_fab(
                self.lab, task, *options, "--ask-sudo-pass",
                answers=answers, environment={"HOME": places["home"], "TMPDIR": places["tmp"]},
            )  # fmt: skip
        return run, processes

    def written_here(self) -> Iterator[str]:
        """Yield each secret in a file of this machine, but for the operator's own hosts file."""
        for path in sorted(self.lab.folder.rglob("*")):
            if path.is_file() and path.name != "hosts.yaml" and "sources" not in path.parts:
                yield from self._secrets_in(path, str(path.relative_to(self.lab.folder)))

    def written_there(self, server: Server) -> Iterator[str]:
        """Yield each secret in what a server's disk got since it was set up, in its log, and in what lies in memory."""
        upper = server.folder / "upper"
        for path in sorted(upper.rglob("*")):
            name = str(path.relative_to(upper))
            if path.is_file() and not path.is_symlink() and not HOLDS_SECRETS.search(name):
                yield from self._secrets_in(path, f"{server.name}:/{name}")
        told = server.run(
            f"(journalctl --no-pager -a -o verbose; systemctl status --no-pager --all -n 1000) | {PLAIN}"
        ).stdout
        memory = server.run(f"find /tmp /run /dev/shm -xdev -type f -size -5M -exec cat {{}} + | {PLAIN}").stdout
        for where, text in (("journal", told), ("memory", memory)):
            yield from (f"{name} in {server.name}'s {where}" for name, each in self.secrets.items() if each in text)

    def _secrets_in(self, path: Path, shown: str) -> Iterator[str]:
        data = path.read_bytes()
        yield from (f"{name} in {shown}" for name, secret in self.secrets.items() if secret.encode() in data)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(tmp_path_factory.mktemp("guarded")))
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-a", "1", "-f", lab.keys.private], check=True
        )
        place = Guarded(lab)
        for name, installation in (("np1", ARCHIVE), ("np2", GIT)):
            lab.server(name, installation, sudo_asks=True)
        lab.boot()
        index = _make_index(tmp_path_factory.mktemp("index"))
        here = place.git.slot.gateway
        place.webs = {
            "releases": LockedWeb(archives(), user="me", password=RELEASES),
            "repository": LockedWeb(git_folder(), user="git", password=REPOSITORY, address=here),
        } | {
            f"index {server.name}": LockedWeb(index, user="pip", password=INDEX, address=server.slot.gateway)
            for server in lab.servers
        }
        for web in place.webs.values():
            stack.enter_context(web.running())
        for server in lab.servers:
            server.run(f"echo lab-sdist >>{ROOT}/local_requirements.txt")
        place.learn()
        place.write_hosts_file()
        yield place


def _make_index(folder: Path) -> Path:
    """Make a package index of the lab's wheels, and of one package that has to be built."""
    for wheel in wheels().glob("*.whl"):
        name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        (folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        (folder / "simple" / name / wheel.name).symlink_to(wheel)
    (folder / "extra/lab-sdist").mkdir(parents=True)
    (folder / "source").mkdir()
    with tarfile.open(folder / "extra/lab-sdist/lab_sdist-1.0.tar.gz", "w:gz") as tar:
        for name, text in SDIST.items():
            path = folder / "source" / Path(name).name
            path.write_text(text)
            tar.add(path, name)
    return folder


@pytest.mark.promise(7, method="both")
def test_a_backup_holds_its_secrets_and_nobody_else_does(guarded: Guarded) -> None:
    run, processes = guarded.run("backup", "--verify", "full")
    assert run.statuses == {"np1": "saved", "np2": "saved"}, run.reasons
    assert [name for name, secret in guarded.secrets.items() if secret in run.printed + run.said] == []
    assert sorted(processes.found) == []
    assert list(guarded.written_here()) == []
    assert [found for server in guarded.lab.servers for found in guarded.written_there(server)] == []


@pytest.fixture(scope="module")
def upgraded(guarded: Guarded) -> tuple[Run, ProcessLists]:
    return guarded.run("upgrade", "--version", "3.5.0", "--yes")


def test_all_secrets_do_their_work(guarded: Guarded, upgraded: tuple[Run, ProcessLists]) -> None:
    run, processes = upgraded
    assert run.statuses == {"np1": "upgraded", "np2": "upgraded"}, run.reasons
    assert all(web.let_in for web in guarded.webs.values())
    assert processes.rounds > 100
    assert {"git-remote-http", "pg_dump", "sudo", "upgrade.sh"} <= processes.seen | {"upgrade.sh"}


@pytest.mark.promise(7, method="both")
def test_no_secret_is_shown(guarded: Guarded, upgraded: tuple[Run, ProcessLists]) -> None:
    run, _ = upgraded
    assert [name for name, secret in guarded.secrets.items() if secret in run.printed + run.said] == []


@pytest.mark.promise(7, method="both")
def test_no_secret_is_in_an_argument(upgraded: tuple[Run, ProcessLists]) -> None:
    _, processes = upgraded
    assert sorted(processes.found) == []


@pytest.mark.promise(7, method="both")
def test_no_secret_is_written_here(guarded: Guarded, upgraded: tuple[Run, ProcessLists]) -> None:
    assert upgraded
    assert list(guarded.written_here()) == []


@pytest.mark.promise(7, method="both")
def test_no_secret_is_written_on_the_servers(guarded: Guarded, upgraded: tuple[Run, ProcessLists]) -> None:
    assert upgraded
    assert [found for server in guarded.lab.servers for found in guarded.written_there(server)] == []


def test_the_run_is_for_root_alone(guarded: Guarded, upgraded: tuple[Run, ProcessLists]) -> None:
    assert upgraded
    for server in guarded.lab.servers:
        open_to_others = server.run(
            "find /var/lib/netpoint-remote /var/backups/netpoint-remote -maxdepth 2 ! -type l -perm /077 "
            "-printf '%p %m\\n'; find /var/lib/netpoint-remote /var/backups/netpoint-remote ! -uid 0"
        ).stdout
        assert "netpoint-remote/runs/" not in open_to_others, open_to_others


@pytest.fixture(scope="module")
def failed(guarded: Guarded, upgraded: tuple[Run, ProcessLists]) -> tuple[Run, ProcessLists]:
    """Fail twice: an archive whose upgrade.sh tells all it knows, a checkout whose package index is empty."""
    assert upgraded
    sources = guarded.lab.folder / "sources"
    _make_talkative(sources)
    index = f"http://pip:{INDEX}@{guarded.webs['index np2'].place}/nothing"
    repository = f"http://git:{REPOSITORY}@{guarded.webs['repository'].place}/netpoint.git"
    guarded.write_hosts_file(
        np1={"release": {"archive": str(sources), "git": repository}},
        np2={"environment": {"PIP_INDEX_URL": index, "PIP_TRUSTED_HOST": guarded.git.slot.gateway, "PIP_VERBOSE": "2"}},
    )
    return guarded.run("upgrade", "--version", "3.7.2", "--yes")


def _make_talkative(folder: Path) -> None:
    top = folder / "tree/NetPoint-3.7.2"
    write_tree("3.7.2", top)
    script = top / "upgrade.sh"
    talk = 'env\ncat netpoint/netpoint/configuration.py\necho "pip says: $PIP_INDEX_URL $HEALTH_HEADERS" >&2\n'
    leak = "sed -n 's/SECRET_KEY = //p' netpoint/netpoint/configuration.py\nexit 1\n"
    script.write_text(script.read_text().replace("VIRTUALENV=", f"{talk}{leak}VIRTUALENV=", 1))
    with tarfile.open(folder / "v3.7.2.tar.gz", "w:gz") as tar:
        tar.add(top, top.name)


def test_a_failing_run_tells_why_and_no_secret(guarded: Guarded, failed: tuple[Run, ProcessLists]) -> None:
    run, _ = failed
    assert run.statuses == {"np1": "reverted", "np2": "reverted"}, run.reasons
    assert "upgrade.sh ended with status 1" in run.host("np1")["reason"]
    assert "No matching distribution" in run.host("np2")["reason"]
    assert [name for name, secret in guarded.secrets.items() if secret in run.printed + run.said] == []


@pytest.mark.promise(7, method="both")
def test_a_failing_run_leaves_no_secret_anywhere(guarded: Guarded, failed: tuple[Run, ProcessLists]) -> None:
    _, processes = failed
    assert sorted(processes.found) == []
    assert list(guarded.written_here()) == []
    assert [found for server in guarded.lab.servers for found in guarded.written_there(server)] == []


@pytest.mark.parametrize("line", ['SECRET_KEY = "{}', "raise ValueError({!r})"], ids=["unclosed", "raising"])
def test_a_wrong_configuration_is_told_without_what_is_in_it(
    guarded: Guarded, failed: tuple[Run, ProcessLists], line: str
) -> None:
    assert failed
    path = f"{ROOT}/netpoint/netpoint/configuration.py"
    guarded.archive.run(f"cp -p {path} /root/kept && tee -a {path}", text="\n" + line.format(TOKEN) + "\n")
    run, _ = guarded.run("check", "--version", "3.7.2")
    guarded.archive.run(f"cp -p /root/kept {path} && rm /root/kept")
    assert "configuration.py" in run.reasons
    assert TOKEN not in run.printed + run.said
