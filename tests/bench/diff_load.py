"""Asks one node for heavy diffs, eight at a time, until it is killed: a process of its own, so that what it costs to
read the answers is not measured with what it costs to give them.

usage: python -m tests.bench.diff_load DATA BASE_PORT REPOSITORY
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from meshnode.auth.channel import SignedChannel
from meshnode.v1 import diff_pb2
from tests.e2e.api.caller import Api
from tests.e2e.cluster import Cluster

_AT_ONCE = 8


def main() -> None:
    """Run until killed; a line on standard output says that the first diff is complete."""
    data, base_port, repository = sys.argv[1:]
    os.nice(10)
    request = diff_pb2.DiffRequest(
        repository=repository,
        comparison=diff_pb2.Comparison(pair=diff_pb2.Pair(old="main~1", new="main")),
        limits=diff_pb2.DiffLimits(
            lines_max=1_000_000, bytes_max=256 << 20, file_lines_max=1_000_000, file_bytes_max=256 << 20
        ),
    ).SerializeToString()

    async def run(channel: SignedChannel) -> None:
        async def ask() -> None:
            while True:
                async with channel.stream("/mesh.v1.DiffService/Diff", request, timeout_ms=60_000) as stream:
                    async for _ in stream:
                        pass
                print("done", flush=True)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(ask())

    with Api(Cluster(Path(data), base_port=int(base_port))) as api:
        api.run(run, node=1)


if __name__ == "__main__":
    main()
