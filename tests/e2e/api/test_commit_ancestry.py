"""Ancestors, merge bases and divergence are what `git merge-base` and `git rev-list` say."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.v1 import commit_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import oid_of
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.cluster import git

BRANCHES = ["main", "octopus", "crisscross-a", "crisscross-b", "topic-a", "conflict-a", "unrelated", "v1.0", "main~2"]
KINDS: dict[int, list[str]] = {
    commit_pb2.MERGE_BASE_KIND_UNSPECIFIED: [],
    commit_pb2.MERGE_BASE_KIND_ALL: ["--all"],
    commit_pb2.MERGE_BASE_KIND_OCTOPUS: ["--octopus", "--all"],
}


def test_ancestors_are_git_s(api: Api, oddities: Path) -> None:
    seen = set()
    for ancestor, descendant in itertools.product(BRANCHES, BRANCHES):
        request = commit_pb2.IsAncestorRequest(repository=ODDITIES, ancestor=ancestor, descendant=descendant)
        answer = api.call("CommitService/IsAncestor", request, commit_pb2.IsAncestorResponse)
        wanted = git("merge-base", "--is-ancestor", ancestor, descendant, cwd=oddities, check=False).returncode == 0
        assert answer.is_ancestor == wanted, (ancestor, descendant)
        assert (answer.ancestor_oid, answer.descendant_oid) == (
            oid_of(oddities, ancestor),
            oid_of(oddities, descendant),
        )
        seen.add(wanted)
    assert seen == {True, False}


def merge_bases(api: Api, repository: str, revisions: list[str], kind: int) -> list[str]:
    request = commit_pb2.FindMergeBasesRequest(
        repository=repository,
        revisions=revisions,
        merge_base_kind=kind,  # type: ignore[arg-type]
    )
    return list(api.call("CommitService/FindMergeBases", request, commit_pb2.FindMergeBasesResponse).oids)


@pytest.mark.parametrize("kind", KINDS)
def test_merge_bases_are_git_s(api: Api, oddities: Path, kind: int) -> None:
    for revisions in (
        *itertools.combinations(BRANCHES, 2),
        ("main", "topic-a", "topic-b"),
        ("crisscross-a", "crisscross-b", "octopus"),
        ("main", "unrelated", "octopus"),
        ("topic-a", "topic-b", "topic-c", "conflict-a"),
    ):
        wanted = git("merge-base", *KINDS[kind], *revisions, cwd=oddities, check=False).stdout.split()
        assert merge_bases(api, ODDITIES, list(revisions), kind) == wanted, revisions


def test_a_criss_cross_has_two_merge_bases(api: Api, oddities: Path) -> None:
    both = ["crisscross-a", "crisscross-b"]
    assert oddities.exists()
    assert len(merge_bases(api, ODDITIES, both, commit_pb2.MERGE_BASE_KIND_ALL)) == 2
    assert len(merge_bases(api, ODDITIES, both, commit_pb2.MERGE_BASE_KIND_UNSPECIFIED)) == 1
    assert merge_bases(api, ODDITIES, ["main", "unrelated"], commit_pb2.MERGE_BASE_KIND_ALL) == []


def divergence(path: Path, base: str, revision: str) -> tuple[int, int]:
    ahead, behind = git("rev-list", "--left-right", "--count", f"{revision}...{base}", cwd=path).stdout.split()
    return int(ahead), int(behind)


def check_divergence(api: Api, repository: str, path: Path, base: str, revisions: list[str]) -> None:
    request = commit_pb2.CountDivergenceRequest(repository=repository, base=base, revisions=revisions)
    answer = api.call("CommitService/CountDivergence", request, commit_pb2.CountDivergenceResponse)
    assert answer.base_oid == oid_of(path, base)
    assert [one.oid for one in answer.divergences] == [oid_of(path, revision) for revision in revisions]
    found = [(one.ahead, one.behind) for one in answer.divergences]
    assert found == [divergence(path, base, revision) for revision in revisions], base


def test_divergence_is_git_s(api: Api, oddities: Path) -> None:
    for base in BRANCHES:
        check_divergence(api, ODDITIES, oddities, base, BRANCHES)
    for base, revision in itertools.product(BRANCHES[:4], BRANCHES[:4]):
        check_divergence(api, ODDITIES, oddities, base, [revision])
    check_divergence(api, ODDITIES, oddities, "main", ["topic-a", "topic-a", "main"])


def test_divergence_of_all_branches_of_a_history_is_git_s(api: Api, history: Path) -> None:
    branches = git("for-each-ref", "--format=%(refname)", "refs/heads/", cwd=history).stdout.split()
    for base in ("main", branches[0], "main~50"):
        check_divergence(api, HISTORY, history, base, branches)


def test_a_sha256_repository_is_compared(api: Api, oddities_sha256: Path) -> None:
    check_divergence(api, ODDITIES_SHA256, oddities_sha256, "crisscross-a", BRANCHES)
    check_divergence(api, ODDITIES_SHA256, oddities_sha256, "crisscross-a", ["octopus"])
    wanted = git("merge-base", "--all", "crisscross-a", "crisscross-b", cwd=oddities_sha256).stdout.split()
    both = ["crisscross-a", "crisscross-b"]
    assert merge_bases(api, ODDITIES_SHA256, both, commit_pb2.MERGE_BASE_KIND_ALL) == wanted


REFUSED: list[
    tuple[
        str,
        commit_pb2.IsAncestorRequest | commit_pb2.FindMergeBasesRequest | commit_pb2.CountDivergenceRequest,
        type[MeshError],
    ]
] = [
    ("IsAncestor", commit_pb2.IsAncestorRequest(ancestor="nobody"), NotFound),
    ("IsAncestor", commit_pb2.IsAncestorRequest(ancestor="main", descendant="tree-tag"), InvalidRequest),
    ("FindMergeBases", commit_pb2.FindMergeBasesRequest(revisions=["main"]), InvalidRequest),
    ("FindMergeBases", commit_pb2.FindMergeBasesRequest(revisions=["main"] * 51), InvalidRequest),
    ("FindMergeBases", commit_pb2.FindMergeBasesRequest(revisions=["main", "nobody"]), NotFound),
    ("FindMergeBases", commit_pb2.FindMergeBasesRequest(revisions=["main", "main"], merge_base_kind=7), InvalidRequest),  # type: ignore[arg-type]
    ("CountDivergence", commit_pb2.CountDivergenceRequest(base="main"), InvalidRequest),
    ("CountDivergence", commit_pb2.CountDivergenceRequest(base="main", revisions=["main"] * 501), InvalidRequest),
    ("CountDivergence", commit_pb2.CountDivergenceRequest(base="nobody", revisions=["main"]), NotFound),
    ("CountDivergence", commit_pb2.CountDivergenceRequest(base="main", revisions=["nobody"]), NotFound),
]


@pytest.mark.parametrize(("method", "request_", "kind"), REFUSED)
def test_questions_that_make_no_sense_are_refused(
    api: Api,
    oddities: Path,
    method: str,
    request_: commit_pb2.IsAncestorRequest,
    kind: type[MeshError],
) -> None:
    assert oddities.exists()
    request_.repository = ODDITIES
    error = api.error(f"CommitService/{method}", request_)
    assert isinstance(error, kind), error
