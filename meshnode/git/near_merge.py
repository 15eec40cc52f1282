"""Merges two commits of a replica without a git process, where that can be done: what most merge previews need.

    commits in memory -> the one merge base (`git/near_bases.py`) -> three trees, level by level (`git/tree_merge.py`)

Each step may leave the rest to git; what the steps before it found out stays true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.near_bases import NearCommits
from meshnode.git.tree_merge import LEVEL_BYTES_MAX, MergedTrees, merge_trees
from meshnode.ports import MergeRelation, ObjectKind, Objects


@dataclass(frozen=True, slots=True)
class NearMerge:
    """What is known of a merge without git."""

    relation: MergeRelation | None = None
    """None: git must be asked."""
    merged: MergedTrees | None = None
    """None: git must be asked, if this is wanted."""


async def merge_near(
    objects: Objects, key: ReplicaKey, object_format: str, ours: ObjectId, theirs: ObjectId
) -> NearMerge:
    """Merge two commits as far as that can be done here."""
    commits = NearCommits(objects, key)
    bases = await commits.bases(ours, theirs)
    if bases is None:
        return NearMerge()
    relation = MergeRelation.of(ours, theirs, bases[0] if bases else None)
    match relation:
        case MergeRelation.UNRELATED:
            return NearMerge(relation)
        case MergeRelation.CONTAINED:
            return NearMerge(relation, MergedTrees(commits.tree(ours)))
        case MergeRelation.AHEAD:
            return NearMerge(relation, MergedTrees(commits.tree(theirs)))

    async def read(oids: Sequence[ObjectId], kind: ObjectKind) -> list[bytes | None]:
        found = await objects.read(key, oids, bytes_max=LEVEL_BYTES_MAX)
        return [None if raw is None or raw.info.kind is not kind else raw.data for raw in found]

    base_tree, our_tree, their_tree = (commits.tree(oid) for oid in (bases[0], ours, theirs))
    return NearMerge(relation, await merge_trees(base_tree, our_tree, their_tree, read, object_format))


async def relate_near(objects: Objects, key: ReplicaKey, ours: ObjectId, theirs: ObjectId) -> MergeRelation | None:
    """How two commits lie to each other; None where git must be asked."""
    bases = await NearCommits(objects, key).bases(ours, theirs)
    return None if bases is None else MergeRelation.of(ours, theirs, bases[0] if bases else None)
