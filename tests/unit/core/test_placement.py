"""Placement: even by weight, spread over zones, the same everywhere, and little moves when nodes change."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, PartitionId, RepositoryId
from meshnode.core.placement import NodePlacement, _log2, partition_of, plan_replicas

PARTITIONS = [PartitionId(number) for number in range(1024)]
PINNED_PLANS = [("n2", "n4", "n1"), ("n4", "n3", "n1"), ("n3", "n4", "n1"), ("n1", "n4", "n3")]
PINNED_PARTITIONS = [52, 103, 245, 178]


def node(name: str, zone: str = "z", weight: int = 100) -> NodePlacement:
    return NodePlacement(NodeId(name), zone, weight)


def plan_all(nodes: Sequence[NodePlacement], factor: int) -> list[tuple[NodeId, ...]]:
    return [plan_replicas(partition, nodes, factor) for partition in PARTITIONS]


def test_three_nodes_and_factor_three_hold_everything_with_preference_shared_evenly() -> None:
    plans = plan_all([node("n1"), node("n2"), node("n3")], 3)
    assert all(sorted(plan) == ["n1", "n2", "n3"] for plan in plans)
    first = Counter(plan[0] for plan in plans)
    assert all(280 <= first[NodeId(name)] <= 400 for name in ("n1", "n2", "n3")), first


def test_order_of_the_nodes_does_not_matter() -> None:
    nodes = [node("n1", "a"), node("n2", "b", 50), node("n3", "b"), node("n4", "c")]
    wanted = plan_replicas(PartitionId(7), nodes, 3)
    assert all(plan_replicas(PartitionId(7), list(order), 3) == wanted for order in itertools.permutations(nodes))


def test_plans_are_those_written_down() -> None:
    """A change of this table would move data in every existing cluster."""
    nodes = [node("n1", "a"), node("n2", "b", 50), node("n3", "b"), node("n4", "c")]
    assert [plan_replicas(PartitionId(number), nodes, 3) for number in range(4)] == PINNED_PLANS
    assert [partition_of(RepositoryId(f"{number:032x}"), 256) for number in range(4)] == PINNED_PARTITIONS


def test_replicas_follow_the_weights() -> None:
    plans = plan_all([node("n1", weight=100), node("n2", weight=200), node("n3", weight=100)], 1)
    counts = Counter(plan[0] for plan in plans)
    assert 440 <= counts[NodeId("n2")] <= 584, counts


def test_no_zone_holds_a_majority_where_three_zones_exist() -> None:
    nodes = [
        node("a1", "a", 1000),
        node("a2", "a", 1000),
        node("a3", "a", 1000),
        node("b1", "b", 1),
        node("c1", "c", 1),
    ]
    for plan in plan_all(nodes, 3):
        assert {name[0] for name in plan} == {"a", "b", "c"}


def test_two_zones_share_as_evenly_as_they_can() -> None:
    nodes = [node("a1", "a"), node("a2", "a"), node("b1", "b"), node("b2", "b")]
    for plan in plan_all(nodes, 3):
        assert max(Counter(name[0] for name in plan).values()) == 2


def test_a_node_of_weight_zero_is_never_chosen() -> None:
    assert all("n3" not in plan for plan in plan_all([node("n1"), node("n2"), node("n3", weight=0)], 2))


def test_a_new_node_moves_only_what_it_wins() -> None:
    before = plan_all([node("n1"), node("n2"), node("n3"), node("n4")], 3)
    after = plan_all([node("n1"), node("n2"), node("n3"), node("n4"), node("n5")], 3)
    moved = 0
    for old, new in zip(before, after, strict=True):
        assert set(new) - set(old) <= {"n5"}
        moved += "n5" in new
    assert 520 <= moved <= 710, moved  # 3/5 of 1,024


@pytest.mark.parametrize(
    ("nodes", "factor", "message"),
    [
        ([node("n1")], 0, "replication factor must be at least 1"),
        ([node("n1"), node("n2")], 3, "too few nodes"),
        ([node("n1"), node("n2", weight=0)], 2, "too few nodes"),
        ([node("n1"), node("n1")], 1, "listed twice"),
        ([node("n1", weight=-1)], 1, "must not be negative"),
    ],
)
def test_impossible_placements_are_refused(nodes: list[NodePlacement], factor: int, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        plan_replicas(PartitionId(0), nodes, factor)


@pytest.mark.parametrize("count", [0, 65_537])
def test_a_partition_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InvalidRequest, match="partition count"):
        partition_of(RepositoryId("0" * 32), count)


def test_repositories_spread_evenly_over_partitions() -> None:
    counts = Counter(partition_of(RepositoryId(f"{number:032x}"), 16) for number in range(4096))
    assert sorted(counts) == list(range(16))
    assert all(180 <= count <= 335 for count in counts.values()), counts


@settings(max_examples=200, deadline=None)
@given(
    zones=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    factor=st.integers(1, 5),
    partition=st.integers(0, 65_535),
)
def test_spread_over_zones_is_as_even_as_possible(zones: list[int], factor: int, partition: int) -> None:
    nodes = [node(f"n{index}", str(zone)) for index, zone in enumerate(zones)]
    factor = min(factor, len(nodes))
    plan = plan_replicas(PartitionId(partition), nodes, factor)
    assert len(set(plan)) == factor
    zone_of = {entry.node: entry.zone for entry in nodes}
    sizes = Counter(zone_of.values())
    held = Counter(zone_of[name] for name in plan)
    for crowded, emptier in itertools.permutations(sizes, 2):
        could_take_more = held[emptier] < sizes[emptier]
        assert not (could_take_more and held[crowded] > held[emptier] + 1)


@given(number=st.integers(1, 1 << 64))
def test_the_whole_number_logarithm_is_the_logarithm(number: int) -> None:
    assert abs(_log2(number) / 2**32 - math.log2(number)) < 1e-6
