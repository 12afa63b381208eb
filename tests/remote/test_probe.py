"""The probe looks at a server, whatever is on it, and changes nothing."""

import fcntl
import os
import shlex
import shutil
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest

from netpoint_remote.planning.facts import Facts, Tree, parse_facts
from netpoint_remote.planning.inventory import Host
from netpoint_remote.planning.method import Method, method_of
from netpoint_remote.running.bundle import probe_script
from tests.remote.conftest import Make
from tests.remote.server import HOUSEKEEPING, REAL_PATH, Server, make_git_a_file, run_git, write_files


def host_of(server: Server, **changes: object) -> Host:
    """Return the server as the hosts file would have it."""
    folder = PurePosixPath(server.folder)
    host = Host(
        name="np1", address="np1", root=PurePosixPath(server.root), state_dir=PurePosixPath(server.state),
        backup_dir=folder / "var/backups", cron_dir=folder / "etc/cron.daily",
    )  # fmt: skip
    return replace(host, **changes)


def probe(
    server: Server, *, version: str | None = "3.5.0", path: str = "", backups: bool = False, **changes: object
) -> str:
    """Return what the probe prints."""
    script = probe_script(host_of(server, **changes), version, backups=backups)
    more = {"PATH": path} if path else {}
    done = server.visit(script, **more)
    assert done.returncode == 0, done.stdout
    return done.stdout


def seen(server: Server, **options: object) -> Facts:
    return parse_facts(probe(server, **options))


