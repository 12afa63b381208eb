"""Backups and the way back as whole plans, on servers in folders."""

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from netpoint_remote.planning.case import Case
from netpoint_remote.planning.facts import Backup
from netpoint_remote.planning.plan import Plan, make_backup_plan, make_rollback_plan
from netpoint_remote.running.bundle import bundle_files
from tests.builders import case, facts, host
from tests.remote.conftest import SHELLS, Make
from tests.remote.server import Seen, Server, differences, run_git, write_files
from tests.remote.test_plans import carry_out, with_shell

BOTH = pytest.mark.parametrize("git", [False, True], ids=["archive", "git"])


def case_of(server: Server) -> Case:
    """Return what a look at the server would find, as far as plans are made of it."""
    folder = PurePosixPath(server.folder)
    on = host(
        root=PurePosixPath(server.root), state_dir=PurePosixPath(server.state),
        backup_dir=folder / "var/backups", cron_dir=folder / "etc/cron.daily",
    )  # fmt: skip
    version = (server.root / "netpoint/netpoint/settings.py").read_text().split("'")[1]
    commit = run_git(server.root, "rev-parse", "HEAD") if server.git else ""
    seen = facts(version, git=server.git, real=str(server.root.resolve()), link=None if server.git else server.link)
    return case(replace(seen, commit=commit), to=None, on=on)


def manifest_of(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "manifest").read_text().splitlines())


def backup_of(server: Server, run: str) -> Backup:
    told = manifest_of(server.folder / "var/backups" / run)
    names = ("purpose", "method", "tree", "version", "leads_to", "commit", "ref")
    files = int(told.get("size.files.tar", 0))
    return Backup(id=run, files_size=files, **{name: told.get(name, "") for name in names})


def send(server: Server, of: Case, plan: Plan) -> str:
    """Carry a plan out and return how it ended."""
    server.run_id = f"r{int(server.run_id[1:]) + 1}"
    named = bundle_files(of, plan, run_id=server.run_id, operator="t", about="t", constraints=True)
    write_files(server.run, {**named, "journal": "", "log": ""})
    done = server.sh([str(server.run / "bundle/main.sh"), "run"])
    return (server.run / "result").read_text().strip() if (server.run / "result").exists() else f"none: {done.stdout}"


def go_back(server: Server, run: str, *, accept_loss: bool = False) -> str:
    of = case_of(server)
    return send(server, of, make_rollback_plan(of, backup_of(server, run), accept_loss=accept_loss))


@dataclass(frozen=True)
class Upgraded:
    """A server that was upgraded by r2, kept for several tests, and what was there before."""

    server: Server
    before: Seen


@pytest.fixture(scope="module")
def upgrade_once(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[bool], Upgraded]:
    """Return what upgrades a server of each method when it is first asked for."""

    @cache
    def upgrade(git: bool) -> Upgraded:  # noqa: FBT001  the key of the cache
        checkout = request.getfixturevalue("a_checkout") if git else None
        server = Server(base=tmp_path_factory.mktemp("upgraded"), checkout=checkout)
        before = server.look()
        result, _ = carry_out(server)
        assert result == "upgraded", (server.run / "log").read_text()[-2000:]
        server.keep()
        return Upgraded(server, before)

    return upgrade


@pytest.fixture
def upgraded(upgrade_once: Callable[[bool], Upgraded], request: pytest.FixtureRequest) -> Server:
    """Return a server that was upgraded by r2; an archive's, or what the test's parameter `git` says."""
    git = "git" in request.fixturenames and request.getfixturevalue("git")
    return upgrade_once(git).server.as_kept()


@pytest.mark.parametrize(("git", "shell"), [(False, SHELLS[0]), (True, SHELLS[1])], ids=["archive", "git"])
def test_the_way_back_leads_to_where_the_upgrade_began(
    upgrade_once: Callable[[bool], Upgraded], upgraded: Server, shell: tuple[str, ...], *, git: bool
) -> None:
    server = with_shell(upgraded, shell)

    result = go_back(server, "r2")

    assert result == "rolled-back", (server.run / "log").read_text()[-3000:]
    left = [line for line in differences(upgrade_once(git).before, server.look()) if "netpoint-3.5.0" not in line]
    assert [line for line in left if not line.startswith("aside")] == []
    assert (server.active, server.migrations) == (["netpoint", "netpoint-rq"], ["dcim|0001_initial"])
    mark = (server.state / "rolled-back/3.5.0").read_text()
    assert mark.startswith("r3 by t on ")


