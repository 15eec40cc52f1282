"""The faces of a node's disk, opened together, and the names of the durable steps behind them.

    open_stores(...)         -> Stores    meshnode.git.store: real repositories
    open_memory_stores(...)  -> Stores    meshnode.git.memory: the same rules, nothing on disk

A `Step` is called right after each durable step with its name. In production it does nothing; a test raises from
it, which is a crash at that point as far as the disk can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from meshnode.ports import PackStore, ReplicaReader, ReplicaStore, Upkeep

Step: TypeAlias = Callable[[str], None]

PREPARE_OBJECTS: Final = "prepare.objects"
"""The pack lies beside the journal."""
PREPARE_JOURNAL: Final = "prepare.journal"
"""The journal record, for a CREATE the whole directory, is durable."""
APPLY_OBJECTS: Final = "apply.objects"
"""The pack can be read."""
APPLY_REFS: Final = "apply.refs"
"""References are at their new values."""
APPLY_HEAD: Final = "apply.head"
"""So is HEAD."""
APPLY_HISTORY: Final = "apply.history"
"""The round is in the history, which is what makes its generation the applied one."""
APPLY_JOURNAL: Final = "apply.journal"
"""The journal record is gone."""
APPLY_REMOVED: Final = "apply.removed"
"""A deleted repository's directory is out of the way."""
REPLACE_BEGUN: Final = "replace.begun"
"""The replica says generation 0 of itself, until it is whole again."""
REPLACE_OBJECTS: Final = "replace.objects"
"""The synced pack can be read."""
REPLACE_REFS: Final = "replace.refs"
"""References and HEAD are those of the sync."""
REPLACE_STATE: Final = "replace.state"
"""The replica says the synced generation of itself."""
REBASE_STATE: Final = "rebase.state"
"""The replica says the position that an operator gave it."""

PREPARE_STEPS: Final = (PREPARE_OBJECTS, PREPARE_JOURNAL)
APPLY_STEPS: Final = (APPLY_OBJECTS, APPLY_REFS, APPLY_HEAD, APPLY_HISTORY, APPLY_JOURNAL)
REPLACE_STEPS: Final = (REPLACE_BEGUN, REPLACE_OBJECTS, REPLACE_REFS, REPLACE_STATE)


def no_step(name: str) -> None:
    """Do nothing at the step `name`: what production passes."""


@dataclass(frozen=True, slots=True)
class Stores:
    """One node's disk."""

    store: ReplicaStore
    reader: ReplicaReader
    packs: PackStore
    upkeep: Upkeep
