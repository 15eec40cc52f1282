"""Hands git's own protocol to another node: implements `ports.RemoteTransport` over TransportService.

    header ->                          the other node decides whether it can answer
           <- "go on" or position      only now does a byte of the body leave
    body   -> ... <- answer

The other node has as long to decide as a request may wait in a queue (`limits.queue_wait_ms`).

Rule: as long as the body is untouched, the error says so and the caller may try the next node. After that nobody
else can be given the same request, and an error never looks as if one could. Where a push was handed over and the
other node does not say what became of it, its outcome is unknown; no other error may be shown to its client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from meshnode.auth.answers import CallFailed
from meshnode.auth.stream import SignedStream
from meshnode.base.errors import InvalidRequest, MeshError, OutcomeUnknown, PeerUnavailable
from meshnode.base.ids import NodeId, parse_node_id
from meshnode.config import LimitSettings
from meshnode.peer.grpc import GrpcPeers
from meshnode.ports import GitService, TransportReply, TransportRequest
from meshnode.v1 import transport_pb2 as pb
from meshnode.wire.message import parse
from meshnode.wire.reads import generation_of
from meshnode.wire.status import error_from_call, promises_nothing_written
from meshnode.wire.transport import CHUNK_BYTES_MAX, CONTINUE_KEY, header_message

_SERVICE: Final = "/mesh.v1.TransportService/"


class GrpcTransport:
    """Implements `ports.RemoteTransport`."""

    def __init__(self, peers: GrpcPeers, limits: LimitSettings) -> None:
        self._peers = peers
        self._limits = limits

    async def info_refs(self, node: NodeId, request: TransportRequest, service: GitService) -> TransportReply:
        """The advertisement of `node`."""
        message = pb.InfoRefsRequest(header=header_message(request), service=service.value)
        return await self._open(node, "InfoRefs", _Held(message.SerializeToString(), None), self._limits.unary_ms_max)

    async def upload_pack(self, node: NodeId, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One upload-pack request, answered by `node`."""
        return await self._open(node, "UploadPack", _hold(request, body), self._limits.fetch_ms_max)

    async def receive_pack(self, node: NodeId, request: TransportRequest, body: AsyncIterator[bytes]) -> TransportReply:
        """One push, coordinated by `node`."""
        held = _hold(request, body, is_push=True)
        return await self._open(node, "ReceivePack", held, self._limits.push_ms_max)

    async def _open(self, node: NodeId, name: str, held: _Held, time_ms: int) -> TransportReply:
        stream = await self._peers.open_stream(node, _SERVICE + name, held.messages(), time_ms)
        try:
            async with asyncio.timeout(self._limits.queue_wait_ms / 1000):
                is_taken = CONTINUE_KEY in await stream.started()
            if is_taken:
                held.release()
            first = parse(pb.TransportResponse, await anext(stream))
            held.release()
            if not first.HasField("position"):
                raise InvalidRequest("answer has no position")
            reply = TransportReply(
                generation=generation_of(first.position.generation),
                node=parse_node_id(first.position.node),
                body=_ReplyBody(stream, node, first.data, is_push=held.is_push),
            )
        except BaseException as error:
            await stream.aclose()
            refused = _refusal(error, node, held)
            if refused is error:
                raise
            raise refused from error
        return reply


class _Held:
    """The messages of a request: the header at once, the body when it is released."""

    def __init__(self, header: bytes, body: AsyncIterator[bytes] | None, *, is_push: bool = False) -> None:
        self._header = header
        self._body = body
        self.is_push = is_push
        self._released = asyncio.Event()
        self.is_touched = False

    def release(self) -> None:
        """Let the body go."""
        self._released.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """The messages for the stream. Closing this leaves the body as it is."""
        yield self._header
        if self._body is None:
            return
        await self._released.wait()
        self.is_touched = True
        async for data in self._body:
            for start in range(0, len(data), CHUNK_BYTES_MAX):
                yield pb.TransportChunk(data=data[start : start + CHUNK_BYTES_MAX]).SerializeToString()


class _ReplyBody:
    """The answer's bytes. Not a generator: closing it must end the stream even where nobody began to read."""

    def __init__(self, stream: SignedStream, node: NodeId, first: bytes, *, is_push: bool) -> None:
        self._stream = stream
        self._node = node
        self._first = first
        self._is_push = is_push

    def __aiter__(self) -> _ReplyBody:
        return self

    async def __anext__(self) -> bytes:
        data, self._first = self._first, b""
        while not data:
            try:
                message = await anext(self._stream)
            except CallFailed as failed:
                error = error_from_call(failed, self._node)
                error.fields["is_untouched"] = False
                raise _as_told(error, self._node, is_push=self._is_push) from failed
            try:
                data = parse(pb.TransportResponse, message).data
            except InvalidRequest as error:
                await self.aclose()
                broken = PeerUnavailable("node gave a senseless answer", node=self._node, is_untouched=False)
                raise _as_told(broken, self._node, is_push=self._is_push) from error
        return data

    async def aclose(self) -> None:
        """Stop the answer and all that is behind it. Idempotent."""
        await self._stream.aclose()


def _hold(request: TransportRequest, body: AsyncIterator[bytes], *, is_push: bool = False) -> _Held:
    return _Held(pb.TransportChunk(header=header_message(request)).SerializeToString(), body, is_push=is_push)


def _refusal(error: BaseException, node: NodeId, held: _Held) -> BaseException:
    """What a request that got no answer from `node` raises here."""
    refused: MeshError
    match error:
        case CallFailed():
            refused = error_from_call(error, node)
        case TimeoutError():
            refused = PeerUnavailable("node did not take the request in time", node=node)
        case StopAsyncIteration():
            refused = PeerUnavailable("node ended the answer before it began", node=node)
        case InvalidRequest() if not held.is_touched:
            refused = PeerUnavailable("node gave a senseless answer", node=node, detail=str(error)[:300])
        case _:
            return error  # cancelled, or what reading the client's body raised
    if held.is_touched:
        refused = _as_told(refused, node, is_push=held.is_push)
        if isinstance(refused, PeerUnavailable) or _invites_repetition(refused):
            refused = PeerUnavailable("node failed after it had a part of the request", node=node, last=refused.message)
    refused.fields["is_untouched"] = not held.is_touched
    return refused


def _as_told(error: MeshError, node: NodeId, *, is_push: bool) -> MeshError:
    """The error for the caller of a request that `node` had at least a part of."""
    if is_push and not promises_nothing_written(error) and not isinstance(error, OutcomeUnknown):
        return OutcomeUnknown(
            "the node that led the push did not say what became of it; fetch to see", node=node, last=error.message
        )
    return error


def _invites_repetition(error: MeshError) -> bool:
    return promises_nothing_written(error) and error.code in {"UNAVAILABLE", "FAILED_PRECONDITION"}