def everything(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return all of a folder with its times: a file that was written anew looks different."""
    known = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {
        str(path): (each.st_mode, each.st_uid, each.st_ino, None if stat.S_ISDIR(each.st_mode) else each.st_mtime_ns)
        for path, each in known.items()
    }


def hush(server: Server) -> Server:
    """Let every Python say nothing but its version: quick, for questions that need no more of it."""
    for name in ("bin/python3", *(f"bin/python3.{minor}" for minor in range(8, 15))):
        write_files(server.world, {name: "#!/bin/sh\ncase $* in *version_info*) echo 3.11.2 ;; *) exit 1 ;; esac\n"})
    shutil.rmtree(server.old / "venv", ignore_errors=True)
    return server


@pytest.fixture
def quick(server: Server) -> Server:
    return hush(server)


@pytest.fixture
def quick_checkout(checkout: Server) -> Server:
    return hush(checkout)


# ---- read-only, complete, everywhere


@pytest.mark.parametrize("git", [False, True], ids=["archive", "git"])
def test_the_probe_changes_nothing(make_server: Make, *, git: bool) -> None:
    server = make_server(git=git)
    if git:
        hush(server)
    (server.state / "lock").touch()
    (server.old / "README.md").touch()  # git would like to note that it is unchanged
    before = everything(server.folder)

    probe(server)

    after = everything(server.folder)
    assert {path: after.get(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == {}


def test_the_probe_is_complete_in_every_shell(make_server: Make, shell: tuple[str, ...]) -> None:
    assert seen(make_server(shell=shell)).complete


def test_where_nothing_is_the_probe_says_so(quick: Server) -> None:
    shutil.rmtree(quick.folder)

    told = seen(quick)

    assert (told.complete, told.folder, told.link, told.disk_version, method_of(told)) == (
        True, False, None, "", Method.FOREIGN,
    )  # fmt: skip


def test_a_server_with_next_to_no_programs_is_probed(quick: Server, tmp_path: Path) -> None:
    programs = tmp_path / "few"
    programs.mkdir()
    for name in (
        "sh",
        "id",
        "date",
        "tr",
        "head",
        "sed",
        "awk",
        "sort",
        "cat",
        "df",
        "dirname",
        "basename",
        "readlink",
        "du",
        "timeout",
    ):
        (programs / name).symlink_to(shutil.which(name, path=REAL_PATH) or "")

    told = seen(quick, path=str(programs))

    # What is in /usr/sbin is found whatever PATH there is.
    assert (told.complete, set(told.tools) - {"runuser"}, told.units, told.disk_version) == (
        True, {"timeout"}, (), "3.4.9",
    )  # fmt: skip


# ---- what is installed


def test_a_release_behind_its_link_is_one(quick: Server) -> None:
    told = seen(quick)

    assert (method_of(told), told.link, told.real, told.disk_version) == (
        Method.ARCHIVE, "netpoint-3.4.9/", str(quick.old), "3.4.9",
    )  # fmt: skip


def test_a_checkout_is_one(quick_checkout: Server) -> None:
    told = seen(quick_checkout)

    assert (method_of(told), told.link, told.branch, told.commit, told.dirty) == (
        Method.GIT, None, "master", run_git(quick_checkout.old, "rev-parse", "HEAD"), (),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["linked checkout", "plain folder", "compose", "package", "empty"])
def test_everything_else_is_foreign(make_server: Make, name: str) -> None:
    server = hush(make_server(git=name == "linked checkout"))
    if name == "linked checkout":
        shutil.move(server.root, server.folder / "checkout")
        server.root.symlink_to("../checkout")
    elif name == "plain folder":
        server.root.unlink()
        shutil.move(server.folder / "opt/netpoint-3.4.9", server.root)
    elif name == "compose":
        (server.old / "docker-compose.yml").touch()
    elif name == "package":
        (server.old / "netpoint/manage.py").unlink()
        (server.old / "venv/lib/python3.11/site-packages/netpoint").mkdir(parents=True)
    else:
        shutil.rmtree(server.old)
        server.old.mkdir()

    told = seen(server)

    assert (method_of(told), told.pip, told.docker) == (Method.FOREIGN, name == "package", name == "compose")


def test_local_changes_are_told(quick_checkout: Server) -> None:
    (quick_checkout.old / "README.md").write_text("ours\n")
    (quick_checkout.old / "ünïcödé notes.txt").touch()

    dirty = seen(quick_checkout).dirty

    assert (dirty[0], len(dirty)) == (" M README.md", 2)


@pytest.mark.parametrize("origin", [True, False], ids=["from the origin", "from a fork"])
def test_a_commit_that_was_fetched_without_a_branch_is_known_by_its_origin(
    quick_checkout: Server, *, origin: bool
) -> None:
    elsewhere = quick_checkout.base / "elsewhere.git"
    run_git(quick_checkout.base, "clone", "-q", str(quick_checkout.old), str(elsewhere))
    run_git(elsewhere, "commit", "-q", "--allow-empty", "-m", "A fix")
    if origin:
        run_git(quick_checkout.old, "config", "remote.origin.url", str(elsewhere))
    run_git(quick_checkout.old, "fetch", "-q", str(elsewhere), "HEAD")
    run_git(quick_checkout.old, "checkout", "-q", "FETCH_HEAD")

    assert len(seen(quick_checkout).own_commits) == (0 if origin else 1)


def test_a_commit_that_was_fetched_and_is_gone_hides_no_other(quick_checkout: Server) -> None:
    origin = quick_checkout.base / "elsewhere"
    run_git(quick_checkout.old, "config", "remote.origin.url", str(origin))
    (quick_checkout.old / ".git/FETCH_HEAD").write_text(f"{'1' * 40}\t\t'x' of {origin}\n")
    run_git(quick_checkout.old, "commit", "-q", "--allow-empty", "-m", "Our own words")

    assert len(seen(quick_checkout).own_commits) == 1


def test_commits_that_were_made_on_the_server_are_reported(quick_checkout: Server) -> None:
    assert seen(quick_checkout).own_commits == ()
    (quick_checkout.old / "README.md").write_text("ours\n")
    run_git(quick_checkout.old, "commit", "-q", "-a", "-m", "Our own words")

    (commit,) = seen(quick_checkout).own_commits

    assert commit.endswith(" Our own words")


def test_a_checkout_that_git_cannot_look_at_is_told(quick_checkout: Server) -> None:
    (quick_checkout.old / ".git/HEAD").unlink()

    facts = seen(quick_checkout)

    assert (facts.git_trouble.startswith("fatal: not a git repository"), facts.dirty) == (True, ())


def test_bytecode_is_no_local_change(quick_checkout: Server) -> None:
    """Python writes it beside and renames it; a power cut leaves a name that the release's .gitignore does not know."""
    bytecode = quick_checkout.old / "netpoint/netpoint/__pycache__/settings.cpython-311.pyc.139998877"
    bytecode.parent.mkdir(exist_ok=True)
    bytecode.touch()

    assert seen(quick_checkout).dirty == ()


def test_the_credentials_of_an_origin_are_not_told(quick_checkout: Server) -> None:
    run_git(quick_checkout.old, "remote", "set-url", "origin", "https://user:hunter2@git.example.org/netpoint.git")

    printed = probe(quick_checkout)

    assert (parse_facts(printed).origin, "hunter2" in printed) == ("https://git.example.org/netpoint.git", False)


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ('version: "4.4.0"\n', "4.4.0"),
        ("version: 4.4.0 # comment\nedition: Community\n", "4.4.0"),
        ("edition: x\nversion: '4.4.0'\ndesignation: 'beta1'\n", "4.4.0-beta1"),
    ],
)
def test_a_release_yaml_tells_the_version(quick: Server, written: str, version: str) -> None:
    write_files(
        quick.old, {"netpoint/release.yaml": written, "netpoint/netpoint/settings.py": "VERSION = RELEASE.version\n"}
    )

    assert seen(quick).disk_version == version


