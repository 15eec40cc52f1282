"""Read replicas on five real nodes: filled, current, asked, in nobody's way, late after a restart, and gone again."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meshnode.v1 import repository_pb2
from tests.e2e.api.caller import Api
from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.raw import send
from tests.e2e.waiting import wait_until

FAST = {
    "MESHNODE_REBALANCE__INTERVAL_MS": "100",
    "MESHNODE_REBALANCE__DROP_AFTER_MS": "1500",
    "MESHNODE_REPLICATION__REPAIR_SWEEP_MS": "2000",
}
pytestmark = pytest.mark.timeout(600)
NAME = "storm/clones"
SOON_S = 60.0


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("readers") / "mesh", nodes=5, environment=FAST) as running:
        yield running


@pytest.fixture(scope="module")
def work(five: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose pushes go to the repository."""
    directory = tmp_path_factory.mktemp("work")
    git("init", "--quiet", "--initial-branch=main", str(directory))
    git("commit", "--quiet", "--allow-empty", "-m", "one", cwd=directory)
    git("push", "--quiet", five.url(1, NAME), "main", cwd=directory)
    return directory


def shown(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.json("repo", "show", NAME)
    return found


def roles(cluster: Cluster) -> tuple[list[int], list[int]]:
    """Numbers of the nodes with replicas, and of those with read replicas."""
    members = shown(cluster)["replicas"]
    voters = [int(one["node"][1:]) for one in members if not one["read_replica"]]
    return voters, [int(one["node"][1:]) for one in members if one["read_replica"]]


def push(cluster: Cluster, work: Path, node: int) -> str:
    """Push one more commit through a node; its id."""
    git("commit", "--quiet", "--allow-empty", "-m", "more", cwd=work)
    git("push", "--quiet", cluster.url(node, NAME), "main", cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


def are_current(cluster: Cluster) -> bool:
    now = shown(cluster)
    return all(one["consistent"] and one["generation"] == now["generation"] for one in now["replicas"])


def copies(cluster: Cluster, repository: str) -> set[int]:
    return {n for n in cluster.numbers if list((cluster.node_path(n) / "repositories").glob(f"*/{repository}"))}


def answers(api: Api, node: int) -> tuple[str, int]:
    """Who answers a verified read that is asked at a node, and at which generation."""
    request = repository_pb2.GetRequest(name=NAME)
    position = api.call("RepositoryService/Get", request, repository_pb2.GetResponse, node=node).position
    return position.node, position.generation


def test_they_are_filled_and_answer_verified_reads_at_the_new_generation(five: Cluster, work: Path) -> None:
    chosen = five.json("repo", "add-read-replicas", NAME, "2")["read_replicas"]
    voters, readers = roles(five)
    assert [f"n{number}" for number in readers] == chosen
    assert (len(voters), len(readers)) == (3, 2)
    wait_until(partial(are_current, five), deadline_s=SOON_S, what="read replicas are filled")
    with Api(five) as api:
        for turn in range(3):
            tip = push(five, work, five.numbers[turn])
            generation = shown(five)["generation"]
            for reader in readers:
                wait_until(
                    lambda: answers(api, reader) == (f"n{reader}", generation),  # noqa: B023 - called at once
                    deadline_s=SOON_S,
                    what="the read replica answers itself",
                )
                assert list_refs(five.url(reader, NAME))["refs/heads/main"] == tip, "git, too"
    for reader in readers:
        page = send(five.http_port(reader), "GET", "/metrics", timeout_s=10).body.decode()
        counted = re.search(r'^meshnode_read_replica_reads_total{outcome="answered"} ([0-9.]+)$', page, re.MULTILINE)
        assert counted is not None
        assert float(counted[1]) >= 6, "git's reads and the API's"
    (busy,) = [one for one in five.json("cluster", "hot")["repositories"] if one["name"] == NAME]
    taken = {share["node"]: share["reads"] for share in busy["shares"]}
    assert busy["read_replica_reads"] == sum(taken[node] for node in chosen) > 0
    assert five.json("repo", "verify", NAME)["ok"]
    placed = next(one for one in five.json("cluster", "partitions") if one["read_replicas_wanted"])
    assert placed["read_replicas"] == chosen
    assert five.json("cluster", "status")["repositories_repairing"] == 0, "no record lists them"
    for number in five.numbers:
        noted = json.loads((five.node_path(number) / "read-replicas.json").read_text())["partitions"]
        assert noted == ([placed["partition"]] if number in readers else []), "for a rebuild of the catalog"


def test_writes_need_and_get_their_quorum_without_them(five: Cluster, work: Path) -> None:
    voters, readers = roles(five)
    for reader in readers:
        five.kill(reader)
    tip = push(five, work, voters[0])
    assert list_refs(five.url(voters[1], NAME))["refs/heads/main"] == tip
    assert not [one["node"] for one in shown(five)["replicas"] if not one["read_replica"] and not one["consistent"]]
    for reader in readers:
        five.start(reader)
        five.wait_ready(reader)
    wait_until(partial(are_current, five), deadline_s=SOON_S, what="they catch up after their restart")
    with Api(five) as api:
        for reader in readers:
            assert answers(api, reader) == (f"n{reader}", shown(five)["generation"])


def test_writes_are_refused_without_a_quorum_of_replicas_and_reads_go_on(five: Cluster, work: Path) -> None:
    voters, readers = roles(five)
    tip = push(five, work, voters[0])
    wait_until(partial(are_current, five), deadline_s=SOON_S, what="everyone has the push")
    for voter in voters[1:]:
        five.kill(voter)
    git("commit", "--quiet", "--allow-empty", "-m", "too few", cwd=work)
    for node in (voters[0], readers[0]):
        refused = git("push", "--quiet", five.url(node, NAME), "main", cwd=work, check=False)
        assert refused.returncode != 0, "read replicas are no quorum"
    for node in (voters[0], *readers):
        assert list_refs(five.url(node, NAME))["refs/heads/main"] == tip
    for voter in voters[1:]:
        five.start(voter)
        five.wait_ready(voter)
    wait_until(
        lambda: git("push", "--quiet", five.url(voters[0], NAME), "main", cwd=work, check=False).returncode == 0,
        deadline_s=SOON_S,
        what="writes go on",
    )


def test_those_taken_away_drop_their_copies(five: Cluster) -> None:
    voters, readers = roles(five)
    repository = shown(five)["id"]
    assert copies(five, repository) == {*voters, *readers}
    left = five.json("repo", "remove-read-replicas", NAME, "--nodes", f"n{readers[0]}")["read_replicas"]
    assert left == [f"n{readers[1]}"]
    assert five.json("repo", "remove-read-replicas", NAME)["read_replicas"] == []
    wait_until(lambda: copies(five, repository) == set(voters), deadline_s=SOON_S, what="their copies go")
    assert roles(five) == (voters, [])
    refused = five.meshnode("repo", "add-read-replicas", NAME, "3", check=False)
    assert refused.returncode != 0
    assert "too few nodes for that many read replicas" in refused.stderr


def settled_replicas(five: Cluster, name: str) -> set[str]:
    """Replicas of the partition that a repository lives in; none while it moves."""
    placed = {one["partition"]: one for one in five.json("cluster", "partitions")}
    now = placed[five.json("repo", "show", name)["partition"]]
    return set() if now["target"] or now["joining"] else set(now["replicas"])


def test_a_repository_with_a_factor_of_its_own_gets_its_replicas_online(five: Cluster, work: Path) -> None:
    """Created with five, lowered to one, raised to the cluster's number; pushes go on."""
    name = "storm/five"

    five.meshnode("repo", "create", name, "--replication-factor", "5")
    git("push", "--quiet", five.url(2, name), "main", cwd=work)
    tip = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    for wanted, count in ((None, 5), (1, 1), (0, 3)):
        if wanted is not None:
            assert five.json("repo", "factor", name, str(wanted))["factor"] == wanted
        wait_until(lambda: len(settled_replicas(five, name)) == count, deadline_s=SOON_S, what=f"{count} replicas")  # noqa: B023
        assert list_refs(five.url(4, name))["refs/heads/main"] == tip
    refused = five.meshnode("repo", "create", "storm/nine", "--replication-factor", "9", check=False)
    assert refused.returncode != 0
    assert "too few nodes for the replication factor" in refused.stderr


def test_a_family_that_shares_its_partition_gets_a_factor_of_its_own_while_it_is_pushed_to(
    five: Cluster, work: Path, tmp_path: Path
) -> None:
    """On the way a stock git pushes through every node; the neighbours stay where they are, restarts change nothing."""
    family, neighbour = ("crowd/root", "crowd/fork"), "crowd/neighbour"
    for name in (family[0], neighbour):  # the same wish leads to the same partition
        five.meshnode("repo", "create", name, "--replication-factor", "3")
    git("push", "--quiet", five.url(1, family[0]), "main", cwd=work)
    five.meshnode("repo", "fork", *family)
    shared = five.json("repo", "show", family[0])["partition"]
    assert five.json("repo", "show", neighbour)["partition"] == shared
    before = settled_replicas(five, neighbour)
    pushed: dict[str, str] = {}
    failures: list[str] = []
    is_over = threading.Event()

    def push_on(name: str, first: int) -> None:
        clone = tmp_path / name.replace("/", "-")
        git("clone", "--quiet", five.url(first, name), str(clone))
        node = first
        while not is_over.is_set():
            node = node % 5 + 1
            git("commit", "--quiet", "--allow-empty", "-m", "more", cwd=clone)
            done = git("push", "--quiet", five.url(node, name), "main", cwd=clone, check=False)
            if done.returncode:
                failures.append(done.stderr)
            else:
                pushed[name] = git("rev-parse", "HEAD", cwd=clone).stdout.strip()

    pushing = [threading.Thread(target=push_on, args=(name, 1 + place)) for place, name in enumerate(family)]
    for thread in pushing:
        thread.start()
    try:
        wait_until(lambda: len(pushed) == 2, deadline_s=SOON_S, what="both are pushed to")
        ordered = five.json("repo", "factor", family[1], "5")
        assert ordered["partition"] != shared
        wait_until(lambda: len(settled_replicas(five, family[0])) == 5, deadline_s=SOON_S, what="five replicas")
    finally:
        is_over.set()
        for thread in pushing:
            thread.join(SOON_S)
    assert failures == []
    assert {five.json("repo", "show", name)["partition"] for name in family} == {ordered["partition"]}
    assert five.json("repo", "show", neighbour)["partition"] == shared
    assert settled_replicas(five, neighbour) == before
    five.kill(4)
    five.start(4)
    five.wait_ready(4)
    for name in family:
        verify = partial(five.meshnode, "repo", "verify", name, check=False)
        wait_until(lambda: verify().returncode == 0, deadline_s=SOON_S, what="all agree")  # noqa: B023
        for node in range(1, 6):
            assert list_refs(five.url(node, name))["refs/heads/main"] == pushed[name]
    assert json.loads((five.node_path(4) / "families.json").read_text())["families"]
