"""The ways of asking many hosts that are compared: each sends the same probe to the same servers.

Run as `python -m bench.clients NAME WORK.json`, in a fresh process for each measurement. A client is a
function that gets ready (imports, and nothing that takes longer with more hosts) and returns the
fan-out: a function that asks all hosts and returns the output of each. Or it is a program, run from
outside. Whether host keys are checked is as each has it by itself: only we and OpenSSH do, here.
"""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.servers import Servers

COMPLETE = "probe.complete=yes"
SHELL = "exec sh -s"  # what everybody but us and Ansible runs there, with the probe on its input
SECONDS = 300  # that a program may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, `jobs` hosts at a time; `folder` has the file `probe.sh` and room for more."""

    servers: Servers
    jobs: int
    folder: str

    @property
    def probe(self) -> str:
        return (Path(self.folder) / "probe.sh").read_text()

    @classmethod
    def read(cls, path: Path) -> "Work":
        """Read what `write` wrote."""
        found = json.loads(path.read_text())
        servers = found["servers"] | {"addresses": tuple(found["servers"]["addresses"])}
        return cls(servers=Servers(**servers), jobs=found["jobs"], folder=found["folder"])

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one client took, in seconds; CPU is its own and its children's, for user and system."""

    complete: int  # hosts whose output came to its end
    start: float  # CPU before the first host
    cpu: float  # CPU for each host
    wall: float  # of the fan-out; a program's with its start


FanOut = Callable[[], Iterable[str]]
Client = Callable[[Work], FanOut]


class NotInstalled(Exception):
    """A client is not here."""


