r"""Merges without a working tree: in memory where that can be done (`git/near_merge.py`), else by git in a workshop.

    merge, merge_trees -> trees in memory -> written as they are
                              \-> any doubt: `git merge-tree --write-tree`, and what it says of conflicts

Git 2.39 merges two commits only and takes no merge base and no strategy option. Three trees are merged through commits
made for the purpose, whose only parent has the base as its tree; one side is favoured by merging the texts that are left
in conflict again, as `git merge -X ours` does while it merges.

Source: git-merge-tree(1) "OUTPUT", git-merge-file(1), git's merge-ort.c (`handle_content_merge`); docs/adr/0011.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from meshnode.base.errors import Corrupt, InvalidRequest, Overloaded
from meshnode.base.ids import ObjectId
from meshnode.git.disk import on_disk
from meshnode.git.near_merge import merge_near, relate_near
from meshnode.git.tree_merge import MergedTrees, merge_trees
from meshnode.git.workshop import GitWorkshop, RunsGit
from meshnode.ports import (
    ActionKind,
    ConflictStage,
    Favour,
    FileMode,
    MergeConflict,
    MergedTree,
    MergeNote,
    MergeRelation,
    NewCommit,
    ObjectKind,
    Person,
    TreeAction,
)

_NOBODY: Final = Person(name="nobody", email="", seconds=0)
_MERGED: Final = frozenset({0, 1})
_REGULAR: Final = frozenset({FileMode.REGULAR.value, FileMode.EXECUTABLE.value})
_NOTE_FIELDS: Final = 3
_BINARY: Final = 255
"""Exit code of merge-file for what it cannot merge; below it, the number of conflicts."""
_SETTLED: Final = frozenset({"CONFLICT (contents)", "CONFLICT (binary)"})
"""The conflicts that favouring a side settles; a file deleted here and changed there is not among them."""


@dataclass(frozen=True, slots=True)
class GitMerges:
    """Implements `ports.Merges` in one workshop."""

    workshop: GitWorkshop

    async def relate(self, ours: ObjectId, theirs: ObjectId) -> MergeRelation:
        """How two commits lie to each other."""
        near = await relate_near(self.workshop.objects, self.workshop.key, ours, theirs)
        if near is not None:
            return near
        done = await self.workshop.git(["merge-base", ours, theirs], what="find a merge base", expected={0, 1})
        return MergeRelation.of(ours, theirs, ObjectId(done.stdout.decode().strip()) if done.stdout else None)

    async def merge(
        self, ours: ObjectId, theirs: ObjectId, favour: Favour, *, is_unrelated_allowed: bool = False
    ) -> MergedTree:
        """Merge two commits. Raises InvalidRequest: they share no history."""
        shop = self.workshop
        near = await merge_near(shop.objects, shop.key, shop.object_format, ours, theirs)
        if near.merged is not None:
            return await self._kept(near.merged)
        if not is_unrelated_allowed:
            relation = near.relation or await self.relate(ours, theirs)
            if relation is MergeRelation.UNRELATED:
                raise InvalidRequest("the commits share no history", ours=ours, theirs=theirs)
        return await self.merge_favouring(ours, theirs, favour)

    async def merge_favouring(self, ours: ObjectId, theirs: ObjectId, favour: Favour) -> MergedTree:
        """Merge two commits, related or not, by git alone."""
        return await self._settled(await merge_by_git(self.workshop, ours, theirs), favour)

    async def merge_trees(
        self, base: ObjectId | None, ours: ObjectId, theirs: ObjectId, favour: Favour = Favour.NONE
    ) -> MergedTree:
        """Merge what was done to `base` (None: an empty tree) into `ours`."""
        near = await merge_trees(base, ours, theirs, self.workshop.read_all, self.workshop.object_format)
        if near is not None:
            return await self._kept(near)
        if base is None:
            base = await self.workshop.edit_tree(None, [])
        root = await self._stand_in(base, [])
        merged = await merge_by_git(
            self.workshop, await self._stand_in(ours, [root]), await self._stand_in(theirs, [root])
        )
        return await self._settled(merged, favour)

    async def list_picks(self, upstream: ObjectId, tip: ObjectId, count_max: int) -> list[ObjectId]:
        """What a rebase picks, in order: not merges, and not what upstream has as an equal patch. Raises Overloaded."""
        done = await self.workshop.git(
            [
                "rev-list",
                "--topo-order",
                "--reverse",
                "--cherry-pick",
                "--right-only",
                "--no-merges",
                f"{upstream}...{tip}",
            ],
            what="list commits",
        )
        found = [ObjectId(line) for line in done.stdout.decode().split()]
        if len(found) > count_max:
            raise Overloaded("too many commits for one operation", commits=len(found), commits_max=count_max)
        return found

    # ------------------------------------------------------------ inside

    async def _kept(self, merged: MergedTrees) -> MergedTree:
        """A merge that was made in memory, with its objects in the workshop."""
        if merged.contents:
            await self.workshop.write_all(merged.contents)
        return merged.result

    async def _stand_in(self, tree: ObjectId, parents: Sequence[ObjectId]) -> ObjectId:
        return await self.workshop.write_commit(
            NewCommit(tree=tree, parents=parents, author=_NOBODY, committer=_NOBODY, message=b"stand-in\n")
        )

    async def _settled(self, merged: MergedTree, favour: Favour) -> MergedTree:
        """What is left of the conflicts where one side is favoured."""
        if favour is Favour.NONE or not merged.conflicts:
            return merged
        other = {path for note in merged.notes if is_other_conflict(note) for path in note.paths}
        actions = [
            TreeAction(kind=ActionKind.UPDATE, path=conflict.path, blob=oid)
            for conflict in merged.conflicts
            if conflict.path not in other and (oid := await self._favoured(conflict, favour)) is not None
        ]
        if not actions:
            return merged
        tree = await self.workshop.edit_tree(merged.tree, actions)
        settled = {action.path for action in actions}
        return replace(
            merged,
            tree=tree,
            conflicts=tuple(one for one in merged.conflicts if one.path not in settled),
            notes=tuple(one for one in merged.notes if one.kind not in _SETTLED or not settled.intersection(one.paths)),
        )

    async def _favoured(self, conflict: MergeConflict, favour: Favour) -> ObjectId | None:
        """The blob that settles a conflict; None where taking a side settles nothing."""
        by_number = {stage.number: stage for stage in conflict.stages}
        ours, theirs = by_number.get(2), by_number.get(3)
        if ours is None or theirs is None:
            return None
        chosen = ours if favour is Favour.OURS else theirs
        if ours.mode == theirs.mode == FileMode.SYMLINK.value:
            return chosen.oid
        if not {ours.mode, theirs.mode} <= _REGULAR:
            return None
        base = by_number.get(1)
        sides = [ours.oid, None if base is None or base.mode not in _REGULAR else base.oid, theirs.oid]
        contents = [b"" if oid is None else await self.workshop.read(oid, ObjectKind.BLOB) for oid in sides]
        with TemporaryDirectory(dir=self.workshop.path) as folder:
            paths = [Path(folder) / name for name in ("ours", "base", "theirs")]
            for path, content in zip(paths, contents, strict=True):
                await on_disk(path.write_bytes, content)
            done = await self.workshop.git(
                ["merge-file", "-p", "-q", f"--{favour.value}", *map(str, paths)],
                what="merge a file",
                expected={0, _BINARY},
            )
        if done.returncode == _BINARY:
            return chosen.oid
        return await self.workshop.write_blob(done.stdout)


async def merge_by_git(place: RunsGit, ours: ObjectId, theirs: ObjectId) -> MergedTree:
    """Merge two commits, related or not, with all that git knows of merging."""
    done = await place.git(
        ["merge-tree", "--write-tree", "-z", "--messages", "--allow-unrelated-histories", ours, theirs],
        what="merge",
        expected=_MERGED,
    )
    return parse_merge(done.stdout)


def is_other_conflict(note: MergeNote) -> bool:
    """Whether a note tells of a conflict that no choice of text can settle."""
    return note.kind.startswith("CONFLICT") and note.kind not in _SETTLED


def parse_merge(output: bytes) -> MergedTree:
    """What merge-tree wrote with `-z --messages`. Raises Corrupt where it makes no sense."""
    fields = output.split(b"\0")
    try:
        tree = ObjectId(fields[0].decode("ascii"))
        end = fields.index(b"", 1)
        stages: dict[bytes, list[ConflictStage]] = {}
        for field in fields[1:end]:
            facts, _, path = field.partition(b"\t")
            mode, oid, number = facts.decode("ascii").split(" ")
            stages.setdefault(path, []).append(ConflictStage(number=int(number), mode=mode, oid=ObjectId(oid)))
        notes: list[MergeNote] = []
        at = end + 1
        while at < len(fields) - 1:
            count = int(fields[at])
            *paths, kind, text = fields[at + 1 : at + _NOTE_FIELDS + count]
            notes.append(
                MergeNote(kind=kind.decode(), paths=tuple(paths), text=text.decode(errors="replace").rstrip("\n"))
            )
            at += _NOTE_FIELDS + count
    except (ValueError, IndexError) as error:
        raise Corrupt("git's answer to a merge makes no sense", output=repr(output[:200])) from error
    return MergedTree(
        tree=tree,
        conflicts=tuple(MergeConflict(path=path, stages=tuple(found)) for path, found in stages.items()),
        notes=tuple(notes),
    )
