"""No consistent replica is left: an operator makes one the truth, on real nodes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

NAME = "team/one"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "mesh") as running:
        yield running


def commit(work: Path, text: str) -> str:
    git("commit", "--quiet", "--allow-empty", "-m", text, cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


def consistent(cluster: Cluster) -> set[str]:
    return {replica["node"] for replica in cluster.repository(NAME)["replicas"] if replica["consistent"]}


def test_with_both_newer_disks_lost_the_old_replica_is_chosen_and_everything_goes_on(
    cluster: Cluster, work: Path
) -> None:
    old = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    git("push", "--quiet", cluster.url(1, NAME), "main", cwd=work)
    cluster.wait_consistent(NAME)
    cluster.kill(3)
    commit(work, "lost")
    git("push", "--quiet", cluster.url(1, NAME), "main", cwd=work)
    generation = cluster.generation(NAME)
    paths = [cluster.replica_path(node, NAME) for node in (1, 2)]
    for node, path in zip((1, 2), paths, strict=True):
        cluster.kill(node)
        shutil.rmtree(path)
    cluster.up()
    wait_until(lambda: not consistent(cluster), what="nobody is believed in")

    refused = git("push", cluster.url(3, NAME), "main", cwd=work, check=False)
    assert refused.returncode != 0
    plan = cluster.json("repo", "accept-data-loss", NAME, "--node", "n3", "--dry-run")
    assert plan["obstacle"] == ""
    assert (plan["generation"], plan["chosen_generation"]) == (generation, generation - 1)
    assert {one["trouble"] for one in plan["members"] if one["node"] != "n3"} == {"no replica"}
    empty = cluster.meshnode("repo", "accept-data-loss", NAME, "--node", "n1", "--yes", check=False)
    assert empty.returncode == 5
    assert "no replica to make the truth" in empty.stderr
    assert not consistent(cluster)

    unasked = cluster.meshnode("repo", "accept-data-loss", NAME, "--node", "n3", check=False)
    assert unasked.returncode == 1  # nobody there to say yes
    assert not consistent(cluster)
    done = cluster.meshnode("repo", "accept-data-loss", NAME, "--node", "n3", "--yes").stdout
    assert "1 published writes" in done
    cluster.wait_consistent(NAME)
    assert cluster.generation(NAME) == generation + 1
    assert cluster.meshnode("repo", "verify", NAME, check=False).returncode == 0
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, NAME))["refs/heads/main"] == old
    events = [json.loads(line) for line in (cluster.node_path(3) / "node.log").read_text().splitlines() if "{" in line]
    (audit,) = [event for event in events if event.get("event") == "data_loss_accepted"]
    assert audit["actor"].endswith("operator")
    assert (audit["generation"], audit["new_generation"]) == (generation, generation + 1)
    git("push", "--quiet", cluster.url(1, NAME), "main", cwd=work)  # whoever has the lost commits brings them back
    cluster.wait_consistent(NAME, generation=generation + 2)


def test_it_is_refused_while_a_consistent_replica_answers_and_the_dead_come_back_as_followers(
    cluster: Cluster, work: Path
) -> None:
    old = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    git("push", "--quiet", cluster.url(1, NAME), "main", cwd=work)
    cluster.wait_consistent(NAME)
    cluster.kill(3)
    commit(work, "lost")
    git("push", "--quiet", cluster.url(1, NAME), "main", cwd=work)
    generation = cluster.generation(NAME)
    refused = cluster.meshnode("repo", "accept-data-loss", NAME, "--node", "n2", "--yes", check=False)
    assert refused.returncode == 5
    assert "is consistent and answers" in refused.stderr
    for node in (1, 2):
        cluster.kill(node)
    cluster.start(3)

    def is_accepted() -> bool:  # refused until the leases of the dead have ended
        return cluster.meshnode("repo", "accept-data-loss", NAME, "--node", "n3", "--yes", check=False).returncode == 0

    wait_until(is_accepted, deadline_s=30, what="the dead are known to be dead")
    wait_until(lambda: consistent(cluster) == {"n3"}, what="n3 is believed in")
    assert list_refs(cluster.url(3, NAME))["refs/heads/main"] == old
    for node in (1, 2):
        cluster.start(node)
    cluster.wait_consistent(NAME, generation=generation + 1)
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, NAME))["refs/heads/main"] == old
    assert cluster.meshnode("repo", "scrub", NAME, check=False).returncode == 0
    assert cluster.meshnode("repo", "verify", NAME, check=False).returncode == 0
