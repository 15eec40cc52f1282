r"""Finds the merge bases of two commits without a git process, over commits that are mostly in memory.

    ours ----> o--o--o.        each commit hands its parents what reaches it: ours, theirs
    theirs --> o--o--- B       B has both: a base; below it everything is stale, and the walk ends where only that is left
                        \

Commits come by date, so that little is read below the base, but the bases do not depend on dates: a best common ancestor
lies on no other one's history, so nothing on the ways to it is ever stale, and all of them are found. With wrong dates
something older may be found beside them; so several are left to git, and one is the only one there is.

Source: git's commit-reach.c (paint_down_to_common).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports import ObjectKind, Objects, RawObject

AHEAD: Final = (8, 16, 32, 64)
"""First parents read by each question, of the commit that is needed; after the last one git is asked."""
ASIDE: Final = 4
"""The same of other unknown parents, most of them second ones: most branches that were merged were short."""
NAMES_MAX: Final = 200
"""Commits of one question: about 0.5 ms."""
PATIENCE: Final = 24
"""Commits walked before those that wait are looked at: one with a date of years ago keeps its side from being walked."""
TIPS_MAX: Final = 4
"""Of those that are looked at; there are two, but for merges on the way."""
COMMITS_MAX: Final = 600
"""A walk that goes further is git's: it finds its way in a compiled loop."""
COMMIT_BYTES_EACH: Final = 8 << 10
SLICE: Final = 100
"""Commits before the loop runs again: about 0.5 ms."""

_HEADER: Final = re.compile(
    rb"tree ([0-9a-f]+)\n((?:parent [0-9a-f]+\n)*)(?:author [^\n]*\ncommitter [^<>\n]*<[^<>\n]*> ([0-9]{1,10}) )?"
)
_SEVERAL: Final = 2
_OURS: Final = 1
_THEIRS: Final = 2
_BOTH: Final = _OURS | _THEIRS
_STALE: Final = 4


class NearCommits:
    """Commits read so far: trees, parents and dates."""

    def __init__(self, objects: Objects, key: ReplicaKey) -> None:
        self._objects = objects
        self._key = key
        self._known = objects.memory(key)
        self._questions = 0
        self._found: dict[ObjectId, _Commit] = {}
        self._unknown: dict[ObjectId, None] = {}
        """Commits that were seen, but not read, in that order."""

    def tree(self, oid: ObjectId) -> ObjectId:
        """The tree of a commit that `bases` was asked about or gave."""
        return self._found[oid].tree

    async def bases(self, ours: ObjectId, theirs: ObjectId) -> list[ObjectId] | None:
        """The merge base, or none; None where git must be asked, as where there are several."""
        try:
            found = await self._walk(ours, theirs)
        except MeshError:  # whatever is wrong, git says it better
            return None
        return found if found is not None and len(found) < _SEVERAL else None

    async def _walk(self, ours: ObjectId, theirs: ObjectId) -> list[ObjectId] | None:
        self._unknown.update({ours: None, theirs: None})
        if not await self._read(ours) or not await self._read(theirs):
            return None
        if ours == theirs:
            return [ours]
        queue: list[tuple[int, ObjectId]] = []
        marks: dict[ObjectId, int] = {ours: _OURS, theirs: _THEIRS}
        found: dict[ObjectId, None] = {}
        for oid in marks:
            heappush(queue, (-self._found[oid].seconds, oid))
        for count in range(1, COMMITS_MAX + 1):
            _, oid = heappop(queue)
            mark = marks[oid]
            if mark == _BOTH:
                found[oid] = None
                mark |= _STALE
            if mark & _STALE and all(marks[other] & _STALE for _, other in queue):
                return [base for base in found if not marks[base] & _STALE]
            for parent in self._found[oid].parents:
                before = marks.get(parent, 0)
                if before | mark == before:
                    continue
                if not await self._read(parent):
                    return None
                marks[parent] = before | mark
                heappush(queue, (-self._found[parent].seconds, parent))
            if not queue:
                return [base for base in found if not marks[base] & _STALE]
            if count == PATIENCE:
                await self._mend_dates([oid for _, oid in queue if not marks[oid] & _STALE])
                queue = [(-self._found[oid].seconds, oid) for _, oid in queue]
                heapify(queue)
            if count % SLICE == 0:
                await asyncio.sleep(0)
                self._known = self._objects.memory(self._key)
        return None

    async def _read(self, oid: ObjectId) -> bool:
        """Have a commit read; where it takes a question, what was seen is read with it."""
        if oid in self._found:
            return True
        known = self._known(oid)
        if known is not None:
            return self._take(known)
        if self._questions == len(AHEAD):
            return False
        names = _chain(oid, AHEAD[self._questions])
        for other in self._unknown:
            if len(names) < NAMES_MAX and other != oid:
                names += _chain(other, ASIDE)
        self._questions += 1
        for raw in await self._objects.read(self._key, names, bytes_max=len(names) * COMMIT_BYTES_EACH):
            if raw is not None and not self._take(raw):
                return False
        self._known = self._objects.memory(self._key)
        return oid in self._found

    async def _mend_dates(self, tips: Sequence[ObjectId]) -> None:
        """Take commits for as young as the youngest of their first parents: with old dates they would wait for ever."""
        names = [name for tip in tips[:TIPS_MAX] for name in _chain(tip, NAMES_MAX // TIPS_MAX)]
        for raw in await self._objects.read(self._key, names, bytes_max=len(names) * COMMIT_BYTES_EACH):
            if raw is not None:
                self._take(raw)
        self._known = self._objects.memory(self._key)
        for tip in tips[:TIPS_MAX]:
            line = [tip]
            while len(line) < NAMES_MAX and (parents := self._found[line[-1]].parents) and parents[0] in self._found:
                line.append(parents[0])
            seconds = 0
            for oid in reversed(line):
                seconds = max(seconds, self._found[oid].seconds)
                self._found[oid] = replace(self._found[oid], seconds=seconds)

    def _take(self, raw: RawObject) -> bool:
        """Note what a commit says; False of one that is odd, or none."""
        header = _HEADER.match(raw.data) if raw.info.kind is ObjectKind.COMMIT else None
        if header is None:
            return False
        parents = [ObjectId(line[7:].decode("ascii")) for line in header[2].splitlines()]
        self._found[raw.info.oid] = _Commit(ObjectId(header[1].decode("ascii")), parents, int(header[3] or 0))
        self._unknown.pop(raw.info.oid, None)
        self._unknown.update((parent, None) for parent in parents if parent not in self._found)
        return True


@dataclass(frozen=True, slots=True)
class _Commit:
    tree: ObjectId
    parents: list[ObjectId]
    seconds: int
    """When it was committed; 0 where that is written oddly, which costs time and nothing else."""


def _chain(oid: ObjectId, count: int) -> list[str]:
    """A commit and its first parents, `count` names in all."""
    return [oid, *(f"{oid}~{back}" for back in range(1, count))]
