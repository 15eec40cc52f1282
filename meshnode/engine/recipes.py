"""Recipes: how each operation is built on a reference as it is. They know no rounds and may be run more than once.

prepare(wish, workshop, parts)   once: takes the uploads in
recipe(base)                     once for each state of the reference it is tried on
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from meshnode.base.errors import InvalidRequest, NotFound, Overloaded, RefConflict
from meshnode.base.ids import ObjectId, RefName
from meshnode.config import OperationSettings
from meshnode.core.round import ReplicaKey
from meshnode.ports import (
    CommitFiles,
    DeleteRef,
    FilePart,
    MakeTag,
    NewCommit,
    NewTag,
    ObjectInfo,
    ObjectKind,
    Outcome,
    PointRef,
    RefsSnapshot,
    Revisions,
    TreeAction,
    Wish,
    Workshop,
)

BRANCHES: Final = "refs/heads/"
TAGS: Final = "refs/tags/"


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


Recipe = Callable[[Base], Awaitable[Made]]


@dataclass(frozen=True, kw_only=True)
class RecipeBook:
    """Knows the recipe of each wish."""

    revisions: Revisions
    settings: OperationSettings

    async def prepare(self, wish: Wish, workshop: Workshop, parts: AsyncIterator[FilePart] | None) -> Recipe:
        """Take in what is uploaded; the recipe. Raises InvalidRequest, Overloaded."""
        match wish:
            case CommitFiles():
                actions = await self._take_in(workshop, parts)
                return lambda base: self._commit_files(wish, workshop, actions, base)
            case PointRef():
                return lambda base: self._point(wish, base)
            case MakeTag():
                return lambda base: self._make_tag(wish, workshop, base)
            case DeleteRef():
                return _delete
            case _:
                assert_never(wish)

    async def resolve(self, base: Base, revision: str, kind: ObjectKind | None = ObjectKind.COMMIT) -> ObjectInfo:
        """What a revision means on the references the operation is built on."""
        return await self.revisions.resolve(base.key, base.snapshot, revision, kind)

    # ------------------------------------------------------------ files

    async def _take_in(self, workshop: Workshop, parts: AsyncIterator[FilePart] | None) -> list[TreeAction]:
        actions: list[TreeAction] = []
        if parts is not None:
            async for part in parts:
                if len(actions) == self.settings.actions_max:
                    raise Overloaded("too many file actions", actions_max=self.settings.actions_max)
                blob = None if part.content is None else await workshop.add_blob(part.content)
                actions.append(replace(part.action, blob=blob))
        return actions

    async def _commit_files(
        self, wish: CommitFiles, workshop: Workshop, actions: Sequence[TreeAction], base: Base
    ) -> Made:
        if base.head is not None and wish.start:
            raise RefConflict("the branch exists already, so it cannot start elsewhere", ref=base.ref, actual=base.head)
        parent = base.head
        if wish.start:
            parent = (await self.resolve(base, wish.start)).oid
        before = None if parent is None else (await workshop.read_commit(parent)).tree
        tree = await workshop.edit_tree(before, actions)
        if tree == before and not wish.is_empty_allowed:
            raise InvalidRequest("the actions change nothing", ref=base.ref)
        parents = [] if parent is None else [parent]
        new = await workshop.write_commit(
            NewCommit(tree=tree, parents=parents, author=wish.author, committer=wish.committer, message=wish.message)
        )
        return Made(new=new, has_objects=True, haves=parents)

    # ------------------------------------------------------------ branches and tags

    async def _point(self, wish: PointRef, base: Base) -> Made:
        _check_absent(base)
        is_branch = base.ref.startswith(BRANCHES)
        return Made(new=(await self.resolve(base, wish.revision, ObjectKind.COMMIT if is_branch else None)).oid)

    async def _make_tag(self, wish: MakeTag, workshop: Workshop, base: Base) -> Made:
        _check_absent(base)
        info = await self.resolve(base, wish.revision, None)
        name = base.ref.removeprefix(TAGS)
        tag = NewTag(target=info.oid, kind=info.kind, name=name, tagger=wish.tagger, message=wish.message)
        return Made(new=await workshop.write_tag(tag), has_objects=True, haves=[info.oid])


async def _delete(base: Base) -> Made:
    if base.head is None:
        raise NotFound("no such reference", ref=base.ref)
    return Made(new=None)


def _check_absent(base: Base) -> None:
    if base.head is not None:
        raise RefConflict("the reference exists already", ref=base.ref, expected="", actual=base.head)
