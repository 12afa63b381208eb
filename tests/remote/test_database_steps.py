"""The steps in the window that the database's safety hangs on: the dump, upgrade.sh, and putting the dump back."""

from hashlib import md5, sha256

import pytest

from tests.remote.conftest import Make
from tests.remote.server import PASSWORD, Server, write_files

MIGRATED = ["dcim|0001_initial", "dcim|0172_new"]
UNTOUCHED = ["dcim|0001_initial"]


@pytest.fixture
def stopped(make_server: Make) -> Server:
    """Return a server in the window, its database not dumped yet."""
    server = make_server()
    server.record()
    server.apply("fetch_release", "unpack_release", "stop_services")
    return server


@pytest.fixture
def dumped(stopped: Server) -> Server:
    stopped.apply("dump_database", "seal_backup")
    return stopped


def progress(server: Server) -> list[str]:
    return [line.removeprefix("part run_upgrade ") for line in server.journal if line.startswith("part ")]


# ---- the database before the window


def test_a_database_that_went_away_is_seen_before_anything_is_stopped(make_server: Make) -> None:
    server = make_server()
    server.record()
    running = server.active
    (server.world / "database.down").touch()

    assert server.step("stop_services", "apply").returncode == 1
    assert server.reason == "the database does not answer, so nothing was stopped: psql: error: connection refused"
    assert (server.active, [line for line in server.journal if line.startswith("window")]) == (running, [])


# ---- the dump


def test_the_dump_is_for_nobody_elses_eyes(dumped: Server) -> None:
    modes = [path.stat().st_mode & 0o777 for path in (dumped.dump, dumped.dump.parent)]

    assert modes == [0o600, 0o700]


def test_the_dump_is_told_with_its_place_and_size(dumped: Server) -> None:
    assert {"note dump_database dumped: 0 KiB", f"note seal_backup backup: {dumped.dump.parent}"} <= {*dumped.journal}


def test_what_the_dump_is_of_stands_beside_it(dumped: Server) -> None:
    manifest = dict(line.split("=", 1) for line in (dumped.dump.parent / "manifest").read_text().splitlines())

    assert manifest.pop("made").isdigit()
    assert manifest == {
        "backup": "r1",
        "purpose": "upgrade",
        "operator": "t",
        "method": "archive",
        "root": str(dumped.root),
        "tree": str(dumped.old),
        "version": "3.4.9",
        "leads_to": "3.5.0",
        "verified": "read",
        "database_time": "1700000000",
        "postgresql": "150004",
        "database_mb": "1",
        "migrations": f"1 {md5(b'dcim|0001_initial' + bytes([10])).hexdigest()}",
        "changes.extras_objectchange": "12 2030-01-02T03:04:05.6+00",
        "rows.public.dcim_site": "3",
        "size.database.dump": str(dumped.dump.stat().st_size),
        "sha256.database.dump": sha256(dumped.dump.read_bytes()).hexdigest(),
    }


def test_a_dump_that_changed_on_the_disk_counts_for_nothing(dumped: Server) -> None:
    dumped.dump.write_bytes(dumped.dump.read_bytes() + b"x")

    assert dumped.step("seal_backup", "check").returncode == 1


def test_a_dump_that_is_not_sealed_has_no_name_yet(stopped: Server) -> None:
    stopped.apply("dump_database")

    assert [path.name for path in (stopped.folder / "var/backups").iterdir()] == ["r1.partial"]
    stopped.step("dump_database", "undo")
    assert list((stopped.folder / "var/backups").iterdir()) == []


@pytest.mark.promise(6)
@pytest.mark.parametrize(
    ("pg_dump", "reason"),
    [
        ("exit 1", "pg_dump failed:"),
        ("echo garbage", "the dump cannot be read back"),
        ("echo PGDMP", "the dump cannot be read back completely"),
    ],
)
def test_a_dump_that_cannot_be_read_back_is_none(stopped: Server, pg_dump: str, reason: str) -> None:
    stopped.replace("pg_dump", pg_dump)

    done = stopped.step("dump_database", "apply")

    assert (done.returncode, stopped.reason, stopped.dump.exists()) == (1, reason, False)


