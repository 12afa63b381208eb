"""What every test of connections has in common."""

import pytest


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ProxyCommands run in a shell that reads nothing of yours.

    Their standard input is a socket, so a bash with SHLVL=0 (as under nohup or cron) takes itself for one of rshd and
    reads .bashrc; what is in there may take any time, and be killed in its middle.
    """
    monkeypatch.setenv("SHELL", "/bin/sh")
