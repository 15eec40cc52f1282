"""What every read of objects has in common: a view at the asked consistency, revisions resolved against it, and a
replica that is reported as soon as damage is met.

    async with self._object_reads.open(request.repository, request.consistency) as read:
        commit = await read.resolve(request.revision, ObjectKind.COMMIT)
        body = await read.cached(("CommitService.Get", commit.oid), lambda: ...)
        return body + Response(position=read.position).SerializeToString()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from google.protobuf.message import Message

from meshnode.base.errors import Corrupt
from meshnode.base.ids import NodeId, RepositoryId, parse_repository_name
from meshnode.core.round import ReplicaKey
from meshnode.ports import BegunLookUp, ObjectInfo, ObjectKind, Objects, Reads, ReadView, Revisions, TreeAhead
from meshnode.rpc.answer_cache import AnswerCache
from meshnode.rpc.call import closing
from meshnode.v1 import common_pb2
from meshnode.wire.reads import consistency_of, position_message

KEPT_BYTES_MAX: Final = 512 << 10
"""A longer answer in several messages is not kept: it is rarely asked for twice, and would push out many others."""


class First(NamedTuple):
    """What a read will resolve first, as in `Revisions.resolve`."""

    revision: str
    kind: ObjectKind | None = None
    ahead: TreeAhead | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectReads:
    """Opens reads of this node's replicas."""

    own: NodeId
    reads: Reads
    objects: Objects
    revisions: Revisions
    cache: AnswerCache

    @asynccontextmanager
    async def open(
        self, repository: str, consistency: common_pb2.Consistency, *, first: First | None = None
    ) -> AsyncIterator[ObjectRead]:
        """A read of one repository. Corrupt that is raised inside takes the replica out.

        What will be resolved `first` is asked of git while the catalog is, where it can be; nothing of it is told, and
        nothing that it finds counts, before the read stands on a view.

        Raises:
            InvalidRequest, RepositoryNotFound, ReplicaBehind, CatalogUnavailable: as `Reads.view`.
        """
        name, wanted = parse_repository_name(repository), consistency_of(consistency)
        key = None if first is None else self.reads.likely_key(name)
        begun = None if first is None or key is None else self.revisions.begin(key, *first[:2], ahead=first.ahead)
        try:
            view = await self.reads.view(name, wanted)
            try:
                yield ObjectRead(self, view, begun)
            except Corrupt as damage:
                self.reads.report_damage(view.key, str(damage))
                raise
        finally:
            if begun is not None:
                await begun.drop()

    def likely_key(self, repository: str) -> ReplicaKey | None:
        """The replica that a read of this repository will most likely stand on; nothing of it may be told before."""
        return self.reads.likely_key(parse_repository_name(repository))

    def known(self, repository: RepositoryId, question: Hashable) -> bytes | None:
        """The answer to a question that names objects by id only, from memory; None where it is not there."""
        return self.cache.known((repository, question))


@dataclass(frozen=True)
class ObjectRead:
    """One read: the view it stands on."""

    source: ObjectReads
    view: ReadView
    begun: BegunLookUp | None = None

    @property
    def key(self) -> ReplicaKey:
        """The replica that answers."""
        return self.view.key

    @property
    def position(self) -> common_pb2.Position:
        """Where the answer stands."""
        return position_message(self.view.generation, self.source.own)

    async def resolve(
        self, revision: str, kind: ObjectKind | None = None, *, ahead: TreeAhead | None = None
    ) -> ObjectInfo:
        """The object that `revision` names; `ahead` and what it raises as of `Revisions.resolve`."""
        if self.begun is not None:
            await self.begun.finish()
        return await self.source.revisions.resolve(self.key, self.view.snapshot, revision, kind, ahead=ahead)

    async def cached(self, question: Hashable, make: Callable[[], Awaitable[Message | bytes]]) -> bytes:
        """The answer to a question that names objects by id only, from memory where it was asked before."""

        async def serialised() -> bytes:
            answer = await make()
            return answer if isinstance(answer, bytes) else answer.SerializeToString()

        return await self.source.cache.get((self.key.repository, question), serialised)

    def known(self, question: Hashable) -> bytes | None:
        """The answer to such a question from memory; None where it is not there."""
        return self.source.known(self.key.repository, question)

    def keep(self, question: Hashable, answer: bytes) -> None:
        """Keep an answer, without its position, for the next who asks."""
        self.source.cache.keep((self.key.repository, question), answer)

    async def keeping(self, question: Hashable, head: bytes, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The messages of a long answer as they come, `head` (with the position) put before the first.

        Once all were taken they are kept, without `head`, as one serialised message for the next who asks.
        """
        kept: list[bytes] = []
        size = 0
        async with closing(messages) as each:
            async for message in each:
                size += len(message)
                if size <= KEPT_BYTES_MAX:
                    kept.append(message)
                yield head + message
                head = b""
        if size <= KEPT_BYTES_MAX:
            self.keep(question, b"".join(kept))
