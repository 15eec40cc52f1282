"""Serves TransportService: git's own protocol as streams; which replica answers is the Transport port's business.

    header [data ...]  ->  position, data ...

The caller is asked for its body only when the engine first reads it: a request that is refused before that can go
to another node unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext

from meshnode.base.errors import InvalidRequest
from meshnode.engine.pack_admission import PackAdmission
from meshnode.ports import Transport, TransportReply, TransportRequest
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.v1 import transport_pb2
from meshnode.wire.reads import position_message
from meshnode.wire.transport import CHUNK_BYTES_MAX, request_of, service_of

Chunks = AsyncIterator[transport_pb2.TransportChunk]


class TransportServicer:
    """mesh.v1.TransportService."""

    def __init__(self, transport: Transport, admission: PackAdmission) -> None:
        """`admission` is the node's one set of places for packs; a forwarded pack has its place where it came in."""
        self._transport = transport
        self._admission = admission

    async def info_refs(
        self, requests: AsyncIterator[transport_pb2.InfoRefsRequest], call: Call
    ) -> AsyncIterator[Answer]:
        """The advertisement that starts a fetch or a push."""
        message = await first_message(requests)
        request = _request(message.header, call)
        reply = await self._transport.info_refs(request, service_of(message.service))
        async with closing(_answers(reply, call)) as answers:
            async for answer in answers:
                yield answer

    async def upload_pack(self, chunks: Chunks, call: Call) -> AsyncIterator[Answer]:
        """One stateless upload-pack request."""
        first = await first_message(chunks)
        request = _request(first.header, call)
        async with self._place(request), closing(_body(first, chunks)) as body:
            reply = await self._transport.upload_pack(request, body)
            async with closing(_answers(reply, call)) as answers:
                async for answer in answers:
                    yield answer

    async def receive_pack(self, chunks: Chunks, call: Call) -> AsyncIterator[Answer]:
        """One push."""
        first = await first_message(chunks)
        request = _request(first.header, call)
        async with self._place(request), closing(_body(first, chunks)) as body:
            reply = await self._transport.receive_pack(request, body)
            async with closing(_answers(reply, call)) as answers:
                async for answer in answers:
                    yield answer

    def _place(self, request: TransportRequest) -> AbstractAsyncContextManager[None]:
        return nullcontext() if request.is_forwarded else self._admission.place(request.name)


def _request(header: transport_pb2.TransportHeader, call: Call) -> TransportRequest:
    request = request_of(header, caller=call.actor, is_from_node=call.is_from_node)
    call.facts["repository"] = request.name
    call.actor = request.actor
    call.is_forwarded = request.is_forwarded
    return request


async def _body(first: transport_pb2.TransportChunk, chunks: Chunks) -> AsyncIterator[bytes]:
    if first.data:
        yield first.data
    async for chunk in chunks:
        if chunk.HasField("header"):
            raise InvalidRequest("only the first message has a header")
        yield chunk.data


async def _answers(reply: TransportReply, call: Call) -> AsyncIterator[Answer]:
    if reply.node != call.node:
        call.facts["forwarded_to"] = reply.node
    async with closing(reply.body) as body:
        yield transport_pb2.TransportResponse(position=position_message(reply.generation, reply.node))
        async for data in body:
            for start in range(0, len(data), CHUNK_BYTES_MAX):
                yield transport_pb2.TransportResponse(data=data[start : start + CHUNK_BYTES_MAX])