def test_what_lies_beside_is_told_with_who_made_it(quick: Server) -> None:
    quick.apply("fetch_release", "unpack_release")
    (quick.folder / "opt/netpoint-3.5.0.bak").mkdir()

    assert sorted(seen(quick).beside, key=lambda tree: tree.path) == [
        Tree(path=str(quick.new), version="3.5.0", ours=True),
        Tree(path=f"{quick.new}.bak", version="", ours=False),
    ]


def test_local_requirements_are_told_by_name_alone(quick: Server) -> None:
    (quick.old / "local_requirements.txt").write_text(
        "--index-url https://user:hunter2@pypi.example.org/simple\n# comment\nDjango_Auth_LDAP==4.1\n"
        "netbox-bgp @ git+https://hunter2@example.org/bgp.git\n\n"
    )

    printed = probe(quick)

    assert (parse_facts(printed).local_requirements, "hunter2" in printed) == (
        ("django-auth-ldap", "netbox-bgp"),
        False,
    )


@pytest.mark.parametrize("worktree", [False, True])
def test_git_is_asked_where_it_keeps_its_folder(quick_checkout: Server, *, worktree: bool) -> None:
    folder = make_git_a_file(quick_checkout, worktree=worktree)
    (folder / "netpoint-remote/3.4.8").mkdir(parents=True)

    told = seen(quick_checkout, backups=True)

    assert (told.git, told.git_folder, told.git_folder_elsewhere) == (True, str(folder), False)
    assert [aside.path for aside in told.asides] == [f"{folder}/netpoint-remote/3.4.8"]


def test_what_differs_in_its_mode_alone_is_told_as_that(quick_checkout: Server) -> None:
    (quick_checkout.old / "README.md").chmod(0o755)
    (quick_checkout.old / "upgrade.sh").write_text("#!/bin/sh\n")
    (quick_checkout.old / "note.txt").touch()

    told = seen(quick_checkout)

    assert (told.modes, told.dirty) == (("README.md",), (" M upgrade.sh", "?? note.txt"))


def test_the_remotes_of_a_checkout_are_told_by_name(quick_checkout: Server) -> None:
    quick_checkout.run_git("remote", "rename", "origin", "upstream")

    told = seen(quick_checkout)

    assert (told.origin, told.remotes) == ("", ("upstream",))


# ---- the server


def test_services_are_told_in_the_words_of_systemd(quick: Server) -> None:
    command = "{ path=/opt/netpoint/venv/bin/python3 ; argv[]=python3 manage.py rqworker a=b }"
    quick.unit(
        "netpoint-rq", "x", active=False, LoadState="loaded", UnitFileState="enabled", NRestarts="12", ExecStart=command
    )

    told = seen(quick)

    web, worker = told.unit("netpoint"), told.unit("netpoint-rq")
    assert (web and web.runs, worker and worker.runs) == (True, False)
    assert worker
    assert (worker.load, worker.enabled, worker.restarts, worker.command.endswith("a=b }")) == (
        "loaded",
        "enabled",
        12,
        True,
    )


