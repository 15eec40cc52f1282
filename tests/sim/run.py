"""Run seeds: `python -m tests.sim.run --seed N` tells one run's story, `--runs N --start M` counts many.

A seed that fails is run again with fewer faults and operations, as few as still fail, and that story is told. The
exit code is 1 where a seed failed.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from tests.sim.plan import Fault, Operation, Plan
from tests.sim.runs import RunResult, add_counts, run_plan, run_seed
from tests.sim.world import Plant, no_bug

BLOCK: Final = 25
"""Seeds a worker takes at once."""
SHRINK_TRIES_MAX: Final = 150
"""Runs spent on making a failure smaller: about half a minute."""
REPORTED_MAX: Final = 3


def run_block(seeds: Sequence[int]) -> tuple[list[tuple[int, tuple[str, ...]]], dict[str, int]]:
    """Run some seeds; those that failed with what they violated, and what was counted."""
    failed, counts = [], []
    for seed in seeds:
        result = run_seed(seed)
        counts.append({"runs": 1, "virtual ms": result.virtual_ms, "healing ms": result.converge_ms} | result.counts)
        if result.violations:
            failed.append((seed, result.violations))
    return failed, add_counts(counts)


def run_many(start: int, count: int, jobs: int) -> tuple[list[tuple[int, tuple[str, ...]]], dict[str, int]]:
    """Run `count` seeds from `start` in `jobs` processes."""
    blocks = [range(first, min(first + BLOCK, start + count)) for first in range(start, start + count, BLOCK)]
    failed: list[tuple[int, tuple[str, ...]]] = []
    counts: list[dict[str, int]] = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for some_failed, some_counts in pool.map(run_block, blocks):
            failed += some_failed
            counts.append(some_counts)
    return failed, add_counts(counts)


def shrink(plan: Plan, *, plant: Plant = no_bug, tries_max: int = SHRINK_TRIES_MAX) -> RunResult:
    """Leave out faults and operations, halves first, as long as the plan still fails in the same way; the last one."""
    best = run_plan(plan, plant=plant)
    kind = _kind(best)
    tries = 0
    is_smaller = True
    while is_smaller and tries < tries_max:
        is_smaller = False
        for candidate in _smaller(best.plan):
            tries += 1
            result = run_plan(candidate, plant=plant)
            if result.violations and _kind(result) == kind:
                best, is_smaller = result, True
                break
            if tries >= tries_max:
                break
    return run_plan(best.plan, plant=plant, is_verbose=True)


def _kind(result: RunResult) -> str:
    """What is wrong, without who and where."""
    return re.sub(r"[0-9a-f]{6,}|\bn[0-9]\b|[0-9]+|\[.*", "", result.violations[0]) if result.violations else ""


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with a part left out, the largest parts first."""
    parts: list[Fault | Operation] = [*plan.faults, *plan.operations]
    size = max(1, len(parts) // 2)
    while parts and size:
        for first in range(0, len(parts), size):
            kept = parts[:first] + parts[first + size :]
            yield plan.with_parts(
                tuple(one for one in kept if isinstance(one, Fault)),
                tuple(one for one in kept if isinstance(one, Operation)),
            )
        size //= 2


def format_failure(result: RunResult) -> str:
    """The story of a failed run, and what is wrong with it."""
    plan = result.plan
    head = f"seed {plan.seed}: {len(plan.nodes)} nodes, factor {plan.factor}, {plan.weather}"
    return "\n".join([head, *result.story, *(f"VIOLATED {what}" for what in result.violations)])


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.sim.run", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed and tell its story")
    parser.add_argument("--runs", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _tell(chosen.seed)
    begun = time.monotonic()
    failed, counts = run_many(chosen.start, chosen.runs, chosen.jobs)
    for what, number in counts.items():
        print(f"{number:>12,}  {what}")
    print(f"{time.monotonic() - begun:>12.1f}  seconds")
    for seed, violations in failed:
        print(f"seed {seed}: {violations[0]}")
    for seed, _ in failed[:REPORTED_MAX]:
        _tell(seed)
    return 1 if failed else 0


def _tell(seed: int) -> int:
    result = run_seed(seed, is_verbose=True)
    if result.violations:
        print(f"seed {seed} fails; looking for less that still does", file=sys.stderr)
        result = shrink(result.plan)
    print(format_failure(result))
    print(f"story {result.digest[:16]}, {result.virtual_ms} virtual ms, healed in {result.converge_ms} ms")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
