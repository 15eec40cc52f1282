"""Says what a merge would find: from memory where it can (`git/near_merge.py`), else by git in a workshop.

What memory tells of the relation is not asked again; where it tells nothing, two processes answer side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from meshnode.base.errors import MeshError
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.merges import GitMerges, merge_by_git
from meshnode.git.near_merge import merge_near
from meshnode.git.workshop import GitWorkshops
from meshnode.ports import (
    Ancestry,
    Favour,
    MergeBaseKind,
    MergedTree,
    MergePreview,
    MergeRelation,
    Objects,
)

A = TypeVar("A")
B = TypeVar("B")


class GitMergePreviews:
    """Implements `ports.MergePreviews`."""

    def __init__(self, objects: Objects, ancestry: Ancestry, workshops: GitWorkshops) -> None:
        self._objects = objects
        self._ancestry = ancestry
        self._workshops = workshops

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
        """Merge two commits and keep nothing of it."""
        near = await merge_near(self._objects, key, object_format, ours, theirs)
        if near.relation is None:
            relation, merged = await _both(
                self._relation(key, ours, theirs), self._merge_by_git(key, object_format, ours, theirs, favour)
            )
            is_wanted = relation is not MergeRelation.UNRELATED or is_unrelated_allowed
            return MergePreview(relation, merged if is_wanted else None)
        if near.merged is not None:
            return MergePreview(near.relation, near.merged.result)
        if near.relation is MergeRelation.UNRELATED and not is_unrelated_allowed:
            return MergePreview(near.relation, None)
        return MergePreview(near.relation, await self._merge_by_git(key, object_format, ours, theirs, favour))

    async def _relation(self, key: ReplicaKey, ours: ObjectId, theirs: ObjectId) -> MergeRelation:
        bases = await self._ancestry.merge_bases(key, MergeBaseKind.BEST, [ours, theirs])
        return MergeRelation.of(ours, theirs, bases[0] if bases else None)

    async def _merge_by_git(
        self, key: ReplicaKey, object_format: str, ours: ObjectId, theirs: ObjectId, favour: Favour
    ) -> MergedTree:
        if favour is Favour.NONE:
            async with self._workshops.open_scratch(key, object_format) as scratch:
                return await merge_by_git(scratch, ours, theirs)
        async with self._workshops.open(key, object_format) as workshop:
            return await GitMerges(workshop).merge_favouring(ours, theirs, favour)


async def _both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Two answers that do not wait for each other; of two failures the first one is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            one, other = group.create_task(first), group.create_task(second)
    except* MeshError as failures:
        raise failures.exceptions[0] from None
    return one.result(), other.result()
