"""Seeds by the hundred: production engines under faults, then convergence. A failing one prints its shrunk story."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import pytest

from tests.sim.plan import FAULT_KINDS, READ_REPLICAS, make_plan
from tests.sim.pool import BLOCK as TAKEN
from tests.sim.pool import Counts, Failure, run_many
from tests.sim.runs import add_counts, run_seed
from tests.sim.shrink import format_failure, shrink

RUNS: Final = 1_000
BLOCK: Final = 125
"""One test's share of them."""
ALL_S: Final = 900
"""Time for all seeds beside everything else that a busy machine does; two quiet cores take half a minute."""
FAILED_ONCE: Final = (
    105298,
    1015779,
    1021497,
    1024492,
    1033851,
    4005704,
    4014115,
    4024346,
    4028046,
    4028770,
    4044132,
    4047345,
    6012243,
    6017868,
)

EFFECTS: Final = {
    "catalog: hint late",
    "catalog: refused",
    "catalog: unknown, landed",
    "catalog: unknown, late",
    "catalog: unknown, lost",
    "disk full at a step",
    "doubled",
    "dropped records back after a power cut",
    "lost",
    "lost on a cut way",
    "replica moved",
    "replicas lost with a disk",
    "repository configured",
    "repository moved to its family's own partition",
    "straggler",
}
"""What any 125 seeds must have met; the rarest of them comes a dozen times in as many."""


Block = tuple[list[Failure], Counts]


@pytest.fixture(scope="module")
def blocks() -> dict[int, Block]:
    """All seeds, by the first one of their block: run at once, since each process takes a while to begin."""
    assert BLOCK % TAKEN == 0
    found: dict[int, Block] = {start: ([], {}) for start in range(0, RUNS, BLOCK)}

    def add(seeds: range, failed: Sequence[Failure], counts: Counts) -> None:
        start = seeds.start - seeds.start % BLOCK
        found[start] = ([*found[start][0], *failed], add_counts([found[start][1], counts]))

    run_many(0, RUNS, jobs=2, on_block=add)
    return found


@pytest.mark.timeout(ALL_S)
@pytest.mark.parametrize("start", range(0, RUNS, BLOCK))
def test_no_seed_loses_a_write_or_shows_a_past_state_and_all_of_them_heal(blocks: dict[int, Block], start: int) -> None:
    failed, counts = blocks[start]
    assert counts["runs"] == BLOCK
    assert counts["published"] > 10 * BLOCK, "the cluster did some work"
    assert counts.keys() >= EFFECTS, "faults did what they are there for"
    if failed:
        seed = min(failed)[0]
        pytest.fail(f"{len(failed)} of {BLOCK} seeds fail\n{format_failure(shrink(make_plan(seed)))}")


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_seed_that_failed_once_does_not_fail(seed: int) -> None:
    """What they led to has stories of its own; the runs are kept as long as plans are drawn as they were then."""
    assert run_seed(seed).violations == ()


@pytest.mark.timeout(ALL_S)
def test_some_journal_record_is_torn(blocks: dict[int, Block]) -> None:
    """It takes a Prepare within four seconds of the fault, at just that node: one seed in twenty."""
    assert sum(counts.get("journal record torn", 0) for _, counts in blocks.values()) > RUNS / 100


def test_one_seed_is_one_run_byte_for_byte() -> None:
    """In this process again, and in others that hash strings differently."""
    script = "from tests.sim.runs import run_seed\nfor seed in range(6): print(run_seed(seed, is_verbose=True).digest)"
    here = [run_seed(seed, is_verbose=True).digest for seed in range(6)]
    assert here == [run_seed(seed, is_verbose=True).digest for seed in range(6)]
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        assert there.stdout.split() == here


def test_every_kind_of_fault_is_in_some_plan() -> None:
    drawn = {fault.kind for seed in range(RUNS) for fault in make_plan(seed).faults}
    assert drawn == {*FAULT_KINDS, READ_REPLICAS}


def test_plans_have_three_to_seven_nodes_and_both_factors() -> None:
    plans = [make_plan(seed) for seed in range(RUNS)]
    assert {len(plan.nodes) for plan in plans} == {3, 4, 5, 7}
    assert {plan.factor for plan in plans} == {3, 5}
