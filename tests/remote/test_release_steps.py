"""The steps that bring the new release to the server and put it into its place."""

import os
import shutil
import signal
import threading
from pathlib import Path
from shlex import quote

import pytest

from tests.remote.conftest import Make
from tests.remote.server import ENVIRONMENT, Server, differences, look, make_git_a_file, run_git, write_files
from tests.support.locked_web import LockedWeb

SECRET = "hunter2"


# ---- the archive


def test_a_download_that_fails_twice_works_the_third_time(server: Server) -> None:
    server.tell(web_fails="2\n")

    statuses = [server.step("fetch_release", "apply").returncode for _ in range(3)]

    assert (statuses, server.archived.read_bytes()) == ([1, 1, 0], server.archive)


def test_a_download_that_failed_is_told_and_is_no_archive(server: Server) -> None:
    server.tell(web_fails="1\n")

    server.step("fetch_release", "apply")

    assert (server.reason, server.archived.exists()) == (
        "the download failed (wget status 4): ... connection reset", False,
    )  # fmt: skip


def test_another_archive_than_the_verified_one_is_refused_for_good(server: Server) -> None:
    server.tell(**{"web/v3.5.0.tar.gz": "another archive"})

    done = server.step("fetch_release", "apply")

    assert (done.returncode, server.archived.exists()) == (4, False)
    assert server.reason.startswith("what was downloaded is not the archive that was verified")


def test_an_archive_that_changed_on_the_disk_is_fetched_again(server: Server) -> None:
    server.apply("fetch_release")
    server.archived.write_text("half of it")

    assert server.step("fetch_release", "check").returncode == 1
    server.apply("fetch_release")
    assert server.step("fetch_release", "check").returncode == 0


def test_an_archive_that_was_pushed_needs_no_address(server: Server) -> None:
    server.set_environment(())
    server.archived.parent.mkdir()
    server.archived.write_bytes(server.archive)

    assert server.step("fetch_release", "check").returncode == 0


def test_without_archive_and_address_trying_again_cannot_help(server: Server) -> None:
    server.set_environment(())

    assert (server.step("fetch_release", "apply").returncode, "was not pushed" in server.reason) == (4, True)


@pytest.mark.parametrize("fails", ["0", "1"])
def test_the_secrets_of_an_address_are_in_no_argument_and_in_no_log(server: Server, fails: str) -> None:
    server.tell(web_fails=f"{fails}\n")

    done = server.step("fetch_release", "apply")

    assert SECRET in dict(ENVIRONMENT)["ARCHIVE_URL"]
    assert (SECRET in done.stdout, SECRET in server.reason, SECRET in "".join(server.said)) == (False, False, False)


# ---- the new tree


