"""Turns what the catalog says of nodes and partitions into a layout plan, and a plan into partitions' targets.

    AVAILABLE  may get replicas            DELETING, unknown   gives up all it has
    DRAINING, DISABLED  keeps what it has, gets nothing new

A move under way is not judged by where the replicas are but by where they are to be: its target, as long as the
target can still be had. A target that cannot (a node of it is going, another factor is wanted) is planned anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.control import NodeUsage
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition
from meshnode.core.rebalance import Host, Placed, Plan, plan_layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """What a plan is made from."""

    nodes: Mapping[NodeId, Node]
    partitions: Sequence[Partition]
    factor: int
    """The cluster's setting."""
    usage: Collection[NodeUsage] = ()


def wanted_factor(partition: Partition, factor: int) -> int:
    """How many replicas a partition is to have."""
    return factor if partition.factor is None else partition.factor


def partition_sizes(usage: Iterable[NodeUsage]) -> dict[PartitionId, int]:
    """What one copy of each partition takes: the most that any node tells."""
    sizes: dict[PartitionId, int] = {}
    for account in usage:
        for partition, size in account.partitions.items():
            sizes[partition] = max(size, sizes.get(partition, 0))
    return sizes


def plan_targets(cluster: Cluster, *, is_balancing: bool) -> Plan:
    """Plan from where replicas are to be; `targets` holds what should become other targets than there are."""
    sizes = partition_sizes(cluster.usage)
    placed = [_placed(one, cluster, sizes.get(one.partition, 0)) for one in cluster.partitions]
    plan = plan_layout(_hosts(cluster), placed, is_balancing=is_balancing)
    targets = {}
    for partition, start in zip(cluster.partitions, placed, strict=True):
        wanted = plan.targets.get(partition.partition, start.replicas)
        if set(wanted) != set(partition.target or partition.replicas):
            targets[partition.partition] = wanted
    return replace(plan, targets=targets)


def partition_with_target(partition: Partition, target: tuple[NodeId, ...]) -> Partition:
    """The partition with another target; one that is reached already is none."""
    is_reached = set(target) == set(partition.replicas) and not partition.joining
    return replace(partition, target=() if is_reached else target)


def blockers_of_removal(cluster: Cluster, node: NodeId) -> dict[PartitionId, str]:
    """Partitions that could not have their replicas without `node`, and why; empty where it may go."""
    entry = cluster.nodes.get(node)
    if entry is None:
        return {}
    nodes = {**cluster.nodes, node: replace(entry, state=NodeState.DELETING)}
    before = plan_targets(cluster, is_balancing=False).blocked
    after = plan_targets(replace(cluster, nodes=nodes), is_balancing=False).blocked
    return {partition: reason for partition, reason in after.items() if partition not in before}


def _placed(partition: Partition, cluster: Cluster, size: int) -> Placed:
    factor = wanted_factor(partition, cluster.factor)
    replicas = partition.target or partition.replicas
    if partition.target and not _can_be_had(partition, cluster, factor):
        replicas = partition.replicas
    return Placed(partition=partition.partition, replicas=replicas, factor=factor, size_bytes=size)


def _can_be_had(partition: Partition, cluster: Cluster, factor: int) -> bool:
    """Whether nothing speaks against the target any more than when it was set."""
    if len(partition.target) != factor:
        return False
    for node in partition.target:
        entry = cluster.nodes.get(node)
        is_new = node not in partition.accountable
        if entry is None or entry.state is NodeState.DELETING or (is_new and entry.state is not NodeState.AVAILABLE):
            return False
    return True


def _hosts(cluster: Cluster) -> list[Host]:
    hosts = [
        Host(
            node=node.node,
            zone=node.zone,
            weight=node.weight,
            may_gain=node.state is NodeState.AVAILABLE,
            must_leave=node.state is NodeState.DELETING,
        )
        for _, node in sorted(cluster.nodes.items())
    ]
    known = set(cluster.nodes)
    lost = {node for one in cluster.partitions for node in (*one.replicas, *one.target) if node not in known}
    return hosts + [Host(node=node, zone="", weight=0, may_gain=False, must_leave=True) for node in sorted(lost)]
