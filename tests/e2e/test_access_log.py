"""The access log of real nodes: every kind of request leaves a line of one shape, forwarded ones one at each node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, git, running_cluster
from tests.e2e.waiting import wait_until
from tests.unit.telemetry.test_access import FIELDS

CONTEXT = {"round"}
"""What a line may have besides, bound by whoever works on the request."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes with three replicas: one node has to hand on what it is asked about the repository."""
    with running_cluster(tmp_path_factory.mktemp("access") / "mesh", nodes=4) as running:
        yield running


@pytest.fixture(scope="module")
def outsider(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The node without a replica of `team/logged`, which exists and has a commit."""
    path = tmp_path_factory.mktemp("work") / "work"
    git("init", "--quiet", "--initial-branch=main", str(path))
    git("commit", "--quiet", "--allow-empty", "-m", "one", cwd=path)
    git("push", "--quiet", cluster.url(1, "team/logged"), "main", cwd=path)
    members = {replica["node"] for replica in cluster.repository("team/logged")["replicas"]}
    (other,) = {f"n{node}" for node in cluster.numbers} - members
    return int(other[1:])


def lines_of(cluster: Cluster, node: int) -> list[dict[str, Any]]:
    text = (cluster.node_path(node) / "node.log").read_text()
    parsed = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in parsed if line["event"] == "request_served"]


def last(cluster: Cluster, node: int, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The newest line that fits; a line is written right after its answer, so it may take a moment."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [line for line in lines_of(cluster, node) if is_it(line)]
        return bool(found)

    wait_until(look, deadline_s=10, what=f"a line in the log of n{node}")
    line = found[-1]
    assert set(line) - CONTEXT == FIELDS
    return line


def test_a_push_and_a_fetch_through_a_node_without_a_replica(cluster: Cluster, outsider: int, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "--quiet", cluster.url(outsider, "team/logged"), str(clone))
    fetch = last(cluster, outsider, lambda line: line["method"] == "upload-pack" and line["bytes_out"] > 100)
    assert (fetch["server"], fetch["kind"], fetch["repository"]) == ("http", "accessor", "team/logged")
    assert (fetch["caller"], fetch["actor"], fetch["peer"]) == ("anonymous", "anonymous", "127.0.0.1")
    assert (fetch["outcome"], fetch["http_status"], fetch["consistency"]) == ("OK", 200, "verified")
    assert fetch["node"] == f"n{outsider}"
    assert fetch["forwarded_to"] not in {"", f"n{outsider}"}
    assert fetch["generation"] == cluster.generation("team/logged")
    assert fetch["bytes_in"] > 0
    assert fetch["duration_ms"] > 0
    there = last(
        cluster,
        int(fetch["forwarded_to"][1:]),
        lambda line: line["method"].endswith("/UploadPack") and line["bytes_out"] > 100,
    )
    assert (there["server"], there["caller"], there["actor"]) == ("grpc", f"node:n{outsider}", "anonymous")
    assert (there["is_forwarded"], there["forwarded_to"], there["repository"]) == (True, "", "team/logged")
    assert (there["generation"], there["http_status"]) == (fetch["generation"], None)
    assert there["git_ms"] > 0

    git("commit", "--quiet", "--allow-empty", "-m", "two", cwd=clone)
    git("push", "--quiet", "origin", "main", cwd=clone)
    push = last(cluster, outsider, lambda line: line["method"] == "receive-pack")
    assert (push["kind"], push["repository"], push["outcome"]) == ("mutator", "team/logged", "OK")
    assert (push["consistency"], push["is_forwarded"]) == ("", False)
    assert push["forwarded_to"].startswith("n")


def test_a_read_a_write_and_a_refusal_by_rpc(cluster: Cluster, outsider: int) -> None:
    member = next(node for node in cluster.numbers if node != outsider)
    cluster.meshnode("repo", "verify", "team/logged")
    cluster.meshnode("repo", "show", "team/logged")
    read = last(cluster, 1, lambda line: line["method"].endswith("RepositoryService/Get"))
    assert (read["server"], read["kind"], read["caller"]) == ("grpc", "accessor", "app:operator")
    assert (read["repository"], read["outcome"], read["http_status"]) == ("team/logged", "OK", None)
    cluster.meshnode("repo", "create", "team/written")
    write = last(cluster, 1, lambda line: line["method"].endswith("RepositoryService/Create"))
    assert (write["kind"], write["repository"], write["generation"]) == ("mutator", "team/written", 1)
    assert (write["peer"], write["git_version"], write["is_aborted"]) == ("127.0.0.1", None, False)
    refused = cluster.meshnode("repo", "show", "team/nowhere", check=False)
    assert refused.returncode != 0
    missing = last(cluster, 1, lambda line: line["repository"] == "team/nowhere")
    assert (missing["outcome"], missing["level"]) == ("NOT_FOUND", "warning")
    git("ls-remote", cluster.url(member, "team/nowhere"), check=False)
    unfound = last(cluster, member, lambda line: line["server"] == "http" and line["repository"] == "team/nowhere")
    assert (unfound["outcome"], unfound["http_status"], unfound["level"]) == ("NOT_FOUND", 404, "warning")
