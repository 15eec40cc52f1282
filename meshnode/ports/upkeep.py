"""Keeping replicas fast: fewer packs, a commit graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from meshnode.core.round import ReplicaKey
from meshnode.core.upkeep import PackFacts


@dataclass(frozen=True, kw_only=True, slots=True)
class UpkeepReport:
    """What was done to one replica."""

    packs_before: int
    packs_after: int
    removed: int = 0
    """Packs that went into another one and are gone."""
    note: str = ""
    """Why less was done than was wanted; "" for nothing to say."""


class Upkeep(Protocol):
    """Housekeeping of this node's replicas. No object is ever dropped, reachable or not."""

    async def packs(self, key: ReplicaKey) -> list[PackFacts]:
        """The replica's own packs. Raises RepositoryNotFound, Corrupt."""
        ...

    async def combine(self, key: ReplicaKey, packs: Sequence[PackFacts]) -> UpkeepReport:
        """Make one pack of several, durably, and remove those whose every object is in it.

        Packs stay while a check of the partition's objects is running; `note` says so.

        Raises:
            Corrupt: git could not read them, or the new pack lacks an object; nothing is removed then.
            Overloaded: no space left on the device.
        """
        ...

    async def write_commit_graph(self, key: ReplicaKey) -> None:
        """Bring the commit graph up to the references. Raises Corrupt, Overloaded."""
        ...


class Upkeeping(Protocol):
    """This node's housekeeping on demand."""

    async def optimise(self, key: ReplicaKey) -> UpkeepReport:
        """Combine this node's packs of a repository now.

        Raises:
            RepositoryNotFound: no replica here.
            ReplicaBehind: the replica is under repair.
            Overloaded: another node has the turn, too many wait, or the disk is full.
            Corrupt: git could not read the replica; it is to be scrubbed.
        """
        ...
