"""Serves the part of RepositoryService that makes repositories of uploads: bundles, archives of bare repositories."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from meshnode.base.errors import InvalidRequest
from meshnode.base.ids import NodeId, ObjectId, RefName, parse_ref_name, parse_repository_name
from meshnode.ports import Imports, ImportSource, Membership, Unpacker
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.forward import Route
from meshnode.rpc.forward_stream import StreamForwarder, upload_of
from meshnode.v1 import repository_pb2 as pb
from meshnode.wire.bundle import BundleHeader, read_bundle
from meshnode.wire.reads import position_message, request_key_of
from meshnode.wire.records import repository_message
from meshnode.wire.refs import BRANCHES

_ROUTE: Final = Route("name")
_USUAL: Final[Sequence[RefName]] = (RefName("refs/heads/main"), RefName("refs/heads/master"))


@dataclass(frozen=True, kw_only=True)
class RepositoryImports:
    """Creates repositories with content."""

    own: NodeId
    imports: Imports
    unpacker: Unpacker
    membership: Membership
    streams: StreamForwarder

    async def create_from_bundle(self, requests: AsyncIterator[Any], call: Call) -> Answer:
        """A repository of a bundle."""
        return await self.streams.upload(_ROUTE, await upload_of(requests), call, self._create_from_bundle)

    async def create_from_archive(self, requests: AsyncIterator[Any], call: Call) -> Answer:
        """A repository of an archive."""
        return await self.streams.upload(_ROUTE, await upload_of(requests), call, self._create_from_archive)

    async def _create_from_bundle(self, first: Any, rest: AsyncIterator[Any], call: Call) -> Answer:
        async with aclosing(_data(rest)) as data:
            header, pack = await read_bundle(data)
            source = ImportSource(
                object_format=header.object_format,
                references=header.references,
                default_branch=_branch_of(header),
                pack=pack if header.references else None,
            )
            return await self._create(first.header, source, call)

    async def _create_from_archive(self, first: Any, rest: AsyncIterator[Any], call: Call) -> Answer:
        async with aclosing(_data(rest)) as data, self.unpacker.unpack(data) as source:
            return await self._create(first.header, source, call)

    async def _create(self, header: pb.ImportHeader, source: ImportSource, call: Call) -> Answer:
        branch = parse_ref_name(BRANCHES + header.default_branch) if header.default_branch else None
        result = await self.imports.create_from(
            parse_repository_name(header.name),
            source,
            default_branch=branch,
            request_key=request_key_of(header.request_key),
            actor=call.actor,
        )
        call.facts["round"] = result.round_id
        call.facts["generation"] = result.generation
        partition = self.membership.partition(result.record.partition)
        return pb.CreateResponse(
            repository=repository_message(result.record, partition, self.membership.online().keys()),
            position=position_message(result.generation, self.own),
        )


async def _data(messages: AsyncIterator[Any]) -> AsyncGenerator[bytes, None]:
    async for message in messages:
        if message.WhichOneof("part") != "data":
            raise InvalidRequest("only the first message has a header")
        yield message.data


def _branch_of(header: BundleHeader) -> RefName | None:
    """The branch that HEAD of a bundle most likely means: bundles say where HEAD is at, not what it points to."""
    at: ObjectId | None = header.head
    candidates = [name for name, oid in header.references.items() if oid == at and name.startswith(BRANCHES)]
    return next((name for name in _USUAL if name in candidates), min(candidates, default=None))
