"""How long writes stand still when a node dies, and how long a replica takes to catch up or to be filled again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from meshnode.base.errors import MeshError
from meshnode.v1 import repository_pb2
from tests.bench.client import BenchClient
from tests.bench.clients import seconds_of_git
from tests.bench.measure import Row, Series
from tests.bench.pushes import LARGE, LARGE_QUICK, TINY, new_commit
from tests.bench.run import Bench
from tests.e2e.cluster import git
from tests.e2e.history import make_repository
from tests.e2e.waiting import wait_until

_MISSED = 100


def measure(bench: Bench) -> None:
    """A write after `kill -9`, catching up, and a full repair."""
    source = make_repository(bench.work / "faults.git", TINY)
    git("push", "--quiet", bench.cluster.url(1, "bench/faults"), "main", cwd=source)
    bench.cluster.wait_consistent("bench/faults")
    with BenchClient(bench.cluster.data) as client:
        _write_after_kill(bench, source, client)
        _catch_up(bench, source, client)
        _full_repair(bench, client)


def _write_after_kill(bench: Bench, source: Path, client: BenchClient) -> None:
    """Every node in turn; the next push goes to another one and is repeated until it is accepted."""
    seconds: list[float] = []
    pushed: dict[str, str] = {}
    for number in range(bench.rounds(6)):
        victim = 1 + number % 3
        other = 1 + (number + 1) % 3
        commit = new_commit(source, f"after kill {number}")
        ref = f"refs/heads/kill-{number}"
        bench.cluster.kill(victim)
        begin = time.perf_counter()
        _push_until_accepted(source, bench.cluster.url(other, "bench/faults"), f"{commit}:{ref}")
        seconds.append(time.perf_counter() - begin)
        pushed[ref] = commit
        bench.cluster.start(victim)
        _wait_consistent(client, "bench/faults")
    listed = git("ls-remote", bench.cluster.url(1, "bench/faults")).stdout
    lost = [ref for ref, commit in pushed.items() if f"{commit}\t{ref}" not in listed]
    if lost:
        raise RuntimeError(f"acknowledged pushes are gone: {lost}")
    bench.table.add(Row("next write after kill -9 of any node", Series("push", seconds), None, "within 2 s, none lost"))


def _push_until_accepted(source: Path, url: str, refspec: str) -> None:
    wait_until(
        lambda: git("push", "--quiet", url, refspec, cwd=source, check=False).returncode == 0,
        deadline_s=60,
        what="a push is accepted",
    )


def _catch_up(bench: Bench, source: Path, client: BenchClient) -> None:
    missed = 10 if bench.is_quick else _MISSED
    seconds = []
    for round_number in range(bench.rounds(3)):
        bench.cluster.kill(3)
        for number in range(missed):
            commit = new_commit(source, f"missed {round_number} {number}")
            ref = f"refs/heads/missed-{round_number}/{number}"
            git("push", "--quiet", bench.cluster.url(1, "bench/faults"), f"{commit}:{ref}", cwd=source)
        bench.cluster.start(3)
        begin = time.perf_counter()
        _wait_consistent(client, "bench/faults")
        seconds.append(time.perf_counter() - begin)
    note = "from ready to consistent"
    bench.table.add(Row(f"catch up on {missed} missed pushes", Series("repair", seconds), None, "below 3 s", note))


def _full_repair(bench: Bench, client: BenchClient) -> None:
    """A replica's directory is gone; the node fills it again. Against a mirror clone over loopback."""
    name = "bench/repair"
    source = make_repository(bench.work / "repair.git", LARGE_QUICK if bench.is_quick else LARGE)
    git("push", "--quiet", "--mirror", bench.cluster.url(1, name), cwd=source, timeout_s=600)
    bench.cluster.wait_consistent(name)
    path = bench.cluster.replica_path(3, name)
    repairs, clones = [], []
    for number in range(bench.rounds(3)):
        target = bench.work / f"mirror-{number}"
        clones.append(seconds_of_git("clone", "--quiet", "--mirror", bench.cluster.url(1, name), str(target)))
        shutil.rmtree(target)
        bench.cluster.stop(3)
        shutil.rmtree(path)
        bench.cluster.start(3)
        begin = time.perf_counter()
        _wait_consistent(client, name)
        repairs.append(time.perf_counter() - begin)
    bench.table.add(
        Row(
            "full repair of one replica",
            Series("repair", repairs),
            Series("clone --mirror", clones),
            "at most 1.3x",
            "from ready to consistent",
        )
    )


def _wait_consistent(client: BenchClient, name: str) -> None:
    """Wait until every replica is consistent and at the generation of the record, as n1 sees it."""

    def is_consistent() -> bool:
        request = repository_pb2.GetRequest(name=name, details=True)
        method = "/mesh.v1.RepositoryService/Get"
        try:
            answer = client.run(client.calls.call(method, request, repository_pb2.GetResponse))
        except MeshError as error:
            raise ValueError(str(error)) from error
        shown = answer.repository
        return len(shown.replicas) == 3 and all(
            replica.consistent and replica.generation == shown.generation for replica in shown.replicas
        )

    wait_until(is_consistent, deadline_s=300, what=f"{name} is consistent")
