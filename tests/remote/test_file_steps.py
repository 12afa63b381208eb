"""The steps that bring an admin's own files to the new release, none forgotten and none too many."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.remote.conftest import Make
from tests.remote.server import BIRTHDAY, FOLDERS, Server, differences, look, write_files

AWKWARD_NAMES = (
    "two\nlines",
    "a tab\there",
    "-rf",
    "$(x) `y`",
    "\"quotes\" and 'more'",
    "back\\slash",
    "ünïcödé",
    "*?[a]",
    " ",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another owner can be given by root only")


@pytest.fixture
def unpacked(make_server: Make) -> Server:
    """Return a server with the new release beside the old one."""
    server = make_server()
    server.apply("fetch_release", "unpack_release")
    return server


def carried(server: Server) -> list[str]:
    return (server.run / "carried").read_text().splitlines()


# ---- the configuration and other local files


def test_what_the_document_names_is_carried_over_if_it_is_there(unpacked: Server) -> None:
    named = [
        "gunicorn.py",
        "local_requirements.txt",
        "netpoint/netpoint/configuration.py",
        "netpoint/netpoint/ldap_config.py",
    ]
    write_files(unpacked.old, {named[1]: "django-auth-ldap\n", named[3]: "AUTH_LDAP_SERVER_URI = ''\n"})

    unpacked.apply("carry_over")

    assert carried(unpacked) == named
    assert look(unpacked.old, *named) == look(unpacked.new, *named)


def test_hidden_files_beside_the_configuration_come_along(unpacked: Server) -> None:
    """Secrets for python-dotenv, or for EnvironmentFile=, are kept there."""
    hidden = [".env", "netpoint/.env", "netpoint/netpoint/.env.d/secret"]
    write_files(unpacked.old, dict.fromkeys(hidden, "SECRET_KEY=x\n"))

    unpacked.apply("carry_over", "sync_files")

    assert look(unpacked.old, *hidden) == look(unpacked.new, *hidden)


def test_a_file_that_is_not_there_is_not_missed(unpacked: Server) -> None:
    unpacked.apply("carry_over")

    assert carried(unpacked) == ["gunicorn.py", "netpoint/netpoint/configuration.py"]


def test_the_configuration_is_as_private_as_it_was(unpacked: Server) -> None:
    unpacked.apply("carry_over")

    assert (unpacked.new / "netpoint/netpoint/configuration.py").stat().st_mode & 0o777 == 0o640


@needs_root
def test_the_configuration_belongs_to_whom_it_belonged(unpacked: Server) -> None:
    os.chown(unpacked.old / "netpoint/netpoint/configuration.py", 0, 12345)

    unpacked.apply("carry_over")

    assert (unpacked.new / "netpoint/netpoint/configuration.py").stat().st_gid == 12345


def test_files_of_the_admins_own_come_along(unpacked: Server) -> None:
    write_files(unpacked.old, {
        "netpoint/netpoint/extra.py": "import sso\n", "netpoint/local/logo.svg": "<svg/>", ".env": "X=1\n",
        "certs/ca.pem": "PEM", "it's $(x) mine.txt": "1", "-dash.txt": "1", "netpoint/pipeline.py": "",
    })  # fmt: skip
    (unpacked.old / "certs").chmod(0o700)
    (unpacked.old / "uwsgi.ini").symlink_to("/etc/uwsgi.ini")

    unpacked.apply("carry_over")

    assert carried(unpacked) == sorted([
        "-dash.txt", ".env", "certs", "gunicorn.py", "it's $(x) mine.txt", "netpoint/local",
        "netpoint/netpoint/configuration.py", "netpoint/netpoint/extra.py", "netpoint/pipeline.py", "uwsgi.ini",
    ])  # fmt: skip
    assert look(unpacked.old, *carried(unpacked)) == look(unpacked.new, *carried(unpacked))


def test_what_the_old_release_brought_and_the_new_one_dropped_stays_behind(unpacked: Server) -> None:
    dropped = {"NOTICE": "", "netpoint/oldapp/models.py": "", "netpoint/netpoint/jinja2.py": ""}
    write_files(unpacked.old, dropped, at=BIRTHDAY)
    (unpacked.old / "netpoint/oldapp/__pycache__").mkdir()
    (unpacked.old / "netpoint/oldapp/__pycache__/models.pyc").touch()

    unpacked.apply("carry_over")

    assert [name for name in carried(unpacked) if name in dropped or "oldapp" in name] == []


def test_what_a_running_netpoint_makes_anew_stays_behind(unpacked: Server) -> None:
    write_files(unpacked.old, {"netpoint/netpoint/settings.pyc": "", ".netpoint-remote/3.4.9/venv/x": "", ".git/x": ""})

    unpacked.apply("carry_over")

    assert carried(unpacked) == ["gunicorn.py", "netpoint/netpoint/configuration.py"]


def test_uploads_in_a_folder_of_their_own_are_left_to_their_own_step(unpacked: Server) -> None:
    write_files(unpacked.old, {"uploads/a.png": "PNG"})
    unpacked.bundle(FOLDERS=f"uploads\n{FOLDERS}")

    unpacked.apply("carry_over")

    assert "uploads" not in carried(unpacked)


def test_a_configuration_that_is_a_link_stays_one(unpacked: Server) -> None:
    kept = unpacked.folder / "etc/configuration.py"
    shutil.move(unpacked.old / "netpoint/netpoint/configuration.py", kept)
    (unpacked.old / "netpoint/netpoint/configuration.py").symlink_to(kept)

    unpacked.apply("carry_over")

    assert ((unpacked.new / "netpoint/netpoint/configuration.py").readlink(), kept.exists()) == (kept, True)


@pytest.mark.parametrize("beside", [(), ("run/README",)])
def test_a_folder_that_a_service_listens_in_comes_along(unpacked: Server, beside: tuple[str, ...]) -> None:
    (unpacked.old / "logs/access").mkdir(parents=True)
    (unpacked.old / "run").mkdir(mode=0o750)
    for name in ("run/http.sock", "top.sock"):
        os.mknod(unpacked.old / name, stat.S_IFSOCK | 0o600)
    write_files(unpacked.old, dict.fromkeys(beside, ""))

    unpacked.apply("carry_over", "sync_files")

    assert [name for name in carried(unpacked) if "py" not in name] == ["logs", "run"]
    assert unpacked.step("sync_files", "check").returncode == 0
    (unpacked.old / "run/http.sock").unlink()
    assert look(unpacked.new, "run", "logs") == look(unpacked.old, "run", "logs")


def test_a_package_of_the_old_release_that_left_only_bytecode_stays_behind(unpacked: Server) -> None:
    write_files(unpacked.old, {"netpoint/oldapp/__pycache__/models.pyc": ""})

    unpacked.apply("carry_over")

    assert carried(unpacked) == ["gunicorn.py", "netpoint/netpoint/configuration.py"]


def test_what_is_written_to_local_files_while_they_are_copied_is_brought_in_the_window(unpacked: Server) -> None:
    write_files(unpacked.old, {"logs/access.log": "1\n", "logs/old.log": "", "netpoint.pid": "7\n", "top.log": "1\n"})
    unpacked.apply("carry_over")
    write_files(unpacked.old, {
        "logs/access.log": "1\n2\n", "logs/access.log.1": "0\n", "top.log": "1\n2\n", "top.log.1": "0\n",
        "netpoint/netpoint/configuration.py": "DEBUG = False\n",
    })  # fmt: skip
    for name in ("logs/old.log", "netpoint.pid"):
        (unpacked.old / name).unlink()

    done = [unpacked.step(step, "check").returncode for step in ("carry_over", "sync_files")]
    unpacked.apply("sync_files")

    names = ("logs", "top.log", "top.log.1", "netpoint/netpoint/configuration.py")
    assert (done, unpacked.step("sync_files", "check").returncode) == ([0, 1], 0)
    assert look(unpacked.new, *names) == look(unpacked.old, *names)
    assert not (unpacked.new / "netpoint.pid").exists()


def test_a_local_file_that_did_not_change_is_not_copied_again_in_the_window(unpacked: Server) -> None:
    write_files(unpacked.old, {"old.sql": "INSERT\n", "top.log": "1\n"})
    unpacked.apply("carry_over")
    before = {name: (unpacked.new / name).stat().st_ino for name in ("old.sql", "top.log")}
    write_files(unpacked.old, {"top.log": "1\n2\n"})

    unpacked.apply("sync_files")

    assert [name for name, number in before.items() if (unpacked.new / name).stat().st_ino == number] == ["old.sql"]


def test_a_local_file_that_another_program_goes_on_writing_to_is_brought_once(unpacked: Server) -> None:
    """A web server may have its log in the release, and is not stopped."""
    write_files(unpacked.old, {"logs/access.log": "1\n"})
    unpacked.apply("carry_over", "sync_files")
    write_files(unpacked.old, {"logs/access.log": "1\n2\n"})

    assert unpacked.step("sync_files", "check").returncode == 0
    assert (unpacked.new / "logs/access.log").read_text() == "1\n"


def test_a_local_file_that_is_gone_when_it_is_done_again_is_removed(unpacked: Server) -> None:
    unpacked.apply("carry_over")
    write_files(unpacked.old, {"netpoint.pid": "7\n"})
    unpacked.apply("sync_files")
    (unpacked.old / "netpoint.pid").unlink()

    undone = unpacked.step("sync_files", "undo").returncode
    unpacked.apply("sync_files")

    assert (undone, (unpacked.new / "netpoint.pid").exists()) == (0, False)


def test_what_the_new_release_has_in_a_local_folder_stays(unpacked: Server) -> None:
    brought = {"netpoint/local/release.yaml": "version: 3.5.0\n"}
    write_files(unpacked.old, {"netpoint/local/logo.svg": "<svg/>"})
    (unpacked.old / "netpoint/local/broken").symlink_to("nowhere")
    write_files(unpacked.new, brought)
    unpacked.repack(brought)

    unpacked.apply("carry_over", "sync_files")

    there = sorted(path.name for path in (unpacked.new / "netpoint/local").iterdir())
    assert there == ["broken", "logo.svg", "release.yaml"]
    assert unpacked.step("sync_files", "check").returncode == 0


# ---- media, scripts, reports


def test_any_name_is_copied(unpacked: Server) -> None:
    media = unpacked.old / "netpoint/media"
    for name in AWKWARD_NAMES:
        (media / name).write_text(name)
        (media / f"{name} folder").mkdir()
        (media / f"{name} folder" / name).write_text(name)

    unpacked.apply("copy_files", "sync_files")

    assert look(media, ".") == look(unpacked.new / "netpoint/media", ".")
    assert unpacked.step("sync_files", "check").returncode == 0


def test_modes_times_empty_folders_and_links_are_copied(unpacked: Server) -> None:
    media = unpacked.old / "netpoint/media"
    (media / "private").mkdir(mode=0o700)
    (media / "private/key").touch(mode=0o600)
    os.utime(media / "private/key", (BIRTHDAY, BIRTHDAY))
    (media / "latest").symlink_to("switch photo.png")
    media.chmod(0o2775)

    unpacked.apply("copy_files", "sync_files")

    new = unpacked.new / "netpoint/media"
    assert look(media, ".") == look(new, ".")
    assert (new / "private/key").stat().st_mtime == BIRTHDAY


@needs_root
def test_owners_are_copied(unpacked: Server) -> None:
    for path in ("netpoint/media", "netpoint/media/image-attachments/switch.png"):
        os.chown(unpacked.old / path, 23456, 12345)

    unpacked.apply("copy_files", "sync_files")

    assert look(unpacked.old, "netpoint/media") == look(unpacked.new, "netpoint/media")


def test_nobody_gets_into_a_folder_before_all_of_it_is_there(unpacked: Server) -> None:
    """NetPoint's own user could plant links there, and root would write through them."""
    (unpacked.old / "netpoint/media").chmod(0o777)

    unpacked.apply("copy_files")
    new = (unpacked.new / "netpoint/media").stat()

    assert (new.st_mode & 0o7777, new.st_uid) == (0o700, os.geteuid())
    assert unpacked.step("sync_files", "check").returncode == 1