def test_a_release_is_unpacked_whatever_its_top_folder_is_called(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")

    assert (server.new / "netpoint/netpoint/settings.py").read_text() == "VERSION = '3.5.0'\n"
    assert os.access(server.new / "upgrade.sh", os.X_OK)


def test_a_folder_of_somebody_else_is_not_touched(server: Server) -> None:
    server.apply("fetch_release")
    server.new.mkdir()
    (server.new / "thesis.odt").touch()
    before = server.look()

    for verb, status in (("apply", 1), ("undo", 0)):
        assert (server.step("unpack_release", verb).returncode, differences(before, server.look())) == (status, [])


def test_a_note_that_was_cut_off_is_taken_back_with_its_release(server: Server) -> None:
    """The note is written before the folder has its name."""
    server.apply("fetch_release")
    before = server.look()
    server.apply("unpack_release")
    server.new.rename(server.new.with_name(f".{server.new.name}.partial"))
    record = server.state / "releases/netpoint-3.5.0"
    record.rename(f"{record}.partial")

    server.step("unpack_release", "undo")

    assert (differences(before, server.look()), list(record.parent.iterdir())) == ([], [])


def test_what_this_program_left_there_is_replaced(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    shutil.rmtree(server.new / "netpoint")

    server.apply("unpack_release")

    assert server.step("unpack_release", "check").returncode == 0


def test_the_running_release_is_never_taken_away(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    server.root.unlink()
    server.root.symlink_to(server.new)
    (server.new / "netpoint/netpoint/settings.py").write_text("VERSION = 'damaged'\n")
    before = server.look()

    for verb, status in (("apply", 1), ("undo", 0)):
        assert (server.step("unpack_release", verb).returncode, differences(before, server.look())) == (status, [])


def test_half_an_archive_is_no_release(server: Server) -> None:
    server.apply("fetch_release")
    server.archived.write_bytes(server.archive[:-200])

    assert (server.step("unpack_release", "apply").returncode != 0, server.new.exists()) == (True, False)


# ---- the link


@pytest.mark.parametrize(
    ("link", "flipped"),
    [
        ("{opt}/netpoint-3.4.9/", "{opt}/netpoint-3.5.0/"),
        ("{opt}/netpoint-3.4.9", "{opt}/netpoint-3.5.0/"),
        ("netpoint-3.4.9/", "netpoint-3.5.0/"),
        ("netpoint-3.4.9", "netpoint-3.5.0/"),
        ("./netpoint-3.4.9", "netpoint-3.5.0/"),
        ("../opt/netpoint-3.4.9", "netpoint-3.5.0/"),
        ("current", "netpoint-3.5.0/"),
    ],
)
def test_a_link_stays_as_it_was_written(server: Server, link: str, flipped: str) -> None:
    opt = server.root.parent
    (opt / "current").symlink_to("netpoint-3.4.9")
    server.root.unlink()
    os.symlink(link.format(opt=opt), server.root)  # noqa: PTH211  Path would take its last slash away
    server.record()
    server.new.mkdir()

    server.apply("flip_link")
    there = server.link
    server.step("flip_link", "undo")

    assert (there, server.link) == (flipped.format(opt=opt), link.format(opt=opt))


def test_a_link_into_another_folder_stays_relative(server: Server) -> None:
    server.root.unlink()
    server.root.symlink_to("../srv/netpoint-3.4.9")
    shutil.move(server.old, server.folder / "srv/netpoint-3.4.9")
    new = server.folder / "srv/netpoint-3.5.0"
    new.mkdir()
    server.bundle(OLD=str(server.folder / "srv/netpoint-3.4.9"), NEW=str(new))
    server.record()

    server.apply("flip_link")

    assert (server.link, server.root.resolve()) == ("../srv/netpoint-3.5.0/", new)


def test_there_is_no_moment_without_the_link(server: Server) -> None:
    server.record()
    server.new.mkdir()
    missed, stop = [], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            if not server.root.is_dir():
                missed.append(os.path.lexists(server.root))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for verb in ("apply", "undo") * 4:
            server.step("flip_link", verb)
    finally:
        stop.set()
        watcher.join()

    assert missed == []


# ---- the checkout


def test_only_the_tag_is_fetched(checkout: Server) -> None:
    run_git(checkout.old, "-C", run_git(checkout.old, "config", "remote.origin.url"), "tag", "-f", "v9.9.9")

    checkout.apply("fetch_tag")

    assert run_git(checkout.old, "tag").split() == ["v3.4.9", "v3.5.0"]


def test_a_tag_that_was_moved_is_refused_for_good(checkout: Server) -> None:
    checkout.bundle(COMMIT=run_git(checkout.old, "rev-parse", "HEAD"))

    assert checkout.step("fetch_tag", "apply").returncode == 4
    assert "is not the commit that was verified" in checkout.reason


def test_an_old_tag_of_that_name_is_replaced(checkout: Server) -> None:
    run_git(checkout.old, "tag", "v3.5.0", "HEAD")

    checkout.apply("fetch_tag")

    assert run_git(checkout.old, "rev-parse", "v3.5.0") == checkout.changed["COMMIT"]


def make_shallow(checkout: Server) -> None:
    """Let the checkout have one commit, as `git clone --depth 1` leaves it, and know nothing of the next release."""
    for line in ("update-ref -d refs/remotes/origin/next", "reflog expire --expire=now --all", "gc -q --prune=now"):
        checkout.run_git(*line.split())
    (checkout.old / ".git/shallow").write_text(f"{checkout.run_git('rev-parse', 'HEAD')}\n")


def kill_in_fetch(checkout: Server) -> int:
    """Let the step be killed when git has locked the list of shallow commits; return its status."""
    hook = checkout.world / "bin/hook"
    lock = checkout.old / ".git/shallow.lock"
    checkout.replace("hook", f"until [ -e {quote(str(lock))} ]; do :; done; kill -KILL 0")
    (checkout.base / ".gitconfig").write_text(f'[uploadpack]\n\tpackObjectsHook = "{hook}"\n')
    status = checkout.step("fetch_tag", "apply").returncode
    (checkout.base / ".gitconfig").unlink()
    assert lock.exists()
    return status


@pytest.mark.parametrize("then", ["it is undone", "it is tried again"])
def test_a_fetch_that_was_killed_keeps_no_later_one_from_its_work(checkout: Server, then: str) -> None:
    """Git says to that: Unable to create shallow.lock: File exists."""
    make_shallow(checkout)
    assert kill_in_fetch(checkout) == -signal.SIGKILL

    if then == "it is undone":
        assert checkout.step("fetch_tag", "undo").returncode == 0
        assert not (checkout.old / ".git/shallow.lock").exists()
    done = checkout.step("fetch_tag", "apply")

    assert (done.returncode, checkout.step("fetch_tag", "check").returncode) == (0, 0), done.stdout


@pytest.mark.parametrize("lock", ["shallow.lock", "refs/tags/v3.5.0.lock", "packed-refs.lock"])
def test_a_lock_that_somebody_has_open_is_left_to_them(checkout: Server, lock: str) -> None:
    with (checkout.old / ".git" / lock).open("w"):
        checkout.step("fetch_tag", "undo")
        held = (checkout.old / ".git" / lock).exists()
    checkout.step("fetch_tag", "undo")

    assert (held, (checkout.old / ".git" / lock).exists()) == (True, False)


def test_a_tag_comes_from_the_bundle_that_was_pushed(checkout: Server) -> None:
    origin, commit = run_git(checkout.old, "config", "remote.origin.url"), checkout.changed["COMMIT"]
    pushed = checkout.state / "archives" / f"{commit}.bundle"
    pushed.parent.mkdir()
    run_git(Path(origin), "bundle", "create", str(pushed), "refs/tags/v3.5.0")
    run_git(checkout.old, "config", "remote.origin.url", "/nowhere")

    checkout.apply("fetch_tag")

    assert checkout.step("fetch_tag", "check").returncode == 0


@pytest.mark.parametrize("said_by", ["the checkout", "the hosts file"])
def test_a_password_in_the_address_of_a_repository_is_in_no_argument(checkout: Server, said_by: str) -> None:
    """Everybody on the server sees the arguments of git's helpers."""
    served = Path(run_git(checkout.old, "config", "remote.origin.url"))
    trace = checkout.base / "trace"
    with LockedWeb(served.parent, user="al ice", password="hunter@2").running() as web:
        address = f"http://al%20ice:hunter%402@{web.place}/{served.name}"
        if said_by == "the checkout":
            run_git(checkout.old, "config", "remote.origin.url", address)
        else:
            checkout.set_environment([("GIT_REMOTE", address)])
        done = checkout.step("fetch_tag", "apply", GIT_TRACE=str(trace))

    assert done.returncode == 0, done.stdout
    assert web.let_in
    assert "remote-http" in trace.read_text()
    assert "hunter" not in trace.read_text() + done.stdout


def test_local_changes_are_never_reset(checkout: Server) -> None:
    checkout.record()
    checkout.apply("fetch_tag")
    (checkout.old / "README.md").write_text("ours\n")

    statuses = [checkout.step("checkout_tag", verb).returncode for verb in ("check", "apply", "undo")]

    assert (statuses, (checkout.old / "README.md").read_text()) == ([1, 4, 0], "ours\n")


def test_a_checkout_that_was_cut_off_is_undone(checkout: Server) -> None:
    """A killed git leaves its lock and some of the new files, which it had not written down yet."""
    checkout.record()
    checkout.apply("fetch_tag")
    untouched = checkout.look()
    checkout.arm_trip()
    trips = iter(range(1, 100))
    while not (checkout.run / "checkout.begun").exists():
        checkout.step("checkout_tag", "undo")
        assert checkout.trip("checkout_tag", next(trips))
    for lock in ("index.lock", "HEAD.lock"):
        (checkout.old / ".git" / lock).touch()
    (checkout.old / "README.md").write_text("NetPoint 3.5.0\n")
    (checkout.old / "docs/3.4.9.md").unlink()
    (checkout.old / "docs/3.5.0.md").write_text("notes\n")

    done = checkout.step("checkout_tag", "undo")

    assert (done.returncode, differences(untouched, checkout.look())) == (0, []), done.stdout


@pytest.mark.parametrize("cut", ["kill -KILL 0", "exit 1"], ids=["killed", "no room"])
def test_owners_that_were_not_all_written_down_keep_nothing_from_being_undone(checkout: Server, cut: str) -> None:
    """Owner, mode and name of each file: what is cut in its middle cannot be read by whoever gives them back."""
    (checkout.old / "README.md").chmod(0o640)
    checkout.record()
    checkout.apply("fetch_tag")
    untouched = checkout.look()
    checkout.replace("find", rf"printf '0:0\000640\000'; {cut}")

    applied = checkout.step("checkout_tag", "apply").returncode
    undone = checkout.step("checkout_tag", "undo")

    assert (applied != 0, undone.returncode, differences(untouched, checkout.look())) == (True, 0, []), undone.stdout


def test_a_checkout_that_git_cannot_look_at_is_not_taken_for_clean(checkout: Server) -> None:
    checkout.record()
    checkout.apply("fetch_tag")
    (checkout.old / "README.md").write_text("ours\n")
    checkout.replace("git", 'case " $* " in *" status "*) exit 128 ;; esac; exec /usr/bin/git "$@"')

    statuses = [checkout.step("checkout_tag", verb).returncode for verb in ("check", "apply", "undo")]

    assert (statuses, (checkout.old / "README.md").read_text()) == ([1, 4, 0], "ours\n")


@pytest.mark.parametrize("lock", ["index.lock", "HEAD.lock"])
def test_a_lock_of_a_checkout_that_was_cut_off_late_is_removed(checkout: Server, lock: str) -> None:
    checkout.record()
    checkout.apply("fetch_tag")
    untouched = checkout.look()
    checkout.apply("checkout_tag")
    (checkout.old / ".git" / lock).touch()

    done = checkout.step("checkout_tag", "undo")

    assert (done.returncode, differences(untouched, checkout.look())) == (0, []), done.stdout


def test_what_lay_in_the_way_of_a_release_is_somebodys_and_stays(checkout: Server) -> None:
    checkout.record()
    checkout.apply("fetch_tag")
    (checkout.old / "docs/3.5.0.md").write_text("ours\n")

    done = checkout.step("checkout_tag", "apply")
    undone = checkout.step("checkout_tag", "undo")

    assert (done.returncode != 0, undone.returncode) == (True, 0)
    assert (checkout.old / "docs/3.5.0.md").read_text() == "ours\n"


def test_a_checkout_that_is_undone_gives_files_back_their_modes(checkout: Server) -> None:
    """Git knows owners and modes not; who runs as root makes every file it writes root's, for all to read."""
    (checkout.old / "README.md").chmod(0o640)
    (checkout.old / "docs/3.4.9.md").chmod(0o600)
    checkout.record()
    checkout.apply("fetch_tag", "checkout_tag")

    checkout.step("checkout_tag", "undo")

    assert [oct((checkout.old / name).stat().st_mode)[-3:] for name in ("README.md", "docs/3.4.9.md")] == ["640", "600"]


def test_a_commit_that_is_on_no_branch_is_gone_back_to(checkout: Server) -> None:
    run_git(checkout.old, "checkout", "-q", "v3.4.9")
    checkout.prepare()
    checkout.apply("record_before", "fetch_tag", "checkout_tag")

    checkout.step("checkout_tag", "undo")

    assert run_git(checkout.old, "describe", "--tags") == "v3.4.9"


# ---- the old environment


def test_the_old_environment_comes_back_though_a_new_one_was_begun(checkout: Server) -> None:
    before = checkout.look()
    checkout.apply("set_aside")
    for part in ("venv/bin", "netpoint/static", "netpoint/project-static/docs"):
        (checkout.old / part).mkdir(parents=True, exist_ok=True)
        (checkout.old / part / "new").touch()

    checkout.step("set_aside", "undo")

    assert differences(before, checkout.look()) == []


CUT_OFF = """#!/bin/sh
case " $* " in *"/files.py copy "*) for to in "$@"; do :; done; mkdir -p "$to"; kill -KILL 0 ;; *) ;; esac
PATH=${PATH#*:}; exec python3 "$@"
"""


def test_the_built_documentation_is_not_taken_from_half_a_copy(checkout: Server) -> None:
    """The copy was cut off in its middle."""
    (checkout.old / "netpoint/project-static/docs/index.html").write_text("whole")
    before = checkout.look()
    checkout.arm_trip()
    (checkout.world / "trips/python3").unlink()
    write_files(checkout.world, {"trips/python3": CUT_OFF})
    assert checkout.trip("set_aside", 99)

    checkout.step("set_aside", "undo")

    assert differences(before, checkout.look()) == []


def test_an_environment_from_an_earlier_upgrade_is_not_kept(checkout: Server) -> None:
    checkout.apply("set_aside")
    (checkout.old / "venv").mkdir()
    checkout.bundle(RUN_ID="r2")

    checkout.apply("set_aside")

    kept = Path(checkout.variables["ASIDE"])
    assert ((kept / "complete").read_text(), list((kept / "venv").iterdir())) == ("r2\n", [])


def leave_aside(checkout: Server) -> Path:
    """Let an earlier run have set an environment aside where the next one will, as upgrade, rollback, upgrade do."""
    kept = Path(checkout.variables["ASIDE"])
    write_files(kept, {"venv/bin/stale": "", "netpoint/static/stale": "", "complete": "r0\n"})
    return kept


@pytest.mark.parametrize("worktree", [False, True])
def test_a_checkout_whose_git_is_a_file_is_upgraded_and_comes_back(checkout: Server, *, worktree: bool) -> None:
    folder = make_git_a_file(checkout, worktree=worktree)
    checkout.bundle(ASIDE=f"{folder}/netpoint-remote/3.4.9")
    checkout.record()
    before = look(checkout.folder, "opt/netpoint")

    checkout.apply("fetch_tag", "set_aside", "checkout_tag")

    assert (folder / "netpoint-remote/3.4.9/venv/bin/python3").is_file()
    assert checkout.run_git("describe", "--tags") == "v3.5.0"
    for step in ("checkout_tag", "set_aside"):
        assert checkout.step(step, "undo").returncode == 0
    assert differences(before, look(checkout.folder, "opt/netpoint")) == []


def test_what_an_earlier_run_set_aside_is_never_taken_for_what_serves(checkout: Server) -> None:
    """The step is killed before its first change, before its second, and so on, and undone each time."""
    kept = leave_aside(checkout)
    before = look(checkout.old, "venv", "netpoint/static")
    checkout.arm_trip()

    left, at = [], 1
    while checkout.trip("set_aside", at):
        assert checkout.step("set_aside", "undo").returncode == 0
        left += [f"{at}: {line}" for line in differences(before, look(checkout.old, "venv", "netpoint/static"))]
        leave_aside(checkout)
        at += 1

    assert (left, at > 1, (kept / "complete").read_text()) == ([], True, "r1\n")
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name]


def test_an_undo_leaves_alone_what_an_earlier_run_half_removed(checkout: Server) -> None:
    kept = leave_aside(checkout)
    (kept / "complete").unlink()
    before = look(checkout.old, "venv", "netpoint/static")

    undone = checkout.step("set_aside", "undo")

    assert (undone.returncode, differences(before, look(checkout.old, "venv", "netpoint/static"))) == (0, [])


def test_an_undo_that_was_cut_off_anywhere_is_finished_by_the_next(checkout: Server) -> None:
    before = look(checkout.old, "venv", "netpoint/static", "netpoint/project-static")
    checkout.arm_trip()
    left, at = [], 1
    while True:
        checkout.apply("set_aside")
        if not checkout.trip("set_aside", at, verb="undo"):
            break
        assert checkout.step("set_aside", "undo").returncode == 0
        left += differences(before, look(checkout.old, "venv", "netpoint/static", "netpoint/project-static"))
        left += [str(path) for path in (checkout.old / ".git").glob("netpoint-remote/*")]
        at += 1

    assert (left, at > 1) == ([], True)


@pytest.mark.parametrize("verbs", [("apply",), ("apply", "undo")], ids=["on the way", "on the way back"])
def test_taking_an_environment_back_is_undone_wherever_it_was_cut_off(checkout: Server, verbs: tuple[str, ...]) -> None:
    checkout.apply("set_aside")
    kept = checkout.variables["ASIDE"]
    checkout.bundle(ASIDE_BACK=kept, COMMIT=run_git(checkout.old, "rev-parse", "HEAD"))
    before = look(Path(kept), ".")
    checkout.arm_trip()

    left, at = [], 1
    while checkout.trip("take_from_aside", at, verb=verbs[-1]):
        assert checkout.step("take_from_aside", "undo").returncode == 0
        left += [f"{at}: {line}" for line in differences(before, look(Path(kept), "."))]
        left += [str(path) for path in Path(kept).parent.iterdir() if path != Path(kept)]
        checkout.apply(*("take_from_aside" for verb in verbs if verb != verbs[-1]))
        at += 1

    assert left == []


# ---- packages


NO_COMPILER = """\
  error: subprocess-exited-with-error
  Building wheel for psycopg-c (pyproject.toml) did not run successfully.
      building 'psycopg_c._psycopg' extension
      error: [Errno 2] No such file or directory: 'gcc'
  ERROR: Failed building wheel for psycopg-c
ERROR: Failed to build one or more wheels
"""


def test_packages_are_built_with_the_constraints_while_netpoint_serves(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    server.set_environment((("PIP_CONSTRAINT", "file:///c.txt"),))
    (server.new / "local_requirements.txt").write_text("django-auth-ldap\n")

    server.apply("stage_packages")

    asked = [line for line in server.said if line.startswith("pip ")]
    assert [line for line in asked if not line.endswith("bound by file:///c.txt")] == []
    assert [line for line in asked if "/local_requirements.txt," in line]
    assert [line.split(" ")[-4] for line in asked[-2:]] == ["pip,", "setuptools,"]


CONFLICT = """Collecting Django==4.1.8
The conflict is caused by:
    The user requested Django==4.1.8
    ours 1.0 depends on django<4

ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/
"""


def test_packages_that_exclude_each_other_are_told_with_their_lines_and_not_tried_again(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    (server.new / "local_requirements.txt").write_text("# ours\nours @ https://u:hunter2@example.org/ours.tar.gz\n")
    server.tell(pip_fails=CONFLICT)

    done = server.step("stage_packages", "apply")

    assert done.returncode == 4
    assert server.reason == (
        "the packages that are asked for exclude each other: The user requested Django==4.1.8; "
        "ours 1.0 depends on django<4; requirements.txt line 1: Django==4.1.8"
    )


@pytest.mark.parametrize(
    ("printed", "status"),
    [
        ("ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1.0, 2.0)\n", 4),
        ("ERROR: Could not find a version that satisfies the requirement x==9 (from versions: none)\n", 1),
        ("ERROR: Double requirement given: x==1 (from -r a (line 2)) (already in x==2)\n", 4),
        ("ERROR: Read timed out\n", 1),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(server: Server, printed: str, status: int) -> None:
    server.apply("fetch_release", "unpack_release")
    server.tell(pip_fails=printed)

    assert server.step("stage_packages", "apply").returncode == status


@pytest.mark.parametrize("git", [False, True], ids=["archive", "git"])
def test_a_release_that_cannot_be_loaded_with_this_configuration_is_known_while_the_old_one_serves(
    make_server: Make, *, git: bool
) -> None:
    server = make_server(git=git)
    server.record()
    server.apply(*(("fetch_tag",) if git else ("fetch_release", "unpack_release", "carry_over")), "stage_packages")
    tree = server.run / "tree" if git else server.new
    refuses = f"""case " $* " in *" check "*)
        printf '%s\\n' "$*" >>"$WORLD/said"
        [ -f {quote(str(tree))}/netpoint/netpoint/configuration.py ] || exit 9
        echo Traceback; echo "ImproperlyConfigured: plugin x wants 3.4.9 at most"; exit 1 ;; esac
        exec "$STAND_INS/python3" "$@" """
    (server.run / "scratch/bin/python3").write_text(f"#!/bin/sh\n{refuses}\n")

    assert server.step("check_release", "apply").returncode == 4
    assert server.reason.endswith("(manage.py check): ImproperlyConfigured: plugin x wants 3.4.9 at most")
    assert f"{tree}/netpoint/manage.py check" in server.said
    assert server.active == ["netpoint", "netpoint-rq"]


def test_a_release_is_tried_on_a_disk_where_nothing_may_be_executed(server: Server) -> None:
    server.record()
    server.apply("fetch_release", "unpack_release", "carry_over", "stage_packages")
    server.replace("findmnt", "echo rw,nosuid,noexec")
    server.replace("mount", 'printf "mount %s\n" "$*" >>"$WORLD/said"')
    server.replace("unshare", 'shift; exec "$@"')

    server.apply("check_release")

    asked = [line for line in server.said if line.startswith("mount -o ")]
    mounted = f"mount -o remount,bind,exec,nosuid,nodev -- {server.run}/scratch"
    assert asked == [mounted, mounted]  # to see whether it may be, and for `check`; that of the worker is a stand-in's


def test_where_nothing_can_be_mounted_another_folder_is_asked_for(server: Server) -> None:
    """In a container without its own root."""
    server.record()
    server.apply("fetch_release", "unpack_release", "carry_over", "stage_packages")
    server.replace("findmnt", "echo rw,noexec")
    server.replace("unshare", "exit 1")

    assert server.step("check_release", "apply").returncode == 4
    assert server.reason.endswith("set state_dir elsewhere")


def test_a_worker_that_the_new_packages_do_not_load_is_known_while_the_old_one_serves(server: Server) -> None:
    server.record()
    server.apply("fetch_release", "unpack_release", "carry_over", "stage_packages")
    server.tell(worker_fails="")

    assert server.step("check_release", "apply").returncode == 4
    assert "(manage.py rqworker --help)" in server.reason


def test_the_new_release_of_a_checkout_is_loaded_with_all_that_will_lie_in_it(make_server: Make) -> None:
    server = make_server(git=True)
    server.record()
    names = (".env", "netpoint/ours/__init__.py", "netpoint/netpoint/ümlaut 'x'.py", "netpoint/media/a.png")
    write_files(server.folder, {"etc/mine.py": "MINE = 1"})
    write_files(server.root, dict.fromkeys(names, ""))
    (server.root / "netpoint/netpoint/mine.py").symlink_to("../../../../etc/mine.py")
    server.apply("fetch_tag", "stage_packages")
    looks = """case " $* " in *" check "*)
        { cd "$RUN/tree"; find . -name .env -o -name ours -o -name '*x*.py' -o -name a.png -o -name venv | sort
        cat netpoint/netpoint/mine.py; } >"$WORLD/seen" ;; esac
        exec "$STAND_INS/python3" "$@" """
    (server.run / "scratch/bin/python3").write_text(f"#!/bin/sh\n{looks}\n")

    server.step("check_release", "apply")

    assert (server.world / "seen").read_text() == "./.env\n./netpoint/netpoint/ümlaut 'x'.py\n./netpoint/ours\nMINE = 1"


def test_packages_that_cannot_be_had_are_told(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    server.tell(pip_fails="ERROR: No matching distribution found for Django\n")

    done = server.step("stage_packages", "apply")

    why = "pip could not get or build a package: ERROR: No matching distribution found for Django"
    assert (done.returncode, server.reason.strip()) == (1, why)
    assert server.step("stage_packages", "check").returncode == 1


def test_a_package_that_cannot_be_built_is_told_with_its_cause_and_not_tried_again(server: Server) -> None:
    """As psycopg[c] of NetBox 4.0 on a server without a compiler."""
    server.apply("fetch_release", "unpack_release")
    server.tell(pip_fails=NO_COMPILER)

    status = server.step("stage_packages", "apply").returncode

    assert (status, "No such file or directory: 'gcc'" in server.reason) == (4, True)


def test_a_python_without_venv_is_not_tried_again(server: Server) -> None:
    server.apply("fetch_release", "unpack_release")
    server.tell(venv_fails="")

    assert server.step("stage_packages", "apply").returncode == 4


def test_a_checkouts_packages_are_those_of_the_tag(checkout: Server) -> None:
    checkout.apply("fetch_tag", "stage_packages")

    assert (checkout.run / "requirements.txt").read_text() == "Django==4.1.8\n"
