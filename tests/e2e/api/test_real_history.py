"""The reads of the Git API over a history that people made, each held against stock git.

The first year of `requests` lies in tests/data; TEST_HISTORY names another bundle, of whatever size: what is looked
at closely is a sample of it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from meshnode.v1 import commit_pb2, operation_pb2, tree_pb2
from tests.e2e.api import (
    test_blame,
    test_blobs,
    test_commit_ancestry,
    test_commit_lists,
    test_diffs,
    test_last_commits,
    test_trees,
)
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import check_as_git_shows, rev_list
from tests.e2e.api.stock import raw_git
from tests.e2e.cluster import Cluster, git

NAME = "api/real"
BUNDLE = Path(__file__).resolve().parents[2] / "data/requests.bundle"
Selection = commit_pb2.CommitSelection
Preview = operation_pb2.PreviewMergeResponse


@pytest.fixture(scope="module")
def real(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of the bundle, pushed to `NAME`; HEAD is on its longest branch."""
    path = tmp_path_factory.mktemp("api") / "real.git"
    bundle = os.environ.get("TEST_HISTORY") or str(BUNDLE)
    git("clone", "--quiet", "--mirror", bundle, str(path), timeout_s=300)
    branches = git("for-each-ref", "--format=%(refname:short)", "refs/heads/", cwd=path).stdout.split()
    longest = max(branches, key=lambda name: int(git("rev-list", "--count", name, cwd=path).stdout))
    git("symbolic-ref", "HEAD", f"refs/heads/{longest}", cwd=path)
    cluster.meshnode("repo", "create", NAME, "--default-branch", longest)
    git("push", "--quiet", cluster.url(1, NAME), "refs/heads/*:refs/heads/*", cwd=path, timeout_s=600)
    cluster.wait_consistent(NAME)
    return path


@pytest.fixture(scope="module")
def sample(real: Path) -> list[str]:
    """Some commits, the newest among them; the same ones each time."""
    commits = rev_list(real, "HEAD")
    return [commits[0], *random.Random(1).sample(commits, 24)]


def files_of(real: Path, commit: str) -> list[bytes]:
    """Paths of the plain files of a commit."""
    listing = raw_git(real, "ls-tree", "-r", "-z", commit).split(b"\0")[:-1]
    return [line.partition(b"\t")[2] for line in listing if line.startswith(b"100")]


@pytest.mark.parametrize(
    ("order", "argument"),
    [
        (commit_pb2.COMMIT_ORDER_UNSPECIFIED, []),
        (commit_pb2.COMMIT_ORDER_TOPOLOGICAL, ["--topo-order"]),
        (commit_pb2.COMMIT_ORDER_DATE, ["--date-order"]),
    ],
)
def test_the_whole_history_is_listed_in_git_s_order(api: Api, real: Path, order: int, argument: list[str]) -> None:
    listed = test_commit_lists.listed(api, NAME, Selection(), order=order, size=250)
    assert listed == rev_list(real, *argument, "HEAD")


def test_the_first_parents_are_listed(api: Api, real: Path) -> None:
    assert test_commit_lists.listed(api, NAME, Selection(first_parent=True)) == rev_list(real, "--first-parent", "HEAD")


def test_commits_that_touched_a_path_are_listed(api: Api, real: Path, sample: list[str]) -> None:
    chance = random.Random(2)
    for commit in sample[:8]:
        path = chance.choice(files_of(real, commit))
        listed = test_commit_lists.listed(api, NAME, Selection(paths=[path]))
        assert listed == rev_list(real, "HEAD", "--", path), path


def test_commits_are_told_as_git_shows_them(api: Api, real: Path, sample: list[str]) -> None:
    for commit in sample:
        request = commit_pb2.GetCommitRequest(repository=NAME, revision=commit)
        answer = api.call("CommitService/GetCommit", request, commit_pb2.GetCommitResponse)
        check_as_git_shows(real, answer.commit)


def test_trees_are_listed(api: Api, real: Path, sample: list[str]) -> None:
    for commit in sample:
        for options, is_recursive in (([], False), (["-r", "-t"], True)):
            request = tree_pb2.ListEntriesRequest(
                repository=NAME, revision=commit, recursive=is_recursive, sizes=True, page_size=100
            )
            assert test_trees.listed(api, request) == test_trees.ls_tree(real, *options, commit), commit


def test_files_are_read(api: Api, real: Path, sample: list[str]) -> None:
    for commit in sample[:4]:
        paths = files_of(real, commit)
        selectors = [tree_pb2.BlobSelector(revision=commit, path=path) for path in paths]
        assert [data for _, data in test_blobs.get_many(api, selectors, NAME)] == [
            raw_git(real, "cat-file", "blob", os.fsencode(commit) + b":" + path) for path in paths
        ]


def test_changes_are_git_s(api: Api, real: Path, sample: list[str]) -> None:
    for commit in sample:
        ((_, *parents),) = test_diffs.commits_of(real, "--no-walk", commit)
        for number, parent in enumerate(parents, start=1):
            test_diffs.check(api, real, NAME, test_diffs.of(commit, number), (parent, commit))
    test_diffs.check(api, real, NAME, test_diffs.pair(sample[1], sample[0]), (sample[1], sample[0]))


def test_entries_have_the_commits_that_changed_them_last(api: Api, real: Path, sample: list[str]) -> None:
    for commit in sample[:5]:
        test_last_commits.check(api, NAME, real, commit)
        directories = raw_git(real, "ls-tree", "-d", "-z", "--name-only", commit).split(b"\0")[:-1]
        for directory in directories[:2]:
            test_last_commits.check(api, NAME, real, commit, directory)


def test_files_are_blamed(api: Api, real: Path, sample: list[str]) -> None:
    chance = random.Random(3)
    for commit in sample[:8]:
        test_blame.check(api, NAME, real, commit, chance.choice(files_of(real, commit)))


def test_commits_are_compared_by_ancestry(api: Api, real: Path, sample: list[str]) -> None:
    for base in sample[:4]:
        test_commit_ancestry.check_divergence(api, NAME, real, base, sample)


def test_previews_of_all_merges_that_were_made_are_git_s(api: Api, real: Path) -> None:
    merges = [line.split() for line in raw_git(real, "rev-list", "--merges", "--parents", "HEAD").decode().splitlines()]
    kinds = set()
    for _, ours, theirs in [merge for merge in merges if len(merge) == 3][:150]:
        request = operation_pb2.PreviewMergeRequest(repository=NAME, target_revision=ours, revision=theirs)
        answer = api.call("OperationService/PreviewMerge", request, Preview)
        base = git("merge-base", ours, theirs, cwd=real).stdout.strip()
        kinds.add(answer.relation)
        if base == theirs:
            assert answer.relation == Preview.RELATION_UP_TO_DATE
        elif base == ours:
            assert answer.relation == Preview.RELATION_FAST_FORWARD
        else:
            merged = git("merge-tree", "--write-tree", "--name-only", ours, theirs, cwd=real, check=False)
            tree, *conflicts = merged.stdout.partition("\n\n")[0].split("\n")
            assert answer.relation == Preview.RELATION_DIVERGED
            assert answer.mergeable == (merged.returncode == 0), (ours, theirs)
            assert answer.tree_oid == (tree if answer.mergeable else ""), (ours, theirs)
            assert {one.path.decode() for one in answer.conflicts} == set(conflicts) - {""}, (ours, theirs)
    assert Preview.RELATION_DIVERGED in kinds
