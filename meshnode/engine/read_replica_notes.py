"""Keeps this node's own note of which partitions it has read replicas of as current as its view of the cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.partition import Partition
from meshnode.engine.disk_note import DiskNote
from meshnode.engine.supervisor import Supervisor

Write = Callable[[frozenset[PartitionId]], Awaitable[None]]


@dataclass(kw_only=True)
class ReadReplicaNotes:
    """Writes the note when it changes."""

    own: NodeId
    supervisor: Supervisor
    write: Write
    _note: DiskNote[frozenset[PartitionId]] = field(init=False)

    def __post_init__(self) -> None:
        self._note = DiskNote(name="read-replicas", supervisor=self.supervisor, write=self.write)

    def note(self, partitions: list[Partition]) -> None:
        """Take in how partitions are now."""
        mine = (
            one.partition for one in partitions if self.own in one.read_replicas and self.own not in one.accountable
        )
        self._note.note(frozenset(mine))
