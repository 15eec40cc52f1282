"""Listings and counts of commits are those of `git rev-list` and `git log`, page by page."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.v1 import commit_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import check_as_git_shows, oid_of, output, rev_list
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.api.oddities import ODD_PATHS
from tests.e2e.cluster import Cluster, git

Selection = commit_pb2.CommitSelection
ORDERS: dict[int, list[str]] = {
    commit_pb2.COMMIT_ORDER_UNSPECIFIED: [],
    commit_pb2.COMMIT_ORDER_TOPOLOGICAL: ["--topo-order"],
    commit_pb2.COMMIT_ORDER_DATE: ["--date-order"],
    commit_pb2.COMMIT_ORDER_AUTHOR_DATE: ["--author-date-order"],
}
EXTENDED = commit_pb2.PATTERN_SYNTAX_EXTENDED
EPOCH = 1_600_000_000

SELECTIONS: list[tuple[Selection, list[str]]] = [
    (Selection(), ["HEAD"]),
    (Selection(revisions=["main"], first_parent=True), ["--first-parent", "main"]),
    (Selection(merges=commit_pb2.MERGE_CHOICE_NO_MERGES), ["--no-merges", "HEAD"]),
    (Selection(merges=commit_pb2.MERGE_CHOICE_MERGES_ONLY), ["--merges", "HEAD"]),
    (Selection(excluded_revisions=["main~20"]), ["HEAD", "^main~20"]),
    (Selection(revisions=["main~3", "main~9"], excluded_revisions=["main~30", "main~25"]),
     ["main~3", "main~9", "^main~30", "^main~25"]),
    (Selection(author="Ada"), ["--fixed-strings", "--author=Ada", "HEAD"]),
    (Selection(author="DEV3@", ignore_case=True), ["-i", "-F", "--author=DEV3@", "HEAD"]),
    (Selection(author="^(Ada|Zo).* <", pattern_syntax=EXTENDED), ["-E", "--author=^(Ada|Zo).* <", "HEAD"]),
    (Selection(author="山田"), ["-F", "--author=山田", "HEAD"]),
    (Selection(committer="Committer <"), ["-F", "--committer=Committer <", "HEAD"]),
    (Selection(author="--all"), ["-F", "--author=--all", "HEAD"]),
    (Selection(messages=["alpha"]), ["-F", "--grep=alpha", "HEAD"]),
    (Selection(messages=["alpha", "cedar"]), ["-F", "--grep=alpha", "--grep=cedar", "HEAD"]),
    (Selection(messages=["alpha", "cedar"], all_messages=True),
     ["-F", "--grep=alpha", "--grep=cedar", "--all-match", "HEAD"]),
    (Selection(messages=["ALPHA"], ignore_case=True, invert_messages=True),
     ["-F", "-i", "--grep=ALPHA", "--invert-grep", "HEAD"]),
    (Selection(messages=["a.*e$"], pattern_syntax=EXTENDED, author="Ada"),
     ["-E", "--grep=a.*e$", "--author=Ada", "HEAD"]),
    (Selection(since_s=EPOCH + 12_001), [f"--since=@{EPOCH + 12_001} +0000", "HEAD"]),
    (Selection(until_s=EPOCH + 12_001), [f"--until=@{EPOCH + 12_001} +0000", "HEAD"]),
    (Selection(since_s=0, until_s=1 << 40 >> 1), ["HEAD"]),
    (Selection(since_s=1 << 33), ["HEAD", "^HEAD"]),
]  # fmt: skip


def pages(
    api: Api, repository: str, selection: Selection, *, size: int = 0, **rest: Any
) -> list[commit_pb2.ListCommitsResponse]:
    found: list[commit_pb2.ListCommitsResponse] = []
    token = ""
    while True:
        request = commit_pb2.ListCommitsRequest(
            repository=repository, selection=selection, page_size=size, page_token=token, **rest
        )
        found.append(api.call("CommitService/ListCommits", request, commit_pb2.ListCommitsResponse))
        token = found[-1].next_page_token
        if not token:
            return found


def listed(api: Api, repository: str, selection: Selection, *, size: int = 1_000, **rest: Any) -> list[str]:
    return [commit.oid for page in pages(api, repository, selection, size=size, **rest) for commit in page.commits]


def count(api: Api, repository: str, selection: Selection, limit: int = 0) -> tuple[int, bool]:
    request = commit_pb2.CountCommitsRequest(repository=repository, selection=selection, limit=limit)
    answer = api.call("CommitService/CountCommits", request, commit_pb2.CountCommitsResponse)
    return answer.count, answer.truncated


@pytest.mark.parametrize(("selection", "arguments"), SELECTIONS)
def test_selections_are_git_s(api: Api, history: Path, selection: Selection, arguments: list[str]) -> None:
    wanted = rev_list(history, *arguments)
    assert listed(api, HISTORY, selection) == wanted
    assert listed(api, HISTORY, selection, reverse=True) == wanted[::-1]
    assert count(api, HISTORY, selection) == (len(wanted), False)


def test_the_selections_compared_select_something(history: Path) -> None:
    sizes = [len(rev_list(history, *arguments)) for _, arguments in SELECTIONS]
    everything = len(rev_list(history, "HEAD"))
    assert sum(0 < size < everything for size in sizes) >= len(sizes) - 5


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("branch", ["main", "octopus", "crisscross-a", "latin1"])
def test_orders_are_git_s(api: Api, oddities: Path, order: int, branch: str) -> None:
    wanted = rev_list(oddities, *ORDERS[order], branch)
    assert listed(api, ODDITIES, Selection(revisions=[branch]), order=order) == wanted
    assert listed(api, ODDITIES, Selection(revisions=[branch]), order=order, reverse=True, size=3) == wanted[::-1]


def test_several_starts_come_in_git_s_order(api: Api, oddities: Path) -> None:
    branches = ["octopus", "crisscross-a", "crisscross-b", "unrelated", "huge", "conflict-a"]
    selection = Selection(revisions=branches, excluded_revisions=["v1.0"])
    for order, options in ORDERS.items():
        assert listed(api, ODDITIES, selection, order=order, size=4) == rev_list(oddities, *options, *branches, "^v1.0")


@pytest.mark.parametrize("path", [*ODD_PATHS, b"src", b"src/numbers.txt", b"link", b"vendor/module", b"no/such/path"])
def test_paths_are_taken_literally(api: Api, oddities: Path, path: bytes) -> None:
    arguments: list[str | bytes] = ["--literal-pathspecs", "rev-list", "octopus", "--", path]
    wanted = output(oddities, *arguments).decode().split()
    selection = Selection(revisions=["octopus"], paths=[path])
    assert listed(api, ODDITIES, selection) == wanted
    assert count(api, ODDITIES, selection)[0] == len(wanted)


def test_paths_of_a_history_with_merges_are_simplified_as_git_does(api: Api, history: Path) -> None:
    names = output(history, "ls-tree", "-r", "--name-only", "-z", "HEAD").split(b"\0")[:-1][:6]
    for path in names:
        for selection, options in (
            (Selection(paths=[path]), []),
            (Selection(paths=[path], full_history=True), ["--full-history"]),
            (Selection(paths=[path], first_parent=True), ["--first-parent"]),
            (Selection(paths=names[:3]), []),
        ):
            paths = list(selection.paths)
            assert listed(api, HISTORY, selection) == rev_list(history, *options, "HEAD", "--", *paths)


@pytest.mark.parametrize("path", [b"src/crlf-moved.txt", b"bin/run.sh", b"src/copy.txt", ODD_PATHS[4]])
def test_a_file_is_followed_beyond_its_renames(api: Api, oddities: Path, path: bytes) -> None:
    wanted = output(oddities, "log", "--follow", "--format=%H", "main", "--", path).decode().split()
    selection = Selection(revisions=["main"], paths=[path], follow=True)
    for size in (1, 2, 1_000):
        assert listed(api, ODDITIES, selection, size=size) == wanted
    assert count(api, ODDITIES, selection) == (len(wanted), False)
    assert count(api, ODDITIES, selection, limit=1) == (1, len(wanted) > 1)


def test_a_renamed_file_has_more_history_when_followed(api: Api, oddities: Path) -> None:
    assert oddities.exists()
    lengths = [
        count(api, ODDITIES, Selection(revisions=["main"], paths=[b"bin/run.sh"], follow=follow))[0]
        for follow in (False, True)
    ]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("size", [1, 7, 100, 399, 400, 401])
def test_pages_join_to_the_whole(api: Api, history: Path, size: int) -> None:
    wanted = rev_list(history, "HEAD")
    selection = Selection()
    answers = (
        pages(api, HISTORY, selection, size=size)
        if size > 1
        else [
            api.call(
                "CommitService/ListCommits",
                commit_pb2.ListCommitsRequest(repository=HISTORY, page_size=1),
                commit_pb2.ListCommitsResponse,
            )
        ]
    )
    assert [commit.oid for page in answers for commit in page.commits] == (wanted if size > 1 else wanted[:1])
    assert all(len(page.commits) == size for page in answers[:-1])
    assert all(page.position.generation >= 1 for page in answers)


def test_listed_commits_are_whole(api: Api, oddities: Path) -> None:
    for page in pages(api, ODDITIES, Selection(revisions=["octopus"])):
        for commit in page.commits:
            check_as_git_shows(oddities, commit)


def test_a_sha256_repository_is_listed(api: Api, oddities_sha256: Path) -> None:
    selection = Selection(revisions=["octopus", "crisscross-a"], excluded_revisions=["v1.0"], paths=[b"src", b"topic"])
    wanted = rev_list(oddities_sha256, "octopus", "crisscross-a", "^v1.0", "--", "src", "topic")
    assert listed(api, ODDITIES_SHA256, selection, size=2) == wanted


def test_later_pages_stand_on_the_commits_of_the_first(api: Api, cluster: Cluster, tmp_path: Path) -> None:
    name, path = "api/moving", tmp_path / "moving.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    tree = git("mktree", cwd=path, stdin="").stdout.strip()
    tip = ""
    for number in range(6):
        parents = ["-p", tip] if tip else []
        tip = git("commit-tree", tree, "-m", str(number), *parents, cwd=path).stdout.strip()
    git("push", "--quiet", cluster.url(1, name), f"{tip}:refs/heads/main", cwd=path)
    request = commit_pb2.ListCommitsRequest(repository=name, page_size=4)
    first = api.call("CommitService/ListCommits", request, commit_pb2.ListCommitsResponse)
    other = git("commit-tree", tree, "-m", "other", "-p", f"{tip}~4", cwd=path).stdout.strip()
    git("push", "--quiet", "--force", cluster.url(1, name), f"{other}:refs/heads/main", cwd=path)
    request.page_token = first.next_page_token
    second = api.call("CommitService/ListCommits", request, commit_pb2.ListCommitsResponse)
    assert [commit.oid for commit in (*first.commits, *second.commits)] == rev_list(path, tip)
    assert second.position.generation > first.position.generation
    assert listed(api, name, Selection()) == rev_list(path, other)


def test_counting_stops_at_the_limit(api: Api, history: Path) -> None:
    everything = len(rev_list(history, "HEAD"))
    assert count(api, HISTORY, Selection(), 10) == (10, True)
    assert count(api, HISTORY, Selection(), everything) == (everything, False)
    assert count(api, HISTORY, Selection(), everything - 1) == (everything - 1, True)


@pytest.mark.parametrize(
    ("selection", "kind"),
    [
        (Selection(revisions=["nobody"]), NotFound),
        (Selection(excluded_revisions=["nobody"]), NotFound),
        (Selection(revisions=["tree-tag"]), InvalidRequest),
        (Selection(revisions=["main...octopus"]), InvalidRequest),
        (Selection(revisions=["main"] * 30, excluded_revisions=["main"] * 21), InvalidRequest),
        (Selection(paths=[b""]), InvalidRequest),
        (Selection(paths=[b"../x"]), InvalidRequest),
        (Selection(paths=[b"/etc"]), InvalidRequest),
        (Selection(paths=[b"a\0b"]), InvalidRequest),
        (Selection(paths=[b"x"] * 101), InvalidRequest),
        (Selection(follow=True), InvalidRequest),
        (Selection(follow=True, paths=[b"a", b"b"]), InvalidRequest),
        (Selection(author="a\nb"), InvalidRequest),
        (Selection(author="a\0b"), InvalidRequest),
        (Selection(author="x" * 1_001), InvalidRequest),
        (Selection(messages=["x"] * 21), InvalidRequest),
        (Selection(messages=[""]), InvalidRequest),
        (Selection(all_messages=True), InvalidRequest),
        (Selection(messages=["("], pattern_syntax=EXTENDED), InvalidRequest),
        (Selection(pattern_syntax=9), InvalidRequest),  # type: ignore[arg-type]
        (Selection(merges=9), InvalidRequest),  # type: ignore[arg-type]
        (Selection(since_s=-1), InvalidRequest),
        (Selection(until_s=1 << 41), InvalidRequest),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(
    api: Api, oddities: Path, selection: Selection, kind: type[MeshError]
) -> None:
    assert oddities.exists()
    for method, request in (
        ("ListCommits", commit_pb2.ListCommitsRequest(repository=ODDITIES, selection=selection)),
        ("CountCommits", commit_pb2.CountCommitsRequest(repository=ODDITIES, selection=selection)),
    ):
        error = api.error(f"CommitService/{method}", request)
        assert isinstance(error, kind), error


def test_a_page_out_of_bounds_or_of_another_listing_is_refused(api: Api, history: Path) -> None:
    assert oid_of(history, "main")
    base = commit_pb2.ListCommitsRequest(repository=HISTORY, page_size=10)
    token = api.call("CommitService/ListCommits", base, commit_pb2.ListCommitsResponse).next_page_token
    for changes in itertools.chain(
        ({"page_size": 1_001}, {"order": 9}, {"page_token": "nonsense"}, {"page_token": token + "A"}),
        ({"page_token": token, "reverse": True}, {"page_token": token, "order": 1}),
        ({"page_token": token, "selection": Selection(author="Ada")}, {"page_token": "x" * 10_000}),
        ({"reverse": True, "selection": Selection(follow=True, paths=[b"a"])},),
    ):
        request = commit_pb2.ListCommitsRequest()
        request.CopyFrom(base)
        request.MergeFrom(commit_pb2.ListCommitsRequest(**changes))  # type: ignore[arg-type]
        assert isinstance(api.error("CommitService/ListCommits", request), InvalidRequest), changes
