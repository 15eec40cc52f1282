"""What recipes are given and give: a reference as it is, and what it shall be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from meshnode.base.errors import NotFound
from meshnode.base.ids import ObjectId, RefName
from meshnode.core.round import ReplicaKey
from meshnode.ports import MergedTree, ObjectInfo, ObjectKind, Outcome, RefsSnapshot, Revisions, Workshop


@dataclass(frozen=True, slots=True)
class Base:
    """What an operation is built on."""

    key: ReplicaKey
    snapshot: RefsSnapshot
    ref: RefName
    head: ObjectId | None
    """What the reference holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What a recipe made."""

    outcome: Outcome = Outcome.WRITTEN
    new: ObjectId | None = None
    """With WRITTEN: what the reference shall hold, None for nothing."""
    has_objects: bool = False
    """Whether `new` is in the workshop only."""
    haves: Sequence[ObjectId] = field(default=())
    """Commits of the replica that `new` leads to."""
    merged: MergedTree | None = None
    """With CONFLICTS: where git stopped."""
    stopped_at: str = ""
    """With CONFLICTS and EMPTY: the commit that could not be picked."""


Recipe = Callable[[Base], Awaitable[Made]]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a recipe works with."""

    workshop: Workshop
    revisions: Revisions

    async def resolve(self, base: Base, revision: str, kind: ObjectKind | None = ObjectKind.COMMIT) -> ObjectInfo:
        """What a revision means on the references the operation is built on."""
        return await self.revisions.resolve(base.key, base.snapshot, revision, kind)


def existing(base: Base) -> ObjectId:
    """What the reference holds. Raises NotFound where it does not exist."""
    if base.head is None:
        raise NotFound("no such branch", ref=base.ref)
    return base.head
