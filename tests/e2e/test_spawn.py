"""Ten thousand processes beside RPC traffic: every output and exit code is right, and nothing is left.

Spawning by fork from a process that holds grpcio was seen to mix up descriptors in 2 to 4 % of the spawns. Each
process here hashes a text of its own, so that one that got another's pipe cannot go unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator

import grpc.aio
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from meshnode.git.command import GitCommands

SPAWNS = 5_000
"""On each of the two loops."""
AT_ONCE = 8
CALLERS = 4
FAILING_EACH = 10
"""Every tenth process is one that fails."""


def blob_id(text: bytes) -> bytes:
    return hashlib.sha1(b"blob %d\0%b" % (len(text), text), usedforsecurity=False).hexdigest().encode()


class Traffic:
    """Unary calls to a server of this same process, until told to stop."""

    def __init__(self) -> None:
        self.calls = 0
        self._is_stopped = False
        self._is_flowing = asyncio.Event()

    async def call_forever(self, target: str) -> None:
        async with grpc.aio.insecure_channel(target) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            while not self._is_stopped:
                reply = await check(health_pb2.HealthCheckRequest(service=""))
                assert reply.status == health_pb2.HealthCheckResponse.SERVING
                self.calls += 1
                if self.calls > 100 * CALLERS:
                    self._is_flowing.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(CALLERS):
                    group.create_task(self.call_forever(f"127.0.0.1:{port}"))
                await self._is_flowing.wait()
                yield
                self._is_stopped = True
        finally:
            await server.stop(None)


async def spawn_one(commands: GitCommands, number: int) -> str:
    """Spawn and check one process; what was wrong, "" for nothing."""
    if number % FAILING_EACH == 0:
        done = await commands.run(
            ["rev-parse", "--verify", f"nothing-{number}"], git_dir=None, config=("core.bare=true",)
        )
        is_right = done.returncode == 128 and done.stdout == b"" and done.stderr.startswith(b"fatal: ")
    else:
        text = b"process %d\n" % number * (1 + number % 50)
        done = await commands.run(["hash-object", "--stdin"], git_dir=None, stdin=text)
        is_right = (done.returncode, done.stdout, done.stderr) == (0, blob_id(text) + b"\n", b"")
    return "" if is_right else f"{number}: {done}"


async def spawn_many() -> None:
    commands = GitCommands(concurrency_max=AT_ONCE)
    assert (await commands.run(["version"], git_dir=None)).returncode == 0
    traffic = Traffic()
    wrong: list[str] = []
    async with traffic.running():
        before = descriptor_count()
        numbers = iter(range(SPAWNS))

        async def work() -> None:
            wrong.extend([problem for number in numbers if (problem := await spawn_one(commands, number))])

        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(work())
        assert wrong == []
        assert descriptor_count() <= before
        with pytest.raises(ChildProcessError):  # neither a process nor a zombie
            os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222
    assert traffic.calls > SPAWNS / 10


def descriptor_count() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.timeout(300)
def test_thousands_of_processes_beside_rpc_traffic_are_all_right(loop: str) -> None:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(spawn_many())
