"""The busiest repositories of a real cluster: counted where they were answered, added up, a dead node named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, running_cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "mesh") as running:
        yield running


def test_clones_and_pushes_are_counted_once_over_all_nodes(cluster: Cluster, work: Path, tmp_path: Path) -> None:
    git("push", "--quiet", cluster.url(1, "team/busy"), "main", cwd=work)
    git("push", "--quiet", cluster.url(2, "team/quiet"), "main", cwd=work)
    for number in range(6):
        git("clone", "--quiet", cluster.url(1 + number % 3, "team/busy"), str(tmp_path / f"clone-{number}"))
    told = cluster.json("cluster", "hot", "--window", "10m", "--suggest")
    assert [node["node"] for node in told["nodes"] if node["reachable"]] == ["n1", "n2", "n3"]
    busy, quiet = told["repositories"]
    assert (busy["name"], quiet["name"]) == ("team/busy", "team/quiet")
    # A clone by protocol 2 asks for the advertisement, the references and the pack; a push is one write.
    assert (busy["reads"] >= 18, busy["writes"], quiet["writes"]) == (True, 1, 1)
    assert sum(share["reads"] for share in busy["shares"]) == busy["reads"]
    assert busy["git_ms"] > 0
    assert busy["bytes_out"] > quiet["bytes_out"]
    assert busy["replicas"] == 3
    assert busy["suggestion"]["reasons"]
    assert busy["suggestion"]["read_replicas"] == 0  # there is no fourth node

    cluster.kill(3)
    shown = cluster.meshnode("cluster", "hot", "--limit", "1", "--suggest")
    assert "team/busy" in shown.stdout
    assert "team/quiet" not in shown.stdout
    assert "needed:" in shown.stdout
    assert "n3 gave no answer" in shown.stderr
    refused = cluster.meshnode("cluster", "hot", "--window", "2h", check=False)
    assert refused.returncode != 0
    assert "minute to an hour" in refused.stderr
