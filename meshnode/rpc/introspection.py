"""Answers health checks and reflection, in the standard protocols, about this project's services only.

Health follows `Activity`: SERVING while the node is ready and takes work. A watch looks at it a few times a second
and sends changes; it is the caller's stream, and ends with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from meshnode.base.errors import NotFound
from meshnode.ports import Activity, Clock
from meshnode.rpc.call import Call
from meshnode.rpc.method import Method, introspection_methods_of

HEALTH: Final[Any] = health_pb2.DESCRIPTOR.services_by_name["Health"]
REFLECTION: Final[Any] = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
REFLECTION_V1: Final = "grpc.reflection.v1.ServerReflection"
"""The same messages under the name newer clients ask first."""

WATCH_MS: Final = 250
"""Four looks a second at two booleans cost nothing, and no balancer reacts faster."""

_STATUS: Final = health_pb2.HealthCheckResponse


class HealthServicer:
    """grpc.health.v1.Health for the node ("") and each of `services`."""

    def __init__(self, activity: Activity, clock: Clock, services: Sequence[str]) -> None:
        self._activity = activity
        self._clock = clock
        self._services = frozenset(services) | {""}

    async def check(self, request: health_pb2.HealthCheckRequest, _: Call) -> health_pb2.HealthCheckResponse:
        """Whether the node takes work. Raises NotFound for a service that is not here."""
        if request.service not in self._services:
            raise NotFound("no such service", service=request.service[:100])
        return _STATUS(status=self._status())

    async def watch(self, requests: AsyncIterator[Any], _: Call) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yield the status now and whenever it changes."""
        request = await anext(requests)
        if request.service not in self._services:
            yield _STATUS(status=_STATUS.SERVICE_UNKNOWN)
            return
        last: int | None = None
        while True:
            status = self._status()
            if status != last:
                yield _STATUS(status=status)
                last = status
            await self._clock.sleep(WATCH_MS)

    async def list(self, _: Any, __: Call) -> Any:
        """The status of every service; they all follow the node's."""
        response = health_pb2.HealthListResponse()  # type: ignore[attr-defined]  # newer than its stubs
        for service in sorted(self._services):
            response.statuses[service].status = self._status()
        return response

    def _status(self) -> Any:
        is_serving = self._activity.is_ready() and not self._activity.is_draining()
        return _STATUS.SERVING if is_serving else _STATUS.NOT_SERVING


class Reflection:
    """grpc.reflection for the services that are listed."""

    def __init__(self, services: Sequence[str]) -> None:
        self._answers = ReflectionServicer(service_names=services)

    def server_reflection_info(self, requests: AsyncIterator[Any], _: Call) -> AsyncIterator[Any]:
        """Answer each question with descriptors."""
        answers: Any = self._answers.ServerReflectionInfo(_with_services(requests), None)
        return answers  # type: ignore[no-any-return]  # the stubs take an async generator for a coroutine


async def _with_services(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The questions, those about a method turned into ones about its service: the pool finds no file by a method."""
    async for request in requests:
        service, _, method = request.file_containing_symbol.rpartition(".")
        try:
            if method in descriptor_pool.Default().FindServiceByName(service).methods_by_name:
                request.file_containing_symbol = service
        except KeyError:
            pass  # not a method; the answer says whether it is anything else
        yield request


def health_methods() -> list[Method]:
    """The methods of the health service."""
    return introspection_methods_of(HEALTH)


def reflection_methods() -> list[Method]:
    """The methods of the reflection service, under both its names."""
    return introspection_methods_of(REFLECTION) + introspection_methods_of(REFLECTION, alias=REFLECTION_V1)
