"""What a node without a disk keeps over a restart, and the faults a test may plant in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from meshnode.base.errors import Overloaded
from meshnode.base.ids import ObjectId, RefName, RefValue, RoundId, parse_repository_id
from meshnode.core.round import ReplicaKey, Round
from meshnode.git.memory_packs import MemoryPack
from meshnode.ports import ReplicaState


@dataclass
class MemoryReplica:
    """One replica as it would lie on disk."""

    state: ReplicaState
    refs: dict[RefName, RefValue] = field(default_factory=dict)
    objects: set[ObjectId] = field(default_factory=set)
    packs: dict[RoundId, MemoryPack] = field(default_factory=dict)
    """Packs of prepared rounds: durable, not readable."""
    history: list[Round] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What `fsck` will say; a test writes it to damage the replica."""
    is_unreadable: bool = False
    """Whether loading it finds its state damaged; a test sets it."""
    trouble: str = ""
    """What the system says where its files are read, which is no damage; a test sets it."""


@dataclass
class MemoryDisk:
    """What a node keeps over a restart."""

    replicas: dict[ReplicaKey, MemoryReplica] = field(default_factory=dict)
    damaged: list[tuple[ReplicaKey, str, MemoryReplica]] = field(default_factory=list)
    """Replicas set aside, with the reason."""
    parents: dict[ObjectId, ObjectId] = field(default_factory=dict)
    """Commits and the commit each stands on, as far as a test says so."""
    is_full: bool = False
    """Whether every write finds no space left; a test sets it."""

    def check_space(self) -> None:
        """Raise Overloaded where the disk is full."""
        if self.is_full:
            raise Overloaded("no space left on device")

    def objects_of(self, key: ReplicaKey) -> set[ObjectId]:
        """Every object a replica can read, those of the repositories it was forked from included.

        Parents that were set aside still give theirs.
        """
        found: set[ObjectId] = set()
        next_key: ReplicaKey | None = key
        while next_key is not None:
            here = [replica for other, _, replica in self.damaged if other == next_key and self.has_dependents(other)]
            here += [self.replicas[next_key]] if next_key in self.replicas else []
            next_key = None
            for one in here:
                found |= one.objects
                next_key = parent_key(one.state)
        return found

    def has_dependents(self, key: ReplicaKey) -> bool:
        """Whether a fork shares this replica's objects."""
        return any(parent_key(one.state) == key for one in self.replicas.values())


def parent_key(state: ReplicaState) -> ReplicaKey | None:
    """The replica whose objects this one shares, None where it is no fork."""
    return ReplicaKey(state.key.home, parse_repository_id(state.fork_parent)) if state.fork_parent else None
