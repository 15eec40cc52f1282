"""Calls other nodes over gRPC: implements `ports.Peers`, and hands on unary calls and git streams.

Whatever comes back is checked as if a stranger had sent it, although it is signed: a node with a damaged disk must
not spread what it reads there. A failed call without the peer's signature under it is PeerUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from meshnode.auth.answers import CallFailed
from meshnode.auth.stream import SignedStream
from meshnode.base.errors import InvalidRequest, MeshError, PeerUnavailable
from meshnode.base.ids import Generation, NodeId, ObjectId, RoundId
from meshnode.core.round import ReplicaKey, Round
from meshnode.peer.channels import ChannelFactory, Channels
from meshnode.ports import (
    Membership,
    RefsSnapshot,
    ReplicaDescription,
    ReplicaState,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
)
from meshnode.v1 import replication_pb2 as pb
from meshnode.wire.message import parse
from meshnode.wire.reads import generation_of
from meshnode.wire.replicas import SnapshotAssembler, description_of
from meshnode.wire.rounds import RoundAssembler, key_message
from meshnode.wire.stage import open_message, stage_messages, vote_of
from meshnode.wire.status import error_from_call

_HEALTH: Final = "/grpc.health.v1.Health/Check"
_SERVICE: Final = "/mesh.v1.ReplicationService/"

OIDS_PER_MESSAGE: Final = 20_000
ROUNDS_MAX: Final = 10_000
"""Rounds of one history answer; replicas keep about a thousand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerTimeouts:
    """How long calls to other nodes may take, in milliseconds; whoever calls may stop waiting sooner."""

    ping_ms: int = 2_000
    """A health call, to measure the way; it must not outlast the interval by much."""
    call_ms: int = 10_000
    """Commit, abort, describe: applying a round of many references takes seconds."""
    deep_ms: int = 600_000
    """Describe with fsck of a large repository."""
    read_ms: int = 120_000
    """History and snapshot."""
    transfer_ms: int = 3_600_000
    """Prepare (lasts as long as the push) and packs for repair."""
    silence_ms: int = 300_000
    """How long nothing may come of a pack for repair: git looks through a very large repository for minutes before it
    writes the first byte, and a disk that hangs never lets it."""