def test_compiled_scripts_stay_behind(unpacked: Server) -> None:
    write_files(unpacked.old, {"netpoint/scripts/__pycache__/move.cpython-311.pyc": ""})

    unpacked.apply("copy_files", "sync_files")

    assert not (unpacked.new / "netpoint/scripts/__pycache__").exists()


@pytest.mark.parametrize("target", ["../../srv/media", "{folder}/srv/media"])
def test_a_folder_that_is_kept_elsewhere_stays_there(unpacked: Server, target: str) -> None:
    media, kept = unpacked.old / "netpoint/media", unpacked.folder / "srv/media"
    shutil.move(media, kept)
    media.symlink_to(target.format(folder=unpacked.folder))
    before = look(unpacked.folder, "srv")

    unpacked.apply("copy_files", "sync_files")

    assert (unpacked.new / "netpoint/media").readlink() == media.readlink()
    assert (look(unpacked.folder, "srv"), unpacked.step("sync_files", "check").returncode) == (before, 0)


def test_an_upload_while_files_are_copied_is_no_failure(unpacked: Server) -> None:
    unpacked.apply("copy_files")
    write_files(unpacked.old, {"netpoint/media/meanwhile.png": "PNG"})

    assert [unpacked.step(step, "check").returncode for step in ("copy_files", "sync_files")] == [0, 1]