def test_the_interpreter_that_was_asked_for_comes_first(quick: Server) -> None:
    wanted = str(quick.world / "bin/python3.12")

    assert [seen(quick, python=python).interpreters[0].path for python in (wanted, None)] == [
        wanted, str(quick.world / "bin/python3"),
    ]  # fmt: skip


def test_one_interpreter_of_two_names_is_told_once(quick: Server) -> None:
    for minor in range(8, 15):
        (quick.world / f"bin/python3.{minor}").unlink()
    (quick.world / "bin/python3.11").symlink_to("python3")

    assert [each.path for each in seen(quick).interpreters if each.path.startswith(str(quick.world))] == [
        str(quick.world / "bin/python3")
    ]


@pytest.mark.promise(8)
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user, which only root may")
def test_an_interpreter_that_somebody_else_can_change_is_not_started_as_root(quick: Server) -> None:
    with TemporaryDirectory() as folder:
        wanted, ran = Path(folder, "python3"), Path(folder, "ran")
        write_files(Path(folder), {"python3": f"#!/bin/sh\nid -u >>{ran}; echo 3.11.2\n"})
        Path(folder).chmod(0o755)
        for path in (Path(folder), wanted):
            os.chown(path, 65534, 65534)

        found = seen(quick, python=str(wanted)).interpreters[0].path

        assert (found, set(ran.read_text().split())) == (str(wanted), {"65534"})


def test_an_interpreter_tells_whether_it_can_make_environments(quick: Server) -> None:
    quick.replace("python3", "echo 3.11.2; echo venv")

    told = seen(quick).interpreters

    assert (told[0].version, told[0].makes_venv, told[1].makes_venv) == ("3.11.2", True, False)


@pytest.mark.parametrize(
    ("arranged", "told"),
    [
        ("nothing", ""),
        ("a job", "cron"),
        ("a script of another root", "broken"),
        ("a job of another name", "cron"),
        ("a dangling link", "dangling"),
    ],
)
def test_housekeeping_is_found_wherever_cron_has_it(server: Server, arranged: str, told: str) -> None:
    daily = server.folder / "etc/cron.daily"
    ours = HOUSEKEEPING.replace("/opt/netpoint", str(server.root))
    write_files(server.old, {"venv/bin/python": ""})
    if arranged == "a job":
        write_files(daily, {"netpoint-housekeeping": ours})
    elif arranged == "a script of another root":
        (daily / "netpoint-housekeeping").symlink_to(server.root / "contrib/netpoint-housekeeping.sh")
    elif arranged == "a job of another name":
        write_files(daily, {"nightly": ours})
    elif arranged == "a dangling link":
        (daily / "netpoint-housekeeping").symlink_to("/nowhere")

    assert seen(server).housekeeping == told


def test_the_pg_dump_that_counts_is_the_one_for_this_database(server: Server) -> None:
    """Debian's wrapper answers for the default cluster, which may be an older one on another port."""
    write_files(server.world, {"bin/pg_dump": '#!/bin/sh\necho "pg_dump (PostgreSQL) 1${PGPORT#543}.1"\n'})
    with (server.root / "netpoint/netpoint/configuration.py").open("a") as configuration:
        configuration.write('DATABASE["PORT"] = "5435"\n')

    assert seen(server).pg_dump_version == "pg_dump (PostgreSQL) 15.1"


def test_how_long_a_service_runs_is_told_by_systemds_clock(server: Server) -> None:
    """/proc/uptime of a container is the container's own, which lxcfs makes."""
    write_files(
        server.world, {"bin/awk": '#!/bin/sh\ncase $* in *uptime*) exit 1 ;; esac\nPATH=$REAL_PATH exec awk "$@"\n'}
    )
    since = int(time.monotonic() - 100) * 1_000_000
    with (server.world / "units/netpoint.service").open("a") as unit:
        unit.write(f"ActiveEnterTimestampMonotonic={since}\n")

    (unit,) = (unit for unit in seen(server).units if unit.name == "netpoint.service")
    assert 95 <= unit.seconds_up <= 700


