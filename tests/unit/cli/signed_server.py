"""Nodes that answer signed calls as scripted, on real sockets, for the commands that talk to a cluster."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import grpc
from google.protobuf.message import Message

from meshnode.auth.channel import server_options
from meshnode.auth.keys import PrivateKey
from meshnode.auth.registry import KeyRegistry, node_issuer
from meshnode.auth.replay import ReplayCache
from meshnode.auth.tokens import AUTHORIZATION, RESPONSE_METADATA, RequestVerifier, ResponseSigner
from meshnode.base.errors import MeshError
from meshnode.base.ids import NodeId
from meshnode.config import AuthSettings
from meshnode.core.applications import Application
from meshnode.engine.system import SystemClock
from meshnode.wire.status import status_of

Answer = Callable[[bytes], Message]
"""From the request's bytes to the response; may raise a MeshError."""


@dataclass
class ScriptedNode:
    """One node: how it answers and what it was asked."""

    node: NodeId
    key: PrivateKey
    answers: dict[str, Answer] = field(default_factory=dict)
    """By full method."""
    calls: list[tuple[str, bytes]] = field(default_factory=list)
    is_unsigned: bool = False
    breaks_off: bool = False
    """Take the request and end the call without a word of its own."""
    address: str = ""
    issuers: list[str] = field(default_factory=list)
    """Who called."""

    def reset(self) -> None:
        """Forget script and calls."""
        self.answers.clear()
        self.calls.clear()
        self.issuers.clear()
        self.is_unsigned = self.breaks_off = False

    def asked(self, method: str) -> list[bytes]:
        """Requests to one method."""
        return [body for called, body in self.calls if called == method]


class ScriptedCluster:
    """Serves scripted nodes on a thread of its own until the end of the `with`."""

    def __init__(
        self,
        nodes: Iterable[ScriptedNode],
        applications: Iterable[Application],
        cluster_id: str,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self.nodes = list(nodes)
        self._credentials = credentials
        self._registry = KeyRegistry()
        self._registry.replace([], applications)
        self._cluster_id = cluster_id
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._is_over = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(timeout=20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        servers = []
        for node in self.nodes:
            server = grpc.aio.server(options=server_options())
            server.add_generic_rpc_handlers((_Handler(node, self._registry, self._cluster_id),))
            wanted = node.address or "127.0.0.1:0"
            if self._credentials is None:
                port = server.add_insecure_port(wanted)
            else:
                port = server.add_secure_port(wanted, self._credentials)
            node.address = f"127.0.0.1:{port}"
            await server.start()
            servers.append(server)
        self._started.set_result(None)
        await self._is_over.wait()
        for server in servers:
            await server.stop(grace=0)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, node: ScriptedNode, registry: KeyRegistry, cluster_id: str) -> None:
        clock = SystemClock()
        audiences = frozenset({str(node.node), cluster_id})
        self._node = node
        self._verifier = RequestVerifier(
            registry, audiences, clock, ReplayCache(window_ms=300_000, entries_max=1_000), AuthSettings()
        )
        self._signer = ResponseSigner(node_issuer(node.node), node.key, clock)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        method = handler_call_details.method

        async def handle(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            return await self._handle(method, body, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _handle(self, method: str, body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        metadata = dict(context.invocation_metadata() or ())
        authorization = str(metadata.get(AUTHORIZATION, ""))
        try:
            verified = self._verifier.verify(authorization, method=method, body=body, is_replay_refused=True)
        except MeshError as error:
            status = status_of(error)
            await context.abort(status.code, status.detail, status.trailing)
            raise
        self._node.calls.append((method, body))
        self._node.issuers.append(verified.caller.issuer)
        if self._node.breaks_off:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "stream removed")
        try:
            answer = self._node.answers[method](body).SerializeToString()
        except MeshError as error:
            status = status_of(error)
            token = self._signer.response_token(
                audience=verified.caller.issuer,
                in_reply_to=verified.jti,
                status=status.code.name,
                request_last=body,
                detail=status.detail,
                trailing=status.trailing,
            )
            await context.abort(status.code, status.detail, (*status.trailing, (RESPONSE_METADATA, token)))
            raise
        token = self._signer.response_token(
            audience=verified.caller.issuer,
            in_reply_to=verified.jti,
            status="OK",
            first=answer,
            last=answer,
            request_last=body,
        )
        if not self._node.is_unsigned:
            context.set_trailing_metadata(((RESPONSE_METADATA, token),))
        return answer
