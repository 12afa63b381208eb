"""The probe's lines become facts, whatever they are; some were recorded on real servers (tests/data/probes)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.planning.checks import find_problems
from netpoint_remote.planning.facts import Database, Disk, Facts, Interpreter, Page, Tree, Unit, parse_facts
from netpoint_remote.planning.method import Method, method_of
from tests.builders import case

PROBES = Path(__file__).parents[1] / "data/probes"


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(parse_facts(text), Facts)


@given(st.text(st.characters(exclude_characters="\n=")), st.text(st.characters(exclude_characters="\n")))
def test_a_line_tells_of_nothing_but_its_name(name: str, value: str) -> None:
    told = parse_facts(f"host.user=admin\n{name}={value}\nprobe.complete=yes\n")

    assert (told.user, told.complete) == ("admin", True)


def test_nothing_said_is_nothing_known() -> None:
    assert parse_facts("") == Facts()


def test_the_first_answer_counts() -> None:
    assert parse_facts("host.user=root\nhost.user=mallory\n").user == "root"


def test_lines_that_mean_nothing_are_passed_over() -> None:
    told = parse_facts("Welcome to np1\nprobe: line 3: nonsense\nhost.user=root\n= \n")

    assert told == Facts(user="root")


@pytest.mark.parametrize("number", ["", "-1", "1e3", "0x10", "٣", "9" * 30, "1 2"])
def test_what_is_no_number_counts_as_none(number: str) -> None:
    assert parse_facts(f"host.memory_mb={number}\n").memory_mb == 0


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"a":', "[" * 100_000])
def test_a_configuration_that_is_no_mapping_is_left_out(text: str) -> None:
    assert parse_facts(f"configuration={text}\n").configuration == {}


def test_a_link_to_nowhere_is_a_link() -> None:
    assert (parse_facts("install.link=\n").link, parse_facts("").link) == ("", None)


def test_paths_keep_their_blanks() -> None:
    told = parse_facts("beside=foreign  /opt/net point-3.5.0\ndisk=/dev/sda1 10 /opt/my  disk\n")

    assert (told.beside, told.disks) == (
        (Tree(path="/opt/net point-3.5.0", version="", ours=False),),
        (Disk(path="/opt/my  disk", device="/dev/sda1", free_mb=10),),
    )


def test_an_interpreter_is_listed_once_and_only_with_a_version() -> None:
    told = parse_facts(
        "python=/usr/bin/python3 3.11.2 venv\npython=/usr/bin/python3 3.11.2 venv\npython=/bin/x ? venv\n"
    )

    assert told.interpreters == (Interpreter(path="/usr/bin/python3", version="3.11.2", makes_venv=True),)


def test_a_file_that_is_withheld_can_be_pasted_into_a_hosts_file() -> None:
    values = ("PGPASSFILE /etc/np.pgpass", "PGPASSFILE /x: {y}", "PGPASSFILE relative", "PATH /x", "PGSSLKEY")

    assert parse_facts("".join(f"withheld={value}\n" for value in values)).withheld_files == (
        ("PGPASSFILE", "/etc/np.pgpass"),
    )


def test_a_unit_is_found_by_its_aliases() -> None:
    told = parse_facts("unit.web.service.Names=netpoint.service web.service\nunit.other.service.ActiveState=active\n")

    assert [unit and unit.name for unit in map(told.unit, ("netpoint", "web", "other", "more"))] == [
        "web.service", "web.service", "other.service", None,
    ]  # fmt: skip


def test_units_are_put_together_from_their_properties() -> None:
    told = parse_facts(
        "unit.netpoint.service.Id=netpoint.service\n"
        "unit.netpoint.service.ActiveState=active\n"
        "unit.netpoint.service.ExecStart={ path=/opt/netpoint/venv/bin/gunicorn ; argv[]=a=b }\n"
        "unit.netpoint-rq.service.ActiveState=failed\n"
        "unit.netpoint-rq.service.NRestarts=12\n"
    )
    web, worker = told.unit("netpoint"), told.unit("netpoint-rq.service")

    assert (web and web.runs, web and web.command.endswith("argv[]=a=b }")) == (True, True)
    assert (worker and worker.runs, worker and worker.restarts) == (False, 12)


@pytest.mark.parametrize(
    ("said", "interrupted"),
    [
        ("run.id=r1\n", True),
        ("run.id=r1\nlock.held=yes\n", False),
        ("run.id=r1\nrun.result=upgraded\n", False),
        ("", False),
    ],
)
def test_a_run_without_an_end_and_without_a_lock_was_interrupted(said: str, *, interrupted: bool) -> None:
    assert parse_facts(said).interrupted is interrupted


# ---- recorded on Debian 12, with systemd 252, PostgreSQL 15 and Redis 7


def recorded(name: str) -> Facts:
    return parse_facts((PROBES / f"debian12-{name}.txt").read_text())


def found(name: str, to: str | None = "3.5.0") -> list[str]:
    """Return the codes of what the pre-flight finds, warnings with a question mark."""
    return [f"{problem.code}{'' if problem.blocks else '?'}" for problem in find_problems(case(recorded(name), to=to))]


def test_every_recorded_probe_is_looked_at() -> None:
    assert sorted(path.stem.removeprefix("debian12-") for path in PROBES.iterdir()) == [
        "archive-3.4.9", "git-3.4.9", "git-changed", "in-trouble", "nothing-there",
    ]  # fmt: skip


def test_a_recorded_release_is_whole() -> None:
    told = recorded("archive-3.4.9")

    assert (method_of(told), told.link, told.real, told.disk_version) == (
        Method.ARCHIVE, "/opt/netpoint-3.4.9/", "/opt/netpoint-3.4.9", "3.4.9",
    )  # fmt: skip
    assert told.interpreters == (Interpreter(path="/usr/bin/python3", version="3.11.2", makes_venv=True),)
    assert told.database == Database(
        host="localhost", name="netpoint", identity=told.database.identity, instance=told.database.instance,
        server_version_num=150020, size_mb=8, applied_count=23, doors=("dcim.0130_sitegroup",),
    )  # fmt: skip
    assert told.page == Page(
        address="http://127.0.0.1:8001", login="200", static="on-disk",
        versions=(("page", "3.4.9"), ("status", "3.4.9"), ("workers", "1"), ("header", "3.4")),
    )  # fmt: skip
    assert [(disk.path, disk.free_mb > 1000) for disk in told.disks] == [
        ("/opt", True), ("/var/lib/netpoint-remote", True), ("/var/backups/netpoint-remote", True),
    ]  # fmt: skip


def test_recorded_units_are_read() -> None:
    worker = recorded("archive-3.4.9").unit("netpoint-rq")

    assert worker == Unit(
        name="netpoint-rq.service", load="loaded", active="active", sub="running", enabled="enabled",
        command=worker.command if worker else "", file="/etc/systemd/system/netpoint-rq.service", user="netpoint",
    )  # fmt: skip
    assert "/opt/netpoint/venv/bin/python3 /opt/netpoint/netpoint/manage.py rqworker" in worker.command


@pytest.mark.parametrize("name", ["archive-3.4.9", "git-3.4.9"])
def test_a_recorded_healthy_server_has_no_problems(name: str) -> None:
    assert (found(name), found(name, None)) == ([], [])


def test_a_recorded_checkout_with_local_changes_is_refused() -> None:
    told = recorded("git-changed")

    assert (told.dirty, told.origin) == ((" M README.md", "?? notes.txt"), "https://git.example.org/netpoint.git")
    assert found("git-changed") == ["checkout", "checkout?"]


def test_all_that_is_wrong_with_a_recorded_server_is_found_at_once() -> None:
    assert found("in-trouble") == [
        "database", "redis", "redis", "service", "leftover", "packages?", "service?", "service?", "interrupted?",
    ]  # fmt: skip


def test_a_recorded_server_without_netpoint_says_so() -> None:
    (problem, *others) = find_problems(case(recorded("nothing-there"), to=None))

    assert (problem.code, problem.message, others) == ("install-method", "there is no netpoint at /opt/netpoint", [])