def test_a_great_many_backups_leave_the_other_facts(server: Server) -> None:
    """What is asked about all of them is one argument, which has its limit."""
    for number in range(400):
        manifest = f"root={server.root}\nchanges.core_objectchange={number} 2030-01-01T00:00:00+00\nversion=3.4.9\n"
        write_files(server.folder / "var/backups", {f"20300101T000000Z-{number:06}/manifest": manifest})

    told = seen(server, backups=True)

    assert (len(told.backups), told.configuration_error, told.missing_keys != ()) == (400, "", True)


def test_space_is_told_of_the_three_places_and_of_what_will_be_copied(server: Server) -> None:
    (server.old / "netpoint/media/big").write_bytes(bytes(3 * 2**20))

    told = seen(server)

    assert [disk.path for disk in told.disks] == [
        str(server.root.parent), str(server.state), str(server.folder / "var/backups"),
    ]  # fmt: skip
    assert ({disk.free_mb > 0 for disk in told.disks}, dict(told.sizes_mb)["media"], told.unmeasured) == ({True}, 4, ())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_places_that_may_not_be_written_to_are_told(quick: Server) -> None:
    quick.state.chmod(0o500)

    assert seen(quick).unwritable == (str(quick.state),)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_of_the_system_that_may_not_be_written_to_are_told(quick: Server) -> None:
    places = [quick.folder / "etc" / name for name in ("systemd/system", "cron.daily")]
    for place in places:
        place.chmod(0o500)

    facts = seen(quick)

    assert [*facts.unwritable_units, facts.unwritable_cron] == [*map(str, places)]


