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
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.netpoint.install import PASSWORD, USER, USUAL_PAUSE, Installation
from tests.lab.private import cache_folder
from tests.lab.rootfs import rootfs, why_not
from tests.progress import Progress

METHODS: tuple[Literal["archive", "git"], ...] = ("archive", "archive", "git")
"""How the servers are installed, in turn."""

HELP = """
NetPoint 3.4.9 runs on {names}; the hosts file is {hosts_file}

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
    progress = Progress("taking away what killed runs have left")
    progress.print_every_minute()
    with contextlib.suppress(KeyboardInterrupt):
        if arguments.what == "clean":
            return _clean(progress)
        if arguments.what == "cpu":
            progress.phase = f"measuring an upgrade ({arguments.method})"
            show(arguments.method)
        else:
            _up(arguments.servers, progress)
    return 0


def _clean(progress: Progress) -> int:
    if names := slots.in_use():
        print(f"{cache_folder()} is in use by {', '.join(names)}: end these runs first.", file=sys.stderr)
        return 1
    slots.sweep()
    progress.phase = "emptying the cache"
    cache.empty()
    return 0


def _up(servers: int, progress: Progress) -> None:
    slots.sweep()
    cache.remove_unused()
    with slots.scratch() as slot, Lab(slot.folder) as lab:
        print("Booting; the first time this takes some minutes.", flush=True)
        progress.phase = "making the root filesystem"
        rootfs()
        for number in range(servers):
            name, method = f"np{number + 1}", METHODS[number % len(METHODS)]
            progress.phase = f"installing NetPoint on {name} ({method})"
            lab.server(name, Installation("3.4.9", method=method), restart_pause=USUAL_PAUSE)
        progress.phase = "booting"
        lab.boot()
        progress.phase = ""
        print(_help(lab), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:  # a signal that comes just before signal.pause() would not end it
                time.sleep(0.2)
        progress.phase = "taking the servers away"
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
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(str(error))
