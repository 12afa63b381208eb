"""What the operator is asked, and Ctrl-C."""

import io
import signal
import threading

import pytest

from netpoint_remote.cli.interrupts import STOPPING, Interrupts
from netpoint_remote.cli.prompt import PASSWORD_VARIABLE, counts_hosts, sudo_password
from netpoint_remote.errors import UsageError


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("typed", "goes_on"), [("3\n", True), (" 3 \n", True), ("3", True), ("4\n", False), ("\n", False), ("", False)]
)
def test_only_the_number_of_hosts_goes_on(typed: str, *, goes_on: bool) -> None:
    assert counts_hosts(3, "upgrade", source=io.StringIO(typed), screen=io.StringIO()) is goes_on


def test_the_question_says_the_number() -> None:
    screen = io.StringIO()

    counts_hosts(3, "upgrade to 3.5.0", source=io.StringIO("3\n"), screen=screen)

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