class GrpcPeers:
    """Implements `ports.Peers` over ReplicationService."""

    def __init__(
        self,
        own: NodeId,
        membership: Membership,
        channel_factory: ChannelFactory,
        timeouts: PeerTimeouts | None = None,
    ) -> None:
        self.own = own
        self._channels = Channels(membership, channel_factory)
        self._timeouts = timeouts or PeerTimeouts()

    async def prepare(self, node: NodeId, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Stream objects and the round; the participant's vote."""
        answer = b""
        async with self._stream(node, "Prepare", _prepare(opening, messages), self._timeouts.transfer_ms) as stream:
            async for body in stream:
                answer = body
        with _believing(node):
            return vote_of(parse(pb.PrepareResponse, answer))

    async def commit(self, node: NodeId, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Tell a participant that its round is published; the generation it has applied then."""
        request = pb.CommitRequest(key=key_message(key), round_id=round_id, generation=generation)
        answer = await self._unary(node, "Commit", request.SerializeToString(), self._timeouts.call_ms)
        with _believing(node):
            return generation_of(parse(pb.CommitResponse, answer).generation)

    async def abort(self, node: NodeId, key: ReplicaKey, round_id: RoundId) -> None:
        """Tell a participant that its round will never be published."""
        request = pb.AbortRequest(key=key_message(key), round_id=round_id)
        await self._unary(node, "Abort", request.SerializeToString(), self._timeouts.call_ms)

    async def describe(self, node: NodeId, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """The replica's account of itself."""
        request = pb.DescribeReplicaRequest(key=key_message(key), deep=deep)
        time_ms = self._timeouts.deep_ms if deep else self._timeouts.call_ms
        answer = await self._unary(node, "DescribeReplica", request.SerializeToString(), time_ms)
        with _believing(node):
            return description_of(parse(pb.DescribeReplicaResponse, answer), node)

    async def history(self, node: NodeId, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds of the peer after a generation, checked to be without a gap."""
        request = pb.ReadHistoryRequest(key=key_message(key), after=after).SerializeToString()
        assembler = RoundAssembler()
        rounds: list[Round] = []
        async with self._stream(node, "ReadHistory", request, self._timeouts.read_ms) as stream:
            async for body in stream:
                with _believing(node):
                    message = parse(pb.ReadHistoryResponse, body)
                    round_ = assembler.add(message.round, is_complete=message.complete)
                    if len(rounds) >= ROUNDS_MAX:
                        raise InvalidRequest("history is too long for one answer", rounds_max=ROUNDS_MAX)
                    if round_ is not None:
                        _check_next(round_, key, Generation(after + len(rounds)))
                        rounds.append(round_)
        with _believing(node):
            if not assembler.is_empty:
                raise InvalidRequest("history ends within a round")
        return rounds

    async def snapshot(self, node: NodeId, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references of the peer's replica at one generation."""
        request = pb.ReadSnapshotRequest(key=key_message(key)).SerializeToString()
        assembler = SnapshotAssembler(key)
        async with self._stream(node, "ReadSnapshot", request, self._timeouts.read_ms) as stream:
            async for body in stream:
                with _believing(node):
                    assembler.add(parse(pb.ReadSnapshotResponse, body))
        with _believing(node):
            return assembler.finish()

    async def fetch_objects(
        self, node: NodeId, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack of what is reachable from `wants` and not from `haves`."""
        requests = _iterate(_fetch_messages(key, wants, haves))
        async with self._stream(node, "FetchObjects", requests, self._timeouts.transfer_ms) as stream:
            while (body := await self._next(stream, node)) is not None:
                with _believing(node):
                    data = parse(pb.FetchObjectsResponse, body).data
                yield data

    async def forward_unary(
        self, node: NodeId, method: str, body: bytes, metadata: Sequence[tuple[str, str]], *, timeout_ms: int
    ) -> bytes:
        """Hand a unary call to `node`; its answer's bytes. Raises what it raised, or PeerUnavailable."""
        channel = await self._channels.to(node)
        try:
            return await channel.unary(method, body, timeout_ms=timeout_ms, metadata=metadata)
        except CallFailed as failed:
            raise error_from_call(failed, node) from failed

    async def open_stream(
        self,
        node: NodeId,
        method: str,
        messages: AsyncIterator[bytes] | bytes,
        timeout_ms: int,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> SignedStream:
        """A stream to `node`, for the git transport and for calls handed on; the caller closes it and maps its errors."""
        channel = await self._channels.to(node)
        return channel.stream(method, messages, timeout_ms=timeout_ms, metadata=metadata)

    async def ping(self, node: NodeId) -> None:
        """Ask a node for nothing but an answer, whatever it says of its health. Raises PeerUnavailable."""
        try:
            await self.forward_unary(node, _HEALTH, b"", (), timeout_ms=self._timeouts.ping_ms)
        except PeerUnavailable:
            raise
        except MeshError as error:
            raise PeerUnavailable("node gave no answer to a health call", node=node, detail=error.message) from error

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._channels.close()

    async def _next(self, stream: SignedStream, node: NodeId) -> bytes | None:
        """The next message, None after the last. Raises PeerUnavailable: none came for too long."""
        silence_ms = self._timeouts.silence_ms
        try:
            async with asyncio.timeout(silence_ms / 1_000) as waiting:
                return await anext(stream, None)
        except TimeoutError as error:
            if not waiting.expired():
                raise
            raise PeerUnavailable("node sends nothing any more", node=node, silence_ms=silence_ms) from error

    async def _unary(self, node: NodeId, name: str, body: bytes, timeout_ms: int) -> bytes:
        return await self.forward_unary(node, _SERVICE + name, body, (), timeout_ms=timeout_ms)

    @asynccontextmanager
    async def _stream(
        self, node: NodeId, name: str, messages: AsyncIterator[bytes] | bytes, timeout_ms: int
    ) -> AsyncIterator[SignedStream]:
        try:
            channel = await self._channels.to(node)
        except BaseException:
            await _close(messages)
            raise
        async with channel.stream(_SERVICE + name, messages, timeout_ms=timeout_ms) as stream:
            try:
                yield stream
            except CallFailed as failed:
                raise error_from_call(failed, node) from failed


async def _prepare(opening: StageOpen, messages: AsyncIterator[StageMessage]) -> AsyncIterator[bytes]:
    try:
        yield open_message(opening)
        async for message in messages:
            for body in stage_messages(message):
                yield body
            if isinstance(message, StagePrepare):
                return
    finally:
        await _close(messages)


def _fetch_messages(key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]) -> Iterator[bytes]:
    message = pb.FetchObjectsRequest(key=key_message(key))
    room = OIDS_PER_MESSAGE
    for oids, field in ((wants, "wants"), (haves, "haves")):
        position = 0
        while position < len(oids):
            piece = oids[position : position + room]
            getattr(message, field).extend(piece)
            position += len(piece)
            room -= len(piece)
            if room == 0:
                yield message.SerializeToString()
                message, room = pb.FetchObjectsRequest(), OIDS_PER_MESSAGE
    if room < OIDS_PER_MESSAGE or message.HasField("key"):
        yield message.SerializeToString()


async def _iterate(bodies: Iterator[bytes]) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


async def _close(messages: object) -> None:
    close = getattr(messages, "aclose", None)
    if close is not None:
        await close()


def _check_next(round_: Round, key: ReplicaKey, base: Generation) -> None:
    if round_.key != key or round_.base_generation != base:
        raise InvalidRequest(
            "history has a gap or another repository's round", expected=base, found=round_.base_generation
        )


@contextmanager
def _believing(node: NodeId) -> Iterator[None]:
    """An answer that says what cannot be is worth nothing, so it counts as none."""
    try:
        yield
    except InvalidRequest as error:
        raise PeerUnavailable("node gave a senseless answer", node=node, detail=str(error)[:300]) from error
