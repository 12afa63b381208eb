"""What the operator starts on a terminal ends with the lab, also when the run is killed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from tests.lab import slots
from tests.lab.terminal import type_fab

if TYPE_CHECKING:
    from tests.lab.lab import Lab

HOSTS = "hosts: {np1: {address: 127.0.0.1, port: 1}}\n"


def test_a_command_on_a_terminal_is_in_a_slot() -> None:
    with slots.scratch() as slot:
        lab = cast("Lab", SimpleNamespace(folder=slot.folder, servers=[SimpleNamespace(slot=slot)]))
        (slot.folder / "hosts.yaml").write_text(HOSTS)
        run = type_fab(lab, "check", "--ask-sudo-pass", answers={"sudo password: ": "typed"}, environment={})
        assert (run.statuses, "sudo password: " in run.said) == ({"np1": "unreachable"}, True)
        assert slot.cpu_seconds() > 0
