"""Counts repositories and their health out of the catalog's records, for the cluster at a glance.

A count reads every record, so it is made by one caller at a time and kept for two seconds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import NotFound
from meshnode.core.keys import RECORDS
from meshnode.core.quorum import quorum_size
from meshnode.core.record import Record, RepositoryState, consistent_nodes, decode_record
from meshnode.ports import Catalog, Clock, Membership

REPOSITORIES_MAX: Final = 100_000
RECORDS_PER_READ: Final = 1_000
KEPT_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Counts:
    """How many repositories there are."""

    repositories: int = 0
    repairing: int = 0
    """With at least one inconsistent member."""
    read_only: int = 0
    """With fewer consistent replicas than a quorum."""
    is_complete: bool = True
    """False where counting stopped at 100,000 records."""


class Census:
    """Counts repositories."""

    def __init__(self, *, catalog: Catalog, membership: Membership, clock: Clock) -> None:
        self._catalog = catalog
        self._membership = membership
        self._clock = clock
        self._counting = asyncio.Lock()
        self._counts = Counts()
        self._counted_ms: int | None = None

    async def counts(self) -> Counts:
        """The count, made at most two seconds ago. Raises CatalogUnavailable."""
        async with self._counting:
            now_ms = self._clock.monotonic_ms()
            if self._counted_ms is None or now_ms - self._counted_ms >= KEPT_MS:
                self._counts = await self._count()
                # From its end: a count that takes longer than it is kept would be made by every caller anew.
                self._counted_ms = self._clock.monotonic_ms()
            return self._counts

    async def _count(self) -> Counts:
        repositories = repairing = read_only = seen = 0
        after = ""
        while seen < REPOSITORIES_MAX:
            entries = await self._catalog.range(RECORDS, after=after, limit=RECORDS_PER_READ)
            for entry in entries:
                record = decode_record(entry.value)
                if record.state is RepositoryState.ACTIVE:
                    is_repairing, is_read_only = self._health(record)
                    repositories += 1
                    repairing += is_repairing
                    read_only += is_read_only
            seen += len(entries)
            if len(entries) < RECORDS_PER_READ:
                return Counts(repositories, repairing, read_only)
            after = entries[-1].key
            await asyncio.sleep(0)
        return Counts(repositories, repairing, read_only, is_complete=False)

    def _health(self, record: Record) -> tuple[bool, bool]:
        try:
            partition = self._membership.partition(record.partition)
        except NotFound:  # so new that this node has not heard of it
            return False, False
        consistent = len(consistent_nodes(record, partition))
        return not record.inconsistent.isdisjoint(partition.accountable), consistent < quorum_size(
            len(partition.replicas)
        )