def test_what_was_added_changed_and_removed_meanwhile_is_brought(unpacked: Server) -> None:
    media = unpacked.old / "netpoint/media"
    write_files(
        media, {"changed": "old", "removed": "", "gone/a": "", "mode": "", "became a folder": "", "became a file/a": ""}
    )
    unpacked.apply("copy_files")
    write_files(media, {"added": "", "changed": "new and longer", "deep/er/added": ""})
    (media / "mode").chmod(0o600)
    for name in ("removed", "became a folder"):
        (media / name).unlink()
    for name in ("gone", "became a file"):
        shutil.rmtree(media / name)
    write_files(media, {"became a folder/a": "", "became a file": ""})

    unpacked.apply("sync_files")

    assert look(media, ".") == look(unpacked.new / "netpoint/media", ".")


def test_what_a_full_disk_had_no_room_to_list_is_not_taken_for_alike(unpacked: Server) -> None:
    unpacked.apply("copy_files", "sync_files")
    write_files(unpacked.old, {"netpoint/media/late.png": "PNG"})

    unpacked.fill_disks()
    status = unpacked.step("sync_files", "check").returncode

    assert status == 1


@pytest.mark.parametrize("blocks", [0, 1, 2, 8])
def test_nothing_is_removed_by_a_list_that_a_full_disk_has_cut_short(unpacked: Server, blocks: int) -> None:
    unpacked.apply("copy_files")
    write_files(unpacked.old, {f"netpoint/scripts/added {number}.py": "x" * 9000 for number in range(50)})
    before = look(unpacked.new, ".")

    unpacked.fill_disks(blocks)
    status = unpacked.step("sync_files", "apply").returncode

    assert (status != 0, [line for line in differences(before, look(unpacked.new, ".")) if "gone" in line]) == (
        True,
        [],
    )


