"""Listing references over a signed RPC, against `git for-each-ref` run locally on the same replica."""

from __future__ import annotations

import time
from pathlib import Path

from meshnode.v1 import ref_pb2
from tests.bench.client import BenchClient
from tests.bench.clients import seconds_of_git
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.cluster import git
from tests.e2e.raw import EMPTY_PACK, RECEIVE, ZERO, push_commands, send

_PER_PUSH = 5_000
"""References pushed at once; below the 10,000 a push may change."""
_COMMITS = 50
_PAGE = 50_000


def measure(bench: Bench) -> None:
    """5,000 and 50,000 references."""
    _measure_one(bench, 5_000, aim="at most 1.0x")
    if not bench.is_quick:
        _measure_one(bench, 50_000, aim="at most 0.5x")


def _measure_one(bench: Bench, count: int, *, aim: str) -> None:
    name = f"bench/refs-{count}"
    _fill(bench, name, count)
    path = bench.cluster.replica_path(1, name)
    with BenchClient(bench.cluster.data) as client:
        _check(client, name, count)
        ours, local = interleave(
            {
                "RPC, signed": lambda _: _list(client, name),
                "git for-each-ref": lambda _: seconds_of_git("for-each-ref", cwd=path),
            },
            rounds=bench.rounds(15),
        )
    bench.table.add(Row(f"list {count:,} references", ours, local, aim))


def _list(client: BenchClient, name: str) -> float:
    begin = time.perf_counter()
    _read(client, name)
    return time.perf_counter() - begin


def _read(client: BenchClient, name: str) -> ref_pb2.ListRefsResponse:
    request = ref_pb2.ListRefsRequest(repository=name, page_size=_PAGE)
    method = "/mesh.v1.RefService/ListRefs"
    return client.run(client.calls.call_node(client.target.endpoints[0], method, request, ref_pb2.ListRefsResponse))


def _check(client: BenchClient, name: str, count: int) -> None:
    answer = _read(client, name)
    if len(answer.refs) != count or answer.next_page_token:
        raise RuntimeError(f"expected {count} references in one page, got {len(answer.refs)}")


def _fill(bench: Bench, name: str, count: int) -> None:
    """References to a few commits, sent as raw commands: git's own client takes minutes for so many."""
    path: Path = bench.work / f"refs-{count}.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    tree = git("mktree", cwd=path, stdin="").stdout.strip()
    commits = [git("commit-tree", tree, "-m", f"commit {n}", cwd=path).stdout.strip() for n in range(_COMMITS)]
    refspecs = [f"{commit}:{_ref(number)}" for number, commit in enumerate(commits)]
    git("push", "--quiet", bench.cluster.url(1, name), *refspecs, cwd=path)
    for start in range(_COMMITS, count, _PER_PUSH):
        numbers = range(start, min(start + _PER_PUSH, count))
        body = push_commands(*((ZERO, commits[number % _COMMITS], _ref(number)) for number in numbers))
        answer = send(
            bench.cluster.http_port(1),
            "POST",
            f"/{name}.git/git-receive-pack",
            body=body + EMPTY_PACK,
            headers=RECEIVE,
            timeout_s=300,
        )
        if answer.body.count(b"ok refs/") != len(numbers):
            raise RuntimeError(f"references were refused: {answer.status} {answer.body[:300]!r}")
    bench.cluster.wait_consistent(name)


def _ref(number: int) -> str:
    return f"refs/heads/group-{number % 20:02d}/branch-{number:06d}"
