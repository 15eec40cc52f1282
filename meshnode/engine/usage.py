"""Tells the cluster what this node's replicas take on its disk, for plans and for how long moves will take.

Sizes are read rarely and slowly; what is told is as old as its date says.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId, PartitionId
from meshnode.config import RebalanceSettings
from meshnode.core.control import NodeUsage, encode_usage
from meshnode.core.keys import usage_key
from meshnode.engine.intervals import elapse
from meshnode.engine.records import Records
from meshnode.engine.replicas import Replicas
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import Catalog, Clock, Put

log = logging.getLogger("meshnode.engine")

FIRST_PART: Final = 20
"""A starting node has better things to do, but plans should not wait for a whole interval."""

DiskSpace = Callable[[], tuple[int, int]]
"""Size of the file system that holds the replicas, and what is free, in bytes. Blocking."""


def disk_space_of(path: Path) -> DiskSpace:
    """Look at the file system of a path."""

    def look() -> tuple[int, int]:
        found = shutil.disk_usage(path)
        return found.total, found.free

    return look


@dataclass(kw_only=True)
class UsageReporter:
    """Measures and tells."""

    own: NodeId
    catalog: Catalog
    records: Records
    replicas: Replicas
    clock: Clock
    supervisor: Supervisor
    settings: RebalanceSettings
    disk_space: DiskSpace | None

    def start(self) -> None:
        """Begin to measure."""
        self.supervisor.keep("usage", self._run_forever)

    async def _run_forever(self) -> None:
        told: NodeUsage | None = None
        await elapse(self.clock, lambda: max(1, self.settings.usage_interval_ms // FIRST_PART))
        while True:
            try:
                usage = await self.measure()
                if told is None or (usage.partitions, usage.free_bytes) != (told.partitions, told.free_bytes):
                    await self.catalog.transact([], [Put(usage_key(self.own), encode_usage(usage))])
                    told = usage
            except (MeshError, OSError) as error:
                log.warning("usage_not_told", extra={"error": str(error)})
            await elapse(self.clock, lambda: self.settings.usage_interval_ms)

    async def measure(self) -> NodeUsage:
        """Look at every replica on this node's disk. Raises OSError."""
        disk = self.replicas.disk
        sizes: Counter[PartitionId] = Counter()
        for key in await disk.store.list_replicas():
            sizes[self.records.partition_of(key)] += await disk.reader.size_bytes(key)
        total, free = (0, 0) if self.disk_space is None else await asyncio.to_thread(self.disk_space)
        return NodeUsage(
            node=self.own,
            at_ms=self.clock.wall_ms(),
            partitions=dict(sizes),
            disk_bytes=total,
            free_bytes=free,
        )
