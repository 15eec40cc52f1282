"""Recipes that merge: merges into a branch, cherry-picks, reverts, rebases. They stop at the first conflict.

Each does what the git command of its name does, with the committer that the caller names: authors, dates and messages of
picked commits stay, signatures go, a message in another encoding becomes UTF-8.

Source: git-merge(1), git-cherry-pick(1), git-revert(1), git-rebase(1), git's sequencer.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import ObjectId
from meshnode.engine.bench import Base, Bench, Made, existing
from meshnode.ports import (
    ApplyMailbox,
    CommitFacts,
    EmptyPick,
    Favour,
    MergedTree,
    MergeMode,
    MergeRelation,
    MergeRevision,
    NewCommit,
    Outcome,
    Patch,
    Person,
    PickCommits,
    RebaseBranch,
    ResolveConflicts,
    TreeAction,
)


async def merge_revision(bench: Bench, wish: MergeRevision, base: Base) -> Made:
    """Merge a revision into the branch."""
    head, theirs = existing(base), (await bench.resolve(base, wish.revision)).oid
    relation = await bench.workshop.merges.relate(head, theirs)
    if relation is MergeRelation.CONTAINED:
        return Made(outcome=Outcome.UP_TO_DATE)
    if relation is MergeRelation.AHEAD and wish.mode in {MergeMode.FAST_FORWARD, MergeMode.FAST_FORWARD_ONLY}:
        return Made(new=theirs)
    if wish.mode is MergeMode.FAST_FORWARD_ONLY:
        return Made(outcome=Outcome.NOT_FAST_FORWARD)
    merged = await bench.workshop.merges.merge(
        head, theirs, wish.favour, is_unrelated_allowed=wish.is_unrelated_allowed
    )
    if merged.conflicts:
        return Made(outcome=Outcome.CONFLICTS, merged=merged)
    new = await bench.workshop.write_commit(merge_commit(wish, merged.tree, head, theirs))
    return Made(new=new, has_objects=True, haves=[head, theirs])


def merge_commit(wish: MergeRevision, tree: ObjectId, head: ObjectId, theirs: ObjectId) -> NewCommit:
    """The commit that a merge ends in."""
    return NewCommit(
        tree=tree,
        parents=[head] if wish.mode is MergeMode.SQUASH else [head, theirs],
        author=wish.author,
        committer=wish.committer,
        message=wish.message,
    )


async def resolve_conflicts(bench: Bench, wish: ResolveConflicts, actions: Sequence[TreeAction], base: Base) -> Made:
    """Merge, with the caller's actions done to what git leaves; every path in conflict must be among them."""
    head, theirs = existing(base), (await bench.resolve(base, wish.merge.revision)).oid
    merged = await bench.workshop.merges.merge(
        head, theirs, wish.merge.favour, is_unrelated_allowed=wish.merge.is_unrelated_allowed
    )
    touched = {path for action in actions for path in (action.path, action.source)}
    left = tuple(conflict for conflict in merged.conflicts if conflict.path not in touched)
    if left:
        return Made(outcome=Outcome.CONFLICTS, merged=replace(merged, conflicts=left))
    tree = await bench.workshop.edit_tree(merged.tree, actions)
    new = await bench.workshop.write_commit(merge_commit(wish.merge, tree, head, theirs))
    return Made(new=new, has_objects=True, haves=[head, theirs])


async def apply_patches(bench: Bench, wish: ApplyMailbox, patches: Sequence[Patch], base: Base) -> Made:
    """Put patches on top of the branch, each as a commit of its author."""
    head = existing(base)
    tip, tree = head, (await bench.workshop.read_commit(head)).tree
    for patch in patches:
        applied = await bench.workshop.patches.apply(tree, patch)
        if applied.conflicts:
            return Made(outcome=Outcome.CONFLICTS, merged=applied, stopped_at=str(patch.number))
        if applied.tree == tree:
            return Made(outcome=Outcome.EMPTY, stopped_at=str(patch.number))
        tree = applied.tree
        tip = await bench.workshop.write_commit(
            NewCommit(tree=tree, parents=[tip], author=patch.author, committer=wish.committer, message=patch.message)
        )
    return Made(new=tip, has_objects=True, haves=[head])


async def pick_commits(bench: Bench, wish: PickCommits, base: Base) -> Made:
    """Cherry-pick or revert commits onto the branch."""
    head = existing(base)
    if not wish.revisions:
        raise InvalidRequest("at least one commit is needed")
    if wish.message and len(wish.revisions) > 1:
        raise InvalidRequest("a message goes with one commit only", commits=len(wish.revisions))
    line = _Line(bench, await bench.workshop.read_commit(head))
    for revision in wish.revisions:
        commit = await bench.workshop.read_commit((await bench.resolve(base, revision)).oid)
        parent = await _parent(bench, commit, wish.mainline)
        made = await line.add(
            commit,
            parent,
            is_revert=wish.is_revert,
            favour=wish.favour,
            empty=wish.empty,
            author=(wish.author or wish.committer) if wish.is_revert else commit.author,
            committer=wish.committer,
            message=wish.message or (revert_message(commit, parent) if wish.is_revert else None),
        )
        if made is not None:
            return made
    return line.made(haves=[head])


