"""Layouts by themselves: few moves, even shares, zones first, and the table of docs/OPERATIONS.md held to its bounds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import pytest

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.rebalance import Host, Placed, Plan, plan_layout, replicas_moved
from meshnode.core.shares import fair_shares, zone_cap


def hosts(count: int, zones: int = 1, **changes: object) -> list[Host]:
    return [
        replace(Host(node=NodeId(f"n{number:04d}"), zone=f"z{number % zones}", weight=100), **changes)  # type: ignore[arg-type]
        for number in range(count)
    ]


def empty(count: int, factor: int = 3, sizes: Iterable[int] = ()) -> list[Placed]:
    given = list(sizes) or [0] * count
    return [
        Placed(partition=PartitionId(number), replicas=(), factor=factor, size_bytes=given[number])
        for number in range(count)
    ]


def after(placed: list[Placed], plan: Plan) -> list[Placed]:
    return [replace(one, replicas=plan.targets.get(one.partition, one.replicas)) for one in placed]


def laid_out(nodes: list[Host], placed: list[Placed]) -> list[Placed]:
    plan = plan_layout(nodes, placed, is_balancing=True)
    assert not plan.blocked
    return after(placed, plan)


def counts(placed: list[Placed], nodes: list[Host]) -> dict[NodeId, int]:
    held = Counter(node for one in placed for node in one.replicas)
    return {host.node: held[host.node] for host in nodes}


def lower_bound(before: list[Placed], now: list[Placed], nodes: list[Host]) -> int:
    """No plan that ends with these counts can fill fewer copies."""
    had, have = counts(before, nodes), counts(now, nodes)
    return sum(max(0, have[node] - had[node]) for node in have)


SHAPES = [(nodes, zones) for nodes in (3, 4, 5, 7, 10, 31, 100) for zones in (1, 2, 3, 4, 5) if nodes >= zones]


@pytest.mark.parametrize(("count", "zones"), SHAPES)
def test_counts_are_even_zones_are_spread_and_nothing_is_left_to_move(count: int, zones: int) -> None:
    nodes = hosts(count, zones)
    placed = laid_out(nodes, empty(256))
    sizes = Counter(host.zone for host in nodes)
    cap = zone_cap(3, sizes)
    zone_of = {host.node: host.zone for host in nodes}
    for one in placed:
        assert len(set(one.replicas)) == 3
        assert max(Counter(zone_of[node] for node in one.replicas).values()) <= cap
    for zone in sizes:
        inside = [have for node, have in counts(placed, nodes).items() if zone_of[node] == zone]
        assert max(inside) - min(inside) <= 1, "even within a zone"
    if count % zones == 0:
        held = counts(placed, nodes).values()
        assert max(held) - min(held) <= 2, "even over zones of one size"
    assert plan_layout(nodes, placed, is_balancing=True).targets == {}, "a layout that is good stays"


@pytest.mark.parametrize(("count", "zones"), [*SHAPES, (300, 5)])
def test_a_node_that_comes_or_goes_moves_little_more_than_it_must(count: int, zones: int) -> None:
    placed = laid_out(hosts(count, zones), empty(256))
    grown = hosts(count + 1, zones)
    larger = laid_out(grown, placed)
    assert replicas_moved(placed, {one.partition: one.replicas for one in larger}) <= 1.2 * lower_bound(
        placed, larger, grown
    )
    if count == 3:
        return
    left = [replace(host, must_leave=host.node == NodeId("n0001")) for host in hosts(count, zones)]
    plan = plan_layout(left, placed, is_balancing=False)
    assert replicas_moved(placed, plan.targets) == counts(placed, left)[NodeId("n0001")], "what it held, and no more"
    smaller = after(placed, plan)
    assert counts(smaller, left)[NodeId("n0001")] == 0
    if zones == 1:
        held = [have for node, have in counts(smaller, left).items() if node != NodeId("n0001")]
        assert max(held) - min(held) <= 3, "and everyone got a part of it"


def test_a_thousand_nodes() -> None:
    nodes = hosts(1_000, 5)
    placed = laid_out(nodes, empty(1_024))
    held = counts(placed, nodes).values()
    assert max(held) - min(held) <= 1
    grown = hosts(1_001, 5)
    assert len(plan_layout(grown, placed, is_balancing=True).targets) == 3


@pytest.mark.parametrize(("count", "zones"), [(3, 1), (5, 1), (6, 3), (10, 5), (50, 5), (200, 4)])
def test_skewed_sizes_leave_nobody_with_more_than_a_fair_share_and_one_partition(count: int, zones: int) -> None:
    """One repository of 400 GB among 500 GB: it cannot be divided, so the bound is a fair share and the largest."""
    chance = random.Random(count)
    sizes = [chance.randrange(800_000_000) for _ in range(255)]
    sizes = [400_000_000_000, *(size * 100_000_000_000 // sum(sizes) for size in sizes)]
    nodes = hosts(count, zones)
    placed = laid_out(nodes, empty(256, sizes=sizes))
    held = Counter({host.node: 0 for host in nodes})
    for one in placed:
        held.update(dict.fromkeys(one.replicas, one.size_bytes))
    small = Counter({host.node: 0 for host in nodes})
    for one in placed[1:]:
        small.update(dict.fromkeys(one.replicas, one.size_bytes))
    assert max(held.values()) <= 3 * sum(sizes) / count + max(sizes)
    others = [size for node, size in small.items() if node not in placed[0].replicas]
    if others:
        assert max(small[node] for node in placed[0].replicas) <= min(others), "whoever has the giant has little else"
        assert max(others) <= 1.1 * 3 * sum(sizes[1:]) / len(others) + max(sizes[1:]), "the rest is spread"


def test_weights_decide_shares() -> None:
    nodes = [replace(host, weight=weight) for host, weight in zip(hosts(5), (100, 100, 200, 300, 50), strict=True)]
    have = counts(laid_out(nodes, empty(256)), nodes)
    for host in nodes:
        quota = Fraction(256 * 3 * host.weight, 750)
        if quota > 256:
            assert have[host.node] == 256, "a node holds a partition once"
    assert have[NodeId("n0004")] == min(have.values())
    assert have[NodeId("n0002")] > have[NodeId("n0000")]


def test_what_must_move_moves_without_being_asked_and_nothing_else() -> None:
    placed = laid_out(hosts(3), empty(64))
    four = hosts(4)
    assert plan_layout(four, placed, is_balancing=False).targets == {}, "an empty node waits to be asked for"
    going = [replace(host, must_leave=host.node == NodeId("n0002")) for host in four]
    plan = plan_layout(going, placed, is_balancing=False)
    assert len(plan.targets) == 64
    assert all(NodeId("n0002") not in target for target in plan.targets.values())


def test_more_and_fewer_replicas_are_planned_without_being_asked() -> None:
    placed = laid_out(hosts(5), empty(64))
    more = [replace(one, factor=5) for one in placed]
    assert all(len(target) == 5 for target in plan_layout(hosts(5), more, is_balancing=False).targets.values())
    fewer = [replace(one, factor=2) for one in placed]
    plan = plan_layout(hosts(5), fewer, is_balancing=False)
    assert all(len(target) == 2 for target in plan.targets.values())
    assert len(plan.targets) == 64
    assert replicas_moved(fewer, plan.targets) == 0


def test_too_few_nodes_block_and_say_which_partitions() -> None:
    placed = laid_out(hosts(3), empty(4))
    going = [replace(host, must_leave=host.node == NodeId("n0002")) for host in hosts(3)]
    plan = plan_layout(going, placed, is_balancing=True)
    assert plan.targets == {}
    assert sorted(plan.blocked) == [0, 1, 2, 3]
    assert plan.blocked[PartitionId(0)] == "needs 3 replicas, and only 2 nodes can have one"


def test_a_node_that_may_not_gain_keeps_what_it_has() -> None:
    placed = laid_out(hosts(4), empty(64))
    resting = [replace(host, may_gain=host.node != NodeId("n0001")) for host in hosts(6)]
    now = laid_out(resting, placed)
    assert counts(now, resting)[NodeId("n0001")] == counts(placed, resting)[NodeId("n0001")]


def test_a_majority_in_one_zone_is_moved_out_when_asked() -> None:
    nodes = hosts(6, 3)
    crowded = [replace(one, replicas=(NodeId("n0000"), NodeId("n0003"), NodeId("n0001"))) for one in empty(12)]
    assert plan_layout(nodes, crowded, is_balancing=False).targets == {}
    zone_of = {host.node: host.zone for host in nodes}
    for one in laid_out(nodes, crowded):
        assert len({zone_of[node] for node in one.replicas}) == 3


def test_the_order_of_arguments_does_not_matter() -> None:
    nodes, placed = hosts(7, 3), laid_out(hosts(5, 3), empty(64))
    plan = plan_layout(nodes, placed, is_balancing=True)
    assert plan_layout(list(reversed(nodes)), placed, is_balancing=True).targets == plan.targets


@pytest.mark.parametrize(
    ("factor", "sizes", "cap"),
    [
        (3, (5,), 3),
        (3, (5, 5), 2),
        (3, (1, 1, 1), 1),
        (3, (9, 1, 1), 1),
        (5, (2, 2, 2), 2),
        (5, (9, 1, 1), 3),
        (3, (1,), 3),
    ],
)
def test_zone_caps(factor: int, sizes: tuple[int, ...], cap: int) -> None:
    assert zone_cap(factor, {str(number): size for number, size in enumerate(sizes)}) == cap


def test_shares_add_up_respect_caps_and_favour_whoever_has_more() -> None:
    order = {"a": "a", "b": "b", "c": "c"}
    even = dict.fromkeys("abc", 1)
    assert fair_shares(10, even, dict.fromkeys("abc", 9), {"b": 5}, order) == {"a": 3, "b": 4, "c": 3}
    assert fair_shares(10, even, {"a": 1, "b": 9, "c": 9}, {}, order) == {"a": 1, "b": 5, "c": 4}
    assert fair_shares(99, even, dict.fromkeys("abc", 2), {}, order) == {"a": 2, "b": 2, "c": 2}
    assert fair_shares(6, {"a": 2, "b": 1, "c": 0}, dict.fromkeys("abc", 9), {}, order) == {"a": 4, "b": 2, "c": 0}
    assert fair_shares(0, even, dict.fromkeys("abc", 2), {}, order) == dict.fromkeys("abc", 0)