def test_what_was_written_since_is_not_lost_without_a_word(upgraded: Server) -> None:
    before = upgraded.look()
    upgraded.tell(changes="x 13\nx 14\n")

    result = go_back(upgraded, "r2")

    assert result.startswith("reverted count_losses: a rollback would discard 2 changes made since the backup")
    assert differences(before, upgraded.look()) == []
    assert go_back(upgraded, "r2", accept_loss=True) == "rolled-back"


@pytest.mark.parametrize(
    ("step", "git"),
    [("put_database_back", False), ("prove_in_place", False), ("prove_in_place", True)],
    ids=["early, archive", "late, archive", "late, git"],
)
def test_a_way_back_that_fails_is_taken_back(upgraded: Server, step: str, *, git: bool) -> None:
    before = upgraded.look()
    of = case_of(upgraded)
    plan = make_rollback_plan(of, backup_of(upgraded, "r2"), accept_loss=False)
    upgraded.run_id = f"r{int(upgraded.run_id[1:]) + 1}"
    named = dict(bundle_files(of, plan, run_id=upgraded.run_id, operator="t", about="t", constraints=True))
    named[f"bundle/steps/{step}.sh"] += "check() { return 1; }\n"
    write_files(upgraded.run, {**named, "journal": "", "log": ""})

    upgraded.sh([str(upgraded.run / "bundle/main.sh"), "run"])

    assert (upgraded.run / "result").read_text().startswith(f"reverted {step}: ")
    assert differences(before, upgraded.look()) == []


def test_what_is_no_longer_whole_is_not_gone_back_to(upgraded: Server) -> None:
    (upgraded.folder / "var/backups/r2/database.dump").write_text("PGDMP\nEND\n")

    assert go_back(upgraded, "r2").startswith("reverted check_backup: the backup ")
    assert "window-open stop_services " not in upgraded.journal


def test_an_old_release_that_does_not_run_any_more_is_seen_while_netpoint_serves(upgraded: Server) -> None:
    shutil.rmtree(upgraded.old / "venv")

    assert "does not run any more" in go_back(upgraded, "r2")
    assert "window-open stop_services " not in upgraded.journal


@pytest.mark.parametrize("git", [True], ids=["git"])
def test_an_environment_of_another_commit_is_seen_while_netpoint_serves(upgraded: Server, *, git: bool) -> None:
    """Several commits of a checkout may have one version, and what is set aside lies there by that."""
    (upgraded.root / ".git/netpoint-remote/3.4.9/commit").write_text(f"{'a' * 40}\n")

    result = go_back(upgraded, "r2")

    assert result.startswith("reverted check_backup: the virtual environment in ")
    assert "3.4.9 is of another commit than " in result
    assert "window-open stop_services " not in upgraded.journal


def marks(server: Server) -> dict[str, str]:
    """Return what is written down of releases that were rolled back or are ours."""
    folders = (server.state / "rolled-back", server.state / "releases")
    return {str(path.relative_to(server.state)): path.read_text() for folder in folders for path in folder.glob("*")}


@pytest.mark.parametrize("earlier", [(), ("3.4.9",), ("3.5.0",), ("3.4.9", "3.5.0")])
def test_marks_are_undone_wherever_their_step_was_cut_off(make_server: Make, earlier: tuple[str, ...]) -> None:
    server = make_server()
    server.record()
    write_files(server.state, {f"rolled-back/{version}": "r0 by t on a day\n" for version in earlier})
    server.bundle(OLD_VERSION="3.5.0", TREE_VERSION="3.4.9", OLD=str(server.new))
    before = marks(server)
    server.arm_trip()

    left, at = [], 1
    while server.trip("mark_rolled_back", at):
        assert server.step("mark_rolled_back", "undo").returncode == 0
        left += [] if marks(server) == before else [(at, marks(server))]
        at += 1
    done = {
        "releases/netpoint-3.5.0": f"r1\nroot={server.root}\n",
        "rolled-back/3.5.0": marks(server)["rolled-back/3.5.0"],
    }
    assert (left, at > 1, marks(server)) == ([], True, done)

    undone = [server.step("mark_rolled_back", "undo").returncode for _ in range(2)]

    assert (undone, marks(server)) == ([0, 0], before)


