"""What the probe tells of a backup: what its manifest says, and what its sizes show to be wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netpoint_remote.planning.facts import parse_facts
from netpoint_remote.running.bundle import probe_script
from tests.remote.conftest import Make
from tests.remote.server import Server, write_files
from tests.remote.test_probe import host_of, hush


@pytest.fixture
def server(make_server: Make) -> Server:
    server = hush(make_server())
    manifest = f"root={server.root}\nversion=3.4.9\nsize.database.dump=6\nsize.files.tar=4\n"
    write_files(
        server.folder / "var/backups/b1", {"manifest": manifest, "database.dump": "PGDMP\n", "files.tar": "tar\n"}
    )
    return server


def damage(server: Server) -> str:
    done = server.visit(probe_script(host_of(server), None, backups=True))
    (backup,) = parse_facts(done.stdout).backups
    return backup.damage


def test_a_whole_backup_has_no_damage(server: Server) -> None:
    assert damage(server) == ""


def no_dump(backup: Path) -> None:
    (backup / "database.dump").unlink()


def half_a_dump(backup: Path) -> None:
    (backup / "database.dump").write_text("PGD")


def no_files(backup: Path) -> None:
    (backup / "files.tar").unlink()


def half_a_manifest(backup: Path) -> None:
    manifest = backup / "manifest"
    manifest.write_text(manifest.read_text().partition("\nsize")[0])


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (no_dump, "database.dump is missing"),
        (half_a_dump, "database.dump has 3 bytes, not 6"),
        (no_files, "files.tar is missing"),
        (half_a_manifest, "its manifest names no dump"),
    ],
)
def test_what_sizes_show_to_be_wrong_is_told(server: Server, breaks: Callable[[Path], None], told: str) -> None:
    breaks(server.folder / "var/backups/b1")

    assert damage(server) == told