@pytest.mark.parametrize("left", ["grep -v migrations=", "grep -B 99 migrations= | head -c -3"])
def test_a_dump_is_none_when_what_it_holds_could_not_be_written_down(stopped: Server, left: str) -> None:
    """On a full disk psql ends well; a way back would not know what it has to come to."""
    stopped.replace(
        "psql",
        f"""case " $* " in *' -f '*) "$STAND_INS/psql" "$@" | {left} ;; *) exec "$STAND_INS/psql" "$@" ;; esac""",
    )

    assert stopped.step("dump_database", "apply").returncode == 1
    assert stopped.reason == "what the dump holds could not be written down"


@pytest.mark.parametrize("missing", ["what was counted", "the commit"])
def test_a_backup_without_what_it_is_of_gets_no_name(make_server: Make, missing: str) -> None:
    server = make_server(git=True)
    server.record()
    server.apply("stop_services", "dump_database")
    if missing == "the commit":
        server.replace("git", 'case " $* " in *" rev-parse "*) exit 128 ;; esac; exec /usr/bin/git "$@"')
    else:
        (server.run / "counted").write_text("pg_dump.status=0\n")

    status = server.step("seal_backup", "apply").returncode

    assert (status != 0, server.dump.parent.exists()) == (True, False)


def test_a_dump_of_another_database_is_none(stopped: Server) -> None:
    stopped.replace("pg_restore", "echo '3380; 0 16400 TABLE DATA public wiki_pages wiki'")

    assert stopped.step("dump_database", "apply").returncode == 1
    assert stopped.reason.startswith("the dump holds no django_migrations")


def test_secrets_reach_the_database_by_the_environment_alone(stopped: Server) -> None:
    stopped.replace(
        "pg_dump", 'printf %s "$PGPASSWORD" >"$WORLD/password"; printf "%s\\n" "$*" >>"$WORLD/said"; exit 1'
    )

    done = stopped.step("dump_database", "apply")

    assert (stopped.world / "password").read_text() == PASSWORD
    assert PASSWORD not in done.stdout + "".join(stopped.said)


@pytest.mark.promise(8)
def test_no_process_of_netpoints_user_can_go_on_writing_into_what_root_believes(stopped: Server) -> None:
    """It could hand the descriptor on, and change the dump after it was verified."""
    written = stopped.record_written("psql", "pg_dump", "pg_restore")

    stopped.apply("dump_database", "seal_backup", "run_upgrade")
    assert stopped.step("run_upgrade", "undo").returncode == 0

    assert written.read_text() == ""


@pytest.mark.promise(6)
def test_a_dump_that_could_not_be_written_is_none(stopped: Server) -> None:
    stopped.replace("cat", 'case $(readlink /proc/$$/fd/1) in *.dump) exit 1 ;; esac; exec /bin/cat "$@"')

    done = stopped.step("dump_database", "apply")

    assert (done.returncode, "the dump could not be written" in stopped.reason, stopped.dump.exists()) == (
        1,
        True,
        False,
    )


# ---- upgrade.sh


def test_the_parts_of_upgrade_sh_are_told_as_it_goes(dumped: Server) -> None:
    dumped.apply("run_upgrade")

    assert progress(dumped) == [
        "Removing old virtual environment",
        f"Creating a new virtual environment at {dumped.new}/venv",
        "Installing core dependencies",
        "Applying database migrations",
        "Building documentation",
        "Collecting static files",
    ]


