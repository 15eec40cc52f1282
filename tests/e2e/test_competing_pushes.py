"""Pushes that compete: exactly one wins where they want the same reference, all win where they do not."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.cluster import Cluster, git, list_refs

_RIVALS = 6


def make_rivals(tmp_path: Path, work: Path, *, count: int = _RIVALS) -> list[tuple[Path, str]]:
    """Clones of `work`, each with one commit of its own on top; path and tip."""
    rivals = []
    for number in range(count):
        path = tmp_path / f"rival-{number}"
        git("clone", "--quiet", str(work), str(path))
        git("commit", "--quiet", "--allow-empty", "-m", f"rival {number}", cwd=path)
        rivals.append((path, git("rev-parse", "HEAD", cwd=path).stdout.strip()))
    return rivals


def push_all(
    cluster: Cluster, name: str, rivals: list[tuple[Path, str]], target: str
) -> list[subprocess.CompletedProcess[str]]:
    """Every rival pushes at once, spread over the nodes; `target` may have `{number}`."""

    def push(number: int) -> subprocess.CompletedProcess[str]:
        url = cluster.url(1 + number % cluster.nodes, name)
        return git("push", url, f"HEAD:{target.format(number=number)}", cwd=rivals[number][0], check=False)

    with ThreadPoolExecutor(len(rivals)) as pool:
        return list(pool.map(push, range(len(rivals))))


def test_of_pushes_to_one_branch_exactly_one_wins(cluster: Cluster, name: str, work: Path, tmp_path: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    before = cluster.generation(name)
    rivals = make_rivals(tmp_path, work)
    results = push_all(cluster, name, rivals, "refs/heads/main")
    winners = [tip for (_, tip), result in zip(rivals, results, strict=True) if result.returncode == 0]
    assert len(winners) == 1, [result.stderr for result in results]
    for node in cluster.numbers:
        assert list_refs(cluster.url(node, name))["refs/heads/main"] == winners[0]
    assert cluster.generation(name) == before + 1


def test_pushes_to_different_branches_all_win(cluster: Cluster, name: str, work: Path, tmp_path: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    rivals = make_rivals(tmp_path, work)
    results = push_all(cluster, name, rivals, "refs/heads/rival-{number}")
    assert [result.returncode for result in results] == [0] * len(rivals), [result.stderr for result in results]
    for node in cluster.numbers:
        refs = list_refs(cluster.url(node, name))
        assert [refs[f"refs/heads/rival-{number}"] for number in range(len(rivals))] == [tip for _, tip in rivals]
    cluster.wait_consistent(name)
    assert cluster.meshnode("repo", "verify", name, check=False).returncode == 0


def test_first_pushes_that_create_one_repository_all_land_in_it(
    cluster: Cluster, name: str, work: Path, tmp_path: Path
) -> None:
    rivals = make_rivals(tmp_path, work, count=3)
    results = push_all(cluster, name, rivals, "refs/heads/rival-{number}")
    accepted = [number for number, result in enumerate(results) if result.returncode == 0]
    assert accepted, [result.stderr for result in results]
    for number in set(range(3)) - set(accepted):
        git("push", "--quiet", cluster.url(1, name), f"HEAD:refs/heads/rival-{number}", cwd=rivals[number][0])
    refs = list_refs(cluster.url(2, name))
    assert {f"refs/heads/rival-{number}" for number in range(3)} <= set(refs)
