"""The scripts that are run over a connection which may break at any moment: start, follow, recover, offer, receive."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from netpoint_remote.running.bundle import to_tar, visit_script
from tests.remote.server import Server, eventually, look, write_files

STEP = """
check() { [ -f "$WORLD/$STEP" ]; }
apply() { . "$WORLD/hook"; : >"$WORLD/$STEP"; }
undo() { rm -f -- "$WORLD/$STEP"; }
"""


@pytest.fixture
def shut(server: Server) -> Server:
    """Return a server without any run, where a step of no meaning waits for what the test says."""
    shutil.rmtree(server.state)
    write_files(server.world, {"hook": ""})
    return server


def visit(server: Server, name: str, *, payload: bytes = b"", **variables: str) -> str:
    """Run one script as a visit does and return what it printed."""
    script = visit_script(name, (("STATE_DIR", str(server.state)), ("RUN_ID", server.run_id), *variables.items()))
    done = server.sh(["-c", script], text=payload, detaches=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def bundle(server: Server) -> bytes:
    """Return a run with one step."""
    from netpoint_remote.running.bundle import BUNDLED, assignments, text_of  # noqa: PLC0415  it is of no use elsewhere

    named = {f"bundle/{name}": text_of(name) for name in BUNDLED}
    return to_tar({
        **named, "bundle/vars.sh": assignments(server.variables.items()), "bundle/plan": "one stage 30 1\n",
        "bundle/steps/one.sh": STEP, "about": "t from 3.4.9 to 3.5.0\n",
    })  # fmt: skip


def follow(server: Server, offset: int = 0) -> list[str]:
    return visit(server, "follow.sh", OFFSET=str(offset)).splitlines()


def journal_of(lines: list[str]) -> bytes:
    return "".join(f"{line.removeprefix('journal ')}\n" for line in lines if line.startswith("journal ")).encode()


def ended(server: Server) -> bool:
    return eventually((server.run / "result").exists)


# ---- start


@pytest.mark.promise(3)
def test_a_run_goes_on_when_the_one_who_started_it_is_gone(shut: Server) -> None:
    assert visit(shut, "start.sh", payload=bundle(shut)) == "started\n"

    assert (ended(shut), (shut.run / "result").read_text()) == (True, "upgraded \n")


def test_starting_twice_is_harmless(shut: Server) -> None:
    visit(shut, "start.sh", payload=bundle(shut))
    assert ended(shut)
    before = (shut.run / "journal").read_bytes()

    assert visit(shut, "start.sh", payload=bundle(shut)) == "already started\n"
    assert ((shut.run / "journal").read_bytes(), sorted(path.name for path in shut.run.parent.iterdir())) == (
        before,
        ["r1"],
    )


def test_what_is_left_of_a_start_that_was_cut_off_is_no_run(shut: Server) -> None:
    script = visit_script("start.sh", (("STATE_DIR", str(shut.state)), ("RUN_ID", "r1")))
    assert shut.sh(["-c", script], text=bundle(shut)[:3000]).returncode != 0
    assert not shut.run.exists()

    assert visit(shut, "start.sh", payload=bundle(shut)) == "started\n"
    assert ended(shut)


def test_a_run_is_for_nobody_elses_eyes(shut: Server) -> None:
    visit(shut, "start.sh", payload=bundle(shut))
    assert ended(shut)

    assert [path.stat().st_mode & 0o777 for path in (shut.state, shut.state / "runs", shut.run)] == [0o700] * 3
    assert {path.stat().st_mode & 0o077 for path in (shut.run / "bundle").iterdir() if path.is_file()} == {0}


# ---- follow


def test_from_any_place_the_rest_of_the_journal_is_told(shut: Server) -> None:
    visit(shut, "start.sh", payload=bundle(shut))
    assert ended(shut)
    whole = (shut.run / "journal").read_bytes()
    places = [0, *(at + 1 for at, byte in enumerate(whole) if byte == ord("\n")), len(whole) + 7]

    told = [follow(shut, place) for place in places]

    assert [journal_of(lines) for lines in told] == [whole[place:] for place in places]
    assert {tuple(line for line in lines if not line.startswith("journal ")) for lines in told} == {
        ("state done", "result upgraded ")
    }


def test_a_run_is_followed_as_it_goes(shut: Server) -> None:
    shut.tell(hook='while ! [ -e "$WORLD/go" ]; do :; done')
    visit(shut, "start.sh", payload=bundle(shut))
    script = visit_script("follow.sh", (("STATE_DIR", str(shut.state)), ("RUN_ID", "r1"), ("OFFSET", "0")))
    with subprocess.Popen(["sh", "-c", script], env=shut.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [next(process.stdout)]
        while lines[-1] != "alive\n":  # nothing happens, and the line is not silent
            lines.append(next(process.stdout))
        (shut.world / "go").touch()
        lines += process.stdout

    whole = (shut.run / "journal").read_bytes()
    assert (journal_of([line.rstrip("\n") for line in lines]), lines[-2:]) == (
        whole,
        ["state done\n", "result upgraded \n"],
    )


@pytest.mark.parametrize(("there", "state"), [(False, "absent"), (True, "interrupted")])
def test_a_run_that_is_not_going_on_is_told(shut: Server, *, there: bool, state: str) -> None:
    (shut.state / "runs").mkdir(parents=True)
    if there:
        write_files(shut.run, {"journal": "1.000 started - 1\n"})

    assert follow(shut)[-1] == f"state {state}"


# ---- recover, fetch the log


def test_an_interrupted_run_is_settled_with_nobody_watching(shut: Server) -> None:
    write_files(shut.run, {"changed": "one\n", "journal": ""})
    shut.sh(["-c", 'tar -xf - -C "$RUN"'], text=bundle(shut))
    write_files(shut.world, {"one": ""})

    assert visit(shut, "recover.sh") == "recovering\n"
    assert (ended(shut), (shut.world / "one").exists()) == (True, False)


def test_a_run_that_could_not_go_back_is_settled_again_and_followed_to_its_new_end(shut: Server) -> None:
    """Its old result must not be taken for the new one."""
    write_files(shut.run, {"changed": "one\n", "journal": "", "result": "failed one: stuck\n", "unsettled": ""})
    shut.sh(["-c", 'tar -xf - -C "$RUN"'], text=bundle(shut))
    write_files(shut.world, {"one": ""})

    assert visit(shut, "recover.sh") == "recovering\n"

    assert follow(shut)[-2:] == [
        "state done",
        "result reverted it failed, and could not be undone at first before its first step",
    ]
    assert ((shut.world / "one").exists(), (shut.run / "unsettled").exists()) == (False, False)


def test_a_run_that_ended_is_left_as_it_is(shut: Server) -> None:
    visit(shut, "start.sh", payload=bundle(shut))
    assert ended(shut)
    assert eventually(lambda: not (shut.run / "secrets").exists())
    before = look(shut.run, ".")

    assert visit(shut, "recover.sh") == "recovering\n"
    assert look(shut.run, ".") == before


def test_the_end_of_a_long_log_is_fetched(shut: Server) -> None:
    write_files(shut.run, {"log": "x" * 2_000_000 + "the end"})

    fetched = visit(shut, "fetch_log.sh")

    assert (len(fetched), fetched[-8:]) == (2_000_000, "xthe end")


# ---- offer, receive

ARCHIVE = b"archive\n\x00\xff" * 1000


def about(data: bytes = ARCHIVE) -> dict[str, str]:
    digest = sha256(data).hexdigest()
    return {"ARCHIVE_NAME": f"{digest}.tar.gz", "ARCHIVE_SHA256": digest}


def archives(server: Server) -> list[Path]:
    folder = server.state / "archives"
    return sorted(folder.iterdir()) if folder.exists() else []


def test_an_archive_is_received_whole(shut: Server) -> None:
    assert visit(shut, "receive.sh", payload=ARCHIVE, **about()) == "received\n"

    assert [path.read_bytes() for path in archives(shut)] == [ARCHIVE]
    assert visit(shut, "offer.sh", ARCHIVE_URL="", **about()) == "have\n"


def test_half_an_archive_is_none(shut: Server) -> None:
    script = visit_script("receive.sh", (("STATE_DIR", str(shut.state)), *about().items()))

    done = shut.sh(["-c", script], text=ARCHIVE[:500])

    assert (done.returncode, done.stdout, archives(shut)) == (1, "what arrived is not what was sent\n", [])


@pytest.mark.parametrize(
    ("wget", "url", "answer"),
    [
        ("exit 0", "https://u:hunter2@example.org/a", "reachable"),
        ("exit 8", "https://u:hunter2@example.org/a", "unreachable"),
        ("exit 0", "", "unreachable"),
    ],
)
def test_a_server_says_whether_it_can_fetch_an_archive_itself(shut: Server, wget: str, url: str, answer: str) -> None:
    shut.replace("wget", f'printf "%s\\n" "$*" >>"$WORLD/said"; {wget}')

    told = visit(shut, "offer.sh", ARCHIVE_URL=url, **about())

    assert (told, "hunter2" in "".join(shut.said)) == (f"{answer}\n", False)


def test_an_archive_that_changed_on_the_disk_is_not_had(shut: Server) -> None:
    visit(shut, "receive.sh", payload=ARCHIVE, **about())
    archives(shut)[0].write_bytes(b"another")

    assert visit(shut, "offer.sh", ARCHIVE_URL="", **about()) == "unreachable\n"
