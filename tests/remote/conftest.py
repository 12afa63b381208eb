"""Servers in folders."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.remote.server import Server, make_checkout

SHELLS = (("dash",), ("bash", "--posix"))
Make = Callable[..., Server]
CONNECTED = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as database, socket.create_server(("127.0.0.1", 0)) as relay:
    client = socket.create_connection(database.getsockname())
    print(*(end.getsockname()[1] for end in (client, database, relay)), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A process that is connected by TCP from a port of its own to a far one, and listens on a third."""

    process: int
    port: int
    far: int
    listens: int


@pytest.fixture
def client() -> Iterator[Client]:
    with subprocess.Popen(
        [Path(sys.executable).resolve(), "-c", CONNECTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout
        port, far, listens = map(int, process.stdout.readline().split())
        yield Client(process=process.pid, port=port, far=far, listens=listens)
        process.kill()


@pytest.fixture(scope="session")
def a_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout to copy."""
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def make_server(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """Return what sets a server up, by release archive or (`git=True`) as a checkout."""
    made: list[Server] = []

    def make(*, git: bool = False, **options: object) -> Server:
        base = tmp_path / str(len(made))
        base.mkdir()
        made.append(Server(base=base, checkout=request.getfixturevalue("a_checkout") if git else None, **options))
        return made[-1]

    return make


@pytest.fixture
def server(make_server: Make) -> Server:
    return make_server()


@pytest.fixture
def checkout(make_server: Make) -> Server:
    return make_server(git=True)


@pytest.fixture(params=SHELLS, ids=["dash", "bash"])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Return a POSIX shell that a server may have as its sh."""
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"{request.param[0]} is not here")
    return request.param
