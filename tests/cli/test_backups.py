"""Backups and the way back as they are typed, over real SSH, on practice servers; the lab has the longer stories."""

import fcntl
import hashlib
import json
import os
import re
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

PATIENCE = 600  # seconds for one command; on a quiet machine none takes more than 20
ARCHIVE, GIT = "3.4.9", "3.4.9:git"


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    """Serve what is only asked, never upgraded."""
    with serve(tmp_path_factory.mktemp("way-back") / "practice", "old=2.10.10") as served:
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
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
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


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Serve one server alone, installed as the test's parameter says."""
    with serve(tmp_path / "practice", f"np1={request.param}") as served:
        yield Site(served, "np1")


@pytest.fixture
def operator(site: Site, tmp_path: Path) -> Operator:
    return Operator(Workstation(tmp_path / "alice", site.practice.folder / "hosts.yaml"), site.name)


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


@pytest.mark.parametrize("site", [ARCHIVE], indirect=True)
def test_an_upgrade_is_rolled_back(site: Site, operator: Operator) -> None:
    before = site.look()
    assert operator.ends("upgrade", "--version", "3.5.0", "--yes") == {"upgraded"}
    site.add("written-since")

    refused = operator.report("rollback", "--yes", code=3)["np1"]

    assert (refused["status"], refused["from"], refused["to"]) == ("refused", "3.5.0", "3.4.9")
    assert "discards the changes made since: 1 change by admin" in refused["reason"]
    assert (site.serves("3.5.0"), site.sites()) == (True, 41)

    restored = operator.report("rollback", "--accept-loss", "--yes")["np1"]

    assert (restored["status"], restored["from"], restored["to"]) == ("rolled-back", "3.5.0", "3.4.9")
    assert re.fullmatch(r"from the backup \d{8}T\d{6}Z-\w+", restored["reason"])
    assert eventually(lambda: site.serves("3.4.9"))
    assert differences(before, site.look()) == []

    nothing = operator.report("rollback", "--yes", code=3)["np1"]
    assert nothing["reason"] == "no upgrade to 3.4.9 has left a backup here"

    (left,) = (backup for backup in listed(operator) if backup["purpose"] == "rollback")
    assert (left["version"], left["changes"]) == ("3.5.0", 0)


def listed(operator: Operator) -> list[dict[str, Any]]:
    """Return the backups of the operator's server."""
    (host,) = operator.report("backups").values()
    backups: list[dict[str, Any]] = host["backups"]
    return backups


@pytest.mark.parametrize("site", [GIT], indirect=True)
def test_a_backup_is_verified_listed_fetched_restored_and_pruned(site: Site, operator: Operator) -> None:
    before = site.look()

    assert operator.ends("backup", "--verify", "full") == {"saved"}

    assert differences(before, site.look()) == []
    assert [path.name for path in (site.practice.root("np1") / "run/postgresql").glob("*.db")] == ["netpoint.db"]
    (saved,) = listed(operator)
    assert (saved["purpose"], saved["version"], saved["verified"], saved["changes"]) == ("backup", "3.4.9", "full", 0)

    assert operator.ends("fetch-backup", "--dir", "fetched") == {"done"}
    folder = operator.place.home / "fetched/np1" / saved["id"]
    assert sorted(path.name for path in folder.iterdir()) == ["database.dump", "files.tar", "manifest"]
    assert {path.stat().st_mode & 0o777 for path in (*folder.iterdir(), folder)} == {0o600, 0o700}
    manifest = dict(line.split("=", 1) for line in (folder / "manifest").read_text().splitlines())
    assert manifest["sha256.files.tar"] == hashlib.sha256((folder / "files.tar").read_bytes()).hexdigest()

    site.add("a mistake")
    shutil.rmtree(site.media / "image-attachments")
    (site.media / "of-users.png").write_bytes(b"PNG")
    assert listed(operator)[0]["changes"] == 1
    assert operator.ends("rollback", "--to", saved["id"], "--yes", code=3) == {"refused"}
    assert operator.ends("rollback", "--to", saved["id"], "--accept-loss", "--yes") == {"rolled-back"}

    added = [name for name in differences(before, site.look()) if not name.endswith("of-users.png")]
    assert (added, site.serves("3.4.9"), site.sites()) == ([], True, 40)
    checkout = f"git -C {site.practice.root('np1')}/opt/netpoint"
    assert site.practice.run("np1", f"{checkout} status --porcelain --branch").startswith("## master")

    assert f"backup {saved['id']} of 3.4.9" in operator.report("prune", "--keep", "1", "--dry-run")["np1"]["reason"]
    assert saved["id"] in site.backups
    assert operator.ends("prune", "--keep", "1", "--yes") == {"done"}
    assert (len(site.backups), saved["id"] in site.backups) == (1, False)
    assert operator.ends("prune", "--keep", "1", "--yes") == {"unchanged"}


@pytest.mark.parametrize("site", [GIT], indirect=True)
def test_a_migration_that_fails_half_way_is_put_back(site: Site, operator: Operator) -> None:
    """One of its migrations was applied by then; what keeps the next from it is a table of the admin's own."""
    practice = site.practice
    practice.run("np1", reach(practice, "np1") + "psql -c 'CREATE TABLE dcim_devicerole (mine text)'")
    before = site.look()

    failed = operator.report("upgrade", "--version", "3.5.0", "--yes", code=2)["np1"]

    assert failed["status"] == "reverted"
    assert failed["reason"].startswith("run_upgrade: upgrade.sh ended with status 1 at: Applying database migrations")
    assert "dcim_devicerole already exists" in failed["reason"]
    assert differences(before, site.look()) == []
    assert eventually(lambda: site.serves("3.4.9"))
    assert site.sites() == 40


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
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

    assert (at_work["status"], "another run is in progress on this host" in at_work["reason"]) == ("refused", True)
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
