"""Copies that get every write, answer reads and never vote: what operators ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from meshnode.base.ids import NodeId, PartitionId, RepositoryName
from meshnode.core.partition import Partition


class ReadReplicas(Protocol):
    """Orders about read replicas. Each takes effect in the catalog."""

    async def set_read_replicas(
        self, place: RepositoryName | PartitionId, *, count: int | None, nodes: Sequence[NodeId]
    ) -> Partition:
        """Want `count` read replicas, or with None exactly those of `nodes`; the partition as it is then.

        Raises:
            InvalidRequest: more than there can be, or a node that can have none.
            RepositoryNotFound, NotFound: no such repository or partition.
            Fenced: somebody else changed the partition meanwhile.
        """
        ...
