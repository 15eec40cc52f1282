"""What stock git does against a cluster: every protocol version, shallow, partial, atomic, forced, options."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, git, list_refs


@pytest.fixture
def pushed(cluster: Cluster, name: str, source: Path) -> str:
    """The small history under `name`; pushed to n1."""
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=source)
    return name


def refs_of(path: Path) -> dict[str, str]:
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=path).stdout.splitlines()
    return dict(line.split(" ") for line in lines)


def commit(work: Path, text: str) -> str:
    (work / "file.txt").write_text(text + "\n")
    git("commit", "--quiet", "-am", text, cwd=work)
    return git("rev-parse", "HEAD", cwd=work).stdout.strip()


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("node", [1, 2, 3])
def test_every_node_serves_a_mirror_clone_in_every_protocol_version(
    cluster: Cluster, pushed: str, source: Path, tmp_path: Path, *, version: int, node: int
) -> None:
    config = (f"protocol.version={version}",)
    git("clone", "--quiet", "--mirror", cluster.url(node, pushed), str(tmp_path / "clone"), config=config)
    assert refs_of(tmp_path / "clone") == refs_of(source)
    assert git("fsck", cwd=tmp_path / "clone").returncode == 0


@pytest.mark.parametrize("version", [0, 1, 2])
def test_references_are_listed_as_git_itself_lists_them(
    cluster: Cluster, pushed: str, source: Path, version: int
) -> None:
    config = (f"protocol.version={version}",)
    assert list_refs(cluster.url(2, pushed), config=config) == list_refs(source, config=config)


def test_the_name_without_dot_git_is_the_same_repository(cluster: Cluster, pushed: str) -> None:
    url = cluster.url(1, pushed)
    assert list_refs(url.removesuffix(".git")) == list_refs(url)


@pytest.mark.parametrize("version", [0, 2])
def test_a_shallow_clone_can_be_deepened_and_completed(
    cluster: Cluster, pushed: str, source: Path, tmp_path: Path, version: int
) -> None:
    clone = tmp_path / "clone"
    config = (f"protocol.version={version}",)
    git("clone", "--quiet", "--depth", "1", cluster.url(1, pushed), str(clone), config=config)
    assert git("rev-list", "--count", "HEAD", cwd=clone).stdout.strip() == "1"
    git("fetch", "--quiet", "--depth", "3", cwd=clone, config=config)
    git("fetch", "--quiet", "--unshallow", cwd=clone, config=config)
    full = git("rev-list", "--count", "main", cwd=source).stdout
    assert git("rev-list", "--count", "HEAD", cwd=clone).stdout == full


def test_a_partial_clone_fetches_blobs_when_they_are_needed(cluster: Cluster, pushed: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--no-checkout", "--filter=blob:none", cluster.url(2, pushed), str(clone))
    missing = git("rev-list", "--objects", "--all", "--missing=print", cwd=clone).stdout
    assert "?" in missing
    git("checkout", "--quiet", "main", cwd=clone)
    assert any((clone / "src").rglob("*.txt"))


def test_a_fetch_after_another_push_brings_only_what_is_new(
    cluster: Cluster, name: str, work: Path, tmp_path: Path
) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    clone = tmp_path / "clone"
    git("clone", "--quiet", cluster.url(3, name), str(clone))
    tip = commit(work, "two")
    git("push", "--quiet", cluster.url(2, name), "main", cwd=work)
    git("fetch", "--quiet", cwd=clone)
    assert git("rev-parse", "origin/main", cwd=clone).stdout.strip() == tip


def test_a_push_is_read_back_from_every_node_at_once(cluster: Cluster, name: str, work: Path) -> None:
    for round_number in range(6):
        tip = commit(work, f"round {round_number}")
        git("push", "--quiet", cluster.url(1 + round_number % 3, name), "main", cwd=work)
        for node in cluster.numbers:
            assert list_refs(cluster.url(node, name))["refs/heads/main"] == tip


def test_a_push_without_fast_forward_needs_force(cluster: Cluster, name: str, work: Path) -> None:
    url = cluster.url(1, name)
    git("push", "--quiet", url, "main", cwd=work)
    before = commit(work, "two")
    git("push", "--quiet", url, "main", cwd=work)
    git("reset", "--quiet", "--hard", "HEAD~1", cwd=work)
    other = commit(work, "another two")
    assert git("push", url, "main", cwd=work, check=False).returncode != 0
    assert list_refs(url)["refs/heads/main"] == before
    git("push", "--quiet", "--force", url, "main", cwd=work)
    assert list_refs(cluster.url(2, name))["refs/heads/main"] == other


def test_a_lease_on_another_value_is_refused(cluster: Cluster, name: str, work: Path) -> None:
    url = cluster.url(1, name)
    first = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    git("push", "--quiet", url, "main", cwd=work)
    tip = commit(work, "two")
    git("push", "--quiet", url, "main", cwd=work)
    commit(work, "three")
    refused = git("push", f"--force-with-lease=main:{first}", url, "main", cwd=work, check=False)
    assert refused.returncode != 0
    assert list_refs(url)["refs/heads/main"] == tip


def test_an_atomic_push_takes_all_references_or_none(cluster: Cluster, name: str, work: Path) -> None:
    url = cluster.url(2, name)
    git("push", "--quiet", url, "main", "main:refs/heads/a/b", cwd=work)
    commit(work, "two")
    conflicting = ("main", "main:refs/heads/a/b/c")
    assert git("push", "--atomic", url, *conflicting, cwd=work, check=False).returncode != 0
    refs = list_refs(url)
    assert "refs/heads/a/b/c" not in refs
    assert refs["refs/heads/main"] == git("rev-parse", "HEAD~1", cwd=work).stdout.strip()
    git("push", "--quiet", "--atomic", url, "main", "main:refs/heads/c", cwd=work)
    assert list_refs(url)["refs/heads/c"] == list_refs(url)["refs/heads/main"]


def test_without_atomic_the_possible_references_are_taken(cluster: Cluster, name: str, work: Path) -> None:
    url = cluster.url(2, name)
    git("push", "--quiet", url, "main:refs/heads/a/b", cwd=work)
    pushed = git("push", url, "main:refs/heads/a/b/c", "main:refs/heads/d", cwd=work, check=False)
    assert pushed.returncode != 0
    assert set(list_refs(url)) & {"refs/heads/a/b/c", "refs/heads/d"} == {"refs/heads/d"}


def test_references_are_deleted(cluster: Cluster, name: str, work: Path) -> None:
    url = cluster.url(3, name)
    git("tag", "-a", "-m", "first", "v1", cwd=work)
    git("push", "--quiet", url, "main", "main:refs/heads/gone", "v1", cwd=work)
    git("push", "--quiet", url, ":refs/heads/gone", ":refs/tags/v1", cwd=work)
    for node in cluster.numbers:
        assert {name for name in list_refs(cluster.url(node, name)) if name != "HEAD"} == {"refs/heads/main"}


def test_a_push_that_deletes_creates_and_moves_is_one_generation(cluster: Cluster, name: str, work: Path) -> None:
    url = cluster.url(1, name)
    git("push", "--quiet", url, "main", "main:refs/heads/old", cwd=work)
    before = cluster.generation(name)
    commit(work, "two")
    git("push", "--quiet", url, "main", "main:refs/heads/new", ":refs/heads/old", cwd=work)
    assert cluster.generation(name) == before + 1


def test_push_options_are_accepted(cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", "-o", "ci.skip", "-o", "topic=größe", cluster.url(1, name), "main", cwd=work)
    assert "refs/heads/main" in list_refs(cluster.url(1, name))


def test_names_beyond_ascii_come_back(cluster: Cluster, name: str, work: Path) -> None:
    git("push", "--quiet", cluster.url(1, name), "main:refs/heads/größe/日本", cwd=work)
    assert "refs/heads/größe/日本" in list_refs(cluster.url(3, name))


def test_a_large_push_in_chunks_arrives_whole(cluster: Cluster, name: str, bulky: Path, tmp_path: Path) -> None:
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=bulky, config=("http.postBuffer=65536",))
    git("clone", "--quiet", "--mirror", cluster.url(2, name), str(tmp_path / "clone"))
    assert refs_of(tmp_path / "clone") == refs_of(bulky)
    assert git("fsck", "--no-dangling", cwd=cluster.replica_path(3, name)).stdout == ""


def test_a_new_repository_is_empty_and_can_be_cloned(cluster: Cluster, name: str, tmp_path: Path) -> None:
    cluster.meshnode("repo", "create", name, "--default-branch", "trunk")
    git("clone", "--quiet", cluster.url(1, name), str(tmp_path / "clone"))
    assert git("symbolic-ref", "HEAD", cwd=tmp_path / "clone").stdout.strip() == "refs/heads/trunk"
    assert list_refs(cluster.url(1, name)) == {}


def test_a_sha256_repository_takes_pushes_and_clones(cluster: Cluster, name: str, tmp_path: Path) -> None:
    cluster.meshnode("repo", "create", name, "--object-format", "sha256")
    work = tmp_path / "work"
    git("init", "--quiet", "--object-format=sha256", "--initial-branch=main", str(work))
    git("commit", "--quiet", "--allow-empty", "-m", "one", cwd=work)
    git("push", "--quiet", cluster.url(1, name), "main", cwd=work)
    git("clone", "--quiet", cluster.url(2, name), str(tmp_path / "clone"))
    assert refs_of(work)["refs/heads/main"] == list_refs(cluster.url(3, name))["refs/heads/main"]


def test_a_clone_of_a_repository_that_does_not_exist_says_so(cluster: Cluster, name: str, tmp_path: Path) -> None:
    refused = git("clone", cluster.url(1, name), str(tmp_path / "clone"), check=False)
    assert refused.returncode != 0
    assert "not found" in refused.stderr.lower()


def test_each_replica_on_disk_is_a_plain_repository(cluster: Cluster, pushed: str, source: Path) -> None:
    cluster.wait_consistent(pushed)
    for node in cluster.numbers:
        path = cluster.replica_path(node, pushed)
        assert refs_of(path) == refs_of(source)
        assert git("fsck", "--no-dangling", cwd=path).stdout == ""
