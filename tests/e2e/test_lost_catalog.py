"""The catalog is gone: made again from the disks, with what every node had and nothing that was deleted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, git, list_refs, running_cluster
from tests.e2e.waiting import wait_until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path / "mesh") as running:
        yield running


def commit(work: Path, text: str) -> str:
    git("commit", "--quiet", "--allow-empty", "-m", text, cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


def lose_catalog(cluster: Cluster) -> None:
    """Stop everything and remove the catalog, as a lost disk of etcd's would."""
    cluster.down()
    for path in cluster.data.glob("catalog.db*"):
        path.unlink()


def settings_version(cluster: Cluster) -> list[int | None]:
    """The version of the cluster's settings that each node runs with."""
    return [node["applied_version"] for node in cluster.json("cluster", "settings")["nodes"]]


def by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in answer["repositories"] if one["state"] == "active"}


def test_a_lost_catalog_is_rebuilt_from_the_disks_and_everything_heals(cluster: Cluster, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    git("push", "--quiet", cluster.url(2, "team/gone"), "main", cwd=work)
    git("push", "--quiet", cluster.url(2, "team/old"), "main", cwd=work)
    cluster.meshnode("repo", "create", "team/empty", "--object-format", "sha256")
    cluster.meshnode("repo", "fork", "team/one", "team/fork")
    for name in ("team/one", "team/gone", "team/old", "team/empty", "team/fork"):
        cluster.wait_consistent(name)
    own = cluster.json("repo", "factor", "team/fork", "3")["partition"]
    notes = [cluster.node_path(node) / "families.json" for node in cluster.numbers]
    wait_until(lambda: all(note.exists() for note in notes), what="every node has noted where the family lives")
    before = cluster.repository("team/fork")
    assert before["partition"] == own
    cluster.meshnode("cluster", "settings", "set", "scrub.slots=2")
    wait_until(lambda: settings_version(cluster) == [1, 1, 1], what="every node has heard of it")

    cluster.kill(3)  # n3 misses a push, a rename and a delete
    tip = commit(work, "without n3")
    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    cluster.meshnode("repo", "rename", "team/old", "team/new")
    cluster.meshnode("repo", "delete", "team/gone", "--yes")
    generation = cluster.generation("team/one")
    lose_catalog(cluster)

    refused = cluster.meshnode("up", "--detach", check=False)
    assert refused.returncode == 5
    assert "catalog rebuild" in refused.stderr
    planned = cluster.json("catalog", "rebuild", "--dry-run")
    assert planned["keys_written"] is None
    assert planned["settings"] == {"version": 1, "values": {"scrub.slots": 2}}
    assert [one["what"] for one in planned["not_restored"] if "configurations" in one["what"]]
    assert cluster.meshnode("up", "--detach", check=False).returncode == 5
    done = cluster.json("catalog", "rebuild")
    assert done["repositories"] == planned["repositories"]
    found = by_name(done)
    assert set(found) == {"team/one", "team/new", "team/empty", "team/fork"}
    assert found["team/one"]["generation"] == generation
    assert set(found["team/one"]["consistent"]) == {"n1", "n2"}
    assert found["team/one"]["inconsistent"] == ["n3"]
    assert "highest published" in found["team/one"]["reason"]
    assert {name for name, one in found.items() if one["partition"] == own} == {"team/one", "team/fork"}
    assert any("its own factor is not known" in doubt for doubt in done["doubts"])
    again = cluster.meshnode("catalog", "rebuild", check=False)
    assert again.returncode == 5
    assert "not empty" in again.stderr

    cluster.up()
    for name in ("team/one", "team/new", "team/empty", "team/fork"):
        cluster.wait_consistent(name)
        assert cluster.meshnode("repo", "verify", name, check=False).returncode == 0
    assert settings_version(cluster) == [1, 1, 1]
    assert list_refs(cluster.url(3, "team/one"))["refs/heads/main"] == tip
    assert cluster.repository("team/fork")["fork_parent_id"] == before["fork_parent_id"]
    assert cluster.repository("team/fork")["id"] == before["id"]
    assert [one["name"] for one in cluster.json("repo", "list")] == sorted(found)
    last = commit(work, "afterwards")
    git("push", "--quiet", cluster.url(3, "team/one"), "main", cwd=work)
    assert cluster.generation("team/one") == generation + 1
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, "team/one"))["refs/heads/main"] == last


def test_one_node_with_the_newest_push_outweighs_two_without_it(cluster: Cluster, work: Path, tmp_path: Path) -> None:
    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    cluster.wait_consistent("team/one")
    tip = commit(work, "newest")
    cluster.kill(3)
    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    cluster.wait_ready(1)
    old = cluster.replica_path(3, "team/one")
    two = cluster.replica_path(2, "team/one")
    lose_catalog(cluster)
    two.rename(tmp_path / "newest-of-n2")
    shutil.copytree(old, two, symlinks=True)  # n2 has the older copy too
    found = by_name(cluster.json("catalog", "rebuild"))["team/one"]
    assert found["consistent"] == ["n1"]
    assert found["inconsistent"] == ["n2", "n3"]
    cluster.up()
    cluster.wait_consistent("team/one")
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, "team/one"))["refs/heads/main"] == tip


def test_nodes_elsewhere_are_heard_by_export_and_a_lost_one_is_given_up_by_name(
    cluster: Cluster, work: Path, tmp_path: Path
) -> None:
    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    cluster.wait_consistent("team/one")
    running = cluster.meshnode("catalog", "export", "--data", str(cluster.node_path(2)), data=False, check=False)
    assert running.returncode != 0
    assert "stop it first" in running.stderr
    lose_catalog(cluster)
    exported = cluster.meshnode("catalog", "export", "--data", str(cluster.node_path(2)), data=False).stdout
    assert json.loads(exported)["node"] == "n2"
    (tmp_path / "n2.json").write_text(exported)
    for node in (2, 3):
        (cluster.node_path(node) / "repositories").rename(tmp_path / f"repositories-{node}")
    missing = cluster.meshnode("catalog", "rebuild", check=False)
    assert missing.returncode == 5
    assert "n2, n3" in missing.stderr
    export = ("--export", str(tmp_path / "n2.json"))
    assert "n3" in cluster.meshnode("catalog", "rebuild", *export, check=False).stderr
    done = cluster.json("catalog", "rebuild", *export, "--without", "n3")
    assert set(by_name(done)["team/one"]["consistent"]) == {"n1", "n2"}
    assert by_name(done)["team/one"]["inconsistent"] == ["n3"]
    (tmp_path / "repositories-2").rename(cluster.node_path(2) / "repositories")
    cluster.up()
    cluster.wait_consistent("team/one")
    assert cluster.meshnode("repo", "verify", "team/one", check=False).returncode == 0


def test_people_are_told_what_is_decided_and_why(cluster: Cluster, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, "team/one"), "main", cwd=work)
    cluster.wait_consistent("team/one")
    lose_catalog(cluster)
    told = cluster.meshnode("catalog", "rebuild", "--dry-run").stdout
    assert "team/one" in told
    assert "highest published one: applied by n1, n2, n3" in told
    assert "nothing was written" in told
