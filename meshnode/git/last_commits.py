r"""Finds the commit that changed each entry of a directory last: one walk for all of them, stopped when all are found.

`git log -1 -- <path>` goes from a commit to the first parent with the same entry, and stops where there is none. So the
search for an entry is one line through history, and many go side by side:

    commit with entries {a, b, c}      changed {b} against its first parent
        |-- a, c    same as in the first parent: wait there
        `-- b       one parent: found. A merge: same as in another parent? wait there; else found

The newest commits are read as objects (`git/last_near.py`), and a search that comes to where another one began has its
answer there. For the rest git tells for each commit its parents and what it changed below the directory against the
first one, so this costs little more than one `git log`. Only where a merge changed an entry that is still searched for
are trees compared.
Commits come by date, so one with a wrong clock may come before its child; what it says is kept until the child has
come. For the same reason git must not leave out the commits in between (`--parents` instead of `--sparse`): it then
forgets parents that were shown before their children.

Source: git-log(1) "History Simplification"; git's revision.c, try_to_simplify_commit.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from functools import partial
from typing import Final

from meshnode.base.errors import Corrupt, DeadlineExceeded
from meshnode.base.ids import ObjectId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.commit_walks import LITERAL
from meshnode.git.last_near import AHEAD, NearCommits
from meshnode.git.queries import Queries
from meshnode.ports import LastChanges, Objects, TreeEntry, Trees

KNOWN_ENTRIES_MAX: Final = 50_000
"""Of all directories together; each takes about 300 bytes."""
SLICE: Final = 1_000
"""Records looked at before the loop runs again: about 1 ms."""
_FORMAT: Final = "--format=%x00%H %P"
"""An empty record, which no path is, comes before each commit."""


class GitLastCommits:
    """Implements `ports.LastCommits`."""

    def __init__(self, queries: Queries, objects: Objects, trees: Trees) -> None:
        self._queries = queries
        self._objects = objects
        self._trees = trees
        self._known = _Known()

    async def find(
        self, key: ReplicaKey, commit: ObjectId, directory: TreePath, names: Collection[bytes], *, time_ms: int
    ) -> LastChanges:
        """The last commit of each entry."""
        search = _Search(names, partial(self._known.get, (key, directory)))
        search.send(set(names), commit)
        await self._find_near(key, directory, search)
        is_complete = not search.unresolved or await self._find_by_git(key, directory, search, time_ms)
        if is_complete:
            self._known.keep((key, directory), commit, search.found)
        return LastChanges(search.found, is_complete)

    async def _find_near(self, key: ReplicaKey, directory: TreePath, search: _Search) -> None:
        """Find what changed in the newest commits."""
        near = NearCommits(self._objects, key, directory)
        for ahead in AHEAD:
            tip = next(iter(search.waiting), None)
            if tip is None or not await near.read(tip, ahead):
                return
            search.advance(near)
            if tip in search.waiting:
                return

    async def _find_by_git(self, key: ReplicaKey, directory: TreePath, search: _Search, time_ms: int) -> bool:
        """Find the rest by git; False where that took too long."""
        prefix = directory + b"/" if directory else b""
        try:
            async with aclosing(self._changes(key, list(search.waiting), directory, time_ms)) as changes:
                async for oid, parents, paths in changes:
                    changed = {path[len(prefix) :].partition(b"/")[0] for path in paths if path.startswith(prefix)}
                    search.note(oid, parents, changed)
                    while (merge := search.settle()) is not None:
                        await self._settle_merge(key, prefix, search, *merge)
                    if not search.unresolved:
                        break
        except DeadlineExceeded:
            return False
        return True

    async def _settle_merge(
        self, key: ReplicaKey, prefix: bytes, search: _Search, merge: ObjectId, names: set[bytes]
    ) -> None:
        """Send each entry that a merge changed to the parent it came from."""
        left = set(names)
        paths = [TreePath(prefix + name) for name in names]
        own = await self._entries(key, merge, paths)
        for parent in search.parents(merge)[1:]:
            theirs = await self._entries(key, parent, paths)
            same = {name for name in left if _is_same(own.get(prefix + name), theirs.get(prefix + name))}
            search.send(same, parent)
            left -= same
        search.resolve(left, merge)

    async def _entries(self, key: ReplicaKey, commit: ObjectId, paths: list[TreePath]) -> Mapping[bytes, TreeEntry]:
        (tree,) = await self._objects.look_up(key, [f"{commit}^{{tree}}"])
        if tree is None:
            raise Corrupt("a commit without its tree", oid=commit)
        found = await self._trees.find(key, tree.oid, paths)
        return {entry.path: entry for entry in found if entry is not None}

    async def _changes(
        self, key: ReplicaKey, commits: list[ObjectId], directory: TreePath, time_ms: int
    ) -> AsyncGenerator[tuple[ObjectId, list[ObjectId], list[bytes]], None]:
        """Each commit: its parents, and paths it changed below the directory against the first of them."""
        options = ["--full-history", "--sparse", "--diff-merges=first-parent", "--name-only", "--no-renames"]
        options += ["--ignore-submodules=none", "--no-show-signature", "-z", _FORMAT]
        records = self._queries.records(
            key,
            [LITERAL, "log", *options, *commits, "--", *([os.fsdecode(directory)] if directory else [])],
            what="find last changes",
            deadline_ms=time_ms,
        )
        oid = ObjectId("")
        parents: list[ObjectId] = []
        paths: list[bytes] = []
        is_head = False
        number = 0
        async with aclosing(records):
            async for record in records:
                number += 1
                if number % SLICE == 0:
                    await asyncio.sleep(0)
                if is_head:
                    oid, *parents = [ObjectId(one) for one in record.decode("ascii").split()]
                    paths = []
                elif record:
                    paths.append(record if paths else record.removeprefix(b"\n"))
                elif oid:
                    yield oid, parents, paths
                is_head = not record
        if oid:
            yield oid, parents, paths


class _Search:
    """Entries that are still searched for, and where each of them waits."""

    def __init__(self, names: Collection[bytes], known: Callable[[ObjectId], Mapping[bytes, ObjectId] | None]) -> None:
        """`known`: what was found before for the entries of the directory at a commit."""
        self.unresolved = set(names)
        self.found: dict[bytes, ObjectId] = {}
        self.waiting: dict[ObjectId, set[bytes]] = {}
        self._known = known
        self._seen: dict[ObjectId, tuple[list[ObjectId], set[bytes]]] = {}
        """Parents of each commit that came, and which unresolved entries it changed."""
        self._ready: list[ObjectId] = []
        """Commits that came and have entries waiting."""

    def advance(self, near: NearCommits) -> None:
        """Move entries on as far as the commits read so far go."""
        while ready := [commit for commit in self.waiting if near.is_known(commit)]:
            for commit in ready:
                left = self.waiting.pop(commit)
                for parent, same in near.sources(commit, left):
                    self.send(same, parent)
                    left = left - same
                self.resolve(left, commit)

    def note(self, commit: ObjectId, parents: list[ObjectId], changed: set[bytes]) -> None:
        """Take what git says of a commit."""
        self._seen[commit] = (parents, changed & self.unresolved)
        if commit in self.waiting:
            self._ready.append(commit)

    def settle(self) -> tuple[ObjectId, set[bytes]] | None:
        """Move entries on as far as what git said goes; a merge and what it changed where trees must be compared."""
        while self._ready:
            commit = self._ready.pop()
            names = self.waiting.pop(commit, set())
            parents, changed = self._seen[commit]
            changed = names & changed
            if parents:
                self.send(names - changed, parents[0])
            else:
                self.unresolved -= names - changed
            if changed and len(parents) > 1:
                return commit, changed
            self.resolve(changed, commit)
        return None

    def parents(self, commit: ObjectId) -> list[ObjectId]:
        """The parents of a commit that came."""
        return self._seen[commit][0]

    def send(self, names: set[bytes], commit: ObjectId) -> None:
        """Let entries wait at a commit, unless they were searched for from there before."""
        known = self._known(commit)
        if known is not None and names:
            for name in names & known.keys():
                self.resolve({name}, known[name])
            names = names - known.keys()
        if names:
            self.waiting.setdefault(commit, set()).update(names)
            if commit in self._seen:
                self._ready.append(commit)

    def resolve(self, names: set[bytes], commit: ObjectId) -> None:
        """Note that entries were changed last by a commit."""
        self.found.update(dict.fromkeys(names, commit))
        self.unresolved -= names


class _Known:
    """What was found for directories at commits: a search that comes to one of them has its answer.

    A new page of a branch comes to what was its tip after a few commits, however long ago its entries were changed. It
    follows from object ids alone, so it is true for ever. Least used go first; bounded in entries.
    """

    def __init__(self, entries_max: int = KNOWN_ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._entries = 0
        self._found: OrderedDict[tuple[tuple[ReplicaKey, TreePath], ObjectId], dict[bytes, ObjectId]] = OrderedDict()

    def get(self, directory: tuple[ReplicaKey, TreePath], commit: ObjectId) -> Mapping[bytes, ObjectId] | None:
        """What is known of a directory at a commit."""
        known = self._found.get((directory, commit))
        if known is not None:
            self._found.move_to_end((directory, commit))
        return known

    def keep(self, directory: tuple[ReplicaKey, TreePath], commit: ObjectId, found: Mapping[bytes, ObjectId]) -> None:
        """Keep what was found."""
        known = self._found.setdefault((directory, commit), {})
        self._entries -= len(known)
        known.update(found)
        self._entries += len(known)
        while self._entries > self._entries_max:
            _, dropped = self._found.popitem(last=False)
            self._entries -= len(dropped)


def _is_same(own: TreeEntry | None, theirs: TreeEntry | None) -> bool:
    return own is not None and theirs is not None and (own.oid, own.kind) == (theirs.oid, theirs.kind)
