r"""Walks the newest commits without a git process, over objects that are mostly in memory: the first pages of a log.

    known commits ----> queue by date ----> the order of `git rev-list`
    unknown one: it and its first parents in one question, more of them each time; after a few of them git itself is asked

git without an order pops the commit with the latest date, and of equal dates the one that was put there first; a
commit is put there once, when its first child comes. Only commits as git writes them are walked here: an odd date is
read differently from version to version.

Source: git's revision.c (get_revision_1, process_parents), commit.c (commit_list_insert_by_date, parse_commit_date).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.ports import ObjectKind, Objects, RawObject

COMMITS_MAX: Final = 600
"""A walk that goes further is git's: it finds its way in a compiled loop."""
QUESTIONS_MAX: Final = 5
"""Unknown commits asked about; each costs as much as parsing ten commits, a process as much as thirty questions."""
AHEAD: Final = 8
"""Commits read where the first unknown one is met, it and its first parents: a page whose rest is known has few."""
AHEAD_GROWTH: Final = 4
"""Times as many are read at the next one: in three questions a page of 100 of which nothing is known."""
AHEAD_MAX: Final = 100
"""The most that are read together; a default page."""
ASIDE_MAX: Final = 10
"""The same of a second parent: most branches that were merged were short."""
READ_BYTES_MAX: Final = 800 << 10
"""Of one question; larger commits are git's to walk."""
SLICE: Final = 100
"""Commits before the loop runs again: about 0.5 ms."""

_COMMIT: Final = re.compile(
    rb"tree [0-9a-f]+\n((?:parent [0-9a-f]+\n)*)author [^\n]*\ncommitter [^<>\n]*<[^<>\n]*> ([0-9]{1,10}) [+-][0-9]{4}\n"
)


async def walk_near(
    objects: Objects, key: ReplicaKey, starts: Sequence[ObjectId], *, is_first_parent: bool, count: int
) -> list[ObjectId] | None:
    """The first `count` commits of a walk from `starts`; None where git must be asked."""
    if count > COMMITS_MAX:
        return None
    walk = _Walk(objects, key)
    found: list[ObjectId] = []
    try:
        for oid in starts:
            if not await walk.put(oid, AHEAD_MAX):
                return None
        while len(found) < count and (next_one := walk.pop()) is not None:
            oid, parents = next_one
            found.append(oid)
            for number, parent in enumerate(parents[:1] if is_first_parent else parents):
                if not await walk.put(parent, ASIDE_MAX if number else AHEAD_MAX):
                    return None
            if len(found) % SLICE == 0:
                await walk.rest()
    except MeshError:  # whatever is wrong, git says it better
        return None
    return found


class _Walk:
    """Commits that were seen, and those of them that are still to come."""

    def __init__(self, objects: Objects, key: ReplicaKey) -> None:
        self._objects = objects
        self._key = key
        self._questions = 0
        self._known = objects.memory(key)
        self._read: dict[ObjectId, RawObject] = {}
        self._seen: set[ObjectId] = set()
        self._queue: list[tuple[int, int, ObjectId, list[ObjectId]]] = []

    def pop(self) -> tuple[ObjectId, list[ObjectId]] | None:
        """The next commit and its parents."""
        if not self._queue:
            return None
        _, _, oid, parents = heappop(self._queue)
        return oid, parents

    async def put(self, oid: ObjectId, ahead_max: int) -> bool:
        """Put a commit in its place; False where that cannot be told here."""
        if oid in self._seen:
            return True
        raw = self._known(oid) or self._read.get(oid) or await self._look(oid, ahead_max)
        facts = None if raw is None or raw.info.kind is not ObjectKind.COMMIT else _COMMIT.match(raw.data)
        if facts is None:
            return False
        parents = [ObjectId(line[7:].decode("ascii")) for line in facts[1].splitlines()]
        heappush(self._queue, (-int(facts[2]), len(self._seen), oid, parents))
        self._seen.add(oid)
        return True

    async def rest(self) -> None:
        """Let the loop run."""
        await asyncio.sleep(0)
        self._known = self._objects.memory(self._key)

    async def _look(self, oid: ObjectId, ahead_max: int) -> RawObject | None:
        if self._questions == QUESTIONS_MAX:
            return None
        ahead = AHEAD * AHEAD_GROWTH**self._questions
        self._questions += 1
        names = [oid, *(f"{oid}~{back}" for back in range(1, min(ahead, ahead_max)))]
        for raw in await self._objects.read(self._key, names, bytes_max=READ_BYTES_MAX):
            if raw is not None:
                self._read[raw.info.oid] = raw
        self._known = self._objects.memory(self._key)
        return self._read.get(oid)
