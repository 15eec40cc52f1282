"""Reads commits through the object pool; a commit with a huge message costs no more than what is wanted of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import Corrupt, NotFound, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.core.round import ReplicaKey
from meshnode.git.commit_object import parse_commit
from meshnode.ports import Commit, ObjectInfo, ObjectKind, Objects

PORTION: Final = 200
"""Commits parsed before the loop runs again: about 2 ms."""
READ_BYTES_EACH: Final = 8 << 10
"""Where commits are larger on average, they are read one by one, and only their beginnings."""
HEADERS_BYTES_MAX: Final = 256 << 10
"""Of one commit: a merge of signed tags holds them in its headers, an octopus a line for each parent."""
FIELDS_BYTES: Final = 500
"""What a commit takes in an answer beside its message: ids, names, dates."""


class GitCommits:
    """Implements `ports.Commits`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def read(
        self, key: ReplicaKey, oids: Sequence[ObjectId], *, message_bytes_max: int, bytes_max: int
    ) -> list[Commit]:
        """The commits, as many as there is room for."""
        commits: list[Commit] = []
        room = bytes_max
        for start in range(0, len(oids), PORTION):
            for commit in await self._portion(key, oids[start : start + PORTION], message_bytes_max):
                size = FIELDS_BYTES + len(commit.message) + len(commit.oid) * len(commit.parents)
                if size > room and commits:
                    return commits
                room -= size
                commits.append(commit)
        return commits

    async def _portion(self, key: ReplicaKey, oids: Sequence[ObjectId], message_bytes_max: int) -> list[Commit]:
        try:
            found = await self._objects.read(key, oids, bytes_max=len(oids) * READ_BYTES_EACH)
        except TooLarge:
            infos = await self._objects.look_up(key, oids)
            return [
                await self._beginning(key, oid, info, message_bytes_max) for oid, info in zip(oids, infos, strict=True)
            ]
        commits = []
        for oid, raw in zip(oids, found, strict=True):
            info = _checked(oid, None if raw is None else raw.info)
            assert raw is not None
            commits.append(parse_commit(oid, raw.data, size=info.size, message_bytes_max=message_bytes_max))
        return commits

    async def _beginning(
        self, key: ReplicaKey, oid: ObjectId, info: ObjectInfo | None, message_bytes_max: int
    ) -> Commit:
        size = _checked(oid, info).size
        pieces = self._objects.stream(key, oid, length=HEADERS_BYTES_MAX + message_bytes_max)
        data = b"".join([piece async for piece in pieces])
        if data.find(b"\n\n", 0, HEADERS_BYTES_MAX) < 0 and size > HEADERS_BYTES_MAX:
            raise TooLarge("a commit's headers are too large", oid=oid, bytes_max=HEADERS_BYTES_MAX)
        return parse_commit(oid, data, size=size, message_bytes_max=message_bytes_max)


def _checked(oid: ObjectId, info: ObjectInfo | None) -> ObjectInfo:
    if info is None:
        raise NotFound("no such commit", oid=oid)
    if info.kind is not ObjectKind.COMMIT:
        raise Corrupt("a commit is something else", oid=oid, kind=info.kind.value)
    return info
