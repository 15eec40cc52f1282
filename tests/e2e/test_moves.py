"""Replicas that move between five real nodes while people push: spread, fewer and more of them, drained, removed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

FAST = {
    "MESHNODE_REBALANCE__INTERVAL_MS": "100",
    "MESHNODE_REBALANCE__PARTITIONS_AT_ONCE": "32",
    "MESHNODE_REBALANCE__DROP_AFTER_MS": "1500",
    "MESHNODE_REBALANCE__USAGE_INTERVAL_MS": "20000",
}
pytestmark = pytest.mark.timeout(600)

MOVED_S = 240.0
"""Time for half of 256 partitions to move on a machine that is busy with other tests."""


@dataclass
class Pusher:
    """Pushes a new branch again and again, through one node after the other, and remembers what was acknowledged."""

    cluster: Cluster
    name: str
    work: Path
    nodes: list[int]
    acknowledged: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Let the push under way end."""
        self._is_over.set()
        assert self._thread is not None
        self._thread.join(timeout=120)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        number = 0
        while not self._is_over.wait(0.2):
            number += 1
            git("commit", "--quiet", "--allow-empty", "-m", f"push {number}", cwd=self.work)
            branch = f"refs/heads/b{number}"
            tip = git("rev-parse", "HEAD", cwd=self.work).stdout.strip()
            errors = []
            for turn in range(len(self.nodes)):
                node = self.nodes[(number + turn) % len(self.nodes)]
                done = git(
                    "push", "--quiet", self.cluster.url(node, self.name), f"HEAD:{branch}", cwd=self.work, check=False
                )
                if done.returncode == 0:
                    self.acknowledged[branch] = tip
                    break
                errors.append(f"n{node}: {done.stderr.strip()}")
            else:
                self.failed.append(" | ".join(errors))


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("moves") / "mesh", nodes=5, environment=FAST) as running:
        yield running


@pytest.fixture
def pushers(five: Cluster, tmp_path: Path) -> Iterator[list[Pusher]]:
    """Three people at work."""
    people = []
    for number in range(3):
        work = tmp_path / f"work{number}"
        git("init", "--quiet", "--initial-branch=main", str(work))
        git("commit", "--quiet", "--allow-empty", "-m", "one", cwd=work)
        name = f"moves/{tmp_path.name[-20:].strip('-')}-{number}"
        git("push", "--quiet", five.url(1, name), "main", cwd=work)
        people.append(Pusher(five, name, work, [1, 2, 3, 4, 5]))
    for one in people:
        one.start()
    yield people
    for one in people:
        if not one._is_over.is_set():
            one.stop()


