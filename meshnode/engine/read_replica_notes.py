"""Keeps this node's own note of which partitions it has read replicas of as current as its view of the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.record import Partition
from meshnode.engine.supervisor import Supervisor

log = logging.getLogger("meshnode.engine")

Write = Callable[[frozenset[PartitionId]], Awaitable[None]]


@dataclass(kw_only=True)
class ReadReplicaNotes:
    """Writes the note when it changes, the newest one last."""

    own: NodeId
    supervisor: Supervisor
    write: Write
    _wanted: frozenset[PartitionId] | None = None
    _written: frozenset[PartitionId] | None = None
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, partitions: list[Partition]) -> None:
        """Take in how partitions are now."""
        mine = frozenset(
            one.partition for one in partitions if self.own in one.read_replicas and self.own not in one.accountable
        )
        if mine != self._wanted:
            self._wanted = mine
            self.supervisor.spawn("read-replica-note", self._write())

    async def _write(self) -> None:
        async with self._writing:
            wanted = self._wanted
            if wanted is None or wanted == self._written:
                return
            try:
                await self.write(wanted)
            except (MeshError, OSError) as error:  # the next change tries again; only a rebuild would have asked
                log.warning("read_replicas_not_noted", extra={"error": str(error)})
                return
            self._written = wanted
