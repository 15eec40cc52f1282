"""Ends the removal of nodes: when nothing is on them any more, their entries go, and with them all trust in their keys.

    DELETING --> its replicas move elsewhere (engine/mover.py) --> no partition names it --> entry and accounts go

A node that is offline cannot say that it dropped its copies, so its place on `leaving` lists is taken from it: when it
comes back it finds no entry of itself and does not start.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from meshnode.base.errors import OutcomeUnknown
from meshnode.base.ids import NodeId
from meshnode.core.keys import node_key, round_trips_key, usage_key
from meshnode.core.moves import partition_dropped
from meshnode.core.nodes import NodeState, decode_node
from meshnode.core.partition import Partition
from meshnode.core.rotation import rotation_key
from meshnode.core.targets import Cluster
from meshnode.engine.move_steps import MoveSteps
from meshnode.engine.survey import read_partitions
from meshnode.ports import Catalog, Compare, Delete

log = logging.getLogger("meshnode.engine")


@dataclass(kw_only=True)
class Removal:
    """Takes nodes out of the catalog."""

    catalog: Catalog
    steps: MoveSteps

    async def run_once(self, cluster: Cluster, online: Collection[NodeId]) -> int:
        """Take out whoever may go; how many went. Raises CatalogUnavailable."""
        going = [node.node for node in cluster.nodes.values() if node.state is NodeState.DELETING]
        return sum([await self._take_out(node, is_online=node in online) for node in sorted(going)])

    async def _take_out(self, node: NodeId, *, is_online: bool) -> bool:
        """Take one node out, unless a partition still names it.

        The entry is read before the partitions: whatever joins a node names its entry AVAILABLE, so what no partition
        names behind that read none can come to name, as long as the entry is the same when it goes.
        """
        (entry,) = await self.catalog.get([node_key(node)])
        if entry is None or decode_node(entry.value).state is not NodeState.DELETING:
            return False
        for partition, revision in await read_partitions(self.catalog):
            if node in partition.members or node in partition.target:
                return False
            if node in partition.leaving and (is_online or not await self._sign_off(node, partition, revision)):
                return False
        try:
            done = await self.catalog.transact(
                [Compare(entry.key, entry.revision)],
                [
                    Delete(entry.key),
                    Delete(usage_key(node)),
                    Delete(round_trips_key(node)),
                    Delete(rotation_key(node)),
                ],
            )
        except OutcomeUnknown:
            return False
        if done is not None:
            log.info("node_removed", extra={"node": node})
        return done is not None

    async def _sign_off(self, node: NodeId, partition: Partition, revision: int) -> bool:
        return await self.steps.set_target(partition, revision, partition_dropped(partition, node))
