"""A seed is a plan, and a plan leaves room for progress."""

from __future__ import annotations

import pytest

from tests.chaos.plan import LINK_KINDS, NODE_KINDS, Fault, Kind, plan_faults

NODES = ("n1", "n2", "n3")


def test_one_seed_is_one_plan() -> None:
    assert plan_faults(5, NODES, 120) == plan_faults(5, NODES, 120)
    assert plan_faults(5, NODES, 120) != plan_faults(6, NODES, 120)


@pytest.mark.parametrize("seed", range(20))
def test_at_most_two_faults_overlap_and_all_end_in_time(seed: int) -> None:
    faults = plan_faults(seed, NODES, 300)
    for fault in faults:
        assert 0 < fault.at_s < fault.until_s <= 300
        assert sum(other.at_s <= fault.at_s < other.until_s for other in faults) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_comes_before_one_comes_again(seed: int) -> None:
    faults = plan_faults(seed, NODES, 1_000)
    for kinds in (NODE_KINDS, LINK_KINDS):
        lane = [fault.kind for fault in faults if fault.kind in kinds]
        assert sorted(kind.value for kind in lane[: len(kinds)]) == sorted(kind.value for kind in kinds)
    assert {fault.kind for fault in faults} == set(Kind)


@pytest.mark.parametrize("seed", range(20))
def test_some_of_the_time_nothing_is_wrong(seed: int) -> None:
    faults = plan_faults(seed, NODES, 300)
    calm = [moment for moment in range(300) if not any(_is_on(fault, moment) for fault in faults)]
    assert len(calm) > 10


def _is_on(fault: Fault, moment: float) -> bool:
    return fault.at_s <= moment < fault.until_s
