"""The price of signing: one RPC, with tokens both ways and without, through the same server steps.

The RPC is grpc.health.v1.Health/Check, which a local cluster answers to callers without a token too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2

from tests.bench.client import BenchClient
from tests.bench.measure import Row, Series
from tests.bench.run import Bench

_METHOD = "/grpc.health.v1.Health/Check"
_REQUEST = health_pb2.HealthCheckRequest()
_BATCH = 300
"""Calls of one measurement: some tenths of a second."""


def measure(bench: Bench) -> None:
    """One call after the other, then 32 in flight."""
    with BenchClient(bench.cluster.data) as client:
        client.run(_measure(bench, client))


async def _measure(bench: Bench, client: BenchClient) -> None:
    endpoint = client.target.endpoints[0]
    async with grpc.aio.insecure_channel(endpoint.address) as channel:
        plain_call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_METHOD)

        async def plain() -> None:
            health_pb2.HealthCheckResponse.FromString(await plain_call(_REQUEST.SerializeToString(), timeout=30))

        async def signed() -> None:
            await client.calls.call_node(endpoint, _METHOD, _REQUEST, health_pb2.HealthCheckResponse)

        for in_flight, aim in ((1, "at most 2.5x"), (32, "at most 2.5x (0.4x the throughput)")):
            seconds: dict[str, list[float]] = {"signed": [], "unsigned": []}
            for _ in range(bench.rounds(7)):
                for way, call in (("signed", signed), ("unsigned", plain)):
                    seconds[way].append(await _batch(call, in_flight) / _BATCH)
            bench.table.add(
                Row(
                    f"RPC, {in_flight} in flight, time a call",
                    Series("signed", seconds["signed"]),
                    Series("unsigned", seconds["unsigned"]),
                    aim,
                )
            )


async def _batch(call: Callable[[], Awaitable[None]], in_flight: int) -> float:
    left = _BATCH

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return time.perf_counter() - begin
