"""One clone and twenty at once, real and light, against the same repository behind nginx."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.clients import fetch_body, light_clone, seconds_of_git, storm_light, storm_shallow
from tests.bench.measure import Row, interleave
from tests.bench.pushes import LARGE, LARGE_QUICK
from tests.bench.run import Bench
from tests.e2e.cluster import git
from tests.e2e.history import make_repository

_CLIENTS = 20
_NAME = "bench/clones"


def measure(bench: Bench) -> None:
    """The same repository on both sides; clients of the cluster are spread over its nodes in the storms."""
    source = make_repository(bench.work / "clones.git", LARGE_QUICK if bench.is_quick else LARGE)
    bench.baseline.create(_NAME)
    theirs = bench.baseline.url(_NAME)
    nodes = [bench.cluster.url(node, _NAME) for node in bench.cluster.numbers]
    for url in (nodes[0], theirs):
        git("push", "--quiet", "--mirror", url, cwd=source, timeout_s=600)
    bench.cluster.wait_consistent(_NAME)
    body = fetch_body(theirs)

    def real(url: str) -> float:
        target = bench.work / "one-clone"
        seconds = seconds_of_git("clone", "--quiet", "--bare", url, str(target))
        shutil.rmtree(target)
        return seconds

    def shallow(urls: list[str]) -> float:
        target: Path = bench.work / "storm"
        seconds = storm_shallow(urls, target, clients=_CLIENTS)
        shutil.rmtree(target)
        return seconds

    pairs: tuple[tuple[str, Callable[[list[str]], float], str, int], ...] = (
        ("one clone, real", lambda urls: real(urls[0]), "at most 1.05x", 5),
        ("one clone, light", lambda urls: light_clone(urls[0], body), "at most 1.2x", 9),
        (
            f"{_CLIENTS} clones at once, light",
            lambda urls: storm_light(urls, body, clients=_CLIENTS),
            "at most 1/12",
            3,
        ),
        (f"{_CLIENTS} clones at once, real --depth 1", shallow, "at most 1/4", 3),
    )
    for title, run, aim, rounds in pairs:
        ways = {"cluster": partial(_with_urls, run, nodes), "http-backend": partial(_with_urls, run, [theirs])}
        ours, other = interleave(ways, rounds=bench.rounds(rounds))
        bench.table.add(Row(title, ours, other, aim))


def _with_urls(run: Callable[[list[str]], float], urls: list[str], number: int) -> float:
    del number
    return run(urls)
