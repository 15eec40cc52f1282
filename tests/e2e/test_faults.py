"""Nodes that die, stop and come back, on a cluster of this file's own."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from os import kill
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, is_running, list_refs, running_cluster
from tests.e2e.proxy import running_proxy
from tests.e2e.waiting import wait_until

_STALL = 3_000_000


@pytest.fixture(scope="module")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("faults") / "mesh") as running:
        yield running


@pytest.fixture
def fragile(own_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with every node up, before and after."""
    yield own_cluster
    for node in own_cluster.numbers:
        if not own_cluster.pid(node):
            own_cluster.start(node)


def commit(work: Path, text: str) -> str:
    git("commit", "--quiet", "--allow-empty", "-m", text, cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


@pytest.mark.parametrize("victim", [1, 2, 3])
def test_writes_go_on_when_one_node_is_killed_and_it_heals(
    fragile: Cluster, name: str, work: Path, victim: int
) -> None:
    others = [node for node in fragile.numbers if node != victim]
    git("push", "--quiet", fragile.url(others[0], name), "main", cwd=work)
    fragile.kill(victim)
    begin = time.monotonic()
    tips = []
    for number in range(4):
        tips.append(commit(work, f"without n{victim}: {number}"))
        git("push", "--quiet", fragile.url(others[number % 2], name), "main", cwd=work)
    assert time.monotonic() - begin < 60
    for node in others:
        assert list_refs(fragile.url(node, name))["refs/heads/main"] == tips[-1]
    fragile.start(victim)
    fragile.wait_consistent(name, generation=fragile.generation(name))
    assert list_refs(fragile.url(victim, name))["refs/heads/main"] == tips[-1]
    assert fragile.meshnode("repo", "verify", name, check=False).returncode == 0


def test_a_repository_that_was_made_while_a_node_was_down_is_there_afterwards(
    fragile: Cluster, name: str, source: Path
) -> None:
    fragile.kill(3)
    git("push", "--quiet", "--mirror", fragile.url(1, name), cwd=source)
    fragile.start(3)
    fragile.wait_consistent(name)
    assert git("fsck", "--no-dangling", cwd=fragile.replica_path(3, name)).stdout == ""
    assert list_refs(fragile.url(3, name)) == list_refs(fragile.url(1, name))


def test_without_a_quorum_a_push_is_refused_and_changes_nothing(fragile: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", fragile.url(1, name), "main", cwd=work)
    fragile.wait_consistent(name)
    refs = list_refs(fragile.url(1, name))
    generation = fragile.generation(name)
    paths = [fragile.replica_path(node, name) for node in fragile.numbers]
    tip = commit(work, "two")
    fragile.kill(2)
    fragile.kill(3)
    refused = git("push", fragile.url(1, name), "main", cwd=work, check=False, timeout_s=60)
    assert refused.returncode != 0
    assert "quorum" in refused.stderr.lower()
    for path in paths:
        assert git("rev-parse", "refs/heads/main", cwd=path).stdout.strip() == refs["refs/heads/main"]
    header = f"http.extraHeader=Mesh-Consistency: at-least={generation}"
    assert list_refs(fragile.url(1, name), config=(header,)) == refs
    fragile.start(2)
    fragile.start(3)
    wait_until(
        lambda: git("push", "--quiet", fragile.url(2, name), "main", cwd=work, check=False).returncode == 0,
        deadline_s=30,
        what="pushes go on once the nodes are back",
    )
    for node in fragile.numbers:
        assert list_refs(fragile.url(node, name))["refs/heads/main"] == tip
    assert fragile.generation(name) == generation + 1


def test_all_nodes_killed_at_once_come_back_with_every_push(fragile: Cluster, name: str, work: Path) -> None:
    tips = {}
    for number in range(3):
        tips[f"refs/heads/b{number}"] = commit(work, f"before {number}")
        git("push", "--quiet", fragile.url(1 + number, name), f"main:refs/heads/b{number}", cwd=work)
    for node in fragile.numbers:
        fragile.kill(node)
    fragile.up()
    fragile.wait_consistent(name)
    for node in fragile.numbers:
        refs = list_refs(fragile.url(node, name))
        assert {ref: refs.get(ref) for ref in tips} == tips


def test_a_node_killed_in_the_middle_of_a_push_does_not_lose_or_invent_it(
    fragile: Cluster, name: str, work: Path, bulky: Path
) -> None:
    git("push", "--quiet", fragile.url(1, name), "main", cwd=work)
    with running_proxy(fragile.http_port(3), stall_up_after=_STALL) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/{name}.git"
        with subprocess.Popen(
            ["git", "push", url, "refs/heads/main:refs/heads/big"],
            cwd=bulky,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as client:
            assert proxy.stalled.wait(60)
            fragile.kill(3)
            assert client.wait(60) != 0
    assert "refs/heads/big" not in list_refs(fragile.url(1, name))
    fragile.start(3)
    fragile.wait_consistent(name)
    fragile.wait_quiet()
    git("push", "--quiet", fragile.url(3, name), "refs/heads/main:refs/heads/big", cwd=bulky)


def test_a_graceful_stop_lets_a_clone_in_flight_end(fragile: Cluster, name: str, bulky: Path, tmp_path: Path) -> None:
    git("push", "--quiet", "--mirror", fragile.url(1, name), cwd=bulky)
    pid = fragile.pid(2)
    with (
        running_proxy(fragile.http_port(2), stall_down_after=_STALL) as proxy,
        subprocess.Popen(
            [
                "git",
                "clone",
                "--quiet",
                "--mirror",
                f"http://127.0.0.1:{proxy.port}/{name}.git",
                str(tmp_path / "clone"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as client,
    ):
        assert proxy.stalled.wait(60)
        kill(pid, signal.SIGTERM)
        wait_until(lambda: not fragile.is_ready(2), what="the node takes no new work")
        assert is_running(pid)
        proxy.resume()
        _, complaint = client.communicate(timeout=90)
    assert client.returncode == 0, complaint
    wait_until(lambda: not is_running(pid), deadline_s=60, what="the node ends")
    assert git("fsck", cwd=tmp_path / "clone").returncode == 0
    fragile.start(2)


def test_a_stopped_node_leaves_no_process_and_no_pid_file_in_the_way(fragile: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", fragile.url(1, name), "main", cwd=work)
    fragile.stop(2)
    assert not fragile.pid(2)
    git("push", "--quiet", fragile.url(3, name), "main:refs/heads/other", cwd=work)
    fragile.start(2)
    fragile.wait_consistent(name)
