"""Who plans moves: one node at a time, by a lease in the catalog. Advice only, no step rests on it."""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.base.errors import NotFound, OutcomeUnknown
from meshnode.base.ids import NodeId
from meshnode.core.keys import MOVE_PLANNER
from meshnode.ports import Catalog, Compare, Put


@dataclass(kw_only=True)
class PlannerLease:
    """This node's claim to plan."""

    own: NodeId
    catalog: Catalog
    lease_ms: int
    _lease: int = 0

    async def hold(self) -> bool:
        """Keep the lease, or take it where nobody has it; whether this node has it now. Raises CatalogUnavailable."""
        if self._lease:
            if await self.catalog.keep_lease(self._lease):
                return True
            self._lease = 0
        (holder,) = await self.catalog.get([MOVE_PLANNER])
        if holder is not None:
            return False
        lease = await self.catalog.open_lease(self.lease_ms)
        try:
            revision = await self.catalog.transact(
                [Compare(MOVE_PLANNER, 0)], [Put(MOVE_PLANNER, self.own.encode(), lease)]
            )
        except (OutcomeUnknown, NotFound):
            revision = None
        if revision is None:
            await self.catalog.close_lease(lease)
            return False
        self._lease = lease
        return True

    async def release(self) -> None:
        """Let another node plan at once. Raises CatalogUnavailable."""
        lease, self._lease = self._lease, 0
        if lease:
            await self.catalog.close_lease(lease)