def test_a_release_that_was_rolled_back_is_kept_and_unpacked_anew(upgraded: Server) -> None:
    """Users may have left files there that nobody else has."""
    server = upgraded
    (server.new / "netpoint/media/late.png").write_text("PNG")
    go_back(server, "r2")

    result, _ = carry_out(server)

    assert result == "upgraded"
    kept = server.new.with_name(f"{server.new.name}.rolled-back-{server.run_id}")
    assert ((kept / "netpoint/media/late.png").read_text(), (server.new / "netpoint/media/late.png").exists()) == (
        "PNG",
        False,
    )
    assert not (server.state / "rolled-back/3.5.0").exists()


# ---- backups


def save(server: Server) -> str:
    of = case_of(server)
    return send(server, of, make_backup_plan(of, verify=False))


@BOTH
def test_a_backup_holds_database_and_files_while_netpoint_serves(make_server: Make, *, git: bool) -> None:
    server = make_server(git=git)
    before = server.look()

    result = save(server)

    assert result == "saved", (server.run / "log").read_text()[-2000:]
    folder = server.folder / "var/backups/r2"
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("database.dump", "files.tar", "manifest", "objects"), 0o600
    )
    with tarfile.open(folder / "files.tar") as tar:
        names = {f"/{name}" for name in tar.getnames()}
        assert len(names) == len(tar.getnames())
    for name in ("netpoint/netpoint/configuration.py", "gunicorn.py", "netpoint/media/image-attachments/switch.png"):
        assert str(server.old / name) in names
    assert (differences(before, server.look()), server.active) == ([], ["netpoint", "netpoint-rq"])
    assert "window-open" not in "\n".join(server.journal)


@BOTH
def test_a_backup_holds_what_is_the_admins_own_and_not_the_release(make_server: Make, *, git: bool) -> None:
    server = make_server(git=git)
    write_files(server.old, {"certs/ca.pem": "PEM", "netpoint/local/logo.svg": "<svg/>", "netpoint/netpoint/x.py": ""})
    # what upgrade.sh makes, and a file that is younger than the others and yet the release's own
    write_files(server.old, {"netpoint/project-static/docs/index.html": "<html>", "netpoint/static/x.css": "old"})
    if git:
        (server.old / "README.md").touch()

    save(server)

    with tarfile.open(server.folder / "var/backups/r2/files.tar") as tar:
        names = {f"/{name}".removeprefix(f"{server.old}/") for name in tar.getnames()}
    assert {"certs/ca.pem", "netpoint/local/logo.svg", "netpoint/netpoint/x.py", "gunicorn.py"} <= names
    released = {
        "README.md",
        "upgrade.sh",
        "netpoint/manage.py",
        "netpoint/static/x.css",
        "netpoint/netpoint/settings.py",
    }
    assert names & {*released, "netpoint/project-static/docs/index.html"} == set()


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("dump_database", "apply() {"),
        ("save_files", "apply() {"),
        ("seal_backup", "apply() {"),
        ("seal_backup", 'mv -T -- "$making" "$made"'),
    ],
)
def test_what_a_backup_that_failed_has_saved_is_no_backup(make_server: Make, step: str, where: str) -> None:
    server = make_server()
    of = case_of(server)
    named = dict(bundle_files(of, make_backup_plan(of, verify=False), run_id="r2", operator="t", about="t",
                              constraints=True))  # fmt: skip
    named[f"bundle/steps/{step}.sh"] = named[f"bundle/steps/{step}.sh"].replace(where, f"{where}\nfail 'full'", 1)
    server.run_id = "r2"
    write_files(server.run, {**named, "journal": "", "log": ""})

    server.sh([str(server.run / "bundle/main.sh"), "run"])

    assert (server.run / "result").read_text() == f"reverted {step}: full\n"
    assert list((server.folder / "var/backups").iterdir()) == []


def test_files_of_a_backup_come_back_and_later_ones_stay(checkout: Server) -> None:
    """That files of archives come back is shown in test_saved_files.py."""
    server = checkout
    save(server)
    media = server.old / "netpoint/media"
    (media / "image-attachments/switch.png").unlink()
    (media / "later.png").write_text("PNG")
    (server.old / "gunicorn.py").write_text("bind = ''\n")

    assert go_back(server, "r2") == "rolled-back"

    assert (media / "image-attachments/switch.png").read_text() == "PNG"
    assert ((server.old / "gunicorn.py").read_text(), (media / "later.png").exists()) == (
        "bind = '127.0.0.1:8001'\n",
        True,
    )
    with tarfile.open(server.folder / "var/backups/r3/replaced.tar") as tar:
        replaced = tar.extractfile(f"{server.old}/gunicorn.py".lstrip("/"))
        assert replaced is not None
        assert replaced.read() == b"bind = ''\n"
