"""The operator at a terminal, who types secrets when asked for them."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING

from tests.lab.operator import PROJECT, TIMEOUT, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lab.lab import Lab


def type_fab(
    lab: Lab,
    task: str,
    *options: str,
    answers: Mapping[str, str],
    environment: Mapping[str, str],
    timeout: float = TIMEOUT,
) -> Run:
    """Run a task of `fab` on a terminal of its own; `answers` are what is typed when a text is shown."""
    ours, theirs = pty.openpty()
    process = lab.servers[0].slot.start(
        [
            *("sh", "-c", 'exec "$@" </dev/tty', "sh"),
            *(sys.executable, "-m", "fabric", task, "--json"),
            *("--hosts-file", str(lab.folder / "hosts.yaml"), "--report-dir", str(lab.folder / "runs")),
            *options,
        ],
        cwd=PROJECT,
        env={**os.environ, "XDG_CACHE_HOME": str(lab.folder / "cache"), **environment},
        stdout=subprocess.PIPE,
        stderr=theirs,
        preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),  # one thread, one system call
    )
    os.close(theirs)
    shown: list[str] = []
    typist = threading.Thread(target=_type, args=(ours, dict(answers), shown))
    typist.start()
    try:
        printed = process.communicate(timeout=timeout)[0].decode()
    finally:
        process.kill()
        typist.join()
        os.close(ours)
    return Run(exit_code=process.returncode, printed=printed, said="".join(shown))


def _type(terminal: int, answers: dict[str, str], shown: list[str]) -> None:
    while True:
        try:
            text = os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # the other side hung up
            return
        shown.append(text)
        for question in [question for question in answers if question in "".join(shown)]:
            os.write(terminal, f"{answers.pop(question)}\n".encode())
