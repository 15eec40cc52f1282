"""Reads tag objects and dates through the object pool; dates of objects never change, so they are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from meshnode.base.errors import Corrupt, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.commit_object import split_object
from meshnode.git.tag_object import parse_tag, tagger_of
from meshnode.ports import Commits, ObjectInfo, ObjectKind, Objects, TagObject

TAGS_BYTES_MAX: Final = 16 << 20
DATES_KEPT_MAX: Final = 500_000
"""Over all repositories, about 200 bytes each."""
PORTION: Final = 1_000
"""Objects asked for in one go."""
TAG_HEAD_BYTES: Final = 8 << 10
"""Of a tag: its headers."""


class GitTags:
    """Implements `ports.Tags`."""

    def __init__(self, objects: Objects, commits: Commits, *, dates_kept_max: int = DATES_KEPT_MAX) -> None:
        self._objects = objects
        self._commits = commits
        self._dates: OrderedDict[ObjectId, int] = OrderedDict()
        self._dates_kept_max = dates_kept_max

    async def read(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> list[TagObject]:
        """The tag objects, in order."""
        found = []
        for oid, raw in zip(oids, await self._objects.read(key, oids, bytes_max=TAGS_BYTES_MAX), strict=True):
            if raw is None or raw.info.kind is not ObjectKind.TAG:
                raise Corrupt("a tag's object is missing or something else", oid=oid)
            found.append(parse_tag(oid, raw.data))
        return found

    async def dates(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> Mapping[ObjectId, int]:
        """When each object was made."""
        dates = {oid: self._dates[oid] for oid in oids if oid in self._dates}
        missing = [oid for oid in dict.fromkeys(oids) if oid not in dates]
        for start in range(0, len(missing), PORTION):
            portion = missing[start : start + PORTION]
            fresh = await self._fresh(key, portion)
            dates.update(fresh)
            self._dates.update(fresh)
            await asyncio.sleep(0)
        while len(self._dates) > self._dates_kept_max:
            self._dates.popitem(last=False)
        return dates

    async def _fresh(self, key: ReplicaKey, oids: Sequence[ObjectId]) -> dict[ObjectId, int]:
        infos = [info for info in await self._objects.look_up(key, oids) if info is not None]
        dates: dict[ObjectId, int] = dict.fromkeys(oids, 0)
        commits = [info.oid for info in infos if info.kind is ObjectKind.COMMIT]
        while commits:
            read = await self._commits.read(key, commits, message_bytes_max=0, bytes_max=TAGS_BYTES_MAX)
            dates.update((commit.oid, commit.committer.time_s) for commit in read)
            commits = commits[len(read) :]
        tags = [info for info in infos if info.kind is ObjectKind.TAG]
        try:
            raws = await self._objects.read(key, [info.oid for info in tags], bytes_max=len(tags) * TAG_HEAD_BYTES)
        except TooLarge:
            for info in tags:
                dates[info.oid] = _date_of(await self._head(key, info))
        else:
            dates.update((raw.info.oid, _date_of(raw.data)) for raw in raws if raw is not None)
        return dates

    async def _head(self, key: ReplicaKey, info: ObjectInfo) -> bytes:
        return b"".join([piece async for piece in self._objects.stream(key, info.oid, length=TAG_HEAD_BYTES)])


def _date_of(data: bytes) -> int:
    tagger = tagger_of(split_object(data)[0])
    return 0 if tagger is None else tagger.time_s
