"""What a backup saves besides the database, on servers in folders, and that all of it comes back."""

import shutil
import tarfile
from dataclasses import replace

import pytest

from netpoint_remote.planning.plan import make_backup_plan
from tests.remote.conftest import Make
from tests.remote.server import Server, differences, look, write_files
from tests.remote.test_way_back import case_of, go_back, save, send

LOCAL = ("netpoint/netpoint/configuration.py", "netpoint/netpoint/ldap_config.py", "local_requirements.txt")


def saved_names(server: Server) -> list[str]:
    """Return what the newest backup holds, with full paths."""
    with tarfile.open(server.folder / "var/backups" / server.run_id / "files.tar") as tar:
        return [f"/{name}" for name in tar.getnames()]


def save_uploads(server: Server, *folders: object) -> str:
    """Make a backup of a server whose folders of uploads are these."""
    of = case_of(server)
    plan = make_backup_plan(of, verify=False)
    variables = {**dict(plan.variables), "UPLOADS": "\n".join(map(str, folders))}
    return send(server, of, replace(plan, variables=tuple(variables.items())))


def warnings(server: Server) -> list[str]:
    return [line.removeprefix("warning save_files ") for line in server.journal if line.startswith("warning")]


@pytest.mark.parametrize("git", [False, True], ids=["archive", "git"])
def test_local_files_behind_links_are_saved_and_come_back(make_server: Make, *, git: bool) -> None:
    server = make_server(git=git)
    kept = server.folder / "etc/our settings"
    write_files(server.old, {LOCAL[1]: "AUTH_LDAP_SERVER_URI = ''\n", LOCAL[2]: "django-auth-ldap\n"})
    kept.mkdir()
    for name in LOCAL:
        shutil.move(server.old / name, kept / name.rpartition("/")[2])
    for name in LOCAL:
        (server.old / name).symlink_to(kept / name.rpartition("/")[2])
    before = look(kept.parent, kept.name) | look(server.old, *LOCAL)

    assert save(server) == "saved", (server.run / "log").read_text()[-2000:]
    names = saved_names(server)
    (kept / "configuration.py").write_text((kept / "configuration.py").read_text() + "\nDEBUG = True\n")
    (kept / "ldap_config.py").unlink()
    (server.old / LOCAL[2]).unlink()

    assert len({*names}) == len(names)
    assert go_back(server, server.run_id) == "rolled-back", (server.run / "log").read_text()[-2000:]
    assert differences(before, look(kept.parent, kept.name) | look(server.old, *LOCAL)) == []


def test_what_the_system_brings_is_not_saved_for_a_link_that_leads_there(server: Server) -> None:
    (server.old / "our-shell").symlink_to("/usr/bin/env")

    save(server)

    assert [name for name in saved_names(server) if name.endswith(("/our-shell", "/env"))] == [
        str(server.old / "our-shell")
    ]


def test_a_configured_folder_that_is_missing_is_warned_about(server: Server) -> None:
    """MEDIA_ROOT on a share that is not mounted: the backup lacks it, and somebody has to be told."""
    (server.old / "netpoint/scripts-elsewhere").symlink_to(server.folder / "not mounted")
    missing = (server.folder / "srv/media", server.old / "netpoint/scripts-elsewhere")

    result = save_uploads(server, *missing, server.old / "netpoint/reports")

    assert (result, warnings(server)) == (
        "saved", [f"{folder} is not there, so the backup holds nothing of it: is it mounted?" for folder in missing],
    )  # fmt: skip


def test_a_folder_that_a_release_does_not_have_is_no_warning(server: Server) -> None:
    shutil.rmtree(server.old / "netpoint/reports")

    assert (save(server), warnings(server)) == ("saved", [])


def test_local_files_that_cannot_be_listed_are_no_backup(checkout: Server) -> None:
    """Git does not tell which files are local where it cannot read its index."""
    (checkout.old / ".git/index").write_bytes(bytes(100))

    result = save(checkout)

    assert result.startswith("reverted save_files: the local files could not be listed:")
    assert list((checkout.folder / "var/backups").iterdir()) == []
