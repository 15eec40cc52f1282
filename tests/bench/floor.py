"""What no answer can be quicker than, in the run it is measured in: a signed call that does nothing, a verified read that
finds its answer in memory, and a git process that does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from grpc_health.v1 import health_pb2

from meshnode.auth.channel import SignedChannel
from meshnode.v1 import ref_pb2
from tests.bench.clients import seconds_of_git
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.api.caller import Api

_HEALTH = "/grpc.health.v1.Health/Check"


def measure_floor(bench: Bench, api: Api, group: str, repository: str) -> None:
    """Two rows to read the others of a group by."""

    async def check(channel: SignedChannel) -> bytes:
        return await channel.unary(_HEALTH, health_pb2.HealthCheckRequest().SerializeToString(), timeout_ms=30_000)

    def find() -> None:
        request = ref_pb2.GetDefaultBranchRequest(repository=repository)
        api.call("RefService/GetDefaultBranch", request, ref_pb2.GetDefaultBranchResponse, node=1)

    ways = {
        "signed call": lambda _: seconds_of(lambda: api.run(check, 1)),
        "verified read": lambda _: seconds_of(find),
        "git --version": lambda _: seconds_of_git("--version"),
    }
    call, read, process = interleave(ways, rounds=bench.rounds(30))
    bench.table.add(Row(f"{group}: floor, a call that does nothing", call, process, "none"))
    bench.table.add(Row(f"{group}: floor, a verified read of memory", read, process, "none"))


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