def partitions(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.json("cluster", "partitions")
    return found


def is_at_rest(cluster: Cluster) -> bool:
    return not any(one["target"] or one["joining"] or one["leaving"] for one in partitions(cluster))


def held(cluster: Cluster) -> Counter[str]:
    return Counter(node for one in partitions(cluster) for node in one["replicas"])


def wait_at_rest(cluster: Cluster) -> None:
    wait_until(lambda: is_at_rest(cluster), deadline_s=MOVED_S, what="all moves end")


def is_verified(cluster: Cluster, name: str) -> bool:
    return cluster.meshnode("repo", "verify", name, check=False, timeout_s=120).returncode == 0


def check_nothing_is_lost(cluster: Cluster, people: list[Pusher], via: int) -> None:
    for one in people:
        one.stop()
        assert one.acknowledged, "nothing was pushed"
        assert one.failed == [], "a push that no node took"
        refs = list_refs(cluster.url(via, one.name))
        assert {branch: refs.get(branch) for branch in one.acknowledged} == one.acknowledged
        wait_until(partial(is_verified, cluster, one.name), deadline_s=90, what=f"{one.name} is the same everywhere")


def test_replicas_are_spread_evenly_under_pushes(five: Cluster, pushers: list[Pusher]) -> None:
    before = held(five)
    assert max(before.values()) - min(before.values()) > 1, "draws alone are not even"
    plan = five.json("cluster", "rebalance", "--plan")
    assert plan["dry_run"]
    assert plan["moves"]
    assert held(five) == before, "a plan changes nothing"
    five.meshnode("cluster", "rebalance", "--pause")
    five.meshnode("cluster", "rebalance")
    status = five.json("cluster", "status")["moves"]
    assert (status["paused"], status["partitions"]) == (True, len(plan["moves"]))
    assert held(five) == before, "paused"
    five.meshnode("cluster", "rebalance", "--resume")
    wait_at_rest(five)
    after = held(five)
    assert max(after.values()) - min(after.values()) <= 1
    moved = sum((after - before).values())
    assert moved == sum(len(move["entering"]) for move in plan["moves"]), "what was planned, and nothing else"
    check_nothing_is_lost(five, pushers, via=2)


def test_factors_change_online(five: Cluster, pushers: list[Pusher]) -> None:
    shown = five.json("repo", "show", pushers[0].name)
    number = str(shown["partition"])
    five.meshnode("cluster", "factor", "5", "--partition", number)
    wait_until(
        lambda: len(five.json("repo", "show", pushers[0].name)["replicas"]) == 5 and is_at_rest(five),
        deadline_s=MOVED_S,
        what="there are five replicas",
    )
    five.meshnode("cluster", "factor", "0", "--partition", number)
    wait_until(
        lambda: len(five.json("repo", "show", pushers[0].name)["replicas"]) == 3 and is_at_rest(five),
        deadline_s=MOVED_S,
        what="there are three replicas again",
    )
    check_nothing_is_lost(five, pushers, via=1)
    copies = [node for node in five.numbers if list((five.node_path(node) / "repositories").glob(f"*/{shown['id']}"))]
    assert len(copies) == 3, "the others dropped theirs"


def test_a_drained_node_takes_nothing_new_and_says_when_it_is_done(five: Cluster, pushers: list[Pusher]) -> None:
    five.meshnode("node", "drain", "n2", "--wait", "60", timeout_s=90)
    shown = five.json("node", "show", "n2")
    assert shown["state"] == "draining"
    assert shown["activity"]["drained"]
    assert not five.is_ready(2)
    assert git("ls-remote", five.url(2, pushers[0].name), check=False).returncode != 0, (
        "a load balancer looks at /readyz"
    )
    five.stop(2)
    five.meshnode("start", "n2", timeout_s=120)
    assert not five.is_ready(2), "still drained"
    five.meshnode("node", "enable", "n2")
    five.wait_ready(2)
    check_nothing_is_lost(five, pushers, via=2)


def test_a_node_is_removed_under_pushes_and_a_second_one_cannot_go(five: Cluster, pushers: list[Pusher]) -> None:
    answer = five.json("node", "remove", "n5")
    assert answer["partitions"] > 0
    wait_until(
        lambda: "n5" not in [node["node"] for node in five.json("node", "list")],
        deadline_s=MOVED_S,
        what="n5 is forgotten",
    )
    for one in pushers:
        one.nodes = [1, 2, 3, 4]
    assert not list((five.node_path(5) / "repositories").glob("*/*")), "it gave up everything"
    assert "n5 was removed" in five.meshnode("up", "--detach").stderr
    assert "n5" not in [node["node"] for node in five.json("node", "list")], "`up` does not bring it back"
    five.meshnode("cluster", "rebalance")
    wait_at_rest(five)
    after = held(five)
    assert set(after) == {"n1", "n2", "n3", "n4"}
    assert max(after.values()) - min(after.values()) <= 1
    check_nothing_is_lost(five, pushers, via=4)
    five.meshnode("node", "remove", "n4")
    refused = five.meshnode("node", "remove", "n3", check=False)
    assert refused.returncode != 0
    assert "too few nodes would be left" in refused.stderr
    assert "partitions=0, 1, 2" in refused.stderr
    five.meshnode("node", "enable", "n4")
    wait_at_rest(five)
