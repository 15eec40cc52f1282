"""Small and large pushes to three durable replicas, against one unreplicated repository behind nginx."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.bench.clients import seconds_of_git
from tests.bench.measure import Row, interleave
from tests.bench.run import Bench
from tests.e2e.cluster import git
from tests.e2e.history import Shape, make_repository

TINY = Shape(commits=4, branches=0, tags=0, files=4, seed=11)
MANY_REFS = Shape(commits=4_000, branches=1_600, tags=70, files=400, seed=12)
"""About 1,700 references."""
LARGE = Shape(commits=6_000, branches=100, tags=50, files=2_000, noise_bytes=7_000, seed=13)
"""A pack of about 48 MB."""
LARGE_QUICK = Shape(commits=500, branches=10, tags=5, files=200, noise_bytes=7_000, seed=13)


def measure(bench: Bench) -> None:
    """A tiny repository, one of many references, one large push."""
    _small(bench, "tiny", TINY, aim="at most 1.5x, then 1.0x")
    _small(bench, "1,700 references", MANY_REFS, aim="at most 1.0x")
    _large(bench)


def _small(bench: Bench, title: str, shape: Shape, *, aim: str) -> None:
    slug = f"bench/small-{shape.seed}"
    source = make_repository(bench.work / f"small-{shape.seed}.git", shape)
    bench.baseline.create(slug)
    urls = {"three replicas": bench.cluster.url(1, slug), "http-backend": bench.baseline.url(slug)}
    for url in urls.values():
        git("push", "--quiet", "--mirror", url, cwd=source)
    git("-C", str(bench.baseline.path(slug)), "pack-refs", "--all")

    def push(way: str, number: int) -> float:
        commit = new_commit(source, f"{way} {number}")
        return seconds_of_git("push", "--quiet", urls[way], f"{commit}:refs/heads/new/{number}", cwd=source)

    ways = {way: partial(push, way) for way in urls}
    ours, other = interleave(ways, rounds=bench.rounds(25))
    bench.table.add(Row(f"small push, {title}", ours, other, aim))


def _large(bench: Bench) -> None:
    source = make_repository(bench.work / "large.git", LARGE_QUICK if bench.is_quick else LARGE)
    pack_bytes = sum(path.stat().st_size for path in (source / "objects/pack").glob("*.pack"))

    def push(url: str, number: int) -> float:
        return seconds_of_git("push", "--quiet", "--mirror", url.format(number=number), cwd=source)

    rounds = bench.rounds(3)
    for number in range(rounds):
        bench.baseline.create(f"bench/large-{number}")
    ours, other = interleave(
        {
            "three replicas": lambda number: push(bench.cluster.url(1, "bench/large-{number}"), number),
            "http-backend": lambda number: push(bench.baseline.url("bench/large-{number}"), number),
        },
        rounds=rounds,
    )
    bench.table.add(Row(f"large push, {pack_bytes / 1e6:.0f} MB pack", ours, other, "at most 1.2x"))


def new_commit(repository: Path, message: str) -> str:
    """A commit on top of main that no reference names; its id."""
    return git(
        "commit-tree", "refs/heads/main^{tree}", "-p", "refs/heads/main", "-m", message, cwd=repository
    ).stdout.strip()
