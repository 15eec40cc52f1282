"""Whether a cluster can do without a node or a zone: what would be left of every partition's replicas.

out of service   a node that takes no requests, or none of anything: is there another for every partition?
for good         its replicas must have a place elsewhere (core/targets.py, blockers_of_removal)
a zone           with its loss, do partitions keep a quorum?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition
from meshnode.core.quorum import quorum_size
from meshnode.core.targets import Cluster


def blockers_of_rest(cluster: Cluster, node: NodeId, state: NodeState) -> dict[PartitionId, str]:
    """Partitions that the node's new state would leave without enough nodes, and why; empty where it may rest.

    A DRAINING node still votes, so one other replica that takes requests is enough; without a DISABLED one there must
    be a quorum.
    """
    entry = cluster.nodes.get(node)
    if entry is None or state is NodeState.AVAILABLE:
        return {}
    nodes = {**cluster.nodes, node: replace(entry, state=state)}
    blockers: dict[PartitionId, str] = {}
    for partition in cluster.partitions:
        if node not in partition.replicas:
            continue
        taking = _count(partition, nodes, {NodeState.AVAILABLE})
        voting = _count(partition, nodes, {NodeState.AVAILABLE, NodeState.DRAINING, NodeState.DELETING})
        needed = quorum_size(len(partition.replicas))
        if not taking:
            blockers[partition.partition] = "no replica would be left that takes requests"
        elif voting < needed:
            blockers[partition.partition] = f"only {voting} of {needed} votes would be left"
    return blockers


def zone_warnings(cluster: Cluster) -> tuple[str, ...]:
    """One line for each zone whose loss would leave partitions without a quorum; none where there is one zone only."""
    zones = {node.node: node.zone for node in cluster.nodes.values()}
    if len(set(zones.values())) < 2:
        return ()
    broken: Counter[str] = Counter()
    for partition in cluster.partitions:
        replicas = partition.target or partition.replicas
        inside = Counter(zones.get(node, "") for node in replicas)
        broken.update(zone for zone, count in inside.items() if len(replicas) - count < quorum_size(len(replicas)))
    return tuple(
        f"the loss of zone {zone} would leave {count} partitions without a quorum"
        for zone, count in sorted(broken.items())
    )


def _count(partition: Partition, nodes: Mapping[NodeId, Node], states: set[NodeState]) -> int:
    return sum(1 for node in partition.replicas if node in nodes and nodes[node].state in states)
