"""The file browser's call: every entry of a directory with the commit that `git log -1 -- <path>` shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.v1 import commit_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import check_as_git_shows, oid_of, output
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.api.oddities import HUGE_ENTRIES


def pages(
    api: Api, repository: str, revision: str, path: bytes = b"", *, size: int = 0, most: int = 1_000
) -> list[commit_pb2.ListLastCommitsResponse]:
    found: list[commit_pb2.ListLastCommitsResponse] = []
    token = ""
    for _ in range(most):
        request = commit_pb2.ListLastCommitsRequest(
            repository=repository, revision=revision, path=path, page_size=size, page_token=token
        )
        found.append(api.call("CommitService/ListLastCommits", request, commit_pb2.ListLastCommitsResponse))
        assert not found[-1].truncated
        named = {entry.commit_oid for entry in found[-1].entries}
        assert named == {commit.oid for commit in found[-1].commits}
        token = found[-1].next_page_token
        if not token:
            break
    return found


def check(api: Api, repository: str, stock: Path, revision: str, path: bytes = b"", *, size: int = 0) -> None:
    start = path + b"/" if path else b""
    listing = output(stock, "ls-tree", "-z", f"{revision}^{{commit}}", start or b".").split(b"\0")[:-1]
    entries = [entry for page in pages(api, repository, revision, path, size=size) for entry in page.entries]
    assert [(b"%06o" % one.entry.mode, one.entry.oid.encode(), one.entry.path) for one in entries] == [
        (line.split(b" ")[0], line.split(b" ")[2].split(b"\t")[0], line.partition(b"\t")[2]) for line in listing
    ]
    for entry in entries:
        wanted = output(
            stock, "--literal-pathspecs", "log", "-1", "--format=%H", revision, "--", entry.entry.path
        ).decode()
        assert entry.commit_oid == wanted.strip(), entry.entry.path


@pytest.mark.parametrize("revision", ["main", "octopus", "crisscross-a", "latin1", "v1.0"])
@pytest.mark.parametrize("size", [0, 3])
def test_entries_have_the_commits_that_git_shows(api: Api, oddities: Path, revision: str, size: int) -> None:
    check(api, ODDITIES, oddities, revision, size=size)
    check(api, ODDITIES, oddities, revision, b"src", size=size)


@pytest.mark.parametrize("path", ["ünï".encode(), "ünï/cødé".encode(), b"src/deep", b"vendor"])
def test_directories_of_any_depth_are_searched(api: Api, oddities: Path, path: bytes) -> None:
    check(api, ODDITIES, oddities, "octopus", path)


def test_a_history_with_merges_is_searched(api: Api, history: Path) -> None:
    check(api, HISTORY, history, "main")
    for name in output(history, "ls-tree", "-d", "-z", "--name-only", "main").split(b"\0")[:3]:
        if name:
            check(api, HISTORY, history, "main", name)


def test_a_sha256_repository_is_searched(api: Api, oddities_sha256: Path) -> None:
    check(api, ODDITIES_SHA256, oddities_sha256, "octopus", size=5)


def test_commits_are_whole_and_stand_on_the_asked_one(api: Api, oddities: Path) -> None:
    (page,) = pages(api, ODDITIES, "octopus")
    assert page.commit_oid == oid_of(oddities, "octopus")
    assert page.position.generation >= 1
    for commit in page.commits:
        check_as_git_shows(oddities, commit)


def test_a_huge_directory_comes_in_pages(api: Api, oddities: Path) -> None:
    only = oid_of(oddities, "huge")
    found = pages(api, ODDITIES, "huge", b"many", size=1_000, most=3)
    names = [entry.entry.path for page in found for entry in page.entries]
    assert names == [b"many/%05d.txt" % number for number in range(3_000)]
    assert len(names) < HUGE_ENTRIES
    assert {entry.commit_oid for page in found for entry in page.entries} == {only}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"revision": "nobody"}, NotFound),
        ({"revision": "tree-tag"}, InvalidRequest),
        ({"path": b"nothing/here"}, NotFound),
        ({"path": b"LICENSE"}, InvalidRequest),
        ({"path": b"link"}, InvalidRequest),
        ({"path": b"vendor/module"}, InvalidRequest),
        ({"path": b"src/"}, InvalidRequest),
        ({"path": b"../src"}, InvalidRequest),
        ({"page_size": 1_001}, InvalidRequest),
        ({"page_token": "nonsense"}, InvalidRequest),
    ],
)
def test_what_is_no_directory_is_refused(
    api: Api, oddities: Path, fields: dict[str, object], kind: type[MeshError]
) -> None:
    assert oddities.exists()
    request = commit_pb2.ListLastCommitsRequest(repository=ODDITIES, **fields)  # type: ignore[arg-type]
    error = api.error("CommitService/ListLastCommits", request)
    assert isinstance(error, kind), error


def test_a_token_of_another_directory_is_refused(api: Api, oddities: Path) -> None:
    assert oddities.exists()
    (first,) = pages(api, ODDITIES, "main", size=2, most=1)
    request = commit_pb2.ListLastCommitsRequest(
        repository=ODDITIES, revision="main", path=b"src", page_size=2, page_token=first.next_page_token
    )
    assert isinstance(api.error("CommitService/ListLastCommits", request), InvalidRequest)
