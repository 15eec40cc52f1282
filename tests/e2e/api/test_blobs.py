"""TreeService's blobs beside stock git: content, ranges, limits, batches, and callers who leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshnode.auth.channel import SignedChannel
from meshnode.base.errors import InvalidRequest, MeshError, NotFound, TooLarge
from meshnode.v1 import tree_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import ODDITIES
from tests.e2e.api.oddities import ODD_PATHS
from tests.e2e.api.stock import raw_git
from tests.e2e.cluster import Cluster, git
from tests.e2e.waiting import wait_until

LARGE = "api/large-blobs"
LARGE_BYTES = 24 << 20


@pytest.fixture(scope="module")
def large(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A blob that does not fit into pipes and sockets; in the repository `LARGE` as `large.bin`."""
    path = tmp_path_factory.mktemp("large") / "work"
    content = os.urandom(1 << 20) * (LARGE_BYTES >> 20)
    git("init", "--quiet", "--initial-branch=main", str(path))
    (path / "large.bin").write_bytes(content)
    (path / "small.txt").write_text("small\n")
    git("add", ".", cwd=path)
    git("commit", "--quiet", "-m", "large", cwd=path)
    git("push", "--quiet", cluster.url(1, LARGE), "main", cwd=path)
    return content


def get(api: Api, **fields: Any) -> tuple[tree_pb2.BlobInfo, bytes]:
    """A blob, checked for what every answer must keep to."""
    request = tree_pb2.GetBlobRequest(**{"repository": ODDITIES, **fields})
    answers = api.stream("TreeService/GetBlob", request, tree_pb2.GetBlobResponse)
    first, *rest = answers
    assert first.position.generation > 0
    assert not any(one.HasField("blob") or one.HasField("position") or not one.data for one in rest)
    assert max(len(one.data) for one in answers) <= 256 << 10
    data = b"".join(one.data for one in answers)
    assert first.blob.sent == len(data)
    return first.blob, data


def test_every_blob_is_what_git_has(api: Api, oddities: Path) -> None:
    for record in raw_git(oddities, "ls-tree", "-r", "-z", "main").split(b"\0")[:-1]:
        facts, _, path = record.partition(b"\t")
        mode, kind, oid = facts.decode().split()
        if kind != "blob":
            continue
        content = raw_git(oddities, "cat-file", "blob", oid)
        info, data = get(api, revision="main", path=path)
        assert data == content
        assert (info.oid, info.size, info.mode) == (oid, len(content), int(mode, 8))
        assert info.HasField("lfs") == (path == b"big.lfs")
        info, data = get(api, revision=oid)
        assert (info.oid, info.mode, data) == (oid, 0, content)


def test_revision_may_name_the_blob_itself(api: Api, oddities: Path) -> None:
    content = raw_git(oddities, "cat-file", "blob", "main:src/numbers.txt")
    for revision in ("main:src/numbers.txt", "HEAD:src/numbers.txt", "main^{tree}:src/numbers.txt"):
        assert get(api, revision=revision)[1] == content


@pytest.mark.parametrize(
    ("start", "length"), [(0, 0), (0, 5), (3, None), (10_239, 1), (10_240, None), (99_999, 5), (5, 1 << 40)]
)
def test_ranges(api: Api, oddities: Path, start: int, length: int | None) -> None:
    content = raw_git(oddities, "cat-file", "blob", "main:data.bin")
    wanted = {} if length is None else {"length": length}
    info, data = get(api, revision="main", path=b"data.bin", start=start, **wanted)
    assert info.size == len(content) == 10_240
    assert data == content[start : None if length is None else start + length]


def test_large_blob_and_its_ranges(api: Api, large: bytes) -> None:
    info, data = get(api, repository=LARGE, path=b"large.bin")
    assert (info.size, data == large) == (LARGE_BYTES, True)
    assert get(api, repository=LARGE, path=b"large.bin", start=LARGE_BYTES - 3)[1] == large[-3:]
    assert (
        get(api, repository=LARGE, path=b"large.bin", start=5_000_000, length=600_000)[1] == large[5_000_000:5_600_000]
    )


