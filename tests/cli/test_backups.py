"""Backups and the way back as they are typed, over real SSH, on practice servers of both methods."""

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_attend import Workstation
from tests.running.test_practice import Practice, asked, eventually, reach, serve

pytest.importorskip("asyncssh")
pytestmark = pytest.mark.ssh

PATIENCE = 300  # seconds for one command; on a quiet machine none takes more than 30
SERVERS = "up1=3.4.9,up2=3.4.9:git,save1=3.4.9,save2=3.4.9:git,fail1=3.4.9,fail2=3.4.9:git,old=2.10.10"


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    with serve(tmp_path_factory.mktemp("way-back") / "practice", SERVERS) as served:
        yield served


@dataclass(frozen=True)
class Operator:
    """Somebody who types commands, for some of the servers only."""

    place: Workstation
    limit: str

    def types(self, *words: str) -> "subprocess.CompletedProcess[str]":
        with self.place.start(*words, "--limit", self.limit) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def report(self, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """Type a task with --json; returns its hosts by name."""
        done = self.types(*words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return {host["name"]: host for host in json.loads(done.stdout)["hosts"]}

    def ends(self, *words: str, code: int = 0) -> set[str]:
        """Type a task; returns the statuses that its hosts came to."""
        return {host["status"] for host in self.report(*words, code=code).values()}


@pytest.fixture
def somewhere(practice: Practice, tmp_path: Path) -> Workstation:
    return Workstation(tmp_path / "alice", practice.folder / "hosts.yaml")


@dataclass(frozen=True)
class Site:
    """What a server has that must not be lost."""

    practice: Practice
    name: str

    @property
    def tree(self) -> Path:
        return (self.practice.root(self.name) / "opt/netpoint").resolve()

    @property
    def media(self) -> Path:
        return self.tree / "netpoint/media"

    @property
    def backups(self) -> list[str]:
        return sorted(path.name for path in Path(self.practice.hosts[self.name]["backup_dir"]).iterdir())

    def serves(self, version: str) -> bool:
        return f'"netpoint-version": "{version}"' in self.practice.get(self.name, "/api/status/")[1]

    def sites(self) -> int:
        answer = json.loads(self.practice.get(self.name, "/api/dcim/sites/")[1].partition("}]}")[0] + "}]}")
        return int(answer["count"])

    def add(self, name: str) -> None:
        """Write a row as users do, by the API."""
        address = self.practice.address(self.name) + "/api/dcim/sites/"
        request = urllib.request.Request(address, json.dumps({"name": name}).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201

    def look(self) -> dict[str, str]:
        """Return the tree, the units and every row."""
        root = self.practice.root(self.name)
        files = [path for part in (self.tree, root / "etc/systemd") for path in part.rglob("*") if path.is_file()]
        found = {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if "__pycache__" not in path.parts and ".git" not in path.parts
        }
        with closing(sqlite3.connect(root / "run/postgresql/netpoint.db")) as database:
            return {**found, "database": "\n".join(database.iterdump())}


def sites(practice: Practice, *names: str) -> list[Site]:
    return [Site(practice, name) for name in names]


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def test_up_and_back_and_up_again(practice: Practice, somewhere: Workstation) -> None:
    operator, here = Operator(somewhere, "up1,up2"), sites(practice, "up1", "up2")
    before = {site.name: site.look() for site in here}
    assert operator.ends("upgrade", "--version", "3.5.0", "--yes") == {"upgraded"}
    for site in here:
        site.add("written-since")

    refused = operator.report("rollback", "--yes", code=3)

    for name, host in refused.items():
        assert (host["status"], host["from"], host["to"], name in {"up1", "up2"}) == ("refused", "3.5.0", "3.4.9", True)
        assert "loses what was written since: 1 change by admin" in host["reason"]
    assert [(site.serves("3.5.0"), site.sites()) for site in here] == [(True, 41)] * 2

    restored = operator.report("rollback", "--accept-loss", "--yes")

    assert {(host["status"], host["from"], host["to"]) for host in restored.values()} == {
        ("restored", "3.5.0", "3.4.9")
    }
    for site in here:
        assert eventually(lambda site=site: site.serves("3.4.9"))
        assert differences(before[site.name], site.look()) == []
    checkout = f"git -C {practice.root('up2')}/opt/netpoint"
    assert practice.run("up2", f"{checkout} status --porcelain --branch").startswith("## master")

    nothing = operator.report("rollback", "--yes", code=3)
    assert {host["reason"] for host in nothing.values()} == {"no upgrade to 3.4.9 has left a backup here"}

    again = operator.report("upgrade", "--version", "3.5.0", "--yes")
    assert {host["status"] for host in again.values()} == {"upgraded"}
    assert all("rolled-back" in {problem["code"] for problem in host["problems"]} for host in again.values())
    assert [(site.serves("3.5.0"), site.sites()) for site in here] == [(True, 40)] * 2

    # What the way back left behind can be gone to as well: the row whose loss was accepted is not lost.
    alone = Operator(somewhere, "up1")
    here[0].add("written-later, and yet with the number that the lost one had")
    left = next(backup for backup in listed(alone) if backup["purpose"] == "rollback")
    assert left["changes"] == 1
    assert alone.ends("rollback", "--to", left["id"], "--accept-loss", "--yes") == {"restored"}
    assert (here[0].serves("3.5.0"), here[0].sites()) == (True, 41)


def listed(operator: Operator) -> list[dict[str, Any]]:
    """Return the backups of the first of the servers; the others have the same runs."""
    hosts = operator.report("backups")
    backups: list[dict[str, Any]] = next(iter(hosts.values()))["backups"]
    return backups


def test_a_backup_is_proved_listed_fetched_and_gone_back_to(practice: Practice, somewhere: Workstation) -> None:
    operator, here = Operator(somewhere, "save1,save2"), sites(practice, "save1", "save2")
    before = {site.name: site.look() for site in here}

    assert operator.ends("backup", "--verify", "full") == {"saved"}

    for site in here:
        assert differences(before[site.name], site.look()) == []
        assert [path.name for path in (practice.root(site.name) / "run/postgresql").glob("*.db")] == ["netpoint.db"]
    (saved,) = listed(operator)
    assert (saved["purpose"], saved["version"], saved["verified"], saved["changes"]) == ("backup", "3.4.9", "full", 0)

    assert operator.ends("fetch-backup", "--dir", "fetched") == {"done"}
    for site in here:
        folder = somewhere.home / "fetched" / site.name / saved["id"]
        assert sorted(path.name for path in folder.iterdir()) == ["database.dump", "files.tar", "manifest"]
        assert {path.stat().st_mode & 0o777 for path in (*folder.iterdir(), folder)} == {0o600, 0o700}
        told = dict(line.split("=", 1) for line in (folder / "manifest").read_text().splitlines())
        assert told["sha256.files.tar"] == hashlib.sha256((folder / "files.tar").read_bytes()).hexdigest()

    for site in here:
        site.add("a mistake")
        shutil.rmtree(site.media / "image-attachments")
        (site.media / "of-users.png").write_bytes(b"PNG")
    assert listed(operator)[0]["changes"] == 1
    assert operator.ends("rollback", "--to", saved["id"], "--yes", code=3) == {"refused"}
    assert operator.ends("rollback", "--to", saved["id"], "--accept-loss", "--yes") == {"restored"}

    for site in here:
        added = [name for name in differences(before[site.name], site.look()) if not name.endswith("of-users.png")]
        assert (added, site.serves("3.4.9"), site.sites()) == ([], True, 40)

    looked = operator.report("prune", "--keep", "1", "--dry-run")
    assert all(f"backup {saved['id']} of 3.4.9" in host["reason"] for host in looked.values())
    assert all(saved["id"] in site.backups for site in here)
    assert operator.ends("prune", "--keep", "1", "--yes") == {"done"}
    assert [len(site.backups) for site in here] == [1, 1]
    assert all(saved["id"] not in site.backups for site in here)
    assert operator.ends("prune", "--keep", "1", "--yes") == {"unchanged"}


def test_a_migration_that_fails_half_way_is_put_back(practice: Practice, somewhere: Workstation) -> None:
    """One of its migrations was applied by then; what keeps the next from it is a table of the admin's own."""
    operator, here = Operator(somewhere, "fail1,fail2"), sites(practice, "fail1", "fail2")
    for site in here:
        practice.run(site.name, reach(practice, site.name) + "psql -c 'CREATE TABLE dcim_devicerole (mine text)'")
    before = {site.name: site.look() for site in here}

    failed = operator.report("upgrade", "--version", "3.5.0", "--yes", code=2)

    for site in here:
        told = failed[site.name]
        assert told["status"] == "rolled-back"
        assert told["reason"].startswith("run_upgrade: upgrade.sh ended with status 1 at: Applying database migrations")
        assert "dcim_devicerole already exists" in told["reason"]
        assert differences(before[site.name], site.look()) == []
        assert eventually(lambda site=site: site.serves("3.4.9"))
        assert site.sites() == 40


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (["rollback", "--yes"], "no upgrade to 2.10.10 has left a backup here"),
        (["rollback", "--to", "2.10.10", "--yes"], "2.10.10 is installed already"),
        (["rollback", "--to", "2.9.1", "--yes"], "there is no backup 2.9.1 here"),
        (["fetch-backup"], "there is no backup"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(
    practice: Practice, somewhere: Workstation, typed: list[str], reason: str
) -> None:
    told = Operator(somewhere, "old").report(*typed, code=3)["old"]

    assert (told["status"], reason in told["reason"]) == ("refused", True)
    assert not Path(practice.hosts["old"]["backup_dir"]).exists()


@pytest.mark.parametrize("typed", [["backups"], ["fetch-backup"], ["prune", "--keep", "1", "--yes"]])
def test_backups_that_others_may_have_changed_are_not_looked_at(
    practice: Practice, somewhere: Workstation, typed: list[str]
) -> None:
    folder = Path(practice.hosts["old"]["backup_dir"])
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    told = Operator(somewhere, "old").report(*typed, code=3)["old"]
    folder.rmdir()

    assert (told["status"], told["problems"][0]["code"]) == ("refused", "unsafe-place")
    assert "everybody may write to" in told["reason"]


def test_a_prune_is_refused_while_a_run_is_at_work_or_the_link_is_broken(
    practice: Practice, somewhere: Workstation
) -> None:
    operator, state = Operator(somewhere, "old"), Path(practice.hosts["old"]["state_dir"])
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        at_work = operator.report("prune", "--keep", "1", "--yes", code=3)["old"]
    link = Path(practice.hosts["old"]["root"])
    led = os.readlink(link)  # noqa: PTH115  a Path would lose the slash at its end
    link.unlink()
    link.symlink_to("nowhere/")
    broken = operator.report("prune", "--keep", "1", "--yes", code=3)["old"]
    link.unlink()
    link.symlink_to(led)

    assert (at_work["status"], "another run works on this host" in at_work["reason"]) == ("refused", True)
    assert (broken["status"], broken["problems"][0]["code"]) == ("refused", "install-method")
    assert operator.ends("prune", "--keep", "1", "--yes") == {"unchanged"}


def test_who_works_on_the_database_is_named(practice: Practice, somewhere: Workstation) -> None:
    """Another server may have the same database: its run holds the lock there."""
    psql = reach(practice, "old") + "exec env PGAPPNAME='netpoint-remote r1 elsewhere' psql -XqAt -f -"
    lock = "SELECT 'taken' || pg_try_advisory_lock(1852797028, 1919250799);"
    with practice.start("old", psql) as holder:
        assert asked(holder, lock).startswith("taken")
        told = Operator(somewhere, "old").report("backup", code=3)["old"]
        holder.communicate()

    assert (told["status"], "netpoint-remote r1 elsewhere" in told["reason"]) == ("refused", True)
