"""Merges of commits and of trees: what a merge finds, and where it is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey


class Favour(Enum):
    """Whose text is taken where both sides changed the same lines."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"


class MergeRelation(Enum):
    """How their commit lies to ours."""

    CONTAINED = "contained"
    """Ours has it already."""
    AHEAD = "ahead"
    """It has all of ours: a fast-forward."""
    DIVERGED = "diverged"
    UNRELATED = "unrelated"
    """They share no history."""

    @classmethod
    def of(cls, ours: ObjectId, theirs: ObjectId, base: ObjectId | None) -> MergeRelation:
        """The relation of two commits by the merge base that git names first."""
        if base is None:
            return cls.UNRELATED
        return cls.CONTAINED if base == theirs else cls.AHEAD if base == ours else cls.DIVERGED


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictStage:
    """One version of a path in conflict, as the index would hold it."""

    number: int
    """1: the merge base, 2: ours, 3: theirs."""
    mode: str
    oid: ObjectId


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeConflict:
    """A path that git could not merge."""

    path: bytes
    stages: tuple[ConflictStage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeNote:
    """What git says of a merge."""

    kind: str
    """Stable and short, such as "CONFLICT (contents)" or "Auto-merging"."""
    paths: tuple[bytes, ...]
    text: str
    """For people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedTree:
    """A merge; with conflicts, the tree holds what git would leave in the working tree."""

    tree: ObjectId
    conflicts: tuple[MergeConflict, ...] = ()
    notes: tuple[MergeNote, ...] = ()


@dataclass(frozen=True, slots=True)
class MergePreview:
    """What a merge would find."""

    relation: MergeRelation
    merged: MergedTree | None
    """None: they share no history, and were not to be merged without. Its tree need not be in the repository."""


class MergePreviews(Protocol):
    """Merges of which nothing is kept."""

    async def preview(
        self,
        key: ReplicaKey,
        object_format: str,
        ours: ObjectId,
        theirs: ObjectId,
        favour: Favour,
        *,
        is_unrelated_allowed: bool,
    ) -> MergePreview:
        """Merge two commits of a replica.

        Raises:
            Overloaded, DeadlineExceeded, Corrupt: as the methods of a workshop.
        """
        ...


class Merges(Protocol):
    """Merges in a workshop."""

    async def relate(self, ours: ObjectId, theirs: ObjectId) -> MergeRelation:
        """How two commits lie to each other."""
        ...

    async def merge(
        self, ours: ObjectId, theirs: ObjectId, favour: Favour, *, is_unrelated_allowed: bool = False
    ) -> MergedTree:
        """Merge two commits. Raises InvalidRequest: they share no history."""
        ...

    async def merge_trees(
        self, base: ObjectId | None, ours: ObjectId, theirs: ObjectId, favour: Favour = Favour.NONE
    ) -> MergedTree:
        """Merge trees: what `theirs` did to `base` (None: an empty tree) is done to `ours`."""
        ...

    async def list_picks(self, upstream: ObjectId, tip: ObjectId, count_max: int) -> list[ObjectId]:
        """The commits that a rebase of `tip` picks, in order.

        Raises:
            Overloaded: more than `count_max`.
        """
        ...
