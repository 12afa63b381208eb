"""The matrix as a table: a row a fault, a column a step; and as the paragraph of the documents."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.faults.judging import BACK, NEXT, ON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.faults.journeys import Journey
    from tests.faults.judging import Result
    from tests.faults.lanes import Key

LEGEND = f"""\
{ON:5} carried on to the new release
{BACK:5} rolled back, the old release serves as if nothing had happened
{NEXT:5} cut off, or stuck on the way back; the next run takes back what was left of it
!     one of the questions (a) to (e) has a wrong answer, told below
.     the step does nothing that this fault could meet"""


def render(journeys: Sequence[Journey], results: Mapping[Key, Result]) -> str:
    """Return a table for each journey, the legend, and what is wrong with the cells that are."""
    parts = ["\n".join(_table(journey, results)) for journey in journeys]
    return "\n\n".join([*parts, LEGEND, *_wrong(results)])


def summary(journeys: Sequence[Journey], results: Mapping[Key, Result]) -> str:
    """Return one row a fault in Markdown, with what became of how many steps of each journey."""
    faults = dict.fromkeys(fault for _, fault, step in results if not step.startswith("#"))
    lines = [f"| Fault | {' | '.join(journey.name for journey in journeys)} |", "|---" * (len(journeys) + 1) + "|"]
    for fault in faults:
        cells = " | ".join(_counted(journey.name, fault, results) for journey in journeys)
        lines.append(f"| {fault} | {cells} |")
    return "\n".join(lines)


def _counted(journey: str, fault: str, results: Mapping[Key, Result]) -> str:
    mine = [result for (name, its_fault, _), result in results.items() if (name, its_fault) == (journey, fault)]
    counts = Counter("wrong" if result.failed else result.became for result in mine)
    return ", ".join(f"{counts[became]} {became}" for became in (ON, BACK, NEXT, "wrong") if counts[became])


def faults_of(journey: Journey, results: Mapping[Key, Result]) -> list[str]:
    """Return the rows of a journey, in the order in which they were first met."""
    return list(
        dict.fromkeys(fault for name, fault, step in results if name == journey.name and not step.startswith("#"))
    )


def _table(journey: Journey, results: Mapping[Key, Result]) -> Iterator[str]:
    steps = journey.step_names
    faults = faults_of(journey, results)
    width = max(map(len, faults), default=0)
    yield f"{journey.name}: " + ", ".join(f"{number} {step}" for number, step in enumerate(steps, 1))
    yield " " * width + "".join(f"{number:>6}" for number in range(1, len(steps) + 1))
    for fault in faults:
        cells = (_cell(results.get((journey.name, fault, step))) for step in steps)
        yield f"{fault:{width}}" + "".join(f"{cell:>6}" for cell in cells)
    chains = [result for (name, _, step), result in results.items() if name == journey.name and step.startswith("#")]
    well = sum(not result.failed for result in chains)
    yield f"undisturbed runs at the ends of chains: {well} of {len(chains)} like a run on a fresh server"


def _cell(result: Result | None) -> str:
    if result is None:
        return "."
    return f"{result.became}!" if result.failed else result.became


def _wrong(results: Mapping[Key, Result]) -> Iterator[str]:
    for (journey, fault, step), result in results.items():
        if result.failed:
            yield "\n".join([f"{journey}, {fault}, {step}:", *(f"    {line}" for line in result.wrong)])