def test_size_limit_is_kept_before_anything_is_sent(api: Api, oddities: Path) -> None:
    assert oddities
    assert get(api, revision="main", path=b"data.bin", size_max=10_240)[0].size == 10_240
    assert failure(api, revision="main", path=b"empty.txt", size_max=0) is None
    error = failure(api, revision="main", path=b"data.bin", size_max=10_239)
    assert isinstance(error, TooLarge)
    assert error.fields == {"size": 10_240, "size_max": 10_239}


def failure(api: Api, **fields: Any) -> MeshError | None:
    try:
        get(api, **fields)
    except MeshError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("fields", "kind", "facts"),
    [
        ({"revision": "nowhere"}, NotFound, {"revision": "nowhere"}),
        ({"revision": "f" * 40}, NotFound, {"revision": "f" * 40}),
        ({"revision": "main", "path": b"none"}, NotFound, {"path": "none", "revision": "main"}),
        ({"revision": "main", "path": b"src"}, InvalidRequest, {"path": "src", "kind": "directory"}),
        (
            {"revision": "main", "path": b"vendor/module"},
            InvalidRequest,
            {"path": "vendor/module", "kind": "submodule"},
        ),
        ({"revision": "main"}, InvalidRequest, {"revision": "main", "kind": "commit"}),
        ({"revision": "main", "path": b"a/../b"}, InvalidRequest, {"path": "a/../b"}),
    ],
)
def test_what_is_no_blob_is_said(
    api: Api, oddities: Path, fields: dict[str, Any], kind: type[MeshError], facts: dict[str, object]
) -> None:
    assert oddities
    error = failure(api, **fields)
    assert error is not None
    assert (type(error), error.fields) == (kind, facts)


def get_many(
    api: Api, selectors: list[tree_pb2.BlobSelector], repository: str = ODDITIES, **fields: Any
) -> list[tuple[tree_pb2.BlobInfo | None, bytes]]:
    request = tree_pb2.GetBlobsRequest(repository=repository, blobs=selectors, **fields)
    answers = api.stream("TreeService/GetBlobs", request, tree_pb2.GetBlobsResponse)
    assert [one.HasField("position") for one in answers] == [True] + [False] * (len(answers) - 1)
    assert max(sum(len(part.data) for part in one.parts) for one in answers) <= 256 << 10
    parts = [part for one in answers for part in one.parts]
    indices = [part.index for part in parts]
    assert indices == sorted(indices)
    assert set(indices) == set(range(len(selectors)))
    found: list[tuple[tree_pb2.BlobInfo | None, bytes]] = []
    for number in range(len(selectors)):
        own = [part for part in parts if part.index == number]
        data = b"".join(one.data for one in own)
        assert not any(one.HasField("blob") for one in own[1:])
        info = own[0].blob if own[0].HasField("blob") else None
        assert len(data) == (0 if info is None else info.sent)
        found.append((info, data))
    return found


