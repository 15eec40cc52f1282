"""Keeps this node's own note of which families have a partition for themselves: the directories of their replicas do not
tell, so with the catalog lost this note does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from meshnode.base.ids import PartitionId, RepositoryId
from meshnode.core.record import Record
from meshnode.engine.disk_note import DiskNote
from meshnode.engine.supervisor import Supervisor

Families = Mapping[RepositoryId, PartitionId]


@dataclass(kw_only=True)
class FamilyNotes:
    """Writes the note when something is heard that it does not hold."""

    supervisor: Supervisor
    write: Callable[[Families], Awaitable[None]]
    _heard: Families = field(default_factory=dict)
    _note: DiskNote[Families] = field(init=False)

    def __post_init__(self) -> None:
        self._note = DiskNote(name="families", supervisor=self.supervisor, write=self.write)

    def note(self, record: Record) -> None:
        """Take in where a record's family lives."""
        if self._heard.get(record.fork_root) != record.partition:
            self._heard = {**self._heard, record.fork_root: record.partition}
            self._note.note(self._heard)
