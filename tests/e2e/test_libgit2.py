"""Another implementation of Git finds every replica whole: libgit2, by pygit2."""

from __future__ import annotations

from pathlib import Path

import pygit2

from tests.e2e.cluster import Cluster, git, list_refs
from tests.e2e.history import Shape, make_repository

_SHAPE = Shape(commits=300, branches=5, tags=5, files=40)


def test_libgit2_reads_every_object_and_reference_of_every_replica(cluster: Cluster, name: str) -> None:
    source = make_repository(cluster.data.parent / f"{name.replace('/', '-')}.git", _SHAPE)
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=source)
    cluster.wait_consistent(name)
    _check_all(cluster, name, source)
    assert cluster.json("repo", "optimize", name)["ok"]  # packs combined, commit graph and references packed
    _check_all(cluster, name, source)


def _check_all(cluster: Cluster, name: str, source: Path) -> None:
    expected = {ref: oid for ref, oid in list_refs(cluster.url(2, name)).items() if not ref.endswith("^{}")}
    objects = set(git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", cwd=source).stdout.split())
    for node in (1, 2, 3):
        repository = pygit2.Repository(str(cluster.replica_path(node, name)))
        head = repository.references["HEAD"].resolve()
        found = {ref: str(repository.references[ref].target) for ref in repository.references}
        assert {"HEAD": str(head.target), **found} == expected
        for oid in objects:
            repository.odb.read(oid)  # which compares the content with its id
        assert {str(oid) for oid in repository.odb} >= objects
        walked = [str(commit.id) for commit in repository.walk(head.target)]
        assert sorted(walked) == sorted(git("rev-list", "HEAD", cwd=source).stdout.split())
