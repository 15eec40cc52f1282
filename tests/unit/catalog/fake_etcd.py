"""A gRPC server that answers like an etcd member, from a script: failures that a real one shows only by chance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Self

import grpc
import grpc.aio
from google.protobuf.message import Message

from meshnode.catalog.etcd_v3 import meshnode_etcd_pb2 as pb

REQUESTS: Final[dict[str, Any]] = {
    "/etcdserverpb.KV/Txn": pb.TxnRequest,
    "/etcdserverpb.KV/Range": pb.RangeRequest,
    "/etcdserverpb.Lease/LeaseGrant": pb.LeaseGrantRequest,
    "/etcdserverpb.Lease/LeaseKeepAlive": pb.LeaseKeepAliveRequest,
    "/etcdserverpb.Auth/Authenticate": pb.AuthenticateRequest,
}

Context = grpc.aio.ServicerContext[Any, Any]
Step = Callable[[Context], Awaitable[Message]]


def fail(code: grpc.StatusCode, details: str) -> Step:
    """Answer with a status."""

    async def step(context: Context) -> Message:
        await context.abort(code, details)
        raise AssertionError("abort returned")

    return step


def answer(message: Message) -> Step:
    """Answer with a message."""

    async def step(_: Context) -> Message:
        return message

    return step


async def stay_silent(_: Context) -> Message:
    """Take the request and never answer."""
    await asyncio.Event().wait()
    raise AssertionError("nobody wakes this")


DONE: Final = answer(pb.TxnResponse(succeeded=True, header=pb.ResponseHeader(revision=7)))
TIMED_OUT: Final = fail(grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out")
NO_LEADER: Final = fail(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
BAD_TOKEN: Final = fail(grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")


class FakeEtcd(grpc.GenericRpcHandler):  # type: ignore[misc, unused-ignore] # grpc's stubs leave it untyped
    """One member. Each call takes the next step of its method's script, the last one again and again."""

    def __init__(self, scripts: dict[str, list[Step]], watch: Sequence[Sequence[pb.WatchResponse | None]] = ()) -> None:
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.watches: list[pb.WatchRequest] = []
        self._scripts = {path: list(steps) for path, steps in scripts.items()}
        self._watch = list(watch)
        self._server = grpc.aio.server()
        self.endpoint = ""

    async def __aenter__(self) -> Self:
        self._server.add_generic_rpc_handlers((self,))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Break every connection."""
        await self._server.stop(None)

    def paths(self) -> list[str]:
        """Kinds of the requests that came, in order."""
        return [type(request).__name__ for request in self.requests]

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        path = handler_call_details.method
        if path == "/etcdserverpb.Watch/Watch":
            return grpc.stream_stream_rpc_method_handler(
                self._serve_watch,  # type: ignore[arg-type, unused-ignore]
                request_deserializer=pb.WatchRequest.FromString,
                response_serializer=pb.WatchResponse.SerializeToString,
            )
        if path not in self._scripts:
            return None

        async def serve(request: Message, context: Context) -> Message:
            self.requests.append(request)
            self.metadata.append(dict(context.invocation_metadata() or ()))
            steps = self._scripts[path]
            return await (steps.pop(0) if len(steps) > 1 else steps[0])(context)

        return grpc.unary_unary_rpc_method_handler(
            serve,  # type: ignore[arg-type, unused-ignore]
            request_deserializer=REQUESTS[path].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    async def _serve_watch(
        self, requests: AsyncIterator[pb.WatchRequest], context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Give the next stream's responses; None breaks it off, and a stream without that stays open."""
        self.watches.append(await anext(aiter(requests)))
        for response in self._watch.pop(0) if self._watch else []:
            if response is None:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
            else:
                yield response
        await asyncio.Event().wait()
