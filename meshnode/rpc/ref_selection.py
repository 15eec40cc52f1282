"""Decides which references a listing gives, and in which order: patterns, reachability, dates.

    names of the snapshot -> patterns -> filter (walks of history) -> order (dates of objects)

What a snapshot gives for one question is kept, so that later pages do not walk again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import Generation, ObjectId, RefName
from meshnode.core.round import ReplicaKey
from meshnode.ports import Ancestry, ObjectKind, RefsSnapshot, Tags
from meshnode.rpc.object_reads import ObjectRead
from meshnode.rpc.patterns import select
from meshnode.v1 import ref_pb2
from meshnode.wire.refs import resolve

KEPT_MAX: Final = 64
NAMES_KEPT_MAX: Final = 500_000
"""Over all selections kept, about 10 bytes each: the names are the snapshot's."""
SLICE: Final = 5_000
"""References looked at before the loop runs again: about 1 ms."""
ALL: Final = "refs/"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefQuery:
    """What a listing asks for."""

    prefix: str = ALL
    """Only names that begin so."""
    patterns: tuple[str, ...] = ()
    is_by_date: bool = False
    is_descending: bool = False
    merged_into: ObjectId | None = None
    not_merged_into: ObjectId | None = None
    contains: ObjectId | None = None
    not_contains: ObjectId | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether references must lead to commits."""
        return any(one is not None for one in self.commits)

    @property
    def commits(self) -> tuple[ObjectId | None, ...]:
        """The ends of the walks it takes."""
        return (self.merged_into, self.not_merged_into, self.contains, self.not_contains)


class RefSelections:
    """Selections of the repositories listed lately."""

    def __init__(self, ancestry: Ancestry, tags: Tags) -> None:
        self._ancestry = ancestry
        self._tags = tags
        self._kept: OrderedDict[tuple[ReplicaKey, Generation, RefQuery], Sequence[RefName]] = OrderedDict()
        self._names_kept = 0

    async def names(self, read: ObjectRead, query: RefQuery) -> Sequence[RefName]:
        """The references of the read's snapshot that `query` asks for, in its order.

        Raises:
            InvalidRequest: a malformed pattern. DeadlineExceeded.
        """
        key = (read.key, read.view.snapshot.generation, query)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        names = await self._make(read, query)
        if key not in self._kept:
            self._kept[key] = names
            self._names_kept += len(names)
        while len(self._kept) > KEPT_MAX or self._names_kept > NAMES_KEPT_MAX:
            _, dropped = self._kept.popitem(last=False)
            self._names_kept -= len(dropped)
        return names

    async def _make(self, read: ObjectRead, query: RefQuery) -> Sequence[RefName]:
        snapshot = read.view.snapshot
        everything = snapshot.names or sorted(name for name in snapshot.refs if name.startswith(ALL))
        first, end = (bisect_left(everything, text) for text in (query.prefix, f"{query.prefix}\U0010ffff"))
        within = everything[first:end]
        names: Sequence[RefName] = [within[index] for index in select(within, query.patterns)]
        if query.is_filtered:
            names = await self._filtered(read, query, names)
        if query.is_descending:
            names = names[::-1]
        if query.is_by_date:
            names = await self._by_date(read, query, names)
        return names

    async def _filtered(self, read: ObjectRead, query: RefQuery, names: Sequence[RefName]) -> Sequence[RefName]:
        commits = await commits_of(read, names)
        passing = {oid for oid in commits.values() if oid is not None}
        if query.merged_into is not None:
            passing &= await self._ancestry.merged(read.key, query.merged_into, passing)
        if query.not_merged_into is not None:
            passing -= await self._ancestry.merged(read.key, query.not_merged_into, passing)
        if query.contains is not None:
            passing &= await self._ancestry.containing(read.key, query.contains, passing)
        if query.not_contains is not None:
            passing -= await self._ancestry.containing(read.key, query.not_contains, passing)
        return [name for name in names if commits[name] in passing]

    async def _by_date(self, read: ObjectRead, query: RefQuery, names: Sequence[RefName]) -> Sequence[RefName]:
        oids = {name: held_by(read.view.snapshot, name) for name in names}
        dates = await self._tags.dates(read.key, [oid for oid in oids.values() if oid])
        sign = -1 if query.is_descending else 1
        return sorted(names, key=lambda name: (sign * dates.get(oids[name], 0), name))


def held_by(snapshot: RefsSnapshot, name: RefName) -> ObjectId:
    """The object that a reference holds, "" where it leads nowhere."""
    return ObjectId(resolve(snapshot, name) or "")


async def commits_of(read: ObjectRead, names: Sequence[RefName]) -> dict[RefName, ObjectId | None]:
    """The commit that each reference leads to; None for what leads to another object or nowhere."""
    held: dict[RefName, ObjectId] = {}
    for number, name in enumerate(names):
        held[name] = held_by(read.view.snapshot, name)
        if number % SLICE == 0:
            await asyncio.sleep(0)
    oids = list(dict.fromkeys(oid for oid in held.values() if oid))
    infos = await read.source.objects.look_up(read.key, [f"{oid}^{{commit}}" for oid in oids])
    found = {oid: info.oid for oid, info in zip(oids, infos, strict=True) if info is not None}
    return {name: found.get(oid) for name, oid in held.items()}


async def query_of(
    read: ObjectRead,
    *,
    prefix: str,
    patterns: Sequence[str],
    sort: int,
    descending: bool,
    filter_: ref_pb2.RefFilter,
) -> RefQuery:
    """Read what a request asks for; its revisions stand for commits of this generation.

    Raises:
        InvalidRequest: an unknown order, and as `Revisions.resolve`. NotFound.
    """
    if sort not in {ref_pb2.REF_SORT_UNSPECIFIED, ref_pb2.REF_SORT_CREATOR_DATE}:
        raise InvalidRequest("unknown order of references", sort=sort)
    revisions = (filter_.merged_into, filter_.not_merged_into, filter_.contains, filter_.not_contains)
    ends = [(await read.resolve(one, ObjectKind.COMMIT)).oid if one else None for one in revisions]
    return RefQuery(
        prefix=prefix,
        patterns=tuple(patterns),
        is_by_date=sort == ref_pb2.REF_SORT_CREATOR_DATE,
        is_descending=descending,
        merged_into=ends[0],
        not_merged_into=ends[1],
        contains=ends[2],
        not_contains=ends[3],
    )
