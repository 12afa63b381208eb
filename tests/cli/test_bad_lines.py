"""Whole upgrades over lines that are cut at any byte: the same command again, and all is as over good ones."""

import json
import random
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.cli.test_attend import Workstation
from tests.cli.test_backups import PATIENCE, Site
from tests.running.test_practice import Practice, serve
from tests.support.flaky import REFUSE, Flaky

pytest.importorskip("asyncssh")
pytestmark = pytest.mark.ssh

SERVERS = {"np1": "3.4.9", "np2": "3.4.9:git"}
SEEDS = {"np1": 7, "np2": 3}  # with these the first command usually fails, and the next is cut in the middle of the run
LOGIN = 3000  # bytes, about, that a server sends until login
WHOLE = 12_000  # bytes, about half of what it sends while it is upgraded
COMMANDS = 12  # more than there are lines that could each end one


def fates(seed: int) -> list[int]:
    """Return how long the first lines to a server live: some end before the login, some long after."""
    chance = random.Random(seed)
    kinds = (lambda: REFUSE, lambda: chance.randrange(LOGIN), *[lambda: chance.randrange(LOGIN, WHOLE)] * 2)
    return [chance.choice(kinds)() for _ in range(8)]


def through(relays: dict[str, Flaky], practice: Practice, folder: Path) -> Path:
    """Write a hosts file whose hosts are reached through relays."""
    inventory = yaml.safe_load((practice.folder / "hosts.yaml").read_text())
    known = (practice.folder / "known_hosts").read_text()
    for name, relay in relays.items():
        known = known.replace(f":{inventory['hosts'][name]['port']} ", f":{relay.port} ")
        inventory["hosts"][name]["port"] = relay.port
    (folder / "known_hosts").write_text(known)
    inventory["defaults"]["known_hosts"] = str(folder / "known_hosts")
    hosts_file = folder / "hosts.yaml"
    hosts_file.write_text(yaml.safe_dump(inventory))
    return hosts_file


@pytest.mark.promise(4)
def test_the_same_command_again_is_all_it_takes(tmp_path: Path) -> None:
    with ExitStack() as opened:
        servers = ",".join(f"{name}={what}" for name, what in SERVERS.items())
        practice = opened.enter_context(serve(tmp_path / "practice", servers))
        relays = {
            name: opened.enter_context(Flaky(practice.hosts[name]["port"], fates(seed))) for name, seed in SEEDS.items()
        }
        operator = Workstation(tmp_path / "home", through(relays, practice, tmp_path))
        statuses: dict[str, list[str]] = {name: [] for name in SERVERS}
        for _ in range(COMMANDS):
            with operator.start("upgrade", "--version", "3.5.0", "--yes", "--json") as process:
                out, err = process.communicate(timeout=PATIENCE)
            for host in json.loads(out)["hosts"]:
                statuses[host["name"]].append(host["status"])
            if process.returncode == 0:
                break

        assert process.returncode == 0, err
        ends = {name: {*met} - {"unreachable", "not-started", "failed"} for name, met in statuses.items()}
        assert all(met <= {"upgraded", "unchanged"} for met in ends.values()), statuses
        assert all(relay.connections > 1 for relay in relays.values())
        for name in SERVERS:
            assert (Site(practice, name).serves("3.5.0"), Site(practice, name).sites()) == (True, 40)
            assert len(list((Path(practice.hosts[name]["state_dir"]) / "runs").iterdir())) == 1