def test_a_release_that_could_not_be_listed_to_its_end_is_listed_anew(unpacked: Server) -> None:
    more = {f"netpoint/scripts/{number} {'a' * 80}.py": "" for number in range(20)}
    write_files(unpacked.new, more)
    unpacked.repack(more)
    unpacked.fill_disks(1)
    unpacked.step("copy_files", "apply")
    unpacked.free_disks()

    unpacked.apply("copy_files", "sync_files")

    assert look(unpacked.new, *more).keys() >= more.keys()


def test_a_script_that_the_new_release_brings_stays(unpacked: Server) -> None:
    brought = {"netpoint/scripts/ünïcödé.py": "", "netpoint/scripts/more/example.py": ""}
    write_files(unpacked.new, {**brought, "netpoint/scripts/stray.py": "", "netpoint/scripts/more/stray.py": ""})
    unpacked.repack(brought)

    unpacked.apply("copy_files", "sync_files")

    scripts = unpacked.new / "netpoint/scripts"
    there = sorted(str(path.relative_to(scripts)) for path in scripts.rglob("*.py"))
    assert there == ["__init__.py", "more/example.py", "move.py", "ünïcödé.py"]


def test_a_folder_that_the_old_release_has_not_is_left_alone(unpacked: Server) -> None:
    shutil.rmtree(unpacked.old / "netpoint/reports")

    unpacked.apply("copy_files", "sync_files")

    assert (unpacked.new / "netpoint/reports/__init__.py").exists()


def test_without_folders_of_its_own_there_is_nothing_to_copy(unpacked: Server) -> None:
    unpacked.bundle(FOLDERS="")

    unpacked.apply("copy_files", "sync_files")

    assert not Path(unpacked.new / "netpoint/scripts/move.py").exists()


# ---- what an older release has left


def test_a_package_that_an_older_release_has_left_is_not_carried_over(server: Server) -> None:
    """An archive that is unpacked over an older one leaves its packages: `secrets` would hide Python's own."""
    server.record()
    server.apply("fetch_release", "unpack_release")
    for name in ("secrets/apps.py", "secrets/migrations/__init__.py", "mine/apps.py", "tools/x.py"):
        write_files(server.old, {f"netpoint/{name}": ""}, at=1_600_000_000)
    server.bundle(PLUGINS="other\nmine")

    server.apply("carry_over")

    carried = [name for name in ("secrets", "mine", "tools") if (server.new / "netpoint" / name).exists()]
    assert carried == ["mine", "tools"]
    (told,) = [line for line in server.journal if line.startswith("warning carry_over left behind by an older release")]
    assert "netpoint/secrets" in told
