"""Diffs over a signed RPC, against `git diff-tree` run locally; and how long a short call takes beside eight heavy ones.

The git process is the same one, so a diff costs what git costs and a call on top; it is asked about another commit each
time. Asked again, the answer comes from memory.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from meshnode.v1 import diff_pb2
from tests.bench.asked import IN_A_ROW, stream
from tests.bench.clients import seconds_of_git
from tests.bench.floor import measure_floor
from tests.bench.measure import Row, Series, interleave
from tests.bench.run import Bench
from tests.e2e.api.caller import Api
from tests.e2e.cluster import git
from tests.e2e.history import DEMO, make_repository

_NAME = "bench/diffs"
_HEAVY = "bench/heavy-diff"
_HEALTH = "/grpc.health.v1.Health/Check"
_PAUSE_S = 0.01


def measure(bench: Bench) -> None:
    """One commit, many commits, paths; then health beside heavy diffs."""
    source = make_repository(bench.work / "diffs.git", DEMO)
    git("push", "--quiet", "--mirror", bench.cluster.url(1, _NAME), cwd=source)
    bench.cluster.wait_consistent(_NAME)
    commits = git("rev-list", "--no-merges", "--max-count=400", "main", cwd=source).stdout.split()
    first = git("rev-list", "--max-parents=0", "main", cwd=source).stdout.split()[0]
    with Api(bench.cluster) as api:
        measure_floor(bench, api, "diffs", _NAME)
        _rows(bench, api, commits, first)
    _beside_heavy_ones(bench)


def _rows(bench: Bench, api: Api, commits: list[str], first: str) -> None:
    replica = bench.cluster.replica_path(1, _NAME)
    turn = iter(commits)

    def ask(request: diff_pb2.DiffRequest) -> float:
        return stream(api, "/mesh.v1.DiffService/Diff", request, diff_pb2.DiffResponse)[0]

    def of(commit: str) -> diff_pb2.Comparison:
        return diff_pb2.Comparison(commit=diff_pb2.CommitChange(revision=commit))

    def row(what: str, ours: Callable[[str], diff_pb2.DiffRequest], *theirs: str, aim: str = "at most 1.0x") -> None:
        def local(_: int) -> float:
            commit = next(turn)
            return seconds_of_git("diff-tree", *(one.format(commit) for one in theirs), cwd=replica)

        ways = {"RPC, signed": lambda _: ask(ours(next(turn))), "git diff-tree": local}
        mine, stock = interleave(ways, rounds=bench.rounds(6), in_a_row=IN_A_ROW)
        bench.table.add(Row(what, mine, stock, aim))

    row(
        "diff of a commit",
        lambda commit: diff_pb2.DiffRequest(repository=_NAME, comparison=of(commit)),
        *("-r", "-p", "-M", "--raw", "{}"),
    )
    row(
        "diff of a commit, asked again",
        lambda _: diff_pb2.DiffRequest(repository=_NAME, comparison=of(commits[0])),
        *("-r", "-p", "-M", "--raw", "{}"),
    )
    row(
        "diff against the first commit",
        lambda commit: diff_pb2.DiffRequest(
            repository=_NAME, comparison=diff_pb2.Comparison(pair=diff_pb2.Pair(old=first, new=commit))
        ),
        *("-r", "-p", "-M", "--raw", first, "{}"),
    )


def _beside_heavy_ones(bench: Bench) -> None:
    _make_heavy(bench)
    idle = Series("p99, nothing else to do", [asyncio.run(_p99(bench.cluster.grpc(1), bench)) for _ in range(3)])
    command = [sys.executable, "-m", "tests.bench.diff_load"]
    arguments = [str(bench.cluster.data), str(bench.cluster.base_port), _HEAVY]
    with subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE) as load:
        try:
            assert load.stdout is not None
            if not load.stdout.readline():
                raise RuntimeError("the heavy diffs do not run")
            values = [asyncio.run(_p99(bench.cluster.grpc(1), bench)) for _ in range(bench.rounds(5))]
            if load.poll() is not None:
                raise RuntimeError("the heavy diffs ended")
        finally:
            load.kill()
    beside = Series("p99 beside eight heavy diffs", values)
    note = f"p99 of {_checks(bench)} checks, {len(values)} times beside and 3 times without"
    bench.table.add(Row("health check beside eight heavy diffs, p99", beside, idle, "below 20 ms", note))


def _checks(bench: Bench) -> int:
    return 100 if bench.is_quick else 400


def _make_heavy(bench: Bench) -> None:
    path: Path = bench.work / "heavy"
    git("init", "--quiet", "--initial-branch=main", str(path))
    chance = random.Random(1)
    for version in range(2):
        for number in range(10):
            lines = (f"{chance.random() if (line + version) % 3 else line}\n" for line in range(20_000))
            (path / f"{number}.txt").write_text("".join(lines))
        git("add", ".", cwd=path)
        git("commit", "--quiet", "-m", f"version {version}", cwd=path)
    git("push", "--quiet", bench.cluster.url(1, _HEAVY), "main", cwd=path)
    bench.cluster.wait_consistent(_HEAVY)


async def _p99(address: str, bench: Bench) -> float:
    """Of one call every 10 ms."""
    async with grpc.aio.insecure_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_HEALTH)
        body = health_pb2.HealthCheckRequest().SerializeToString()
        seconds = []
        for _ in range(_checks(bench)):
            begin = time.perf_counter()
            await call(body, timeout=30)
            seconds.append(time.perf_counter() - begin)
            await asyncio.sleep(_PAUSE_S)
        return statistics.quantiles(seconds, n=100)[98]
