"""Which rings of tests ran, which could not, and why: printed at the end of every run, where it is not overlooked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

RINGS = {
    "fast": "no root, no network",
    "ssh": "real SSH on loopback",
    "lab": "real Debian servers",
}


FOLDERS_OF_THE_LAB = ("lab", "faults", "zoo")
"""The folders of tests/ whose tests all boot servers."""


@dataclass(slots=True)
class Ring:
    """What became of the tests of one ring; `skipped` counts by reason, `flaky` what passed when run again alone."""

    name: str
    passed: int = 0
    failed: int = 0
    flaky: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def ran(self) -> bool:
        return bool(self.passed or self.failed or self.flaky)

    @property
    def could_not_run(self) -> bool:
        return bool(self.skipped) and not self.ran

    def count(self, outcome: str, reason: str = "") -> None:
        if outcome == "skipped":
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
        elif outcome == "passed":
            self.passed += 1
        elif outcome == "flaky":
            self.flaky += 1
        else:
            self.failed += 1

    def lines(self) -> Iterator[str]:
        about = f"{self.name} ({RINGS[self.name]})"
        if self.could_not_run:
            yield f"THE RING {about} DID NOT RUN"
        elif self.ran:
            counts = {"failed": self.failed, "flaky": self.flaky}
            yield ", ".join(
                (f"ring {about}: {self.passed} passed", *(f"{n} {name}" for name, n in counts.items() if n))
            )
        else:
            yield f"ring {about}: not requested"
        for reason, times in self.skipped.items():
            yield f"    {times} not run: {reason}"


def ring_of(marks: Iterable[str]) -> str:
    """Return the ring a test belongs to, by its marks."""
    found = set(marks)
    return next((name for name in ("lab", "ssh") if name in found), "fast")


def plain_reason(reason: str) -> str:
    return reason.removeprefix("Skipped: ").strip()
