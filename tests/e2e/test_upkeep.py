"""Every push leaves a pack; `repo optimize` makes few of many while clients clone, on every replica."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.cluster import Cluster, git, list_refs

PUSHES = 12


def test_packs_are_combined_on_every_replica_while_clients_clone(
    cluster: Cluster, name: str, work: Path, tmp_path: Path
) -> None:
    for number in range(PUSHES):
        (work / "file.txt").write_text(f"{number}\n")
        git("commit", "--quiet", "--all", "-m", f"change {number}", cwd=work)
        git("push", "--quiet", cluster.url(1, name), "HEAD:refs/heads/main", cwd=work)

    def clone(number: int) -> None:
        git("clone", "--quiet", "--mirror", cluster.url(1 + number % 3, name), str(tmp_path / f"clone{number}"))
        git("fsck", "--full", cwd=tmp_path / f"clone{number}")

    with ThreadPoolExecutor() as pool:
        clones = [pool.submit(clone, number) for number in range(6)]
        answer = cluster.json("repo", "optimize", name)
        for one in clones:
            one.result()
    assert answer["ok"], answer
    assert [replica["packs_after"] for replica in answer["replicas"]] == [1, 1, 1]
    assert all(replica["packs_before"] >= PUSHES for replica in answer["replicas"])
    assert cluster.json("repo", "verify", name)["ok"]
    git("clone", "--quiet", "--mirror", cluster.url(2, name), str(tmp_path / "after"))
    assert list_refs(tmp_path / "after") == list_refs(cluster.url(3, name))
    again = cluster.json("repo", "optimize", name)
    assert [replica["packs_before"] for replica in again["replicas"]] == [1, 1, 1]
