"""`python -m tests.faults`: put faults into every step of every plan on real servers, and print what became of them."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.journeys import JOURNEYS
from tests.faults.lanes import Lanes, remaining
from tests.faults.matrix import all_jobs
from tests.faults.table import render, summary
from tests.lab import cache, signals, slots
from tests.lab.errors import LabError
from tests.lab.rootfs import why_not
from tests.progress import Progress, to_stderr

if TYPE_CHECKING:
    from tests.faults.lanes import Job


def main() -> int:
    """Do what the command line says; 1 when a cell is wrong."""
    arguments = _parse()
    jobs = [job for job in all_jobs(everything=arguments.everything) if _is_asked_for(job, arguments)]
    if arguments.list:
        print("\n".join(f"{job.journey.name:8} {job.fault:28} {job.step}" for job in jobs))
        return 0
    if reason := why_not():
        print(f"THE FAULT MATRIX DID NOT RUN: {reason}", file=sys.stderr)
        return 1
    if arguments.shuffle:
        random.Random(arguments.shuffle).shuffle(jobs)
    signals.end_in_order()
    progress = Progress("taking away what killed runs have left", noun="job")
    progress.print_every_minute()
    slots.sweep()
    cache.remove_unused()
    began = time.monotonic()
    progress.phase = "taking the servers away"
    with slots.scratch() as slot:
        lanes = Lanes(slot.folder, jobs, to_stderr, progress)
        with suppress(KeyboardInterrupt):  # the table shows what has been done so far
            lanes.run(arguments.lanes)
    order = {job.fault: number for number, job in enumerate(all_jobs())}
    results = dict(sorted(lanes.results.items(), key=lambda item: order.get(item[0][1], -1)))
    if arguments.results:
        found = [{"journey": j, "fault": f, "step": s, **asdict(result)} for (j, f, s), result in results.items()]
        arguments.results.write_text(json.dumps(found, indent=1))
    journeys = [journey for journey in JOURNEYS if any(key[0] == journey.name for key in results)]
    print(render(journeys, results))
    if arguments.summary:
        arguments.summary.write_text(f"{summary(journeys, results)}\n")
    wrong = remaining(results.values())
    print(f"\n{len(results)} cells, {wrong} wrong, in {(time.monotonic() - began) / 60:.0f} minutes")
    return 1 if wrong else 0


def _is_asked_for(job: Job, arguments: argparse.Namespace) -> bool:
    # A walk has no step of its own.
    return (
        fnmatch(job.journey.name, arguments.journey)
        and any(fnmatch(job.fault, f"{pattern}*") for pattern in arguments.fault or [""])
        and (fnmatch(job.step, arguments.step) or (not job.step and arguments.step == "*"))
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--lanes", type=int, default=3 * (os.cpu_count() or 1), help="servers side by side")
    parser.add_argument("--journey", default="*", help="only this one (a pattern)")
    parser.add_argument("--fault", action="append", help="only those beginning so (a pattern); may be given again")
    parser.add_argument("--step", default="*", help="only this one (a pattern)")
    parser.add_argument("--results", type=Path, help="also write every cell to this file, as JSON")
    parser.add_argument("--summary", type=Path, help="also write a row a fault to this file, in Markdown")
    parser.add_argument("--shuffle", type=int, default=0, metavar="SEED", help="in another order")
    parser.add_argument(
        "--everything", action="store_true", help="also faults of one upgrade that the other meets in the same steps"
    )
    parser.add_argument("--list", action="store_true", help="only say what would be done")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(str(error))
