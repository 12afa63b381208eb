"""Faults ordered from the server's own timeout(1), which starts every step; the lab watches the server's disk."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.servers import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = Path(__file__).parent / "server"
WHENS = ("before", "middle", "after")
PATIENCE = 900.0  # seconds until a step is reached


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in a plan at which the server holds still."""

    step: str
    verb: str
    when: str


@dataclass(frozen=True, slots=True)
class Orders:
    """What shall go wrong on one server, and where it stands; `root` is its filesystem as this machine sees it."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "var/lib/faults"

    def install(self, programs: str = "*") -> None:
        """Put the programs that carry orders out before the real ones; `timeout` alone makes no step faster."""
        for name in ("orders", "halves"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS.glob(f"{programs}.sh"):
            target = self.root / "usr/local/bin" / program.stem
            shutil.copyfile(program, target)
            target.chmod(0o755)

    def give(self, step: str, when: str, what: str, *, verb: str = "apply") -> None:
        """Order something for a verb of a step, or of `any`: fail, hang, pause, or `run` with a line of shell."""
        beside = self.folder / "beside"
        beside.write_text(what)
        beside.replace(self.folder / "orders" / f"{step}.{verb}.{when}")

    def withdraw(self) -> None:
        """Take every order back, and let the server go on where it holds still."""
        for order in (self.folder / "orders").iterdir():
            order.unlink(missing_ok=True)
        self.go_on()

    def reached(self) -> Point | None:
        """Return where the server holds still, if it does."""
        try:
            step, verb, when = (self.folder / "at").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return Point(step, verb, when)

    def wait(self, *, going_on: Callable[[], bool] = lambda: True, patience: float = PATIENCE) -> Point:
        """Wait until the server holds still.

        Raises:
            LabError: when it does not get there, or `going_on` says that it never will.
        """
        deadline = time.monotonic() + patience
        while (point := self.reached()) is None:
            if not going_on() or time.monotonic() > deadline:
                raise LabError("the step with the order was never reached")
            time.sleep(0.02)
        return point

    def go_on(self) -> None:
        (self.folder / "at").unlink(missing_ok=True)

    def measure(self) -> None:
        """Let the next run write down how long its steps take; half of that is the middle of a step."""
        (self.folder / "measure").touch()

    def halves(self) -> dict[str, str]:
        """Return what was measured."""
        (self.folder / "measure").unlink(missing_ok=True)
        return {path.name: path.read_text() for path in (self.folder / "halves").iterdir()}

    def set_halves(self, halves: dict[str, str]) -> None:
        for name, text in halves.items():
            (self.folder / "halves" / name).write_text(text)
