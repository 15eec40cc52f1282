"""Which nodes have read replicas of a partition: copies that get every write, answer reads, and never vote.

    wanted: so many, or these nodes --> chosen: other zones first, then nodes with fewest of them --> filled by repair
    its node goes for good, or becomes a replica --> another takes its place, as long as there is one

The rule: a read replica is believed by its position and by nothing else. A record never lists one and never vouches
for one, so becoming one and ceasing to be one is a single compare-and-set on the partition, and neither a quorum, nor
the grace of a write, nor a step of a move depends on it. It answers a verified read where a record read after the
request came names the round it stands at, at or past the generation asked for (`core/record.py`, `is_on_line`).

Source: docs/adr/0016-read-replicas.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition
from meshnode.core.placement import draw_of

READ_REPLICAS_MAX: Final = 16
"""Each gets every pack that is pushed from the node that leads the push."""


def read_replicas_held(partitions: Iterable[Partition]) -> Counter[NodeId]:
    """How many partitions each node has a read replica of."""
    return Counter(node for partition in partitions for node in partition.read_replicas)


def plan_read_replicas(
    partition: Partition, nodes: Mapping[NodeId, Node], held: Mapping[NodeId, int], *, wanted: int
) -> tuple[NodeId, ...]:
    """Choose who has the read replicas: those that can stay, and others up to `wanted`; fewer where nodes lack.

    Of more than are wanted, those on nodes that take no requests go first, then the last ones.
    """
    staying = [node for node in partition.read_replicas if may_stay(partition, nodes.get(node))]
    staying.sort(key=lambda node: nodes[node].state is not NodeState.AVAILABLE)  # stable: order of coming otherwise
    chosen = staying[:wanted]
    while len(chosen) < wanted and (found := _best(partition, nodes, held, chosen)) is not None:
        chosen.append(found)
    return tuple(sorted(chosen, key=lambda node: _place(partition.read_replicas, node)))


def check_read_replicas(partition: Partition, nodes: Mapping[NodeId, Node], wanted: Sequence[NodeId]) -> None:
    """Check that exactly these nodes can have read replicas. Raises InvalidRequest."""
    if len(set(wanted)) != len(wanted):
        raise InvalidRequest("a node is named twice", partition=partition.partition)
    check_count(len(wanted))
    for node in wanted:
        entry = nodes.get(node)
        if entry is None:
            raise InvalidRequest("no such node", node=node)
        if node in partition.accountable or node in partition.target:
            raise InvalidRequest("the node is a replica of this partition already, or is to be", node=node)
        if entry.state is not NodeState.AVAILABLE and node not in partition.read_replicas:
            raise InvalidRequest("the node is to take nothing new", node=node, state=entry.state.value)
        if entry.state is NodeState.DELETING:
            raise InvalidRequest("the node is being removed", node=node)


def check_count(wanted: int) -> None:
    """Check how many read replicas are wanted. Raises InvalidRequest."""
    if not 0 <= wanted <= READ_REPLICAS_MAX:
        raise InvalidRequest(f"a partition has 0 to {READ_REPLICAS_MAX} read replicas", wanted=wanted)


def partition_with_read_replicas(
    partition: Partition, read_replicas: tuple[NodeId, ...], *, wanted: int, known: Mapping[NodeId, Node]
) -> Partition:
    """The partition with other read replicas; who is none any more drops its copy, if it is a node still."""
    gone = [
        node
        for node in partition.read_replicas
        if node not in read_replicas and node not in partition.accountable and node in known
    ]
    leaving = [node for node in partition.leaving if node not in read_replicas]
    return replace(
        partition,
        read_replicas=read_replicas,
        read_replicas_wanted=wanted,
        leaving=tuple(dict.fromkeys([*leaving, *gone])),
    )


def may_stay(partition: Partition, entry: Node | None) -> bool:
    """Whether a read replica's node keeps it: it is in the cluster for good, and no replica of the partition."""
    if entry is None or entry.state is NodeState.DELETING:
        return False
    return entry.node not in partition.accountable and entry.node not in partition.target


def _best(
    partition: Partition, nodes: Mapping[NodeId, Node], held: Mapping[NodeId, int], chosen: Sequence[NodeId]
) -> NodeId | None:
    taken = {*partition.accountable, *partition.target, *chosen}
    free = [
        node for node in nodes.values() if node.state is NodeState.AVAILABLE and node.weight and node.node not in taken
    ]
    if not free:
        return None
    copies = Counter(nodes[node].zone for node in taken if node in nodes)
    return min(
        free,
        key=lambda node: (
            copies[node.zone],
            held.get(node.node, 0),
            -draw_of(partition.partition, node.node),
            node.node,
        ),
    ).node


def _place(order: Sequence[NodeId], node: NodeId) -> tuple[int, NodeId]:
    return (order.index(node) if node in order else len(order), node)