def test_views_that_the_migrations_removed_are_named(dumped: Server) -> None:
    write_files(dumped.run, {"before/views": "public.kept\npublic.serials\n"})
    write_files(dumped.world, {"views": "public.kept\npublic.new\n"})

    dumped.apply("run_upgrade")

    (warned,) = (entry for entry in dumped.journal if entry.startswith("warning "))
    assert "removed views that read what is gone: public.serials; " in warned


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix")], ids=["dash", "bash"])
def test_the_status_of_upgrade_sh_is_not_lost(dumped: Server, shell: tuple[str, ...]) -> None:
    dumped.shell = shell
    dumped.tell(upgrade_fails="Building documentation (mkdocs build)")

    done = dumped.step("run_upgrade", "apply")

    assert (done.returncode, "no luck today" in done.stdout) == (1, True)
    assert dumped.reason == "upgrade.sh ended with status 1 at: Building documentation (no luck today)"


def test_an_upgrade_sh_that_leaves_early_without_a_word_has_failed(dumped: Server) -> None:
    """As 4.2.8 and later do with --readonly, before the documentation and the static files."""
    dumped.tell(upgrade_leaves="Applying database migrations (python3 netpoint/manage.py migrate)")

    statuses = [dumped.step("run_upgrade", "apply").returncode]
    reason = dumped.reason
    statuses.append(dumped.step("run_upgrade", "check").returncode)

    assert (statuses, reason) == (
        [1, 1],
        "upgrade.sh ended early, without saying that the upgrade is complete, at: Applying database migrations",
    )


def test_a_last_line_without_its_end_is_read_too(dumped: Server) -> None:
    script = dumped.new / "upgrade.sh"
    script.write_text(script.read_text().partition('echo "Upgrade complete')[0] + "printf 'Upgrade complete!'\n")

    dumped.apply("run_upgrade")


def test_an_upgrade_sh_that_cannot_be_started_has_failed(dumped: Server) -> None:
    (dumped.new / "upgrade.sh").chmod(0o644)

    assert dumped.step("run_upgrade", "apply").returncode == 1
    assert dumped.reason.startswith("upgrade.sh ended with status 126 at:")


def test_a_warning_about_migrations_that_nobody_wrote_is_told(dumped: Server) -> None:
    warning = "Your models in app(s): 'dcim' have changes that are not yet reflected in a migration"
    script = dumped.new / "upgrade.sh"
    script.write_text(
        script.read_text().replace("part 'Building", f"echo \"  {warning}, and so won't be applied.\"\npart 'Building")
    )

    dumped.apply("run_upgrade")

    assert [line for line in dumped.journal if line.startswith("warning") and warning in line]


def test_the_operators_environment_reaches_upgrade_sh_and_no_log(dumped: Server) -> None:
    dumped.bundle(PYTHON="/usr/bin/python3.11")
    dumped.set_environment(
        [("PIP_INDEX_URL", "https://pip:hunter2@pip.example.org"), ("PIP_CONSTRAINT", "file:///c.txt")]
    )
    (dumped.run / "upgrade.env").write_text("DB_PASSWORD=hunter3\0ROOT=/x\0NEW=/y\0PATH=/z\0")

    done = dumped.step("run_upgrade", "apply")

    given = (dumped.world / "upgrade.env").read_text().splitlines()
    for line in ("PIP_INDEX_URL=https://pip:hunter2@pip.example.org", "PIP_CONSTRAINT=file:///c.txt",
                 "PYTHON=/usr/bin/python3.11", "DB_PASSWORD=hunter3", "ROOT=/x"):  # fmt: skip
        assert line in given
    assert [
        secret for secret in ("hunter2", "hunter3", PASSWORD) if secret in done.stdout + "\n".join(dumped.journal)
    ] == []


def test_without_a_python_of_its_own_upgrade_sh_takes_its_default(dumped: Server) -> None:
    dumped.apply("run_upgrade")

    given = (dumped.world / "upgrade.env").read_text()
    assert [name for name in ("PYTHON=", "PIP_NO_INDEX=", "VIRTUAL_ENV=") if f"\n{name}" in given] == []


