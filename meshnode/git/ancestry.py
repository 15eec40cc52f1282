r"""How commits hang together: ancestors, merge bases, and how far apart they are.

Many revisions are compared with one base by a single walk. Each starts with a bit of its own, and in topological order
every commit hands its bits to its parents; a commit with another's bit, but not the base's, puts that one ahead.

    base    o---A---B          B, A: base only  -> t1 and t2 are 2 behind
             \                 C: t1, t2        -> both are 1 ahead of base
    t1, t2    C---D            D: t2            -> t2 is 2 ahead

What all of them share is left out by the walk itself: it ends at the merge base of all. git has the same for
references since 2.41 (`%(ahead-behind:...)`), not for the oldest one supported.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from meshnode.base.ids import ObjectId, parse_object_id
from meshnode.core.round import ReplicaKey
from meshnode.git.commit_walks import WALK_MS
from meshnode.git.queries import Queries
from meshnode.ports import Divergence, MergeBaseKind

SLICE: Final = 1_000
"""Commits counted before the loop runs again: about 1 ms."""


class GitAncestry:
    """Implements `ports.Ancestry`."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def is_ancestor(self, key: ReplicaKey, ancestor: ObjectId, descendant: ObjectId) -> bool:
        """Whether `ancestor` is reachable from `descendant`."""
        if ancestor == descendant:
            return True
        done = await self._queries.run(
            key,
            ["merge-base", "--is-ancestor", ancestor, descendant],
            what="compare commits",
            deadline_ms=WALK_MS,
            expected={0, 1},
        )
        return done.returncode == 0

    async def merge_bases(self, key: ReplicaKey, kind: MergeBaseKind, oids: Sequence[ObjectId]) -> list[ObjectId]:
        """Best common ancestors."""
        options = {MergeBaseKind.BEST: [], MergeBaseKind.ALL: ["--all"], MergeBaseKind.OCTOPUS: ["--octopus", "--all"]}
        done = await self._queries.run(
            key,
            ["merge-base", *options[kind], *oids],
            what="find merge bases",
            deadline_ms=WALK_MS,
            expected={0, 1},
        )
        return [parse_object_id(line) for line in done.stdout.decode("ascii").split()]

    async def divergence(
        self, key: ReplicaKey, base: ObjectId, oids: Sequence[ObjectId]
    ) -> Mapping[ObjectId, Divergence]:
        """How far each is from `base`."""
        others = sorted(set(oids) - {base})
        result = {oid: Divergence(0, 0) for oid in oids}
        if len(others) == 1:
            result[others[0]] = await self._pair(key, base, others[0])
        elif others:
            result.update(await self._many(key, base, others))
        return result

    async def merged(self, key: ReplicaKey, base: ObjectId, oids: Collection[ObjectId]) -> set[ObjectId]:
        """Those of `oids` that are reachable from `base`: git lists what is not."""
        return set(oids) - await self._listed(key, ["rev-list", "--stdin"], base, set(oids))

    async def containing(self, key: ReplicaKey, commit: ObjectId, oids: Collection[ObjectId]) -> set[ObjectId]:
        """Those of `oids` from which `commit` is reachable: what lies on a way to it, and the commit itself."""
        above = await self._listed(key, ["rev-list", "--ancestry-path", "--stdin"], commit, set(oids) - {commit})
        return above | ({commit} & set(oids))

    async def _listed(
        self, key: ReplicaKey, args: Sequence[str], end: ObjectId, starts: set[ObjectId]
    ) -> set[ObjectId]:
        """Those of `starts` that git lists when it walks from all of them to `end`."""
        if not starts:
            return set()
        found: set[ObjectId] = set()
        walk = self._queries.stream(
            key,
            args,
            what="compare references",
            deadline_ms=WALK_MS,
            stdin="".join([*(f"{oid}\n" for oid in sorted(starts)), f"^{end}\n"]).encode(),
        )
        wanted = {oid.encode() for oid in starts}
        rest = b""
        async with aclosing(walk):
            async for chunk in walk:
                *lines, rest = (rest + chunk).split(b"\n")
                found.update(ObjectId(oid.decode()) for oid in wanted.intersection(lines))
        return found

    async def _pair(self, key: ReplicaKey, base: ObjectId, oid: ObjectId) -> Divergence:
        done = await self._queries.run(
            key,
            ["rev-list", "--left-right", "--count", f"{oid}...{base}", "--"],
            what="compare commits",
            deadline_ms=WALK_MS,
        )
        ahead, behind = done.stdout.split()
        return Divergence(int(ahead), int(behind))

    async def _many(self, key: ReplicaKey, base: ObjectId, others: Sequence[ObjectId]) -> dict[ObjectId, Divergence]:
        shared = await self.merge_bases(key, MergeBaseKind.OCTOPUS, [base, *others])
        bits = {oid: 1 << number for number, oid in enumerate([base, *others])}
        seen: Counter[int] = Counter()
        pending: dict[bytes, int] = {oid.encode(): bit for oid, bit in bits.items()}
        walk = self._queries.records(
            key,
            ["rev-list", "--topo-order", "--parents", "--stdin"],
            what="compare commits",
            deadline_ms=WALK_MS,
            stdin="".join([*(f"{oid}\n" for oid in bits), *(f"^{oid}\n" for oid in shared)]).encode(),
            separator=b"\n",
        )
        async with aclosing(walk):
            number = 0
            async for line in walk:
                commit, *parents = line.split(b" ")
                mask = pending.pop(commit)
                seen[mask] += 1
                for parent in parents:
                    pending[parent] = pending.get(parent, 0) | mask
                number += 1
                if number % SLICE == 0:
                    await asyncio.sleep(0)
        only_base = [(mask, count) for mask, count in seen.items() if mask & 1]
        only_others = [(mask, count) for mask, count in seen.items() if not mask & 1]
        found: dict[ObjectId, Divergence] = {}
        for oid in others:
            bit = bits[oid]
            found[oid] = Divergence(
                ahead=sum(count for mask, count in only_others if mask & bit),
                behind=sum(count for mask, count in only_base if not mask & bit),
            )
            await asyncio.sleep(0)
        return found
