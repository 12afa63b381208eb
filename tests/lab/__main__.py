"""`python -m tests.lab up --servers 3`: lab servers with NetPoint 3.4.9 to play with, until Ctrl-C.

`clean` empties the lab's cache, `cpu` shows where the CPU of an upgrade goes.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import Literal

from tests.lab import cache, signals, slots
from tests.lab.cpu import show
from tests.lab.lab import Lab
from tests.lab.netpoint.install import PASSWORD, USER, USUAL_PAUSE, Installation
from tests.lab.private import cache_folder
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
    """Do what the command line says."""
    arguments = _parse()
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 1
    signals.end_in_order()
    with contextlib.suppress(KeyboardInterrupt):
        if arguments.what == "clean":
            return _clean()
        if arguments.what == "cpu":
            show(arguments.method)
        else:
            _up(arguments.servers)
    return 0


def _clean() -> int:
    if names := slots.in_use():
        print(f"{cache_folder()} is in use by {', '.join(names)}: end these runs first.", file=sys.stderr)
        return 1
    slots.sweep()
    cache.empty()
    return 0


def _up(servers: int) -> None:
    slots.sweep()
    cache.remove_unused()
    with slots.scratch() as slot, Lab(slot.folder) as lab:
        print("Booting; the first time this takes some minutes.", flush=True)
        for number in range(servers):
            method = METHODS[number % len(METHODS)]
            lab.server(f"np{number + 1}", Installation("3.4.9", method=method), restart_pause=USUAL_PAUSE)
        lab.boot()
        print(_help(lab), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:  # a signal that comes just before signal.pause() would not end it
                time.sleep(0.2)
        print("Taking the servers away.", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("what", choices=["up", "clean", "cpu"], help="boot servers; empty the lab's cache; measure")
    parser.add_argument("--servers", type=int, default=3, help="up: how many [default: 3]")
    parser.add_argument("--method", choices=["archive", "git"], default="archive", help="cpu: [default: archive]")
    return parser.parse_args()


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
