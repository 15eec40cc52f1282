"""What operators ask about replicas and nodes, checked and written to the catalog. Implements `ports.Moves`.

Orders change targets, factors and states; the node that plans (`engine/mover.py`) sees them and moves. So any node
takes an order, and nothing is lost if it dies right behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from meshnode.base.errors import CatalogUnavailable, Fenced, InvalidRequest, NotFound
from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.availability import blockers_of_rest, zone_warnings
from meshnode.core.cluster import decode_settings, encode_settings
from meshnode.core.control import MoveControl, decode_control, decode_progress, encode_control
from meshnode.core.keys import CLUSTER, MOVE_CONTROL, MOVE_PROGRESS
from meshnode.core.moves import is_moving
from meshnode.core.nodes import Node, NodeState
from meshnode.core.partition import Partition
from meshnode.core.quorum import FACTOR_MAX
from meshnode.core.targets import Cluster, blockers_of_removal, partition_sizes, plan_targets
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.mover import ClusterAt, Mover
from meshnode.engine.survey import read_partitions
from meshnode.ports import Catalog, Clock, Compare, MoveOverview, MovePlan, PlannedMove, Put

log = logging.getLogger("meshnode.engine")

NAMED_MAX: Final = 20
"""Partitions that one message names."""


@dataclass(kw_only=True)
class MoveOrders:
    """Implements `ports.Moves`."""

    catalog: Catalog
    membership: ClusterMembership
    mover: Mover
    clock: Clock

    async def overview(self) -> MoveOverview:
        """How far moves are."""
        (control, progress) = await self.catalog.get([MOVE_CONTROL, MOVE_PROGRESS])
        told = None if progress is None else decode_progress(progress.value)
        partitions = [partition for partition, _ in await read_partitions(self.catalog)]
        moving = sum(1 for partition in partitions if is_moving(partition))
        cluster = Cluster(
            nodes=self.membership.nodes(),
            partitions=partitions,
            factor=self.membership.settings().replication_factor,
        )
        return MoveOverview(
            is_paused=control is not None and decode_control(control.value).is_paused,
            moving=moving,
            progress=told,
            age_ms=0 if told is None else max(0, self.clock.wall_ms() - told.at_ms),
            warnings=zone_warnings(cluster),
        )

    async def rebalance(self, *, is_dry_run: bool) -> MovePlan:
        """Spread replicas evenly, or only say what that would move."""
        now = await self.mover.read()
        plan = plan_targets(now.cluster, is_balancing=True)
        if not is_dry_run:
            written = await self.mover.set_targets(now, plan.targets)
            log.info("rebalance_ordered", extra={"partitions": written})
            if written < len(plan.targets):
                raise Fenced("some partitions changed meanwhile; ask again", ordered=written, planned=len(plan.targets))
        return MovePlan(
            moves=_planned(now, plan.targets),
            blocked=_lines(plan.blocked),
            warnings=zone_warnings(_after(now.cluster, plan.targets)),
        )

    async def pause(self, *, is_paused: bool) -> None:
        """Stop moves between two steps, or let them go on."""
        await self.catalog.transact([], [Put(MOVE_CONTROL, encode_control(MoveControl(is_paused=is_paused)))])
        log.info("moves_paused" if is_paused else "moves_resumed")

    async def set_factor(self, factor: int, partition: PartitionId | None) -> tuple[str, ...]:
        """Want other numbers of replicas."""
        if factor == 0 and partition is None:
            raise InvalidRequest("replication factor must be 1 to 9", factor=factor)
        now = await self.check_factor(factor)
        if partition is None:
            await self._set_cluster_factor(factor)
        else:
            await self._set_partition_factor(now, partition, factor)
        log.info("factor_ordered", extra={"factor": factor, "partition": partition})
        return await self.warnings(factor)

    async def check_factor(self, factor: int) -> ClusterAt:
        """Check that some partition can have so many replicas; the cluster as it is. Raises InvalidRequest."""
        if not 0 <= factor <= FACTOR_MAX:
            raise InvalidRequest("replication factor must be 1 to 9", factor=factor)
        now = await self.mover.read()
        usable = sum(1 for node in now.cluster.nodes.values() if node.state is NodeState.AVAILABLE and node.weight)
        if usable < factor:
            raise InvalidRequest("too few nodes for the replication factor", nodes=usable, factor=factor)
        return now

    async def warnings(self, factor: int) -> tuple[str, ...]:
        """What to say of a factor that was just ordered: it is, whatever the catalog does now."""
        try:
            await self.membership.refresh()
            now = await self.mover.read()
        except CatalogUnavailable:
            return ("it is ordered; what it means for zones cannot be told while the catalog is out of reach",)
        plan = plan_targets(now.cluster, is_balancing=False)
        warnings = zone_warnings(_after(now.cluster, plan.targets))
        if factor and factor % 2 == 0:
            return (f"{factor} replicas survive no more losses than {factor - 1}, and cost a vote more", *warnings)
        return warnings

    async def set_state(self, node: NodeId, state: NodeState) -> Node:
        """Want another state for a node."""
        now = await self.mover.read()
        blockers = blockers_of_rest(now.cluster, node, state)
        if state is NodeState.DELETING:
            blockers = {**blockers, **blockers_of_removal(now.cluster, node)}
        if blockers:
            raise InvalidRequest(
                "too few nodes would be left; add nodes, enable some, or lower the factor first",
                node=node,
                partitions=_named(blockers),
                reason=min(blockers.items())[1],
            )
        changed = await self.membership.set_state(node, state)
        log.info("node_state_ordered", extra={"node": node, "state": state.value})
        return changed

    async def partitions(self) -> Sequence[Partition]:
        """Every partition, in order."""
        return [partition for partition, _ in await read_partitions(self.catalog)]

    async def _set_cluster_factor(self, factor: int) -> None:
        (entry,) = await self.catalog.get([CLUSTER])
        if entry is None:
            raise NotFound("the catalog holds no cluster")
        wanted = replace(decode_settings(entry.value), replication_factor=factor)
        done = await self.catalog.transact([Compare(CLUSTER, entry.revision)], [Put(CLUSTER, encode_settings(wanted))])
        if done is None:
            raise Fenced("the cluster's settings changed meanwhile; ask again")

    async def _set_partition_factor(self, now: ClusterAt, number: PartitionId, factor: int) -> None:
        partition = next((one for one in now.cluster.partitions if one.partition == number), None)
        if partition is None:
            raise NotFound("no such partition", partition=number)
        wanted = replace(partition, factor=factor or None)
        if not await self.mover.steps.set_target(partition, now.revisions[number], wanted):
            raise Fenced("the partition changed meanwhile; ask again", partition=number)


def _planned(now: ClusterAt, targets: Mapping[PartitionId, tuple[NodeId, ...]]) -> tuple[PlannedMove, ...]:
    sizes = partition_sizes(now.cluster.usage)
    moves = []
    for partition in now.cluster.partitions:
        target = targets.get(partition.partition)
        if target is None:
            continue
        entering = tuple(node for node in target if node not in partition.replicas)
        moves.append(
            PlannedMove(
                partition=partition.partition,
                entering=entering,
                leaving=tuple(node for node in partition.replicas if node not in target),
                size_bytes=len(entering) * sizes.get(partition.partition, 0),
            )
        )
    return tuple(moves)


def _after(cluster: Cluster, targets: Mapping[PartitionId, tuple[NodeId, ...]]) -> Cluster:
    partitions = [replace(one, target=targets.get(one.partition, one.target)) for one in cluster.partitions]
    return replace(cluster, partitions=partitions)


def _lines(blocked: Mapping[PartitionId, str]) -> tuple[str, ...]:
    lines = [f"partition {number}: {reason}" for number, reason in sorted(blocked.items())]
    return (*lines[:NAMED_MAX], *([f"and {len(lines) - NAMED_MAX} more"] if len(lines) > NAMED_MAX else []))


def _named(blocked: Mapping[PartitionId, str]) -> str:
    numbers = [str(number) for number in sorted(blocked)]
    more = f" and {len(numbers) - NAMED_MAX} more" if len(numbers) > NAMED_MAX else ""
    return ", ".join(numbers[:NAMED_MAX]) + more
