"""Recipes: how each operation is built on a reference as it is. They know no rounds and may be run more than once.

prepare(wish, workshop, parts)   once: takes the uploads in
recipe(base)                     once for each state of the reference it is tried on
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from meshnode.base.errors import InvalidRequest, NotFound, Overloaded, RefConflict
from meshnode.config import OperationSettings
from meshnode.engine.bench import Base, Bench, Made, Recipe
from meshnode.engine.merge_recipes import (
    apply_patches,
    merge_revision,
    pick_commits,
    rebase_branch,
    resolve_conflicts,
)
from meshnode.ports import (
    ApplyMailbox,
    CommitFiles,
    DeleteRef,
    FilePart,
    MakeTag,
    MergeRevision,
    NewCommit,
    NewTag,
    ObjectKind,
    PickCommits,
    PointRef,
    RebaseBranch,
    ResolveConflicts,
    Revisions,
    TreeAction,
    Wish,
    Workshop,
)

BRANCHES: Final = "refs/heads/"
TAGS: Final = "refs/tags/"


@dataclass(frozen=True, kw_only=True)
class RecipeBook:
    """Knows the recipe of each wish."""

    revisions: Revisions
    settings: OperationSettings

    async def prepare(self, wish: Wish, workshop: Workshop, parts: AsyncIterator[FilePart] | None) -> Recipe:
        """Take in what is uploaded; the recipe. Raises InvalidRequest, Overloaded."""
        bench = Bench(workshop, self.revisions)
        match wish:
            case CommitFiles():
                actions = await self._take_in(workshop, parts)
                return lambda base: _commit_files(bench, wish, actions, base)
            case PointRef():
                return lambda base: _point(bench, wish, base)
            case MakeTag():
                return lambda base: _make_tag(bench, wish, base)
            case DeleteRef():
                return _delete
            case ApplyMailbox():
                return await self._apply_mailbox(bench, wish, parts)
            case ResolveConflicts():
                actions = await self._take_in(workshop, parts)
                return lambda base: resolve_conflicts(bench, wish, actions, base)
            case MergeRevision():
                return lambda base: merge_revision(bench, wish, base)
            case PickCommits():
                _check_count(len(wish.revisions), self.settings.commits_max)
                return lambda base: pick_commits(bench, wish, base)
            case RebaseBranch():
                return lambda base: rebase_branch(bench, wish, base, self.settings.commits_max)
            case _:
                assert_never(wish)

    async def _take_in(self, workshop: Workshop, parts: AsyncIterator[FilePart] | None) -> list[TreeAction]:
        actions: list[TreeAction] = []
        if parts is not None:
            async for part in parts:
                if len(actions) == self.settings.actions_max:
                    raise Overloaded("too many file actions", actions_max=self.settings.actions_max)
                if part.action is None:
                    raise InvalidRequest("a file action is needed here")
                blob = None if part.content is None else await workshop.add_blob(part.content)
                actions.append(replace(part.action, blob=blob))
        return actions

    async def _apply_mailbox(self, bench: Bench, wish: ApplyMailbox, parts: AsyncIterator[FilePart] | None) -> Recipe:
        part = None if parts is None else await anext(parts, None)
        if part is None or part.content is None:
            raise InvalidRequest("a mailbox is needed")
        patches = await bench.workshop.patches.split(part.content, self.settings.commits_max)
        return lambda base: apply_patches(bench, wish, patches, base)


async def _commit_files(bench: Bench, wish: CommitFiles, actions: Sequence[TreeAction], base: Base) -> Made:
    if base.head is not None and wish.start:
        raise RefConflict("the branch exists already, so it cannot start elsewhere", ref=base.ref, actual=base.head)
    parent = base.head
    if wish.start:
        parent = (await bench.resolve(base, wish.start)).oid
    before = None if parent is None else (await bench.workshop.read_commit(parent)).tree
    tree = await bench.workshop.edit_tree(before, actions)
    if tree == before and not wish.is_empty_allowed:
        raise InvalidRequest("the actions change nothing", ref=base.ref)
    parents = [] if parent is None else [parent]
    new = await bench.workshop.write_commit(
        NewCommit(tree=tree, parents=parents, author=wish.author, committer=wish.committer, message=wish.message)
    )
    return Made(new=new, has_objects=True, haves=parents)


async def _point(bench: Bench, wish: PointRef, base: Base) -> Made:
    _check_absent(base)
    kind = ObjectKind.COMMIT if base.ref.startswith(BRANCHES) else None
    return Made(new=(await bench.resolve(base, wish.revision, kind)).oid)


async def _make_tag(bench: Bench, wish: MakeTag, base: Base) -> Made:
    _check_absent(base)
    info = await bench.resolve(base, wish.revision, None)
    name = base.ref.removeprefix(TAGS)
    tag = NewTag(target=info.oid, kind=info.kind, name=name, tagger=wish.tagger, message=wish.message)
    return Made(new=await bench.workshop.write_tag(tag), has_objects=True, haves=[info.oid])


async def _delete(base: Base) -> Made:
    if base.head is None:
        raise NotFound("no such reference", ref=base.ref)
    return Made(new=None)


def _check_absent(base: Base) -> None:
    if base.head is not None:
        raise RefConflict("the reference exists already", ref=base.ref, expected="", actual=base.head)


def _check_count(commits: int, commits_max: int) -> None:
    if commits > commits_max:
        raise Overloaded("too many commits for one operation", commits=commits, commits_max=commits_max)
