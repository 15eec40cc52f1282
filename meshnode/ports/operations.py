"""Writes that make Git objects: what an operation is given, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from meshnode.base.ids import Generation, ObjectId, RefName, RefValue, RepositoryName, RoundId
from meshnode.ports.merges import MergedTree
from meshnode.ports.wishes import Wish
from meshnode.ports.workshops import TreeAction


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The one reference that an operation changes."""

    repository: RepositoryName
    ref: RefName
    expected: RefValue | str | None
    """What it must hold: an object id, "" for nothing, None for whatever is there."""
    request_key: str
    actor: str


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """One file action of a streamed request, with its content still to come."""

    action: TreeAction | None
    """Without its blob; None: the content is a mailbox."""
    content: AsyncIterator[bytes] | None
    """To be read to the end before the next part is asked for; None: the action brings none."""


class Outcome(Enum):
    """How an operation ended."""

    WRITTEN = "written"
    """The reference has its new value."""
    UP_TO_DATE = "up-to-date"
    """There was nothing to do; nothing was written."""
    CONFLICTS = "conflicts"
    """Git could not merge all; nothing was written."""
    NOT_FAST_FORWARD = "not-fast-forward"
    """Only a fast-forward was wanted, and it is none; nothing was written."""
    EMPTY = "empty"
    """A pick would change nothing; nothing was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationResult:
    """What came of an operation."""

    outcome: Outcome
    oid: ObjectId | None = None
    """What the reference holds now, None for nothing."""
    previous: ObjectId | None = None
    """What it held before."""
    generation: Generation = field(default=Generation(0))
    round_id: RoundId | None = None
    """Of the write; None where nothing was written."""
    is_repetition: bool = False
    """The same request took effect before; this is what it did then."""
    merged: MergedTree | None = None
    """With CONFLICTS: where git stopped. Its tree is gone with the workshop."""
    stopped_at: str = ""
    """With CONFLICTS and EMPTY: the commit that could not be picked; "" for a merge."""


class Operations(Protocol):
    """Writes that make objects, with this node as coordinator."""

    async def run(self, target: Target, wish: Wish, parts: AsyncIterator[FilePart] | None = None) -> OperationResult:
        """Build what is wished for on the reference as it is, and write it: one round, or nothing.

        Where nothing is expected of the reference and others write to it meanwhile, it is built again on what they
        left, a bounded number of times.

        Raises:
            RepositoryNotFound, ReplicaBehind, ReadOnly: before anything of `parts` was read.
            RefConflict: the reference is not at `target.expected` (field `actual`), or has moved too often.
            NotFound, InvalidRequest: the wish does not fit what is there.
            MeshError: as `Writer.write`.
        """
        ...