def test_a_run_that_goes_on_is_told(quick: Server) -> None:
    write_files(quick.state, {"current": "r1\n"})
    write_files(quick.run, {"about": "ann from 3.4.9 to 3.5.0\n"})
    with (quick.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = seen(quick)

    assert (told.lock_held, told.run_id, told.run_about, told.interrupted) == (
        True,
        "r1",
        "ann from 3.4.9 to 3.5.0",
        False,
    )
    assert seen(quick).interrupted


# ---- the configuration


def test_the_configuration_is_read_with_the_environment_of_the_unit(server: Server) -> None:
    env_file = server.folder / "etc/netpoint.env"
    env_file.write_text("HOSTS=np.example.org\nSECRET=it's hunter2\n")
    server.unit(
        "netpoint", "x", Environment='"MEDIA=/srv/my  media"', EnvironmentFiles=f"{env_file} (ignore_errors=no)"
    )
    (server.old / "netpoint/netpoint/configuration.py").write_text(
        "import os\nALLOWED_HOSTS = [os.environ['HOSTS']]\nMEDIA_ROOT = os.environ['MEDIA']\n"
        "SECRET_KEY = os.environ['SECRET']\n"
    )

    printed = probe(server)

    assert ("hunter2" in printed, parse_facts(printed).configuration) == (
        False, {"ALLOWED_HOSTS": ["np.example.org"], "MEDIA_ROOT": "/srv/my  media"},
    )  # fmt: skip


def test_a_file_for_libpq_that_others_can_write_is_told_by_us_alone(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "np.pgpass"
    file.write_text("")
    file.chmod(0o666)
    server.unit("netpoint", "x", Environment=f"PGPASSFILE={file} PGSERVICEFILE=/none")
    (server.old / "netpoint/netpoint/configuration.py").write_text(
        "import os\nos.write(1, b'withheld=PGSSLKEY /x\\n')\n"
    )

    assert seen(server).withheld_files == (("PGPASSFILE", str(file)),)


def test_a_path_in_the_configuration_counts_from_where_the_service_works(server: Server) -> None:
    write_files(server.folder, {"srv/here/hosts": "np.example.org"})
    server.unit("netpoint", "x", WorkingDirectory=f"{server.folder}/srv/here")
    (server.old / "netpoint/netpoint/configuration.py").write_text("ALLOWED_HOSTS = [open('hosts').read()]\n")

    assert seen(server).configuration == {"ALLOWED_HOSTS": ["np.example.org"]}


@pytest.mark.promise(8)
def test_a_unit_from_before_virtual_environments_is_told(quick: Server) -> None:
    quick.unit("netpoint", "/usr/local/bin/gunicorn netpoint.wsgi")

    assert seen(quick).outdated_units == ("netpoint",)


def test_a_units_variables_do_not_reach_the_shell_of_the_probe(server: Server) -> None:
    """It would look elsewhere, and by the programs of whoever may write the unit's file of variables."""
    evil = server.folder / "evil"
    write_files(
        evil, {"id": '#!/bin/sh\n: >"$0.ran"\n', "sed": '#!/bin/sh\n: >"$0.ran"\n', "psql": '#!/bin/sh\n: >"$0.ran"\n'}
    )
    (server.folder / "etc/netpoint.env").write_text(f"PATH={evil}\nROOT=/x\nPRODUCT=y\nSTATE_DIR=/z\nLD_PRELOAD=/w\n")
    server.unit("netpoint", "x", EnvironmentFiles=f"{server.folder}/etc/netpoint.env (ignore_errors=no)")

    told = seen(server)

    assert (told.complete, told.real, told.disk_version, told.configuration_error) == (
        True,
        str(server.old),
        "3.4.9",
        "",
    )
    assert list(evil.glob("*.ran")) == []


def log_its_python(server: Server, *, weak: bool) -> Path:
    """Let the installation's own Python write down what it is started with; `weak`: others may write to it."""
    python, called = server.old / "venv/bin/python3", server.world / "called"
    text = python.read_text()
    python.write_text(text.replace("exec ", f'printf "%s\\n" "$1 $2 $3" >>{shlex.quote(str(called))}\nexec ', 1))
    python.chmod(0o757 if weak else 0o755)
    return called


@pytest.mark.promise(8)
@pytest.mark.parametrize("weak", [False, True])
def test_root_starts_nothing_of_an_environment_that_others_can_write(server: Server, *, weak: bool) -> None:
    """Isolated or not: pyvenv.cfg says where all modules are. The service itself is asked by it."""
    called = log_its_python(server, weak=weak)
    (server.old / "netpoint/netpoint/configuration.py").write_text("DATABASE = {'NAME': 'np'}\n")

    told = seen(server)

    started = {line.split(" /")[0] for line in called.read_text().splitlines()}
    assert started == ({"- facts"} if weak else {"- facts", "- reach", "-I -S -c"})
    assert told.exposed == ((f"everybody may write to {server.root}/venv/bin/python3",) if weak else ())


def test_the_hosts_file_gives_root_its_way_to_the_database(server: Server) -> None:
    """It wins over the unit, as in the run, and what it gives is in no argument and not told."""
    server.replace("psql", 'printf "%s %s\\n" "$PGHOST" "$PGPASSWORD" >>"$WORLD/asked"')
    server.replace("python3", 'printf "%s\\n" "$*" >>"$WORLD/said"; exec "$STAND_INS/python3" "$@"')
    server.unit("netpoint", "x", Environment="DB_HOST=db")
    (server.old / "netpoint/netpoint/configuration.py").write_text(
        "import os\nDATABASE = {'NAME': 'np', 'HOST': os.environ['DB_HOST'], 'PASSWORD': os.getenv('DB_PASSWORD')}\n"
    )

    printed = probe(server, environment=(("DB_HOST", "localhost"), ("DB_PASSWORD", "it's hunter2")))

    assert (server.world / "asked").read_text().splitlines() == ["db ", "localhost it's hunter2"]
    assert "hunter2" not in printed + "".join(server.said)


def test_headers_of_the_hosts_file_are_in_no_argument(quick: Server) -> None:
    quick.replace("python3", 'printf "%s\\n" "$*" >>"$WORLD/said"')

    probe(quick, health_headers=(("Authorization", "Token hunter2"),))

    asked = [line for line in quick.said if "Ask an installed" not in line]
    assert [line for line in asked if "hunter2" in line] == []


def test_the_probe_is_one_text_for_every_shell() -> None:
    script = probe_script(Host(name="np1", address="np1"), "3.5.0")

    assert [
        subprocess.run([*shell, "-n"], input=script, text=True, check=False).returncode
        for shell in (["dash"], ["bash", "--posix"])
    ] == [0, 0]
