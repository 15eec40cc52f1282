"""What of a cluster's nodes and partitions must move, and what a removal would leave without a place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.control import NodeUsage
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition
from meshnode.core.targets import Cluster, blockers_of_removal, partition_sizes, partition_with_target, plan_targets
from tests.unit.core.builders import N1, N2, N3, N4, N5


def a_node(name: NodeId, **changes: Any) -> Node:
    made = Node(
        node=name, grpc_url=name, http_url=name, zone="z", weight=100, state=NodeState.AVAILABLE, public_keys=()
    )
    return replace(made, **changes)


def a_cluster(*nodes: Node, count: int = 4, **changes: Any) -> Cluster:
    partitions = [
        replace(Partition(partition=PartitionId(number), replicas=(N1, N2, N3)), **changes) for number in range(count)
    ]
    return Cluster(nodes={node.node: node for node in nodes}, partitions=partitions, factor=3)


FOUR = tuple(a_node(name) for name in (N1, N2, N3, N4))


def test_nothing_must_move_where_everything_has_its_replicas() -> None:
    assert plan_targets(a_cluster(*FOUR), is_balancing=False).targets == {}
    assert plan_targets(a_cluster(*FOUR), is_balancing=True).targets != {}, "n4 is empty"


def test_a_node_that_goes_is_replaced_everywhere() -> None:
    going = (*FOUR[:2], replace(FOUR[2], state=NodeState.DELETING), FOUR[3])
    assert {frozenset(one) for one in plan_targets(a_cluster(*going), is_balancing=False).targets.values()} == {
        frozenset({N1, N2, N4})
    }


def test_a_node_that_is_not_in_the_catalog_any_more_is_replaced_too() -> None:
    plan = plan_targets(a_cluster(*FOUR[:2], FOUR[3]), is_balancing=False)
    assert all(set(target) == {N1, N2, N4} for target in plan.targets.values())


def test_drained_and_disabled_nodes_keep_what_they_have_and_get_nothing() -> None:
    for state in (NodeState.DRAINING, NodeState.DISABLED):
        nodes = (*FOUR[:2], replace(FOUR[2], state=state), FOUR[3])
        assert plan_targets(a_cluster(*nodes), is_balancing=False).targets == {}
        nodes = (*FOUR[:3], replace(FOUR[3], state=state))
        assert plan_targets(a_cluster(*nodes), is_balancing=True).targets == {}


def test_a_move_under_way_is_left_alone_while_its_target_can_be_had() -> None:
    cluster = a_cluster(*FOUR, target=(N1, N2, N4), joining=(N4,))
    assert plan_targets(cluster, is_balancing=False).targets == {}


def test_a_target_that_cannot_be_had_any_more_is_planned_anew() -> None:
    five = (*FOUR, a_node(N5))
    gone = tuple(replace(node, state=NodeState.DELETING) if node.node == N4 else node for node in five)
    cluster = a_cluster(*gone, target=(N1, N2, N4), joining=(N4,))
    plan = plan_targets(cluster, is_balancing=False)
    assert all(set(target) == {N1, N2, N3} for target in plan.targets.values()), "back to where it was"
    partition = cluster.partitions[0]
    assert partition_with_target(partition, plan.targets[partition.partition]).target == (N1, N2, N3)
    drained = tuple(replace(node, state=NodeState.DRAINING) if node.node == N4 else node for node in five)
    assert plan_targets(a_cluster(*drained, target=(N1, N2, N4), joining=(N4,)), is_balancing=False).targets == {}
    assert plan_targets(a_cluster(*drained, target=(N1, N2, N4)), is_balancing=False).targets != {}, "not begun yet"


def test_factors_of_partitions_come_before_the_clusters() -> None:
    five = (*FOUR, a_node(N5))
    cluster = a_cluster(*five, count=2)
    own = replace(cluster.partitions[1], factor=5)
    plan = plan_targets(replace(cluster, partitions=[cluster.partitions[0], own]), is_balancing=False)
    assert set(plan.targets) == {PartitionId(1)}
    assert set(plan.targets[PartitionId(1)]) == {N1, N2, N3, N4, N5}
    plan = plan_targets(replace(cluster, factor=4), is_balancing=False)
    assert all(len(target) == 4 for target in plan.targets.values())


def test_a_removal_that_leaves_too_few_nodes_names_the_partitions_it_blocks() -> None:
    assert blockers_of_removal(a_cluster(*FOUR), N3) == {}
    blockers = blockers_of_removal(a_cluster(*FOUR[:3]), N3)
    assert sorted(blockers) == [0, 1, 2, 3]
    assert blockers[PartitionId(0)] == "needs 3 replicas, and only 2 nodes can have one"
    assert blockers_of_removal(a_cluster(*FOUR[:3]), N5) == {}, "no such node"


def test_a_target_that_is_where_the_replicas_are_is_none() -> None:
    partition = Partition(partition=PartitionId(1), replicas=(N1, N2, N3))
    assert partition_with_target(partition, (N3, N2, N1)).target == ()
    assert partition_with_target(partition, (N3, N2, N4)).target == (N3, N2, N4)


def test_the_size_of_a_partition_is_the_most_that_anyone_tells() -> None:
    usage = [
        NodeUsage(node=N1, at_ms=0, partitions={PartitionId(1): 5, PartitionId(2): 1}),
        NodeUsage(node=N2, at_ms=0, partitions={PartitionId(1): 7}),
    ]
    assert partition_sizes(usage) == {PartitionId(1): 7, PartitionId(2): 1}
