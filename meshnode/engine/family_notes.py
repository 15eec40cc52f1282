"""Keeps this node's own note of which families have a partition for themselves: the directories of their replicas do not
tell, so with the catalog lost this note does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from meshnode.base.errors import MeshError
from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.core.record import Record
from meshnode.engine.supervisor import Supervisor

log = logging.getLogger("meshnode.engine")

Write = Callable[[Mapping[RepositoryId, PartitionId]], Awaitable[None]]


@dataclass(kw_only=True)
class FamilyNotes:
    """Writes the note when something is heard that it does not hold."""

    supervisor: Supervisor
    write: Write
    _heard: dict[RepositoryId, PartitionId] = field(default_factory=dict)
    _written: dict[RepositoryId, PartitionId] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, record: Record) -> None:
        """Take in where a record's family lives."""
        if self._heard.get(record.fork_root) != record.partition:
            self._heard[record.fork_root] = record.partition
            self.supervisor.spawn("family-note", self._write())

    async def _write(self) -> None:
        async with self._writing:
            heard = dict(self._heard)
            if heard == self._written:
                return
            try:
                await self.write(heard)
            except (MeshError, OSError) as error:  # the next family tries again; only a rebuild would have asked
                log.warning("families_not_noted", extra={"error": str(error)})
                return
            self._written = heard
