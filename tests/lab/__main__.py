"""`python -m tests.lab up --servers 3`: lab servers with NetPoint 3.4.9 to play with, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from threading import Event
from typing import Literal

from tests.lab.lab import Lab
from tests.lab.netpoint.install import PASSWORD, USER, Installation
from tests.lab.rootfs import why_not

METHODS: tuple[Literal["archive", "git"], ...] = ("archive", "archive", "git")
"""How the servers are installed, in turn."""

HELP = """
{names} run NetPoint 3.4.9 and are in {hosts_file}

    netpoint-remote check --hosts-file {hosts_file} --version 3.5.0
    netpoint-remote upgrade --hosts-file {hosts_file} --version 3.5.0

Log in:  {logins}
Look:    {pages}
         as {user!r} with the password {password!r}

Ctrl-C ends them and takes everything away.
"""


def main() -> int:
    """Boot the servers, say how to use them, and take them away at the end."""
    arguments = _parse()
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="netpoint-remote-lab-") as folder, Lab(Path(folder)) as lab:
        stop = _on_signals()
        print("Booting; the first time this takes some minutes.", flush=True)
        for number in range(arguments.servers):
            lab.server(f"np{number + 1}", Installation("3.4.9", method=METHODS[number % len(METHODS)]))
        lab.boot()
        print(_help(lab), flush=True)
        stop.wait()
        print("Taking the servers away.")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    up = parser.add_subparsers(required=True).add_parser("up", help="boot servers and leave them up")
    up.add_argument("--servers", type=int, default=3, help="how many (default: 3)")
    return parser.parse_args()


def _on_signals() -> Event:
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _help(lab: Lab) -> str:
    ssh = f"ssh -i {lab.keys.private} -o UserKnownHostsFile={lab.keys.known_hosts}"
    return HELP.format(
        names=", ".join(server.name for server in lab.servers),
        hosts_file=lab.write_hosts_file(),
        logins=f"\n{' ' * 9}".join(f"{ssh} admin@{server.address}  # {server.name}" for server in lab.servers),
        pages=" ".join(f"http://{server.address}/" for server in lab.servers),
        user=USER,
        password=PASSWORD,
    )


if __name__ == "__main__":
    sys.exit(main())
