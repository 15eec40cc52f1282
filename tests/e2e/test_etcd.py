"""A cluster over three etcd members: members die, all of them go away, and come back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.etcd_cluster import EtcdCluster
from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with contextlib.closing(EtcdCluster(tmp_path_factory.mktemp("etcd"))) as members:
        members.start()
        asyncio.run(members.leader())
        yield members


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory, etcd: EtcdCluster) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("nodes") / "mesh", catalog=etcd.url) as running:
        yield running


@pytest.fixture
def clustered(own_cluster: Cluster, etcd: EtcdCluster) -> Iterator[Cluster]:
    """Nodes and etcd members that are all up, before and after."""
    yield own_cluster
    for member in etcd.members:
        if member.process is None:
            member.start()
    for node in own_cluster.numbers:
        own_cluster.wait_ready(node)


def push_next(cluster: Cluster, node: int, name: str, work: Path) -> bool:
    """Push what `work` has on main; whether it was acknowledged."""
    return git("push", "--quiet", cluster.url(node, name), "main", cwd=work, check=False).returncode == 0


def commit(work: Path, text: str) -> str:
    git("commit", "--quiet", "--allow-empty", "-m", text, cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


def test_a_push_is_read_back_from_every_node(clustered: Cluster, name: str, source: Path) -> None:
    git("push", "--quiet", "--mirror", clustered.url(1, name), cwd=source)
    for node in clustered.numbers:
        assert list_refs(clustered.url(node, name)) == list_refs(source)


def test_pushes_go_on_when_the_leader_of_etcd_is_killed(
    clustered: Cluster, etcd: EtcdCluster, name: str, work: Path
) -> None:
    assert push_next(clustered, 1, name, work)
    before = clustered.generation(name)
    asyncio.run(etcd.leader()).kill()
    tips = []
    for number in range(3):
        tips.append(commit(work, f"without that leader {number}"))
        node = 1 + number % 3
        wait_until(
            lambda node=node: push_next(clustered, node, name, work),  # type: ignore[misc]
            deadline_s=20,
            what="a push is accepted",
        )
    for node in clustered.numbers:
        assert list_refs(clustered.url(node, name))["refs/heads/main"] == tips[-1]
    assert clustered.generation(name) == before + 3
    clustered.wait_consistent(name)


def test_without_a_catalog_writes_stop_and_reads_at_a_known_position_go_on(
    clustered: Cluster, etcd: EtcdCluster, name: str, work: Path
) -> None:
    assert push_next(clustered, 1, name, work)
    clustered.wait_consistent(name)
    refs, generation = list_refs(clustered.url(1, name)), clustered.generation(name)
    tip = commit(work, "without a catalog")
    for member in etcd.members:
        member.kill()
    refused = git("push", clustered.url(1, name), "main", cwd=work, check=False, timeout_s=90)
    assert refused.returncode != 0
    assert "no etcd member can be reached" in refused.stderr
    for level in (f"at-least={generation}", "any"):
        header = f"http.extraHeader=Mesh-Consistency: {level}"
        assert list_refs(clustered.url(2, name), config=(header,)) == refs
    for member in etcd.members:
        member.start()
    wait_until(lambda: push_next(clustered, 3, name, work), deadline_s=40, what="pushes go on")
    assert list_refs(clustered.url(2, name))["refs/heads/main"] == tip
    assert clustered.generation(name) == generation + 1


def test_a_node_killed_over_etcd_heals(clustered: Cluster, name: str, work: Path) -> None:
    assert push_next(clustered, 1, name, work)
    clustered.kill(2)
    tip = commit(work, "without n2")
    assert push_next(clustered, 3, name, work)
    clustered.start(2)
    clustered.wait_consistent(name)
    assert list_refs(clustered.url(2, name))["refs/heads/main"] == tip
