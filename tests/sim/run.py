"""Run seeds: `python -m tests.sim.run --seed N` tells one run's story, `--runs N --start M` counts many.

A seed that fails is run again with less, as little as still fails, and that story is told. With `--report FILE` the
sums are kept in a file and a run that was stopped goes on. The exit code is 1 where a seed failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from tests.sim.pool import Counts, Failure, run_many
from tests.sim.report import ReportFile
from tests.sim.runs import run_seed
from tests.sim.shrink import TRIES_MAX, format_failure, shrink

REPORTED_MAX: Final = 3
"""Failing seeds whose story is told; the others are only named."""


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.sim.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed and tell its story")
    parser.add_argument("--runs", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--report", type=Path, help="keep the sums in this file, and go on where it ends")
    parser.add_argument("--shrink", type=int, default=TRIES_MAX, help="runs spent on a smaller failure; 0: none")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    if chosen.seed is not None:
        return tell(chosen.seed, chosen.shrink)
    failed, counts, seconds = _run(chosen.start, chosen.runs, chosen.jobs, chosen.report)
    for what, number in counts.items():
        print(f"{number:>12,}  {what}")
    print(f"{seconds:>12.1f}  seconds")
    for seed, violations in failed:
        print(f"seed {seed}: {violations[0]}")
    for seed, _ in failed[:REPORTED_MAX]:
        tell(seed, chosen.shrink)
    return 1 if failed or counts.get("runs", 0) < chosen.runs else 0


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """End as if interrupted: workers go, and what was done is kept in the report."""
    raise KeyboardInterrupt


def _run(start: int, count: int, jobs: int, path: Path | None) -> tuple[list[Failure], Counts, float]:
    """Run the seeds, those that a report names left out; the sums with those of the report."""

    def say(failed: Sequence[Failure]) -> None:
        for seed, violations in failed:
            print(f"seed {seed} fails: {violations[0]}", file=sys.stderr, flush=True)

    if path is None:
        begun = time.monotonic()
        failed, counts = run_many(start, count, jobs, on_block=lambda _block, failed, _counts: say(failed))
        return failed, counts, time.monotonic() - begun
    file = ReportFile(path, start)

    def add(block: range, failed: Sequence[Failure], counts: Counts) -> None:
        say(failed)
        file.add(block, failed, counts)

    first = file.report.following
    try:
        run_many(first, max(0, start + count - first), jobs, on_block=add)
    except KeyboardInterrupt:
        print(f"stopped before seed {file.report.following}", file=sys.stderr)
    finally:
        file.write()
    return file.report.failed, file.report.counts, file.report.seconds


def tell(seed: int, tries_max: int = TRIES_MAX) -> int:
    """Tell a seed's story; of one that fails the story of the least that fails in the same way."""
    result = run_seed(seed, is_verbose=True)
    if result.violations and tries_max:
        print(f"seed {seed} fails; looking for less that still does", file=sys.stderr)
        result = shrink(result.plan, tries_max=tries_max)
    print(format_failure(result))
    print(f"story {result.digest[:16]}, {result.virtual_ms} virtual ms, healed in {result.converge_ms} ms")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
