"""The probe's lines become facts, whatever they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpoint_remote.planning.facts import Disk, Facts, Interpreter, Tree, parse_facts


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
