"""Keeps a note on this node's disk as current as the node's view of the cluster, for whoever reads the disk without a catalog.

Rule: the newest value is written last, one write at a time; a write that fails is made good by the next change. Only the
rebuild of a lost catalog would ask, so nothing waits for a note and nothing fails by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from meshnode.base.errors import MeshError
from meshnode.engine.supervisor import Supervisor

log = logging.getLogger("meshnode.engine")

T = TypeVar("T")


@dataclass(kw_only=True)
class DiskNote(Generic[T]):
    """Writes a value when it changes."""

    name: str
    """Of what is noted; for tasks and logs."""
    supervisor: Supervisor
    write: Callable[[T], Awaitable[None]]
    _wanted: T | None = None
    _written: T | None = None
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, value: T) -> None:
        """Take in how it is now."""
        if value != self._wanted:
            self._wanted = value
            self.supervisor.spawn(f"note-{self.name}", self._write())

    async def _write(self) -> None:
        async with self._writing:
            wanted = self._wanted
            if wanted is None or wanted == self._written:
                return
            try:
                await self.write(wanted)
            except (MeshError, OSError) as error:
                log.warning("not_noted_on_disk", extra={"note": self.name, "error": str(error)})
                return
            self._written = wanted
