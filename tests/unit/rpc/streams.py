"""Nodes that serve two streaming methods of their own over StreamForwarder, and hand them to each other for real."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from meshnode.auth.channel import SignedChannel
from meshnode.auth.stream import SignedStream
from meshnode.base.ids import NodeId
from meshnode.core.nodes import Node
from meshnode.peer.grpc import GrpcPeers
from meshnode.rpc.call import Answer, Call, closing, first_message
from meshnode.rpc.forward import Route
from meshnode.rpc.forward_stream import StreamForwarder, Upload
from meshnode.rpc.method import CallerRole, Kind, Method
from meshnode.v1 import ref_pb2
from tests.unit.rpc.fakes import FakeMembership, FakeRouter, node_entry
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N1, N2, N3

LIST: Final = Method(
    path="/mesh.test.Streams/List",
    name="list",
    kind=Kind.ACCESSOR,
    role=CallerRole.READER,
    input=ref_pb2.ListRefsRequest,
    is_streaming=True,
    is_answer_streaming=True,
    is_request_streaming=False,
)
WHOLE: Final = dataclasses.replace(LIST, path="/mesh.test.Streams/Whole")
"""As List, its last message sent together with the status."""
PUT: Final = Method(
    path="/mesh.test.Streams/Put",
    name="put",
    kind=Kind.MUTATOR,
    role=CallerRole.WRITER,
    input=ref_pb2.UpdateRefsRequest,
    is_streaming=True,
    is_answer_streaming=False,
    is_request_streaming=True,
)
_ROUTE: Final = Route("repository")

Step = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Let things go on."""


@dataclass
class Worker:
    """What one node does with a call that it answers itself."""

    node: NodeId
    answers: int = 3
    before_answers: Step = nothing
    between_answers: Step = nothing
    before_body: Step = nothing
    in_body: Step = nothing
    after_body: Step = nothing
    calls: list[Call] = field(default_factory=list)
    received: list[list[str]] = field(default_factory=list)
    """Request keys of the messages of each upload."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(self, request: ref_pb2.ListRefsRequest, call: Call) -> AsyncIterator[Answer]:
        """Some messages that name this node."""
        assert request.repository == "a/b"
        self.calls.append(call)
        try:
            await self.before_answers()
            for number in range(self.answers):
                if number:
                    await self.between_answers()
                yield ref_pb2.ListRefsResponse(next_page_token=f"{self.node} {number}")
                self.begun.set()
        finally:
            self.ended.set()

    async def put(self, first: ref_pb2.UpdateRefsRequest, rest: AsyncIterator[Any], call: Call) -> Answer:
        """Take an upload; the answer names this node."""
        self.calls.append(call)
        try:
            await self.before_body()
            self.received.append([first.request_key])
            async for message in rest:
                self.received[-1].append(message.request_key)
                self.begun.set()
                await self.in_body()
            await self.after_body()
        finally:
            self.ended.set()
        return ref_pb2.UpdateRefsResponse(round_id=self.node)


class Member:
    """One node: its server, and how it reaches the others."""

    def __init__(self, node: NodeId, membership: FakeMembership) -> None:
        self.site = Site(own=node, router=FakeRouter([node]), membership=membership)
        self.worker = Worker(node)
        self.remote = GrpcPeers(node, membership, self._dial)
        self.forwarder = StreamForwarder(
            own=node,
            router=self.site.router,
            membership=membership,
            remote=self.remote,
            clock=self.site.clock,
            entropy=self.site.entropy,
        )
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        pipeline = self.site.pipeline()
        self._server = grpc.aio.server(
            handlers=(
                _Handlers(
                    {
                        LIST.path: grpc.stream_stream_rpc_method_handler(pipeline.streaming(LIST, self._list)),
                        WHOLE.path: grpc.unary_unary_rpc_method_handler(pipeline.answering(WHOLE, self._list)),
                        PUT.path: grpc.stream_stream_rpc_method_handler(pipeline.streaming(PUT, self._put)),
                    }
                ),
            )
        )
        self.site.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self.site.membership.entries[self.site.own] = node_entry(self.site.own, f"127.0.0.1:{self.site.port}")

    async def stop(self) -> None:
        """Break off everything."""
        if self._server is not None:
            await self._server.stop(0)

    async def close(self) -> None:
        """Stop, and let go of the others."""
        await self.stop()
        await self.remote.close()

    async def _list(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Answer]:
        request = await first_message(requests)
        async with closing(self.forwarder.answers(_ROUTE, request, call, self.worker.list)) as answers:
            async for answer in answers:
                yield answer

    async def _put(self, requests: AsyncIterator[Any], call: Call) -> Answer:
        first = await first_message(requests)
        return await self.forwarder.upload(_ROUTE, Upload(first, first, requests), call, self.worker.put)

    def _dial(self, node: Node) -> SignedChannel:
        return SignedChannel(
            node.grpc_url,
            audience=node.node,
            signer=self.site.signer(self.site.own),
            registry=self.site.registry,
            expected_issuer=f"node:{node.node}",
            credentials=None,
            clock=self.site.clock,
            connect_ms=500,
        )


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)


@dataclass
class Trio:
    """n1, which clients call, n2 and n3."""

    entry: Member
    second: Member
    third: Member
    channel: SignedChannel
    membership: FakeMembership

    def candidates(self, *nodes: NodeId) -> None:
        """Say whom n1 may ask; the others would ask themselves."""
        self.entry.site.router.nodes = list(nodes)

    def listing(self, *, timeout_ms: int = 5_000, repository: str = "a/b", method: Method = LIST) -> SignedStream:
        """A call of List at n1."""
        body = ref_pb2.ListRefsRequest(repository=repository).SerializeToString()
        return self.channel.stream(method.path, body, timeout_ms=timeout_ms)

    async def list(self, *, timeout_ms: int = 5_000, repository: str = "a/b") -> list[str]:
        """What n1 answers to List."""
        async with self.listing(timeout_ms=timeout_ms, repository=repository) as stream:
            return [ref_pb2.ListRefsResponse.FromString(message).next_page_token async for message in stream]

    def putting(
        self,
        messages: Sequence[str] = ("1", "2", "3"),
        *,
        key: str = "k",
        pause: Step = nothing,
        timeout_ms: int = 5_000,
    ) -> SignedStream:
        """A call of Put at n1; `pause` comes before the last message."""

        async def body() -> AsyncIterator[bytes]:
            yield ref_pb2.UpdateRefsRequest(repository="a/b", request_key=key).SerializeToString()
            for number, message in enumerate(messages, start=1):
                if number == len(messages):
                    await pause()
                yield ref_pb2.UpdateRefsRequest(request_key=message).SerializeToString()

        return self.channel.stream(PUT.path, body(), timeout_ms=timeout_ms)

    async def put(self, messages: Sequence[str] = ("1", "2", "3"), *, key: str = "k") -> str:
        """Which node took the upload."""
        async with self.putting(messages, key=key) as stream:
            (answer,) = [ref_pb2.UpdateRefsResponse.FromString(message) async for message in stream]
            return answer.round_id


@asynccontextmanager
async def running() -> AsyncIterator[Trio]:
    """Three nodes that serve, and a client of n1."""
    membership = FakeMembership({node: node_entry(node) for node in (N1, N2, N3)})
    async with AsyncExitStack() as stack:
        members = [Member(node, membership) for node in (N1, N2, N3)]
        for member in members:
            stack.push_async_callback(member.close)
            await member.start()
        channel = members[0].site.channel("writer")
        stack.push_async_callback(channel.close)
        yield Trio(members[0], members[1], members[2], channel, membership)
