"""Builds the gRPC server out of the proto descriptors and the servicers; starts and stops it.

Every method of every service of `mesh.v1` must have its servicer's method, or the server is not built: a method in
the proto that nobody serves is found at start-up, not by a client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from meshnode.auth.channel import server_options
from meshnode.base.errors import InvalidRequest, InvariantViolated
from meshnode.ports import Activity, Clock
from meshnode.rpc.introspection import HEALTH, HealthServicer, Reflection, health_methods, reflection_methods
from meshnode.rpc.method import Method, methods_of
from meshnode.rpc.pipeline import Pipeline
from meshnode.v1 import (
    cluster_pb2,
    commit_pb2,
    diff_pb2,
    event_pb2,
    maintenance_pb2,
    operation_pb2,
    ref_pb2,
    replication_pb2,
    repository_pb2,
    transport_pb2,
    tree_pb2,
)

SERVICES: Final[Mapping[str, ServiceDescriptor]] = {
    service.full_name: service
    for module in (
        repository_pb2,
        ref_pb2,
        tree_pb2,
        commit_pb2,
        diff_pb2,
        transport_pb2,
        replication_pb2,
        cluster_pb2,
        maintenance_pb2,
        event_pb2,
        operation_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
}
"""Every service this node can serve, by its full name."""

CALLS_AT_ONCE_MAX: Final = 4_096
"""Calls that gRPC itself lets in, before a token was looked at; the rest is refused without reading a body."""


class RpcServer:
    """A gRPC server over one set of servicers."""

    def __init__(
        self,
        *,
        servicers: Mapping[str, object],
        pipeline: Pipeline,
        activity: Activity,
        clock: Clock,
        address: str,
        credentials: grpc.ServerCredentials | None,
    ) -> None:
        """Build the server; `servicers` are by full service name, `address` is host:port (port 0: any).

        Raises:
            InvariantViolated: a servicer lacks a method of its service.
            InvalidRequest: the address cannot be listened on.
        """
        names = [*servicers, HEALTH.full_name]
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for name, servicer in servicers.items():
            handlers.update(_handlers(methods_of(SERVICES[name]), servicer, pipeline))
        handlers.update(_handlers(health_methods(), HealthServicer(activity, clock, names), pipeline))
        handlers.update(_handlers(reflection_methods(), Reflection(names), pipeline))
        self._server = grpc.aio.server(
            handlers=(_RawHandlers(handlers),),
            options=server_options(),
            maximum_concurrent_rpcs=CALLS_AT_ONCE_MAX,
        )
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise InvalidRequest("cannot listen for gRPC", address=address) from error

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    async def stop(self, grace_ms: int) -> None:
        """Take no new calls, let running ones end for `grace_ms`, then cancel them. Idempotent."""
        await self._server.stop(grace_ms / 1000)


class _RawHandlers(grpc.GenericRpcHandler):
    """Finds the handler of a path; a path without one is UNIMPLEMENTED."""

    def __init__(self, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)


def _handlers(
    methods: Sequence[Method], servicer: object, pipeline: Pipeline
) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    found: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for method in methods:
        run = getattr(servicer, method.name, None)
        if run is None:
            raise InvariantViolated("servicer lacks a method of its service", method=method.path)
        # Without serialisers gRPC hands over raw bytes. A stream in one direction looks on the wire like one in both.
        if not method.is_streaming:
            found[method.path] = grpc.unary_unary_rpc_method_handler(pipeline.unary(method, run))
        elif not method.is_request_streaming and method.position_number:
            found[method.path] = grpc.unary_unary_rpc_method_handler(pipeline.answering(method, run))
        else:
            found[method.path] = grpc.stream_stream_rpc_method_handler(pipeline.streaming(method, run))
    return found
