"""A real gRPC server on loopback that signs its answers, and breaks the rules in whichever way a test asks for.

The method's name is the behaviour: `/echo/Echo` returns each message; the others are listed in `Echo.answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from meshnode.auth.channel import SignedChannel, server_options
from meshnode.auth.tokens import RESPONSE_METADATA, MessageTrace, VerifiedRequest
from meshnode.base.errors import MeshError, Unauthenticated
from tests.unit.auth.parties import RealClock, node_signer, registry, response_signer, verifier

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Echo:
    """Node n2, or whoever claims to be."""

    identity: str = "n2"
    seen: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._verifier = verifier(RealClock())
        self._signer = response_signer(self.identity, RealClock())

    async def serve(self, messages: AsyncIterator[bytes], context: Context, method: str) -> None:
        metadata = dict(context.invocation_metadata() or ())
        try:
            verified = self._verifier.verify(
                str(metadata.get("authorization", "")), method=method, body=None, is_replay_refused=True
            )
        except MeshError as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        self.reached.set()
        request, response = MessageTrace(), MessageTrace()
        try:
            await self.answer(method, messages, context, verified=verified, request=request, response=response)
        finally:
            self.ended.set()

    async def answer(
        self,
        method: str,
        messages: AsyncIterator[bytes],
        context: Context,
        *,
        verified: VerifiedRequest,
        request: MessageTrace,
        response: MessageTrace,
    ) -> None:
        name = method.removeprefix("/echo/")
        if name == "Hang":
            await self.release.wait()
        if name in {"RefuseAtOnce", "UnsignedRefusal", "RefuseOnTheWay"}:
            if name == "RefuseOnTheWay":
                await self._read_one(messages, verified, request)
            await self._refuse(context, verified, request, response, is_signed=name != "UnsignedRefusal")
        await context.send_initial_metadata((("mesh-position", "7"),))
        if name == "Impatient":
            await self._read_one(messages, verified, request)
        else:
            async for message in messages:
                self._take(message, verified, request)
                if name != "Last":
                    response.note(message)
                    await context.write(message)
        if name == "OneThenRefuse":
            await self._refuse(context, verified, request, response)
        if name == "Last":
            assert request.last is not None
            response.note(request.last)
            await context.write(request.last)
        if name == "Append":
            await context.write(b"appended")
        if name == "Forget":
            response.note(b"never sent")
        if name == "Forge":
            request.last = b"something else"
        token = self._signer.response_token(
            audience=verified.caller.issuer,
            in_reply_to="another" if name == "OtherRequest" else verified.jti,
            status="OK",
            first=response.first,
            last=response.last,
            count=response.count,
            request_last=request.last,
            request_count=request.count,
        )
        if name != "Unsigned":
            context.set_trailing_metadata(((RESPONSE_METADATA, token),))

    async def _read_one(self, messages: AsyncIterator[bytes], verified: VerifiedRequest, request: MessageTrace) -> None:
        self._take(await anext(messages), verified, request)

    def _take(self, message: bytes, verified: VerifiedRequest, request: MessageTrace) -> None:
        if request.count == 0:
            verified.check_body(message)
        request.note(message)
        self.seen.append(message)

    async def _refuse(
        self,
        context: Context,
        verified: VerifiedRequest,
        request: MessageTrace,
        response: MessageTrace,
        *,
        is_signed: bool = True,
    ) -> None:
        facts = ("mesh-error-bin", b'{"type":"NotFound"}')
        token = self._signer.response_token(
            audience=verified.caller.issuer,
            in_reply_to=verified.jti,
            status="NOT_FOUND",
            first=response.first,
            last=response.last,
            count=response.count,
            request_last=request.last,
            request_count=request.count,
            detail="no such thing",
            trailing=[facts],
        )
        trailing = (facts, (RESPONSE_METADATA, token)) if is_signed else (facts,)
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", trailing)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = str(details.method)
        if not method.startswith("/echo/"):
            return None

        async def behaviour(messages: AsyncIterator[bytes], context: Context) -> None:
            try:
                await self._echo.serve(messages, context, method)
            except Unauthenticated as error:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))

        return grpc.stream_stream_rpc_method_handler(behaviour)


@asynccontextmanager
async def running(
    echo: Echo, credentials: grpc.ServerCredentials | None = None, address: str = "127.0.0.1:0"
) -> AsyncIterator[str]:
    """Serve `echo`; the address."""
    server = grpc.aio.server(options=server_options())
    server.add_generic_rpc_handlers((_Handlers(echo),))
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def channel_to(
    target: str,
    *,
    speaker: str = "n1",
    audience: str = "n2",
    connect_ms: int = 2_000,
    credentials: grpc.ChannelCredentials | None = None,
) -> AsyncIterator[SignedChannel]:
    """A channel of node n1 to node n2."""
    clock = RealClock()
    channel = SignedChannel(
        target,
        audience=audience,
        signer=node_signer(speaker, clock),
        registry=registry(),
        expected_issuer="node:n2",
        credentials=credentials,
        clock=clock,
        connect_ms=connect_ms,
    )
    try:
        yield channel
    finally:
        await channel.close()
