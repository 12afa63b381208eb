"""What the operator is asked, and Ctrl-C."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from netpoint_remote.cli.interrupts import STOPPING, Interrupts
from netpoint_remote.cli.prompt import PASSWORD_VARIABLE, confirm_host_count, sudo_password
from netpoint_remote.errors import UsageError
from tests.support.terminals import open_terminal, with_terminal


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("typed", "goes_on"), [("3\n", True), (" 3 \n", True), ("3", True), ("4\n", False), ("\n", False), ("", False)]
)
def test_only_the_number_of_hosts_goes_on(typed: str, *, goes_on: bool) -> None:
    assert confirm_host_count(3, "upgrade", source=io.StringIO(typed), screen=io.StringIO()) is goes_on


def test_the_question_says_the_number() -> None:
    screen = io.StringIO()

    confirm_host_count(3, "upgrade to 3.5.0", source=io.StringIO("3\n"), screen=screen)

    assert screen.getvalue() == "Type the number of hosts (3) to upgrade to 3.5.0; anything else stops here: "


@pytest.mark.parametrize(
    ("environ", "known", "password"),
    [
        ({}, None, None),
        ({}, "fab's", "fab's"),
        ({PASSWORD_VARIABLE: "ours"}, "fab's", "ours"),
        ({PASSWORD_VARIABLE: ""}, None, None),
    ],
)
def test_the_sudo_password_comes_from_the_environment_first(
    environ: dict[str, str], known: str | None, password: str | None
) -> None:
    assert sudo_password(ask=False, known=known, environ=environ) == password


def test_a_password_of_two_lines_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        sudo_password(ask=False, known=None, environ={PASSWORD_VARIABLE: "secret\nline"})

    assert "secret" not in str(caught.value)


def test_the_first_ctrl_c_asks_and_the_second_leaves() -> None:
    told: list[str] = []
    spoken = threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        spoken.set()

    before = signal.getsignal(signal.SIGINT)
    with Interrupts(tell) as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.stop.is_set()
        assert spoken.wait(10)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert told == [STOPPING]
    assert signal.getsignal(signal.SIGINT) is before


def test_while_the_operator_is_asked_the_first_ctrl_c_leaves() -> None:
    with Interrupts(pytest.fail) as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            signal.raise_signal(signal.SIGINT)

        assert not interrupts.stop.is_set()


@pytest.fixture
def _hangup_counts() -> Iterator[None]:
    """Let SIGHUP have its usual effect, also in a run of tests that `nohup` has started."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_hangup_counts")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_the_program_ends_the_question(number: signal.Signals) -> None:
    with Interrupts(pytest.fail) as interrupts, pytest.raises(KeyboardInterrupt), interrupts.at_once():
        signal.raise_signal(number)


ASK = """
import os
from netpoint_remote.cli.prompt import confirm_host_count, operator_terminal
if {background}:
    os.setpgid(0, 0)
with operator_terminal() as terminal:
    if terminal is None:
        raise SystemExit("no terminal")
    raise SystemExit(0 if confirm_host_count(3, "go on", source=terminal.source, screen=terminal.screen) else 1)
"""


def asker(how: dict[str, Any], *, background: bool = False) -> "subprocess.Popen[str]":
    """Start a program that asks; no standard stream of it is a terminal."""
    pipe = subprocess.PIPE
    streams = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe}
    program = ASK.format(background=background)
    if background:  # the first process of a session cannot leave its group, its child can
        program = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {program!r}]))"
    return subprocess.Popen([sys.executable, "-c", program], text=True, **streams, **how)


@pytest.mark.promise(11)
@pytest.mark.parametrize(("typed", "code"), [("3\n", 0), ("4\n", 1), ("\x04", 1)])
def test_the_question_and_its_answer_go_over_the_terminal_that_controls_the_program(typed: str, code: int) -> None:
    with open_terminal() as screen, asker(with_terminal(screen)) as program:
        screen.wait_for("anything else stops here: ")
        screen.type(typed)
        out, err = program.communicate()

    assert (program.returncode, out, err) == (code, "", "")


@pytest.mark.promise(11)
def test_without_a_terminal_nothing_is_asked() -> None:
    with asker({"start_new_session": True}) as program:
        assert program.communicate() == ("", "no terminal\n")


@pytest.mark.promise(11)
def test_a_job_in_the_background_is_not_stopped_by_a_question() -> None:
    with open_terminal() as screen, asker(with_terminal(screen), background=True) as program:
        assert program.communicate() == ("", "no terminal\n")


def test_standard_streams_that_are_closed_are_no_terminal() -> None:
    closed = f"exec 0<&- 2>&-; exec {sys.executable} -c 'import os; {IS_TERMINAL}'"
    with subprocess.Popen(["sh", "-c", closed], start_new_session=True, env={**os.environ}) as program:
        assert program.wait() == 0


IS_TERMINAL = "from netpoint_remote.cli.prompt import operator_terminal as t; os._exit(t().__enter__() is not None)"


@pytest.mark.usefixtures("_hangup_counts")
def test_a_closed_terminal_stops_a_run_and_nohup_keeps_it() -> None:
    with Interrupts(lambda _text: None) as interrupts:
        signal.raise_signal(signal.SIGHUP)
        assert interrupts.stop.is_set()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts(pytest.fail) as interrupts:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupts.stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
