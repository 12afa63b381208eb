"""Every step file as a plain program: check, apply, undo; whole plans in other shells are in test_plans."""

import re
from pathlib import Path

import pytest

from tests.remote.conftest import Make
from tests.remote.server import REMOTE, Server, differences

UNPACKED = ("fetch_release", "unpack_release")
# what has to be done before each step of an archive's plan, and of a checkout's
ARCHIVE = {
    "record_before": (),
    "prove_running": (),
    "fetch_release": (),
    "unpack_release": ("fetch_release",),
    "carry_over": UNPACKED,
    "copy_files": UNPACKED,
    "stage_packages": UNPACKED,
    "check_release": (*UNPACKED, "stage_packages"),
    "guard_boot": (),
    "stop_services": (),
    "dump_database": (),
    "seal_backup": ("dump_database",),
    "sync_files": UNPACKED,
    "run_upgrade": (*UNPACKED, "stop_services", "dump_database", "seal_backup"),
    "prove_beside": (*UNPACKED, "run_upgrade"),
    "flip_link": UNPACKED,
    "update_units": (*UNPACKED, "flip_link"),
    "start_services": ("stop_services",),
    "prove_in_place": (),
    "schedule_housekeeping": (),
    "lift_guard": ("guard_boot",),
}
GIT = {
    "fetch_tag": (),
    "stage_packages": ("fetch_tag",),
    "check_release": ("fetch_tag", "stage_packages"),
    "set_aside": (),
    "checkout_tag": ("fetch_tag",),
    "run_upgrade": ("fetch_tag", "stop_services", "dump_database", "seal_backup", "set_aside", "checkout_tag"),
}
# what is left for the undo of an earlier step, which takes the new tree away or the old environment out again
LEFT = {
    ("archive", "carry_over"): (".",),
    ("archive", "copy_files"): (".",),
    ("archive", "sync_files"): (".",),
    ("archive", "run_upgrade"): (".",),
    ("git", "run_upgrade"): ("venv", "netpoint/static"),
}
STEPS = [*(("archive", name) for name in ARCHIVE), *(("git", name) for name in GIT)]
# What a killed step leaves is undone; these change nothing that could be seen, or only their own folder.
CHANGING = [
    *(("archive", name) for name in ("unpack_release", "run_upgrade", "flip_link", "update_units", "stop_services",
                                     "start_services", "schedule_housekeeping", "guard_boot", "lift_guard")),
    *(("git", name) for name in ("set_aside", "checkout_tag")),
]  # fmt: skip


def before(make_server: Make, method: str, name: str, shell: tuple[str, ...] = ("dash",)) -> Server:
    """Return a server on which everything is ready for one step."""
    server = make_server(git=method == "git", shell=shell)
    if name == "record_before":
        server.prepare()
    else:
        server.record()
    if name == "update_units":
        server.unit("netpoint", "/usr/local/bin/gunicorn netpoint.wsgi")
    server.apply(*(ARCHIVE if method == "archive" else GIT)[name])
    if name in {"copy_files", "sync_files"}:
        (server.old / "netpoint/media/new.png").write_text("PNG")
    return server


# tried as a part of their plans, in test_way_back
OF_OTHER_PLANS = {
    "check_backup", "count_losses", "put_database_back", "take_from_aside", "put_files_back", "put_units_back",
    "put_schedule_back",
    "mark_rolled_back", "save_files", "verify_restore",
}  # fmt: skip


def test_every_step_file_is_tried() -> None:
    assert {*ARCHIVE, *GIT, *OF_OTHER_PLANS} == {path.stem for path in Path(REMOTE / "steps").glob("*.sh")}


@pytest.mark.promise(4, method="both")
@pytest.mark.parametrize(("method", "name"), STEPS)
def test_a_step_may_be_carried_out_and_undone_as_often_as_it_is_asked(
    make_server: Make, method: str, name: str
) -> None:
    server = before(make_server, method, name)
    untouched = server.look(*LEFT.get((method, name), ()))

    statuses, left = [], []
    for verb in ("undo", "check", "apply", "check", "apply", "check", "undo", "undo"):
        done = server.step(name, verb)
        statuses.append((verb, done.returncode, done.stdout if done.returncode else ""))
        left += differences(untouched, server.look(*LEFT.get((method, name), ()))) if verb == "undo" else []

    assert [status for _, status, _ in statuses] == [0, 1, 0, 0, 0, 0, 0, 0], statuses
    assert left == []


@pytest.mark.promise(4, method="both")
@pytest.mark.parametrize(("method", "name"), CHANGING)
def test_whatever_a_killed_step_leaves_is_undone(make_server: Make, method: str, name: str) -> None:
    """The step is killed before its first change, before its second, and so on, until it comes to its end."""
    server = before(make_server, method, name)
    untouched = server.look(*LEFT.get((method, name), ()))
    server.arm_trip()

    left, at = [], 1
    while server.trip(name, at):
        done = server.step(name, "undo")
        assert done.returncode == 0, f"killed at change {at}: {done.stdout}"
        left += [f"{at}: {line}" for line in differences(untouched, server.look(*LEFT.get((method, name), ())))]
        at += 1

    assert (left, at > 1, server.step(name, "check").returncode) == ([], True, 0)


def test_no_step_has_a_function_of_the_name_that_the_library_has() -> None:
    """It would take its place, for the library too."""
    named = {
        path: set(re.findall(r"^([a-z_]+)\(\) ?[({]", path.read_text(), re.MULTILINE)) for path in REMOTE.rglob("*.sh")
    }
    library = named.pop(REMOTE / "lib.sh")

    twice = {path.name: names & library for path, names in named.items() if names & library}
    assert twice == {"prune.sh": {"by_descriptor"}}  # a visit has no bundle
