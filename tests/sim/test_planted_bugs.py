"""A test of the simulator itself: whatever rule is broken on purpose, some seed notices."""

from __future__ import annotations

from typing import Final

import pytest

from tests.sim.plan import make_plan
from tests.sim.planted import BUGS
from tests.sim.runs import run_seed
from tests.sim.shrink import format_failure, shrink

SEEDS_MAX: Final = 100
"""Most bugs fall within ten seeds; the rarest, publishing over a fence, within 44."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str) -> None:
    assert any(run_seed(seed, plant=BUGS[bug]).violations for seed in range(SEEDS_MAX)), f"{bug}: not caught"


def test_a_failure_shrinks_to_a_few_faults_and_operations_and_tells_its_story() -> None:
    bug = BUGS["forget to exclude a laggard"]
    seed = next(seed for seed in range(SEEDS_MAX) if run_seed(seed, plant=bug).violations)
    small = shrink(make_plan(seed), plant=bug, tries_max=40)
    assert small.violations
    assert len(small.plan.faults) + len(small.plan.operations) < 5
    story = format_failure(small)
    assert f"seed {seed}:" in story
    assert "VIOLATED I1" in story
