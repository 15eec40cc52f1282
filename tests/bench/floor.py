"""What no answer can be quicker than, in the run it is measured in: a signed call that does nothing, a verified read that
finds its answer in memory, and a git process that does nothing.
"""

from __future__ import annotations

from grpc_health.v1 import health_pb2

from meshnode.v1 import ref_pb2
from tests.bench.asked import IN_A_ROW, call
from tests.bench.clients import seconds_of_git
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.api.caller import Api

_HEALTH = "/grpc.health.v1.Health/Check"


def measure_floor(bench: Bench, api: Api, group: str, repository: str) -> None:
    """Two rows to read the others of a group by."""
    nothing = health_pb2.HealthCheckRequest()
    request = ref_pb2.GetDefaultBranchRequest(repository=repository)
    ways = {
        "signed call": lambda _: call(api, _HEALTH, nothing, health_pb2.HealthCheckResponse)[0],
        "verified read": lambda _: call(
            api, "/mesh.v1.RefService/GetDefaultBranch", request, ref_pb2.GetDefaultBranchResponse
        )[0],
        "git --version": lambda _: seconds_of_git("--version"),
    }
    done, read, process = interleave(ways, rounds=bench.rounds(5), in_a_row=IN_A_ROW)
    bench.table.add(Row(f"{group}: floor, a call that does nothing", done, process, "none"))
    bench.table.add(Row(f"{group}: floor, a verified read of memory", read, process, "none"))
