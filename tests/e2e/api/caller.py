"""Calls one cluster's RPCs from synchronous tests: signed, verified, on a loop of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from google.protobuf.message import Message

from meshnode.auth.channel import CallFailed, SignedChannel
from meshnode.auth.keys import load_private_key
from meshnode.auth.pinned import open_pinned_channel
from meshnode.auth.registry import application_issuer
from meshnode.auth.tokens import TokenSigner
from meshnode.base.errors import MeshError
from meshnode.cli.layout import OPERATOR, Layout, require_cluster_file
from meshnode.engine.system import SystemClock
from meshnode.wire.status import error_from_call
from tests.e2e.cluster import Cluster

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class Api:
    """Every node of a cluster, as its operator. Calls go round the nodes, so forwarding is tested by the way."""

    def __init__(self, cluster: Cluster) -> None:
        self._runner = asyncio.Runner()
        self._channels = self._runner.run(_open(cluster))
        self._turn = itertools.cycle(sorted(self._channels))

    def call(self, method: str, request: Message, answer: type[M], *, node: int = 0, timeout_ms: int = 30_000) -> M:
        """One unary call of `mesh.v1.<method>`. Raises the MeshError that was answered."""

        async def run(channel: SignedChannel) -> M:
            body = await channel.unary(f"/mesh.v1.{method}", request.SerializeToString(), timeout_ms=timeout_ms)
            return answer.FromString(body)

        return self.run(run, node)

    def stream(
        self,
        method: str,
        requests: Message | Iterable[Message],
        answer: type[M],
        *,
        node: int = 0,
        timeout_ms: int = 60_000,
    ) -> list[M]:
        """One streaming call: all messages of its answer."""

        async def run(channel: SignedChannel) -> list[M]:
            sent = requests.SerializeToString() if isinstance(requests, Message) else _serialised(requests)
            async with channel.stream(f"/mesh.v1.{method}", sent, timeout_ms=timeout_ms) as stream:
                return [answer.FromString(message) async for message in stream]

        return self.run(run, node)

    def run(self, work: Callable[[SignedChannel], Coroutine[Any, Any, T]], node: int = 0) -> T:
        """Do something with the channel to a node; 0: whoever's turn it is."""

        async def guarded(number: int) -> T:
            try:
                return await work(self._channels[number])
            except CallFailed as failed:
                raise error_from_call(failed, _node(number)) from failed

        return self._runner.run(guarded(node or next(self._turn)))

    def error(self, method: str, request: Message, *, node: int = 0) -> MeshError:
        """The error that a unary call must be answered with."""
        try:
            self.call(method, request, type(request), node=node)
        except MeshError as error:
            return error
        raise AssertionError(f"{method} was answered without an error")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            self._runner.run(channel.close())
        self._runner.close()


async def _open(cluster: Cluster) -> dict[int, SignedChannel]:
    layout = Layout(cluster.data.absolute())
    clock = SystemClock()
    signer = TokenSigner(application_issuer(OPERATOR), load_private_key(layout.operator_key), clock)
    return {
        number: open_pinned_channel(
            entry.grpc, entry.node, entry.public_keys, signer=signer, credentials=None, clock=clock
        )
        for number, entry in enumerate(require_cluster_file(layout).nodes, start=1)
    }


async def _serialised(requests: Iterable[Message]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request.SerializeToString()


def _node(number: int) -> Any:
    return f"n{number}"
