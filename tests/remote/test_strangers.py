"""Whatever the service's user plants in its folders, or swaps while root works there, root touches nothing else."""

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from pwd import getpwall
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from tests.remote.server import REMOTE, Seen, Server, look, write_files
from tests.remote.test_places import give_by_list
from tests.remote.test_prune import pruning

pytestmark = pytest.mark.promise(8)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, which only root may")
STRANGER = 65534
SWAPS = 200_000
LIST, DEFAULT_LIST = "system.posix_acl_access", "system.posix_acl_default"
ATTACKER = """
import os, sys
print("begun", flush=True)
root, canaries, swaps = sys.argv[1], sys.argv[2], int(sys.argv[3])
top = os.open(root, os.O_RDONLY)
sub = os.open("sub", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=top)
places = [(top, "sub", canaries), *((sub, str(number), os.path.join(canaries, str(number))) for number in range(4))]
for turn in range(swaps):
    for place, name, target in places:
        try:
            if os.path.stat.S_ISLNK(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=place)
                os.rename(name + ".mine", name, src_dir_fd=place, dst_dir_fd=place)
            else:
                os.rename(name, name + ".mine", src_dir_fd=place, dst_dir_fd=place)
                os.symlink(target, name, dir_fd=place)
        except OSError:
            pass
"""


def files(verb: str, *paths: object, said: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-I", "-S", REMOTE / "files.py", verb, *map(str, paths)],
        input=said,
        capture_output=True,
        check=False,
    )


def files_when(event: str, reaction: str, verb: str, *paths: object) -> "subprocess.CompletedProcess[bytes]":
    """Do the same, and something else right before a system call, each time."""
    program = f"""
import contextlib, errno, os, runpy, sys
def react(event, words):
    if event == {event!r}:
        {reaction}
sys.addaudithook(react)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    words = [sys.executable, "-I", "-S", "-c", program, REMOTE / "files.py", verb, *map(str, paths)]
    return subprocess.run(words, capture_output=True, check=False)


@pytest.fixture
def canaries(tmp_path: Path) -> Path:
    """Return a folder that nobody may touch, with files of the names that lie in the folder of uploads."""
    folder = tmp_path / "etc"
    write_files(folder, {str(number): "secret" for number in range(4)})
    for path in folder.iterdir():
        path.chmod(0o640)
    folder.chmod(0o750)
    return folder


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Return a folder of uploads in which everybody may put a link in the place of anything."""
    folder = tmp_path / "opt/media"
    write_files(folder, {f"sub/{number}": "upload" for number in range(4)})
    for path in (folder / "sub").iterdir():
        path.chmod(0o666)
    for path in (folder, folder / "sub"):
        path.chmod(0o777)
    return folder


