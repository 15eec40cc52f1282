"""What operators ask about read replicas, checked and written to the catalog. Implements `ports.ReadReplicas`.

An order names how many there are to be, or which nodes have them; it is one compare-and-set on the partition, and the
nodes that come to have one fill it by their usual repair. What happens to nodes later is the planner's business
(`engine/mover.py`): it replaces those that go.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from meshnode.base.errors import Fenced, InvalidRequest, NotFound
from meshnode.base.ids import NodeId, PartitionId, RepositoryName
from meshnode.core.partition import Partition
from meshnode.core.read_replicas import (
    check_count,
    check_read_replicas,
    partition_with_read_replicas,
    plan_read_replicas,
    read_replicas_held,
)
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.mover import Mover
from meshnode.engine.records import Records

log = logging.getLogger("meshnode.engine")


@dataclass(kw_only=True)
class ReadReplicaOrders:
    """Implements `ports.ReadReplicas`."""

    records: Records
    membership: ClusterMembership
    mover: Mover

    async def set_read_replicas(
        self, place: RepositoryName | PartitionId, *, count: int | None, nodes: Sequence[NodeId]
    ) -> Partition:
        """Want `count` read replicas, or with None those of `nodes`, for a partition or a repository's partition."""
        number = place if isinstance(place, int) else (await self.records.find(place)).partition
        now = await self.mover.read()
        partition = next((one for one in now.cluster.partitions if one.partition == number), None)
        if partition is None:
            raise NotFound("no such partition", partition=number)
        known = now.cluster.nodes
        if count is None:
            check_read_replicas(partition, known, nodes)
            chosen, wanted = tuple(nodes), len(nodes)
        else:
            check_count(count)
            held = read_replicas_held(now.cluster.partitions)
            chosen, wanted = plan_read_replicas(partition, known, held, wanted=count), count
        if len(chosen) < wanted:
            raise InvalidRequest(
                "too few nodes for that many read replicas: each needs a node that has no copy of the partition",
                wanted=wanted,
                possible=len(chosen),
            )
        after = partition_with_read_replicas(partition, chosen, wanted=wanted, known=known)
        if after != partition and not await self.mover.steps.set_target(partition, now.revisions[number], after):
            raise Fenced("the partition changed meanwhile; ask again", partition=number)
        log.info("read_replicas_ordered", extra={"partition": number, "nodes": list(chosen), "wanted": wanted})
        await self.membership.refresh()
        return after