async def rebase_branch(bench: Bench, wish: RebaseBranch, base: Base, commits_max: int) -> Made:
    """Make the branch's own commits anew on another one, as far as they are not there already."""
    head, onto = existing(base), (await bench.resolve(base, wish.onto)).oid
    upstream = (await bench.resolve(base, wish.upstream)).oid if wish.upstream else onto
    picks = await bench.workshop.merges.list_picks(upstream, head, commits_max)
    line = _Line(bench, await bench.workshop.read_commit(onto))
    for oid in picks:
        commit = await bench.workshop.read_commit(oid)
        if not line.has_made and commit.parents == (line.tip,):
            line.take_over(commit)
            continue
        parent = await _parent(bench, commit, 0)
        before = None if parent is None else parent.tree
        made = await line.add(
            commit,
            parent,
            is_revert=False,
            favour=wish.favour,
            empty=EmptyPick.KEEP if commit.tree == before else EmptyPick.DROP,
            author=commit.author,
            committer=wish.committer,
        )
        if made is not None:
            return made
    return line.made(haves=[head, onto])


class _Line:
    """Commits put one on top of the other."""

    def __init__(self, bench: Bench, start: CommitFacts) -> None:
        self._bench = bench
        self._tree = start.tree
        self.tip = start.oid
        self.has_made = False

    def take_over(self, commit: CommitFacts) -> None:
        """Go on from a commit that is where it should be already."""
        self.tip, self._tree = commit.oid, commit.tree

    async def add(
        self,
        commit: CommitFacts,
        parent: CommitFacts | None,
        *,
        is_revert: bool,
        favour: Favour,
        empty: EmptyPick,
        author: Person | bytes,
        committer: Person,
        message: bytes | None = None,
    ) -> Made | None:
        """Put what a commit did to its parent, or the opposite, on top; how it ends where it cannot be done.

        `message` None: the commit's own.
        """
        before = None if parent is None else parent.tree
        merged = await self._merge(before, commit.tree, favour, is_revert=is_revert)
        if merged.conflicts:
            return Made(outcome=Outcome.CONFLICTS, merged=merged, stopped_at=commit.oid)
        if merged.tree == self._tree:
            if empty is EmptyPick.REFUSE:
                return Made(outcome=Outcome.EMPTY, stopped_at=commit.oid)
            if empty is EmptyPick.DROP:
                return None
        self._tree = merged.tree
        self.tip = await self._bench.workshop.write_commit(
            NewCommit(
                tree=self._tree,
                parents=[self.tip],
                author=author,
                committer=committer,
                message=commit.message if message is None else message,
                is_message_kept=message is None,
            )
        )
        self.has_made = True
        return None

    def made(self, haves: list[ObjectId]) -> Made:
        """The line as what the branch shall be."""
        return Made(new=self.tip, has_objects=self.has_made, haves=haves)

    async def _merge(self, before: ObjectId | None, after: ObjectId, favour: Favour, *, is_revert: bool) -> MergedTree:
        merges = self._bench.workshop.merges
        if not is_revert:
            return await merges.merge_trees(before, self._tree, after, favour)
        if before is None:
            before = await self._bench.workshop.edit_tree(None, [])
        return await merges.merge_trees(after, self._tree, before, favour)


async def _parent(bench: Bench, commit: CommitFacts, mainline: int) -> CommitFacts | None:
    """The parent that a commit's change is taken to; None for a root. Raises InvalidRequest."""
    parents = commit.parents
    if len(parents) > 1 and not mainline:
        raise InvalidRequest("a merge is picked along a mainline: say which parent", oid=commit.oid)
    if mainline > max(1, len(parents)) or (mainline and not parents):
        raise InvalidRequest("the commit has no such parent", oid=commit.oid, mainline=mainline)
    return await bench.workshop.read_commit(parents[max(mainline, 1) - 1]) if parents else None


def revert_message(commit: CommitFacts, parent: CommitFacts | None) -> bytes:
    """What git writes for a revert."""
    subject = commit.message.lstrip(b"\n").partition(b"\n")[0]
    text = b'Revert "%b"\n\nThis reverts commit %b' % (subject, commit.oid.encode())
    if len(commit.parents) > 1:
        assert parent is not None
        text += b", reversing\nchanges made to %b" % parent.oid.encode()
    return text + b".\n"