@contextmanager
def attacked(folder: Path, canaries: Path) -> Iterator["subprocess.Popen[str]"]:
    """Swap what is in a folder for links to the canaries and back, until that was done often enough."""
    words = [sys.executable, "-c", ATTACKER, str(folder), str(canaries), str(SWAPS)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as attacker:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        yield attacker
        attacker.kill()


def tries(attacker: "subprocess.Popen[str]") -> Iterator[int]:
    for number in range(5):
        if attacker.poll() is not None:
            return
        yield number


def kept(canaries: Path) -> Seen:
    return look(canaries.parent, canaries.name)


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("verb", ["bring", "copy", "mirror"])
def test_a_copy_touches_nothing_else_while_names_are_swapped(
    media: Path, canaries: Path, tmp_path: Path, verb: str, side: str
) -> None:
    """Both sides are the attacker's: it has a process that works in the new folder, or the old one."""
    new, before = tmp_path / "opt/new/media", kept(canaries)
    files("copy", media, new)

    with attacked(media if side == "old" else new, canaries) as attacker:
        for _ in tries(attacker):
            files(verb, media, new)

    assert kept(canaries) == before
    assert not any(path.is_file() and not path.is_symlink() and path.read_text() == "secret" for path in new.rglob("*"))


def test_what_git_wrote_is_given_back_while_names_are_swapped(media: Path, canaries: Path) -> None:
    before, triples = kept(canaries), b""
    for number in range(4):
        triples += b"%d:%d\0666\0./sub/%d\0" % (os.getuid(), os.getgid(), number)

    with attacked(media, canaries) as attacker:
        for _ in tries(attacker):
            files("give_back", media, said=triples)
            files("remove", media, said=b"./sub/0\0./sub/1\0")

    assert kept(canaries) == before


def test_single_entries_are_handled_while_names_are_swapped(media: Path, canaries: Path, tmp_path: Path) -> None:
    before, copied = kept(canaries), tmp_path / "copied"
    copied.mkdir()
    read = b""

    with attacked(media, canaries) as attacker:
        for _ in tries(attacker):
            files("write", media / "sub/0", said=b"ours")
            files("move", media / "sub/1", media / "sub/moved")
            files("carry", media / "sub/2", copied / "2")
            read += files("read", media / "sub/2").stdout
            files("make", media / "sub/made")
            files("discard", media / "sub/3")

    assert (kept(canaries), b"secret" in read) == (before, False)
    assert not any(path.read_text() == "secret" for path in copied.iterdir() if not path.is_symlink())


@needs_root
def test_nothing_is_set_aside_through_a_link_of_a_stranger(checkout: Server, canaries: Path) -> None:
    before, aside = kept(canaries), Path(checkout.variables["ASIDE"]).parent
    aside.symlink_to(canaries)
    os.chown(aside, STRANGER, STRANGER, follow_symlinks=False)

    done = checkout.step("set_aside", "apply")

    assert (done.returncode != 0, kept(canaries), (checkout.old / "venv").is_dir()) == (True, before, True)
    assert "another user may have made" in done.stdout


def test_what_is_noted_of_a_set_aside_environment_goes_through_no_link(checkout: Server, canaries: Path) -> None:
    before, aside = kept(canaries), Path(checkout.variables["ASIDE"])
    partial = aside.with_name(f".{aside.name}.{checkout.run_id}")
    partial.mkdir(parents=True)
    for number, name in enumerate(("complete", "commit")):
        (partial / name).symlink_to(canaries / str(number))

    checkout.apply("set_aside")

    assert (kept(canaries), (aside / "complete").read_text()) == (before, f"{checkout.run_id}\n")


@needs_root
@pytest.mark.parametrize("name", ["3.4.8", ".3.4.8.removed"])
def test_a_prune_removes_nothing_through_a_link_of_a_stranger(checkout: Server, canaries: Path, name: str) -> None:
    """Whoever owns a checkout names folders in it as environments that were set aside."""
    asides = checkout.old / ".git/netpoint-remote"
    write_files(canaries, {f"{name}/passwd": ""})
    before = kept(canaries)
    asides.symlink_to(canaries)
    os.chown(asides, STRANGER, STRANGER, follow_symlinks=False)

    left = name.startswith(".")
    done = pruning(checkout, **{"LEFTOVERS" if left else "TREES": f"{asides}/{name}"})

    assert (done.returncode, kept(canaries)) == (1, before), done.stdout
    assert "another user may have made" in done.stdout


@needs_root
@pytest.mark.parametrize("place", ["netpoint", "netpoint/netpoint"])
def test_what_is_carried_over_comes_through_no_link_of_a_stranger(server: Server, canaries: Path, place: str) -> None:
    server.apply("fetch_release", "unpack_release")
    folder = server.old / place
    folder.rename(f"{folder}.mine")
    write_files(canaries, {"configuration.py": "secret", "netpoint/configuration.py": "secret"})
    folder.symlink_to(canaries)
    os.chown(folder, STRANGER, STRANGER, follow_symlinks=False)

    done = server.step("carry_over", "apply")

    assert (done.returncode != 0, "another user may have made" in done.stdout) == (True, True), done.stdout
    assert not any(path.is_file() and path.read_text() == "secret" for path in server.new.rglob("*"))


def test_a_name_of_two_lines_is_not_carried_over_as_two(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    (server.old / "mine\n..").write_text("")
    others = sorted(path.name for path in server.old.parent.iterdir())

    server.apply("carry_over")

    assert ".." not in (server.run / "carried").read_text().splitlines()
    assert sorted(path.name for path in server.old.parent.iterdir()) == others


@needs_root
@pytest.mark.parametrize("place", ["contrib", "contrib/netpoint-housekeeping.sh"])
def test_no_job_for_all_to_read_is_made_of_what_a_link_of_a_stranger_leads_to(
    server: Server, canaries: Path, place: str
) -> None:
    server.record()
    write_files(canaries, {"netpoint-housekeeping.sh": "secret"})
    shutil.rmtree(server.old / "contrib")
    (server.old / place).parent.mkdir(exist_ok=True)
    target = canaries if place == "contrib" else canaries / "netpoint-housekeeping.sh"
    (server.old / place).symlink_to(target)
    os.chown(server.old / place, STRANGER, STRANGER, follow_symlinks=False)

    done = server.step("schedule_housekeeping", "apply")

    assert (done.returncode, "read" in done.stdout or "link" in done.stdout) == (1, True), done.stdout
    assert not any("secret" in path.read_text() for path in (server.folder / "etc").rglob("*") if path.is_file())


@pytest.mark.parametrize("verb", ["copy", "carry", "mirror"])
def test_access_lists_go_with_what_is_copied(media: Path, tmp_path: Path, verb: str) -> None:
    for path in (media / "sub/0", media / "sub"):
        give_by_list(path, STRANGER, 6)
    os.setxattr(media / "sub", DEFAULT_LIST, os.getxattr(media / "sub", LIST))
    new = tmp_path / "new/media"
    new.parent.mkdir()

    assert files(verb, media, new).returncode == 0

    for name, kind in (("sub/0", LIST), ("sub", LIST), ("sub", DEFAULT_LIST)):
        assert os.getxattr(new / name, kind) == os.getxattr(media / name, kind)
    assert LIST not in os.listxattr(new / "sub/1")


@needs_root
def test_a_link_where_an_access_list_lets_others_write_is_not_followed(media: Path, canaries: Path) -> None:
    (media / "link").symlink_to(canaries)
    give_by_list(media, STRANGER, 7)

    assert files("read", media / "link/0").returncode == 1


def saved_of(media: Path, archive: Path) -> Path:
    """Save as the step does."""
    line = next(line for line in (REMOTE / "steps/save_files.sh").read_text().splitlines() if " -cf " in line)
    options = line.replace("--null", "").partition(" -cf ")[0]
    subprocess.run([*shlex.split(options), "-cf", archive, str(media).lstrip("/")], check=True)
    return archive


def test_access_lists_come_back_with_a_backup(media: Path, tmp_path: Path) -> None:
    for path in (media / "sub/0", media / "sub", media / "sub/2"):
        give_by_list(path, STRANGER, 6)
    os.setxattr(media / "sub", DEFAULT_LIST, os.getxattr(media / "sub", LIST))
    archive, saved, absent = saved_of(media, tmp_path / "files.tar"), tmp_path / "saved.tar", tmp_path / "absent"
    before = lists_below(media)
    shutil.rmtree(media / "sub")
    write_files(media, {"sub/1": "new", "sub/2": "new"})
    for path in (media / "sub", media / "sub/1"):
        give_by_list(path, STRANGER, 4)
    changed = lists_below(media)

    assert files("put_back", archive, saved, absent).returncode == 0
    assert lists_below(media) == before
    assert files("take_back", saved, absent).returncode == 0
    assert lists_below(media) == changed


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_names_that_are_no_ascii_and_no_text_come_back_with_a_backup(media: Path, tmp_path: Path, utf8: str) -> None:
    """Python 3.6 knows no other letters where the locale is C."""
    names = sorted([os.fsencode("Grundriß"), b"\xff\xfe", os.fsencode("n" * 100 + "ü")])
    for name in names:
        (media / os.fsdecode(name)).write_text("upload")
        (media / os.fsdecode(name + b".link")).symlink_to(os.fsdecode(name))
    archive, saved, absent = saved_of(media, tmp_path / "files.tar"), tmp_path / "saved.tar", tmp_path / "absent"
    before = look(media.parent, media.name)
    words = [sys.executable, "-I", "-S", "-X", f"utf8={utf8}", REMOTE / "files.py"]

    def run(verb: str, *paths: Path) -> int:
        return subprocess.run([*words, verb, *paths], env={"LC_ALL": "C"}, check=False).returncode

    for path in media.iterdir():
        if path.is_file() and not path.is_symlink():
            path.write_text("changed")
    changed = look(media.parent, media.name)
    assert run("put_back", archive, saved, absent) == 0
    assert look(media.parent, media.name) == before
    assert run("take_back", saved, absent) == 0
    assert look(media.parent, media.name) == changed


def lists_below(folder: Path) -> dict[tuple[str, str], bytes]:
    return {
        (str(path.relative_to(folder)), name): os.getxattr(path, name)
        for path in folder.rglob("*")
        for name in os.listxattr(path)
    }


def test_an_access_list_that_cannot_be_given_is_not_left_out_silently(media: Path, tmp_path: Path) -> None:
    give_by_list(media / "sub/0", STRANGER, 6)

    done = files_when("os.setxattr", "raise OSError(errno.EPERM, 'refused')", "copy", media, tmp_path / "new")

    assert (done.returncode, b"refused" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("event", "error"), [("os.getxattr", b""), ("os.setxattr", b"its file system supports no access lists")]
)
def test_a_file_system_without_access_lists_will_do_where_there_is_none(
    media: Path, tmp_path: Path, event: str, error: bytes
) -> None:
    """Without its access list a file would give its group the most that the list gives to anybody."""
    give_by_list(media / "sub/0", STRANGER, 6)

    done = files_when(event, "raise OSError(errno.ENOTSUP, 'it knows none')", "copy", media, tmp_path / "new")

    assert (done.returncode, error in done.stderr) == (1 if error else 0, True)


@needs_root
@pytest.mark.parametrize("planted", ["put_back", "carry"])
def test_a_link_that_is_swapped_gives_its_owner_to_nothing_else(media: Path, tmp_path: Path, planted: str) -> None:
    """A file of root's in a folder of a stranger, who moves it to the name under which the link was just made."""
    (media / "sub/link").symlink_to("x")
    os.chown(media / "sub/link", STRANGER, STRANGER, follow_symlinks=False)
    target = tmp_path / "new" if planted == "carry" else media
    words: tuple[object, ...] = (media / "sub/link", target / "link")
    if planted == "put_back":
        words = saved_of(media / "sub/link", tmp_path / "files.tar"), tmp_path / "saved.tar", tmp_path / "absent"
        target = media / "sub"
    write_files(target, {"roots": "secret"})
    os.chown(target, STRANGER, STRANGER)
    reaction = f"""
        folder = os.open({str(target)!r}, os.O_RDONLY)
        os.seteuid({STRANGER})
        for place in (words[3], folder):
            with contextlib.suppress(OSError):
                os.rename("roots", words[0], src_dir_fd=folder, dst_dir_fd=place)
        os.seteuid(0)"""

    files_when("os.chown", reaction, planted, *words)

    assert all(path.lstat().st_uid == 0 for path in target.iterdir() if path.is_file() and not path.is_symlink())
    assert (target / "roots").read_text() == "secret"


@needs_root
def test_a_backup_gives_no_folder_away_that_was_put_in_place_of_another(media: Path, tmp_path: Path) -> None:
    for path in (media, media / "sub"):
        os.chown(path, STRANGER, STRANGER)
    archive = saved_of(media, tmp_path / "files.tar")
    (media / "sub").rename(media / "was")
    write_files(media, {"sub/secret": "secret"})
    (media / "sub").chmod(0o700)

    done = files("put_back", archive, tmp_path / "saved.tar", tmp_path / "absent")

    assert (done.returncode, b"left with the owner" in done.stdout) == (0, True)
    assert ((media / "sub").stat().st_uid, oct((media / "sub").stat().st_mode)) == (0, "0o40700")


@needs_root
@pytest.mark.parametrize("verb", ["bring", "copy", "mirror", "carry"])
def test_a_copy_gives_no_folder_away_that_was_put_in_place_of_another(media: Path, tmp_path: Path, verb: str) -> None:
    new = tmp_path / "new/media"
    for path in (media, media / "sub"):
        os.chown(path, STRANGER, STRANGER)
    assert files("copy", media, new).returncode == 0
    (new / "sub").rename(new / "was")
    write_files(new, {"sub/secret": "secret"})

    assert files(verb, media, new).returncode == 0

    assert ((new / "sub").stat().st_uid, (new / "sub/secret").exists()) == (STRANGER, False)


@needs_root
@pytest.mark.parametrize("verb", ["put_back", "take_back"])
def test_a_backup_is_put_back_while_names_are_swapped(media: Path, canaries: Path, tmp_path: Path, verb: str) -> None:
    """A link in a folder of ours is ours, so the folder is the stranger's."""
    before = kept(canaries)
    archive, saved, absent = (tmp_path / name for name in ("files.tar", "saved.tar", "absent"))
    with tarfile.open(archive, "w") as tar:
        tar.add(media, str(media).lstrip("/"))
    assert files("put_back", archive, saved, absent).returncode == 0
    absent.write_bytes(f"{media}/sub/0".lstrip("/").encode() + b"\0")
    for path in (media, media / "sub"):
        os.chown(path, STRANGER, STRANGER)

    with attacked(media, canaries) as attacker:
        for _ in tries(attacker):
            files(verb, *((archive, saved, absent) if verb == "put_back" else (saved, absent)))
            for path in (media, media / "sub", media / "sub.mine"):
                with suppress(FileNotFoundError):  # the attacker goes on renaming
                    if path.is_dir() and not path.is_symlink():
                        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

    assert kept(canaries) == before


@needs_root
def test_a_backup_does_not_come_back_through_a_link_of_a_stranger(media: Path, canaries: Path, tmp_path: Path) -> None:
    before = kept(canaries)
    archive, saved, absent = (tmp_path / name for name in ("files.tar", "saved.tar", "absent"))
    with tarfile.open(archive, "w") as tar:
        tar.add(media, str(media).lstrip("/"))
    (media / "sub").rename(media / "was")
    (media / "sub").symlink_to(canaries)
    for path in (media, media / "sub"):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

    done = files("put_back", archive, saved, absent)

    assert (done.returncode, b"another user may have made" in done.stderr) == (1, True)
    assert (kept(canaries), absent.exists()) == (before, False)


def test_a_name_with_a_line_feed_removes_nothing_else(tmp_path: Path, canaries: Path) -> None:
    """As a line of a list it would be two paths, the second one anybody's."""
    media = tmp_path / "opt/media"
    write_files(media, {f"x\n{str(canaries).lstrip('/')}/new": "upload"})
    archive, saved, absent = (tmp_path / name for name in ("files.tar", "saved.tar", "absent"))
    with tarfile.open(archive, "w") as tar:
        tar.add(media, str(media).lstrip("/"))
    subprocess.run(["rm", "-r", media], check=True)
    assert files("put_back", archive, saved, absent).returncode == 0
    (canaries / "new").touch()

    assert files("take_back", saved, absent).returncode == 0
    assert ((canaries / "new").exists(), media.exists()) == (True, False)


@pytest.mark.parametrize("name", ["link", "sub/../../etc/0", "sub", "pipe"])
def test_what_is_no_plain_file_is_given_to_nobody(media: Path, canaries: Path, name: str) -> None:
    (media / "link").symlink_to(canaries / "0")
    os.mkfifo(media / "pipe")
    before = kept(canaries), modes(media)

    files("give_back", media, said=b"%d:%d\0777\0%s\0" % (os.getuid(), os.getgid(), name.encode()))

    assert (kept(canaries), modes(media)) == before


def modes(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mode for path in folder.rglob("*")}


def test_a_second_name_of_somebody_elses_file_is_given_to_nobody(media: Path, canaries: Path) -> None:
    (media / "second").hardlink_to(canaries / "0")
    before = kept(canaries)

    files("give_back", media, said=b"%d:%d\0777\0second\0" % (os.getuid(), os.getgid()))

    assert kept(canaries) == before


@needs_root
@pytest.mark.parametrize("owner", [STRANGER, 0])
def test_what_git_did_not_write_never_becomes_roots(media: Path, owner: int) -> None:
    """Whoever swaps names while owners are written down has another program's owner and mode in the list."""
    file = media / "sub/0"
    os.chown(file, owner, owner)

    files("give_back", media, said=b"0:0\x004755\0sub/0\0")

    assert (file.stat().st_uid, oct(file.stat().st_mode)) == (owner, "0o100666" if owner else "0o100755")


def test_git_runs_nothing_that_a_checkout_names(tmp_path: Path) -> None:
    """Its configuration may be of whoever owns it."""
    checkout, canary = tmp_path / "opt", tmp_path / "ran"
    write_files(
        checkout,
        {"x.py": "", ".gitattributes": "* filter=evil\n", ".hooks/post-checkout": f"#!/bin/sh\ntouch {canary}\n"},
    )
    (checkout / ".hooks/post-checkout").chmod(0o755)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", checkout, *words], check=True)
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.external",
    ):
        subprocess.run(["git", "-C", checkout, "config", key, f"touch {canary}; false"], check=True)
    for words in (
        ["core.hooksPath", str(checkout / ".hooks")],
        ["filter.evil.required", "false"],
        ["remote.origin.url", "ssh://localhost/x"],
    ):
        subprocess.run(["git", "-C", checkout, "config", *words], check=True)
    (checkout / "x.py").write_text("changed")

    said = at_checkout(
        checkout,
        "checkout status --porcelain; checkout diff",
        "change_checkout checkout -q -f HEAD; change_checkout fetch -q origin </dev/null",
    )

    assert (" M x.py" in said.stdout, canary.exists()) == (True, False), said


def at_checkout(checkout: Path, *lines: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", "\n".join([(REMOTE / "lib.sh").read_text(), "set +e", *lines])],
        env={"PATH": "/usr/bin:/bin", "ROOT": str(checkout), "HOME": str(checkout.parent), "GIT_SSH_VARIANT": "simple"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a checkout in a folder that every user can get to."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        checkout = Path(folder) / "opt"
        write_files(checkout, {"x.py": "", ".gitattributes": "* filter=evil\n"})
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
            subprocess.run(["git", "-C", checkout, *words], check=True)
        write_files(checkout, {"x.py": "changed"})
        yield checkout


WHO = "checkout -c alias.who='!id -u; id -G; env; cat' who"


@needs_root
@pytest.mark.parametrize("gives", [".", ".git", ".git/config"])
def test_a_look_at_a_checkout_of_somebody_else_runs_nothing_as_root(reachable: Path, gives: str) -> None:
    """Whatever its owner lets git run, a filter that was not there a moment before too, runs as the owner."""
    paths = [reachable / gives, *(reachable / gives).rglob("*")]
    for path in paths:
        os.chown(path, STRANGER, STRANGER)

    told = at_checkout(reachable, "SECRET=1; export SECRET", WHO).stdout
    status = at_checkout(reachable, "checkout status --porcelain").stdout

    assert (told.splitlines()[:2], "SECRET" in told, status) == ([str(STRANGER)] * 2, False, " M x.py\n")


@needs_root
def test_an_old_git_changes_a_checkout_of_another_owner(reachable: Path) -> None:
    """Before 2.38 it takes safe.directory from files only; its other settings stay as they are."""
    for path in (reachable, *reachable.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    write_files(reachable.parent, {"config/git/config": "[user]\n\tname = Ann\n", "config/git/ignore": "ignored\n"})
    write_files(reachable, {"ignored": "", "seen": ""})
    old_git = 'git() { case $2 in safe.directory=*) shift 2 ;; esac; command git "$@"; }'
    variables = (
        f"RUN={reachable.parent}/run XDG_CONFIG_HOME={reachable.parent}/config; export XDG_CONFIG_HOME; {old_git}"
    )

    told = at_checkout(reachable, variables, "change_checkout config user.name", "change_checkout status --porcelain")

    assert (told.stdout.splitlines(), told.stderr) == (["Ann", " M x.py", "?? seen"], "")


@needs_root
def test_a_look_at_a_checkout_that_a_group_may_write_is_nobodys(reachable: Path) -> None:
    os.chown(reachable / ".git/config", 0, STRANGER)
    (reachable / ".git/config").chmod(0o664)

    assert at_checkout(reachable, WHO).stdout.splitlines()[0] == str(STRANGER)


@needs_root
def test_what_the_owner_of_a_checkout_may_not_see_is_local_too(reachable: Path) -> None:
    for path in (reachable, *reachable.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    write_files(reachable, {"notes/x": ""})
    (reachable / "notes").chmod(0o700)
    variables = 'OLD=$ROOT NEW=$ROOT/new PRODUCT=netpoint FOLDERS="" METHOD=git'

    told = at_checkout(reachable, variables, (REMOTE / "local_files.sh").read_text(), "others").stdout

    assert told.split() == ["notes", "x.py"]


@needs_root
def test_a_look_at_a_checkout_of_root_is_roots(reachable: Path) -> None:
    assert at_checkout(reachable, WHO).stdout.splitlines()[0] == "0"


@needs_root
def test_a_folder_of_git_elsewhere_is_looked_at_as_whoever_owns_it(reachable: Path) -> None:
    elsewhere = reachable.parent / "git"
    subprocess.run(["git", "-C", reachable, "init", "-q", f"--separate-git-dir={elsewhere}"], check=True)
    for path in (elsewhere, *elsewhere.rglob("*")):
        os.chown(path, STRANGER, STRANGER)

    assert at_checkout(reachable, WHO).stdout.splitlines()[0] == str(STRANGER)


@needs_root
def test_a_checkout_does_not_choose_as_whom_it_is_looked_at(reachable: Path) -> None:
    """Its folder of git leads to one of a third user."""
    third = reachable.parent / "third"
    third.mkdir()
    (reachable / ".git/there").symlink_to(third)
    (reachable / ".git/commondir").write_text("there\nor here\n")
    for path in (reachable, *reachable.rglob("*")):
        os.chown(path, 1234, 1234, follow_symlinks=False)
    os.chown(third, 4321, 4321)

    assert at_checkout(reachable, "looker_at_checkout").stdout.startswith("1234:")


def test_a_filter_that_cannot_be_switched_off_is_not_run(reachable: Path) -> None:
    canary = reachable.parent / "canary"
    (reachable / ".gitattributes").write_text("* filter=x=y\n")
    subprocess.run(["git", "-C", reachable, "config", "filter.x=y.clean", f"touch {canary}"], check=True)

    done = at_checkout(reachable, "checkout status --porcelain", "change_checkout checkout -q -f HEAD")

    assert (canary.exists(), done.returncode != 0, "has a = in its name" in done.stderr) == (False, True, True)


def test_a_checkout_does_not_choose_the_folder_that_root_works_in(reachable: Path, tmp_path: Path) -> None:
    write_files(tmp_path / "etc", {"x.py": "ours"})
    subprocess.run(["git", "-C", reachable, "config", "core.worktree", tmp_path / "etc"], check=True)

    at_checkout(reachable, "change_checkout checkout -q -f HEAD")

    assert ((tmp_path / "etc/x.py").read_text(), (reachable / "x.py").read_text()) == ("ours", "")


def test_a_fetch_runs_no_program_that_a_checkout_names(checkout: Server, tmp_path: Path) -> None:
    canary = tmp_path / "ran"
    checkout.run_git("config", "remote.origin.uploadpack", f"touch {canary}; git-upload-pack")

    checkout.apply("fetch_tag")

    assert not canary.exists()


def test_a_fetch_asks_no_helper_that_a_checkout_names(checkout: Server, tmp_path: Path) -> None:
    canary, own = tmp_path / "ran", tmp_path / "own"
    write_files(checkout.base, {".gitconfig": f'[credential]\n\thelper = "!touch {own}; :"\n'})
    with HTTPServer(("127.0.0.1", 0), AsksForPassword) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{http.server_port}/x.git"
        for words in (["remote.origin.url", address], ["credential.helper", f"!touch {canary}; :"]):
            checkout.run_git("config", *words)

        done = checkout.step("fetch_tag", "apply")
        http.shutdown()

    assert (done.returncode, canary.exists(), own.exists()) == (1, False, True), done.stdout


class AsksForPassword(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@needs_root
@pytest.mark.parametrize("kind", ["link", "second name"])
@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ("netpoint/release.yaml", 'tree_version "$ROOT"'),
        ("netpoint/netpoint/settings.py", 'tree_version "$ROOT"'),
        ("local_requirements.txt", 'show_file "$ROOT/local_requirements.txt"'),
    ],
)
def test_a_look_at_a_release_shows_no_file_that_its_owner_cannot_read(
    reachable: Path, place: str, asked: str, kind: str
) -> None:
    secret = reachable.parent / "secret"
    secret.write_text("version: secret\nVERSION = 'secret'\n")
    secret.chmod(0o600)
    (reachable / place).parent.mkdir(parents=True, exist_ok=True)
    (reachable / place).symlink_to(secret) if kind == "link" else (reachable / place).hardlink_to(secret)
    for path in (reachable, *(path for path in reachable.rglob("*") if path.is_dir())):
        os.chown(path, STRANGER, STRANGER)

    asked = f"PRODUCT=netpoint; {asked}"
    assert at_checkout(reachable, asked).stdout.strip() == ""

    (reachable / place).unlink()
    write_files(reachable, {place: "version: 4.1.0\nVERSION = '4.1.0'\n"})
    assert "4.1.0" in at_checkout(reachable, asked).stdout


@needs_root
def test_a_release_that_a_group_shares_is_read_with_the_rights_of_the_group(reachable: Path) -> None:
    write_files(reachable, {"netpoint/release.yaml": "version: 4.1.0\n"})
    for path in (reachable, *reachable.rglob("*")):
        os.chown(path, 0, 1234)
        path.chmod(0o2770 if path.is_dir() else 0o660)

    who = at_checkout(reachable, WHO).stdout.splitlines()

    assert at_checkout(reachable, "PRODUCT=netpoint; tree_version $ROOT").stdout == "4.1.0\n"
    assert (who[0], "1234" in who[1].split(), "0" in who[1].split()) == ("65534", True, False)


@needs_root
def test_a_sticky_folder_above_is_not_the_one_that_a_group_may_replace(reachable: Path) -> None:
    for path, gid, mode in ((reachable, 4321, 0o3775), (reachable / ".git", 1234, 0o2770)):
        os.chown(path, 0, gid)
        path.chmod(mode)

    assert at_checkout(reachable, f"rights_for {reachable}/.git/config").stdout == "65534:1234\n"


@needs_root
def test_an_owner_reads_with_the_owners_other_groups(reachable: Path) -> None:
    known = ((user, set(os.getgrouplist(user.pw_name, user.pw_gid))) for user in getpwall() if user.pw_uid)
    user, groups = max(known, key=lambda each: len(each[1]))
    for path in (reachable, *reachable.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid)

    who = at_checkout(reachable, WHO).stdout.splitlines()

    assert (who[0], {int(word) for word in who[1].split()}) == (str(user.pw_uid), groups)


@needs_root
def test_a_folder_that_all_may_write_to_gives_the_rights_of_no_group(reachable: Path) -> None:
    write_files(reachable, {"netpoint/release.yaml": "version: 4.1.0\n"})
    for path in (reachable, reachable / "netpoint"):
        os.chown(path, 0, 1234)
        path.chmod(0o777 if path == reachable else 0o770)

    assert at_checkout(reachable, f"rights_for {reachable}/netpoint/release.yaml").stdout == "65534:65534\n"


@needs_root
def test_a_release_that_is_a_pipe_in_part_keeps_no_look_waiting(reachable: Path) -> None:
    (reachable / "netpoint").mkdir()
    os.mkfifo(reachable / "netpoint/release.yaml")

    assert at_checkout(reachable, "PRODUCT=netpoint; tree_version $ROOT").stdout.strip() == ""


@needs_root
@pytest.mark.parametrize(("owner", "ran"), [(0, True), (STRANGER, False)])
def test_the_python_of_somebody_elses_environment_is_not_tried_as_root(
    reachable: Path, tmp_path: Path, owner: int, *, ran: bool
) -> None:
    canary, python = tmp_path / "ran", reachable / "venv/bin/python3"
    write_files(reachable, {"venv/bin/python3": f"#!/bin/sh\ntouch {canary}\n"})
    os.chown(python, owner, owner)
    names = "FROM NEW METHOD TREE_VERSION COMMIT ASIDE_BACK BACKUP_DIR RUN_ID STATE_DIR OLD PRODUCT SERVICES"
    variables = " ".join(f"{name}=x" for name in names.split())

    done = at_checkout(
        reachable, f"{variables} RUN={tmp_path} BUNDLE={REMOTE}", f". {REMOTE}/steps/check_backup.sh", 'runs "$ROOT"'
    )

    assert (done.returncode, canary.exists()) == (0, ran), done
