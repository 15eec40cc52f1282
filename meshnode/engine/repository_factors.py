"""A replication factor for one repository and its forks: that of a partition they have for themselves. Implements
`ports.RepositoryFactors`.

    its partition has the factor --------------> nothing to do
    a partition of the family's own -----------> gets the factor
    a partition that others may live in too ---> the family gets one of its own, with the factor (`engine/families.py`)

Replicas then come or go by the usual moves.

Source: docs/adr/0019-families.md.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from meshnode.base.ids import RepositoryName
from meshnode.engine.families import Families
from meshnode.engine.membership import ClusterMembership
from meshnode.engine.move_orders import MoveOrders
from meshnode.engine.records import Records
from meshnode.ports import FactorOfRepository

log = logging.getLogger("meshnode.engine")


@dataclass(kw_only=True)
class RepositoryFactors:
    """Implements `ports.RepositoryFactors`."""

    records: Records
    membership: ClusterMembership
    orders: MoveOrders
    families: Families

    async def set_factor(self, name: RepositoryName, factor: int) -> FactorOfRepository:
        """Want `factor` replicas of a repository and its forks, 0: as many as the cluster's setting."""
        record = await self.records.find(name)
        await self.membership.refresh()
        partition = self.membership.partition(record.partition)
        if partition.factor == (factor or None):
            return FactorOfRepository(partition=partition.partition, factor=factor)
        if partition.family == record.fork_root:
            warnings = await self.orders.set_factor(factor, partition.partition)
        else:
            await self.orders.check_factor(factor)
            partition = await self.families.move_out(record.fork_root, partition.partition, factor or None)
            warnings = await self.orders.warnings(factor)
        log.info("repository_factor_ordered", extra={"repository": record.repository, "factor": factor})
        return FactorOfRepository(partition=partition.partition, factor=factor, warnings=warnings)