def measure_library(client: Client, work: Work) -> Measured:
    """Measure a client that is a library, from where it is ready."""
    fan_out = client(work)
    start, begun = _cpu(), time.perf_counter()
    complete = sum(COMPLETE in output for output in fan_out())
    cpu, wall = _cpu() - start, time.perf_counter() - begun
    return Measured(complete=complete, start=start, cpu=cpu / len(work.servers.addresses), wall=wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A client that is a program, asking one host and asking all."""

    one: tuple[str, ...]
    all: tuple[str, ...]
    mark: str = COMPLETE  # what its output has once for each host that answered
    stdin: str | None = None  # a file
    environment: tuple[tuple[str, str], ...] = ()


def measure_program(program: Program, work: Work) -> Measured:
    """Measure a program: a host costs what each further one adds to asking a single one."""
    _, first, _ = _run(program, program.one, work)
    output, cpu, wall = _run(program, program.all, work)
    each = (cpu - first) / (len(work.servers.addresses) - 1)
    return Measured(complete=output.count(program.mark), start=first - each, cpu=each, wall=wall)


def _run(program: Program, command: tuple[str, ...], work: Work) -> tuple[str, float, float]:
    """Return the output, and the seconds of CPU and on the clock."""
    before, begun = _cpu(), time.perf_counter()
    with Path(program.stdin or os.devnull).open("rb") as stdin, (Path(work.folder) / "errors").open("wb") as errors:
        done = subprocess.run(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, check=False, timeout=SECONDS,
            env=os.environ | dict(program.environment),
        )  # fmt: skip
    return done.stdout.decode(errors="replace"), _cpu() - before, time.perf_counter() - begun


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _in_threads(visit: Callable[[str], str], work: Work) -> Iterable[str]:
    with ThreadPoolExecutor(max_workers=work.jobs) as pool:
        yield from pool.map(visit, work.servers.addresses)


# Us


def ours(work: Work) -> FanOut:
    """Look at each host as `check` does; it is `look` that sends the probe, checks its end and reads its facts."""
    from netpoint_remote.planning.inventory import Host
    from netpoint_remote.running.host import Line, look
    from netpoint_remote.running.ssh import Connector
    from netpoint_remote.running.ssh_config import SshConfig

    servers = work.servers
    hosts = {
        address: Host(
            name=address, address=address, port=servers.port, user=servers.user, identity=(servers.key,),
            known_hosts=servers.known_hosts, become=False,
        )
        for address in servers.addresses
    }  # fmt: skip

    def fan_out() -> Iterable[str]:
        with Connector(config=SshConfig(os.devnull)) as connector:

            def visit(address: str) -> str:
                with Line(connector, hosts[address], lambda _event: None) as line:
                    return COMPLETE if look(line, None).complete else ""

            connector.prepare(hosts.values())
            yield from _in_threads(visit, work)

    return fan_out


def our_program(work: Work) -> Program:
    """Return the whole program: hosts file, progress, findings, report (there is no NetPoint: all are refused)."""
    folder, servers = Path(work.folder), work.servers
    settings = {"port": servers.port, "user": servers.user, "identity": servers.key, "become": False}
    settings["known_hosts"] = servers.known_hosts
    hosts = {address: {"address": address} for address in servers.addresses}
    (folder / "hosts.yaml").write_text(json.dumps({"defaults": settings, "hosts": hosts}))
    command = (
        _beside_python("netpoint-remote"), "check", "--hosts-file", f"{folder}/hosts.yaml", "--json",
        "--jobs", str(work.jobs), "--report-dir", f"{folder}/runs",
    )  # fmt: skip
    return Program(
        one=(*command, "--limit", servers.addresses[0]),
        all=command,
        mark='"status": "refused"',
    )


# Libraries


def bare_paramiko(work: Work) -> FanOut:
    """Do the least: threads, one key loaded once, no host key checked, nothing tried again, TCP_NODELAY."""
    import paramiko

    servers, probe = work.servers, work.probe.encode()

    def visit_with(key: paramiko.PKey) -> Callable[[str], str]:
        def visit(address: str) -> str:
            connection = socket.create_connection((address, servers.port), timeout=60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with closing(paramiko.Transport(connection)) as transport:
                transport.start_client(timeout=60)
                transport.auth_publickey(servers.user, key)
                channel = transport.open_session()
                channel.set_combine_stderr(combine=True)
                channel.exec_command(SHELL)
                channel.sendall(probe)
                channel.shutdown_write()
                output = b"".join(iter(lambda: channel.recv(65536), b""))
                channel.recv_exit_status()
            return output.decode()

        return visit

    return lambda: _in_threads(visit_with(paramiko.Ed25519Key.from_private_key_file(servers.key)), work)


def with_asyncssh(work: Work) -> FanOut:
    """One event loop, the options made once, no host key checked; it sets TCP_NODELAY by itself."""
    try:
        import asyncssh
    except ImportError as error:
        raise NotInstalled(str(error)) from None
    servers, probe = work.servers, work.probe

    async def visit(address: str, slots: asyncio.Semaphore, options: object) -> str:
        async with slots, asyncssh.connect(address, servers.port, options=options) as connection:
            return str((await connection.run(SHELL, input=probe)).stdout)

    async def visit_all() -> list[str]:
        options = asyncssh.SSHClientConnectionOptions(
            username=servers.user, client_keys=[servers.key], known_hosts=None, config=None, agent_path=None
        )
        slots = asyncio.Semaphore(work.jobs)
        return await asyncio.gather(*(visit(address, slots, options) for address in servers.addresses))

    return lambda: asyncio.run(visit_all())


def with_parallel_ssh(work: Work) -> FanOut:
    """Use libssh2 in greenlets, no host key checked."""
    try:
        from pssh.clients import ParallelSSHClient
    except ImportError as error:
        raise NotInstalled(str(error)) from None
    servers, probe = work.servers, work.probe

    def fan_out() -> Iterable[str]:
        client = ParallelSSHClient(
            list(servers.addresses), user=servers.user, port=servers.port, pkey=servers.key, pool_size=work.jobs,
            allow_agent=False, num_retries=1,
        )  # fmt: skip
        answers = client.run_command(SHELL)
        for answer in answers:
            answer.stdin.write(probe)
            answer.client.eagain(answer.channel.send_eof)
        client.join(answers)
        for answer in answers:
            yield "\n".join(answer.stdout)

    return fan_out


# Programs


def clush(work: Work) -> Program:
    """ClusterShell's clush: one OpenSSH client for each host."""
    servers = work.servers
    options = ("-S", "-f", str(work.jobs), "-l", servers.user, "-o", " ".join(_ssh_options(servers)))
    command = (_beside_python("clush"), *options, "-w")
    return Program(
        one=(*command, servers.addresses[0], SHELL),
        all=(*command, ",".join(servers.addresses), SHELL),
        stdin=f"{work.folder}/probe.sh",
    )


def ansible_raw(work: Work) -> Program:
    """Ansible's raw module: a process and an OpenSSH client for each host.

    No ControlPersist: a master that goes on in the background would hide its CPU, and stay behind.
    """
    servers, folder = work.servers, Path(work.folder)
    (folder / "ansible.cfg").touch()
    (folder / "ansible.ini").write_text("".join(f"{address}\n" for address in servers.addresses))
    arguments = {"_raw_params": f"{{{{ lookup('file', '{folder}/probe.sh') }}}}"}
    options = ("-i", f"{folder}/ansible.ini", "-f", str(work.jobs), "-m", "raw", "-a", json.dumps(arguments))
    command = (_beside_python("ansible"), "all", *options)
    return Program(
        one=(*command, "--limit", servers.addresses[0]),
        all=command,
        environment=(
            ("ANSIBLE_CONFIG", f"{folder}/ansible.cfg"),
            ("ANSIBLE_HOME", f"{folder}/ansible"),
            ("ANSIBLE_REMOTE_USER", servers.user),
            ("ANSIBLE_REMOTE_PORT", str(servers.port)),
            ("ANSIBLE_SSH_ARGS", " ".join(("-C", "-o ControlMaster=no", *_ssh_options(servers)))),
        ),
    )


def _ssh_options(servers: Servers) -> tuple[str, ...]:
    options = (f"Port={servers.port}", f"UserKnownHostsFile={servers.known_hosts}", "BatchMode=yes")
    return ("-F none", f"-i {servers.key}", *(f"-o {option}" for option in options))


def _beside_python(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise NotInstalled(f"there is no {path}")
    return str(path)


LIBRARIES: dict[str, Client] = {
    "bare Paramiko": bare_paramiko,
    "ours": ours,
    "asyncssh": with_asyncssh,
    "parallel-ssh": with_parallel_ssh,
}
PROGRAMS: dict[str, Callable[[Work], Program]] = {
    "our check": our_program,
    "clush": clush,
    "Ansible raw": ansible_raw,
}


def main(name: str, path: str) -> None:
    """Measure one client and print what it took."""
    work = Work.read(Path(path))
    try:
        if name in LIBRARIES:
            measured = measure_library(LIBRARIES[name], work)
        else:
            measured = measure_program(PROGRAMS[name](work), work)
    except NotInstalled as error:
        print(json.dumps({"not_installed": str(error)}))
    else:
        print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main(*sys.argv[1:])
