"""A test of the simulator itself: whatever rule is broken on purpose, some seed notices."""

from __future__ import annotations

from typing import Final

import pytest

from tests.sim.plan import CALM, make_plan
from tests.sim.planted import BUGS
from tests.sim.runs import run_seed
from tests.sim.shrink import format_failure, shrink

SEEDS_MAX: Final = 200
"""Most bugs fall within ten seeds; the rarest, publishing over a fence, within 95."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str) -> None:
    assert any(run_seed(seed, plant=BUGS[bug]).violations for seed in range(SEEDS_MAX)), f"{bug}: not caught"


def test_shrinking_leaves_out_nodes_repositories_and_weather_that_a_failure_does_not_need() -> None:
    bug = BUGS["apply at the vote"]
    plan = next(
        plan
        for plan in map(make_plan, range(SEEDS_MAX))
        if len(plan.nodes) == 7 and len(plan.repositories) == 3 and run_seed(plan.seed, plant=bug).violations
    )
    small = shrink(plan, plant=bug).plan
    assert (len(small.nodes), len(small.repositories), small.factor) == (3, 1, 3)
    assert small.weather == CALM
    assert not small.faults


def test_a_failure_shrinks_to_a_few_faults_and_operations_and_tells_its_story() -> None:
    bug = BUGS["forget to exclude a laggard"]
    plans = (plan for plan in map(make_plan, range(SEEDS_MAX)) if len(plan.nodes) == 3)
    seed = next(plan.seed for plan in plans if run_seed(plan.seed, plant=bug).violations)
    small = shrink(make_plan(seed), plant=bug)
    assert small.violations
    assert len(small.plan.faults) + len(small.plan.operations) < 5
    story = format_failure(small)
    assert f"seed {seed}:" in story
    assert "VIOLATED I1" in story