@pytest.mark.parametrize(
    ("local", "asks_the_index"),
    [
        ("django-auth-ldap\n# see https://example.org\n", True),
        ("django-auth-ldap\n", False),
        ("netbox-bgp @ git+https://example.org/bgp.git\n", True),
        ("-e ./plugins/ours\n", True),
        (" ./plugins/ours\n", True),
    ],
)
def test_what_was_staged_is_installed_without_the_network(dumped: Server, local: str, *, asks_the_index: bool) -> None:
    (dumped.new / "local_requirements.txt").write_text(local)
    dumped.apply("stage_packages", "run_upgrade")

    given = (dumped.world / "upgrade.env").read_text()
    assert (f"\nPIP_FIND_LINKS=file://{dumped.run}/wheels/" in given, "\nPIP_NO_INDEX=1" not in given) == (
        True,
        asks_the_index,
    )


# ---- the way back


def test_a_migration_that_was_begun_is_taken_back(dumped: Server) -> None:
    dumped.tell(upgrade_fails="Building documentation (mkdocs build)")
    dumped.step("run_upgrade", "apply")
    assert dumped.migrations == MIGRATED

    assert (dumped.step("run_upgrade", "undo").returncode, dumped.migrations) == (0, UNTOUCHED)


def test_a_database_that_was_not_touched_is_left_alone(dumped: Server) -> None:
    dumped.tell(upgrade_fails="Installing core dependencies (pip install -r requirements.txt)")
    dumped.step("run_upgrade", "apply")

    done = dumped.step("run_upgrade", "undo")

    assert (done.returncode, (dumped.world / "restored").exists()) == (0, False)


def test_a_migration_that_nothing_tells_of_is_taken_back(dumped: Server) -> None:
    """The server went down after the migration had begun and before that was written down."""
    (dumped.world / "database").write_text("\n".join(MIGRATED))

    assert (dumped.step("run_upgrade", "undo").returncode, dumped.migrations) == (0, UNTOUCHED)


def test_services_that_a_reboot_has_started_are_stopped_first(dumped: Server) -> None:
    dumped.apply("run_upgrade")
    for name in ("netpoint", "netpoint-rq"):
        (dumped.world / f"units/{name}.service.active").touch()

    dumped.step("run_upgrade", "undo")

    assert (dumped.active, dumped.migrations) == ([], UNTOUCHED)


def test_nothing_is_put_back_by_a_list_that_was_cut_off(dumped: Server) -> None:
    """It names a part of the tables; that part alone would come back."""
    dumped.apply("run_upgrade")
    (dumped.world / "list.ends").touch()

    assert (dumped.step("run_upgrade", "undo").returncode, dumped.migrations) == (1, MIGRATED)


def test_a_dump_is_put_back_though_nothing_of_it_can_be_written_down(dumped: Server) -> None:
    """A disk that is full with what an earlier list left there has no room for another."""
    dumped.apply("run_upgrade")
    (dumped.run / "restore.list").mkdir()

    assert (dumped.step("run_upgrade", "undo").returncode, dumped.migrations) == (0, UNTOUCHED)


@pytest.mark.parametrize("damage", ["cut off", "gone", "of no database"])
def test_a_dump_that_cannot_be_put_back_changes_nothing(dumped: Server, damage: str) -> None:
    dumped.apply("run_upgrade")
    {
        "cut off": lambda: dumped.dump.write_text("PGDMP\ndcim|00"),
        "gone": dumped.dump.unlink,
        "of no database": lambda: dumped.dump.write_text("garbage"),
    }[damage]()

    assert (dumped.step("run_upgrade", "undo").returncode, dumped.migrations) == (1, MIGRATED)


def test_a_dump_that_leads_elsewhere_is_told(dumped: Server) -> None:
    dumped.apply("run_upgrade")
    dumped.dump.write_text("PGDMP\nanother|0001_initial\nEND\n")

    assert dumped.step("run_upgrade", "undo").returncode == 1
    assert dumped.reason == "the dump was put back and the database is not as it was"
