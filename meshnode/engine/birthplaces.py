"""Which partition a new repository lives in: by its id's draw, or one that has the replication factor it is to have.

    no wish     ids are drawn until one lies in a partition of this node, partitions with a factor of their own left out
    N replicas  a partition whose own factor is N --> else one that is empty gets it, and is looked at once more

Rule: a create is published only to a partition that still has the factor it was chosen for: the draft checks what it
reads, the publish what changed since (`core/write.py`). So behind the compare-and-set that gives a partition a factor of
its own nobody comes to live there who did not choose it, and one more look at the records tells who came before.

Source: docs/adr/0016-read-replicas.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import Fenced, ReplicaBehind
from meshnode.base.ids import NodeId, PartitionId, RepositoryId
from meshnode.core.moves import is_moving
from meshnode.core.partition import Partition
from meshnode.core.placement import partition_of
from meshnode.core.round import ReplicaKey
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.move_orders import MoveOrders
from meshnode.engine.survey import families
from meshnode.ports import Catalog, Entropy

IDS_TRIED_MAX: Final = 10_000
"""Ids drawn until one lies in a partition of this node; with 1,000 nodes and factor 3 the mean is 333."""
IDS_TRIED_MORE: Final = 256
"""The same once there is one in a partition with a factor of its own: perhaps all of them have one."""
RESERVE_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Birthplace:
    """Where a repository is to be created, and the partition's own factor as it was chosen for."""

    key: ReplicaKey
    factor: int | None

    def check(self, partition: Partition) -> None:
        """Check that the partition still has that factor. Raises Fenced."""
        if partition.factor != self.factor:
            raise Fenced(
                "nothing was written: the partition's factor has changed; try again", partition=partition.partition
            )


@dataclass(kw_only=True)
class Birthplaces:
    """Chooses partitions for this node as coordinator of creates."""

    own: NodeId
    catalog: Catalog
    membership: ClusterMembership
    orders: MoveOrders
    entropy: Entropy

    def draw(self) -> Birthplace:
        """A new id whose partition this node keeps a replica of, so that it can lead the create. Raises ReplicaBehind."""
        count = self.membership.settings().partition_count
        otherwise: Birthplace | None = None
        left = IDS_TRIED_MAX
        while left:
            left -= 1
            repository = RepositoryId(self.entropy.new_id())
            partition = self.membership.partition(partition_of(repository, count))
            if self.own not in partition.replicas:
                continue
            place = Birthplace(ReplicaKey(partition.partition, repository), partition.factor)
            if partition.factor is None:
                return place
            if otherwise is None:
                otherwise, left = place, min(left, IDS_TRIED_MORE)
        if otherwise is None:
            raise ReplicaBehind("this node keeps no partition to create a repository in", node=self.own)
        return otherwise

    async def choose(self, factor: int) -> Birthplace:
        """A new id in a partition that has, or now gets, a factor of its own; 0: `draw`.

        The record says where a repository lives, so the id need not lead there, as a fork's does not.

        Raises:
            InvalidRequest: fewer nodes than that can have replicas, or the factor is not 1 to 9.
            ReplicaBehind: this node has no such partition, and none that could become one; another may.
        """
        if not factor:
            return self.draw()
        number = self._known(factor)
        if number is None:
            await self.membership.refresh()  # another node may have made one just now
            number = self._known(factor)
        if number is None:
            number = await self._reserve(factor)
        return Birthplace(ReplicaKey(number, RepositoryId(self.entropy.new_id())), factor)

    def _known(self, factor: int) -> PartitionId | None:
        having = [
            one
            for _, one in sorted(self.membership.partitions().items())
            if one.factor == factor and one.family is None
        ]
        mine = [one.partition for one in having if self.own in one.replicas]
        if having and not mine:
            raise ReplicaBehind("this node keeps no partition with that factor", node=self.own, factor=factor)
        return mine[self.entropy.below(len(mine))] if mine else None

    async def _reserve(self, factor: int) -> PartitionId:
        """Give an empty partition the factor. Lowest number first, so that two who do this meet at one entry."""
        inhabited = await families(self.catalog)
        free = [
            number
            for number, one in sorted(self.membership.partitions().items())
            if one.factor is None
            and one.family is None
            and self.own in one.replicas
            and not is_moving(one)
            and number not in inhabited
        ]
        for number in free[:RESERVE_TRIES]:
            await self.orders.set_factor(factor, number)
            if number not in await families(self.catalog):
                return number
            await self.orders.set_factor(0, number)  # somebody was created there just before: not without asking
        raise ReplicaBehind(
            "no partition of this node has that factor and none is empty; give one of them the factor:"
            " `meshnode cluster factor N --partition P`",
            node=self.own,
            factor=factor,
        )
