"""A replication factor for one repository: its partition's, where nobody else lives there. Implements
`ports.RepositoryFactors`.

    alone with its forks --> the partition gets the factor, replicas come or go by the usual moves
    with others ---------> refused, unless they may get it too

A repository does not change its partition: its replicas' directories, its forks' shared objects and every record of the
family would have to change at once.

Source: docs/adr/0016-read-replicas.md.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from meshnode.base.errors import Fenced, InvalidRequest
from meshnode.base.ids import PartitionId, RepositoryId, RepositoryName
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.move_orders import MoveOrders
from meshnode.engine.records import Records
from meshnode.engine.survey import families
from meshnode.ports import Catalog, FactorOfRepository

log = logging.getLogger("meshnode.engine")


@dataclass(kw_only=True)
class RepositoryFactors:
    """Implements `ports.RepositoryFactors`."""

    catalog: Catalog
    records: Records
    membership: ClusterMembership
    orders: MoveOrders

    async def set_factor(self, name: RepositoryName, factor: int, *, with_others: bool) -> FactorOfRepository:
        """Want `factor` replicas of a repository, 0: as many as the cluster's setting."""
        record = await self.records.find(name)
        number = record.partition
        await self.membership.refresh()
        before = self.membership.partition(number).factor
        others = await self._others(number, record.fork_root)
        if before == (factor or None):
            return FactorOfRepository(partition=number, factor=factor, others=others)
        if others and not with_others:
            raise InvalidRequest(
                "the repository shares its partition with others, which would get the factor too: say so, or create"
                " a repository with the factor it is to have and push to that",
                repository=name,
                partition=number,
                others=others,
            )
        warnings = await self.orders.set_factor(factor, number)
        if not with_others and (others := await self._others(number, record.fork_root)):
            await self.orders.set_factor(before or 0, number)
            raise Fenced("another repository was created in the partition meanwhile; ask again", partition=number)
        log.info("repository_factor_ordered", extra={"repository": record.repository, "factor": factor})
        return FactorOfRepository(partition=number, factor=factor, others=others, warnings=warnings)

    async def _others(self, number: PartitionId, root: RepositoryId) -> int:
        """Repositories of the partition that are no forks of the same root."""
        here = (await families(self.catalog)).get(number)
        return 0 if here is None else here.total() - here[root]