def test_batch_answers_in_order_and_marks_what_is_no_blob(api: Api, oddities: Path) -> None:
    oid = raw_git(oddities, "rev-parse", "main:LICENSE").decode().strip()
    selectors = [
        *(tree_pb2.BlobSelector(revision="main", path=path) for path in ODD_PATHS),
        tree_pb2.BlobSelector(revision="main", path=b"none"),
        tree_pb2.BlobSelector(revision="main", path=b"src"),
        tree_pb2.BlobSelector(revision="main", path=b"vendor/module"),
        tree_pb2.BlobSelector(revision="nowhere", path=b"none"),
        tree_pb2.BlobSelector(revision="nowhere"),
        tree_pb2.BlobSelector(revision="main"),
        tree_pb2.BlobSelector(revision="e" * 40),
        tree_pb2.BlobSelector(revision=oid),
        tree_pb2.BlobSelector(revision="main:LICENSE"),
        tree_pb2.BlobSelector(revision="main~3", path=b"data.bin"),
        tree_pb2.BlobSelector(revision=oid),
        tree_pb2.BlobSelector(revision="main", path=b"empty.txt"),
        tree_pb2.BlobSelector(path=b"link"),
    ]
    found = get_many(api, selectors)
    for path, (info, data) in zip(ODD_PATHS, found, strict=False):
        assert info is not None
        assert (info.mode, data) == (0o100644, b"content of " + path + b"\n")
    rest = found[len(ODD_PATHS) :]
    assert [info is None for info, _ in rest] == [True] * 7 + [False] * 6
    assert [data for _, data in rest[7:]] == [
        raw_git(oddities, "cat-file", "blob", name)
        for name in (oid, oid, "main~3:data.bin", oid, "main:empty.txt", "main:link")
    ]


def test_batch_mixes_large_and_small_and_cuts_where_asked(api: Api, large: bytes) -> None:
    selectors = [tree_pb2.BlobSelector(path=path) for path in (b"small.txt", b"large.bin", b"small.txt", b"large.bin")]
    assert [data for _, data in get_many(api, selectors, LARGE)] == [b"small\n", large, b"small\n", large]
    cut = get_many(api, selectors, LARGE, bytes_max=100_000)
    assert [(info.size, data) for info, data in cut if info] == [(6, b"small\n"), (LARGE_BYTES, large[:100_000])] * 2
    assert [(info.size, data) for info, data in get_many(api, selectors, LARGE, bytes_max=0) if info] == [
        (6, b""),
        (LARGE_BYTES, b""),
    ] * 2


def test_thousands_of_blobs_in_one_call(api: Api, oddities: Path) -> None:
    assert oddities
    selectors = [tree_pb2.BlobSelector(revision="huge", path=b"many/%05d.txt" % number) for number in range(5_000)]
    assert [data for _, data in get_many(api, selectors)] == [b"x\n"] * 5_000
    selectors.append(selectors[0])
    with pytest.raises(InvalidRequest):
        get_many(api, selectors)
    with pytest.raises(InvalidRequest):
        get_many(api, [])


def test_small_blobs_share_messages(api: Api, oddities: Path) -> None:
    assert oddities
    selectors = [tree_pb2.BlobSelector(revision="huge", path=b"many/%05d.txt" % number) for number in range(500)]
    request = tree_pb2.GetBlobsRequest(repository=ODDITIES, blobs=selectors)
    assert len(api.stream("TreeService/GetBlobs", request, tree_pb2.GetBlobsResponse)) == 2


def test_caller_who_leaves_ends_the_reading(api: Api, cluster: Cluster, large: bytes, name: str) -> None:
    assert large
    git("push", "--quiet", cluster.url(1, name), "main", cwd=cluster.replica_path(1, LARGE))

    async def leave(channel: SignedChannel) -> int:
        request = tree_pb2.GetBlobRequest(repository=name, path=b"large.bin").SerializeToString()
        async with channel.stream("/mesh.v1.TreeService/GetBlob", request, timeout_ms=30_000) as stream:
            return len(await anext(stream))

    assert api.run(leave) > 0
    directories = {str(cluster.replica_path(node, name)) for node in cluster.numbers}
    wait_until(lambda: not directories & set(read_now()), deadline_s=20, what="nobody reads the blob any more")
    assert get(api, repository=name, path=b"small.txt")[1] == b"small\n"


def read_now() -> Iterator[str]:
    """The repositories of all git processes of this machine that read objects."""
    for process in Path("/proc").iterdir():
        try:
            if b"cat-file" in (process / "cmdline").read_bytes():
                yield next(
                    setting[len(b"GIT_DIR=") :].decode()
                    for setting in (process / "environ").read_bytes().split(b"\0")
                    if setting.startswith(b"GIT_DIR=")
                )
        except (OSError, StopIteration):
            continue
