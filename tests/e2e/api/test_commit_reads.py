"""Single commits and batches of them are what stock git shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, RepositoryNotFound
from meshnode.v1 import commit_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import check_as_git_shows, oid_of, output, rev_list
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.cluster import Cluster, git

LARGE = "api/large-messages"
MIB = 1 << 20
MESSAGES = {"small": 100, "listed": (64 << 10) + 1, "got": MIB + 1, "huge": 3 * MIB}


@pytest.fixture(scope="module")
def large(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commits with messages around the limits, pushed to `LARGE`."""
    path = tmp_path_factory.mktemp("large") / "large.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    tree = git("mktree", cwd=path, stdin="").stdout.strip()
    for name, size in MESSAGES.items():
        lines = ("x" * 99 + "\n") * (size // 100 + 1)
        commit = git("commit-tree", tree, cwd=path, stdin=lines[: size - 1] + "\n").stdout.strip()
        git("update-ref", f"refs/heads/{name}", commit, cwd=path)
    git("push", "--quiet", "--mirror", cluster.url(1, LARGE), cwd=path)
    return path


def get(api: Api, repository: str, revision: str) -> commit_pb2.Commit:
    request = commit_pb2.GetCommitRequest(repository=repository, revision=revision)
    answer = api.call("CommitService/GetCommit", request, commit_pb2.GetCommitResponse)
    assert answer.position.generation >= 1
    assert answer.position.node
    return answer.commit


def get_many(api: Api, repository: str, revisions: list[str]) -> list[commit_pb2.CommitResult]:
    request = commit_pb2.GetCommitsRequest(repository=repository, revisions=revisions)
    messages = api.stream("CommitService/GetCommits", request, commit_pb2.GetCommitsResponse)
    assert messages[0].position.generation >= 1
    assert all(message.ByteSize() < 4 * MIB and message.results for message in messages)
    return [result for message in messages for result in message.results]


def test_every_commit_is_as_git_shows_it(api: Api, oddities: Path) -> None:
    check_all(api, ODDITIES, oddities)


def test_every_commit_of_a_sha256_repository_is_as_git_shows_it(api: Api, oddities_sha256: Path) -> None:
    check_all(api, ODDITIES_SHA256, oddities_sha256)


def check_all(api: Api, repository: str, path: Path) -> None:
    oids = rev_list(path, "--all")
    results = get_many(api, repository, oids)
    assert [result.revision for result in results] == oids
    for result in results:
        check_as_git_shows(path, result.commit)


@pytest.mark.parametrize(
    "revision", ["", "HEAD", "main", "refs/heads/main", "main~2", "octopus^3", "v1.0", "nested", "light", "latin1"]
)
def test_a_commit_is_found_by_name(api: Api, oddities: Path, revision: str) -> None:
    commit = get(api, ODDITIES, revision)
    assert commit.oid == oid_of(oddities, revision or "HEAD")
    check_as_git_shows(oddities, commit)
    assert get(api, ODDITIES, commit.oid[:12]) == commit


def test_text_that_is_not_utf8_keeps_its_bytes_and_says_its_encoding(api: Api, oddities: Path) -> None:
    commit = get(api, ODDITIES, "latin1")
    assert commit.encoding == "ISO-8859-1"
    assert commit.message == "Grüße aus Köln\n".encode("latin-1")
    assert oddities.exists()


def test_a_long_message_is_cut_and_says_so(api: Api, large: Path) -> None:
    for name, size in MESSAGES.items():
        whole = output(large, "cat-file", "commit", name).partition(b"\n\n")[2]
        assert len(whole) == size
        commit = get(api, LARGE, name)
        assert (commit.message_size, commit.message) == (size, whole[:MIB])
        (result,) = get_many(api, LARGE, [name])
        assert (result.commit.message_size, result.commit.message) == (size, whole[: 64 << 10])


def test_a_batch_larger_than_one_message_comes_in_several(api: Api, large: Path) -> None:
    names = ["huge", "small", "nobody", "listed"] * 250
    results = get_many(api, LARGE, names)
    assert [result.revision for result in results] == names
    ids = {name: oid_of(large, name) for name in MESSAGES}
    assert [result.commit.oid if result.HasField("commit") else None for result in results] == [
        ids.get(name) for name in names
    ]


def test_a_batch_leaves_out_what_is_not_there_or_no_commit(api: Api, oddities: Path) -> None:
    tree = git("rev-parse", "main^{tree}", cwd=oddities).stdout.strip()
    tag = git("rev-parse", "v1.0", cwd=oddities).stdout.strip()
    revisions = ["main", "nobody", "0" * 40, tree, "tree-tag", tag, "main~99", "main:LICENSE", "main"]
    found = [result.commit.oid if result.HasField("commit") else None for result in get_many(api, ODDITIES, revisions)]
    main, tagged = oid_of(oddities, "main"), oid_of(oddities, "v1.0")
    assert found == [main, None, None, None, None, tagged, None, None, main]


@pytest.mark.parametrize(
    ("revision", "kind"),
    [
        ("nobody", NotFound),
        ("main~99", NotFound),
        ("f" * 40, NotFound),
        ("main^{tree}", InvalidRequest),
        ("tree-tag", InvalidRequest),
        ("main:LICENSE", InvalidRequest),
        ("--all", InvalidRequest),
        ("main..octopus", InvalidRequest),
        ("main@{1}", InvalidRequest),
        (":/topic", InvalidRequest),
        ("main\nmain", InvalidRequest),
        ("x" * 5_000, InvalidRequest),
    ],
)
def test_a_revision_without_a_commit_is_refused(api: Api, oddities: Path, revision: str, kind: type[MeshError]) -> None:
    assert oddities.exists()
    error = api.error("CommitService/GetCommit", commit_pb2.GetCommitRequest(repository=ODDITIES, revision=revision))
    assert isinstance(error, kind), error


def test_a_repository_that_is_not_there_is_not_found(api: Api) -> None:
    error = api.error("CommitService/GetCommit", commit_pb2.GetCommitRequest(repository="api/nothing"))
    assert isinstance(error, (RepositoryNotFound, NotFound))
    error = api.error("CommitService/GetCommit", commit_pb2.GetCommitRequest(repository="../etc"))
    assert isinstance(error, InvalidRequest)


@pytest.mark.parametrize("revisions", [[], ["main"] * 1_001, ["main", "--all"], ["main", "a b"]])
def test_a_batch_out_of_bounds_or_malformed_is_refused(api: Api, history: Path, revisions: list[str]) -> None:
    assert history.exists()
    with pytest.raises(InvalidRequest):
        get_many(api, HISTORY, revisions)
