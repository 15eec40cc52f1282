"""TreeService beside stock git: listings, paths, attributes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound
from meshnode.v1 import tree_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import HISTORY, ODDITIES
from tests.e2e.api.oddities import HUGE_ENTRIES, ODD_PATHS, make_oddities
from tests.e2e.api.stock import raw_git
from tests.e2e.cluster import Cluster, git

KINDS = {
    "040000": tree_pb2.ENTRY_KIND_DIRECTORY,
    "100644": tree_pb2.ENTRY_KIND_FILE,
    "100755": tree_pb2.ENTRY_KIND_EXECUTABLE,
    "120000": tree_pb2.ENTRY_KIND_SYMLINK,
    "160000": tree_pb2.ENTRY_KIND_SUBMODULE,
}


def pages(api: Api, request: tree_pb2.ListEntriesRequest) -> Iterator[tree_pb2.ListEntriesResponse]:
    """All pages, from whichever nodes."""
    while True:
        answer = api.call("TreeService/ListEntries", request, tree_pb2.ListEntriesResponse)
        yield answer
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def listed(api: Api, request: tree_pb2.ListEntriesRequest) -> list[tuple[bytes, int, str, int, int]]:
    return [
        (entry.path, entry.mode, entry.oid, entry.size, entry.kind)
        for page in pages(api, request)
        for entry in page.entries
    ]


def ls_tree(path: Path, *args: str) -> list[tuple[bytes, int, str, int, int]]:
    """The same from `git ls-tree`."""
    entries: list[tuple[bytes, int, str, int, int]] = []
    for record in raw_git(path, "ls-tree", "-z", "-l", "--full-tree", *args).split(b"\0")[:-1]:
        facts, _, name = record.partition(b"\t")
        mode, _, oid, size = facts.decode().split()
        entries.append((name, int(mode, 8), oid, 0 if size == "-" else int(size), KINDS[mode]))
    return entries


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("page_size", [0, 3, 7])
def test_listings_equal_ls_tree(api: Api, oddities: Path, recursive: bool, page_size: int) -> None:
    options = ["-r", "-t"] if recursive else []
    for revision in ("main", "octopus", "v1.0", "tree-tag", "unrelated", "main~3", ""):
        request = tree_pb2.ListEntriesRequest(
            repository=ODDITIES, revision=revision, recursive=recursive, sizes=True, page_size=page_size
        )
        assert listed(api, request) == ls_tree(oddities, *options, revision or "HEAD"), revision


def test_directory_below_the_root_keeps_full_paths(api: Api, oddities: Path) -> None:
    for directory in ("src", "src/deep", "ünï/cødé", "vendor"):
        request = tree_pb2.ListEntriesRequest(
            repository=ODDITIES, revision="main", path=directory.encode(), recursive=True, sizes=True, page_size=1
        )
        everything = ls_tree(oddities, "-r", "-t", "main")
        assert listed(api, request) == [one for one in everything if one[0].startswith(directory.encode() + b"/")]


def test_history_is_listed_recursively(api: Api, history: Path) -> None:
    request = tree_pb2.ListEntriesRequest(repository=HISTORY, recursive=True, sizes=True, page_size=5)
    assert listed(api, request) == ls_tree(history, "-r", "-t", "HEAD")


def test_sizes_cost_nothing_where_they_are_not_asked_for(api: Api, oddities: Path) -> None:
    request = tree_pb2.ListEntriesRequest(repository=ODDITIES, revision="main")
    assert [one[:3] for one in listed(api, request)] == [one[:3] for one in ls_tree(oddities, "main")]
    assert {size for _, _, _, size, _ in listed(api, request)} == {0}


@pytest.mark.parametrize("recursive", [False, True])
def test_fifty_thousand_entries_come_in_pages(api: Api, oddities: Path, recursive: bool) -> None:
    request = tree_pb2.ListEntriesRequest(
        repository=ODDITIES, revision="huge", path=b"many", recursive=recursive, sizes=True, page_size=8_000
    )
    answers = list(pages(api, request))
    assert len(answers) == 7
    assert max(answer.ByteSize() for answer in answers) < 3 << 20
    found = [(one.path, one.mode, one.oid, one.size, one.kind) for answer in answers for one in answer.entries]
    assert len(found) == HUGE_ENTRIES
    assert found == ls_tree(oddities, "-r", "huge", "many/")


def test_pages_stand_on_the_tree_of_the_first_one(api: Api, cluster: Cluster, oddities: Path, name: str) -> None:
    git("push", "--quiet", cluster.url(1, name), "main", cwd=oddities)
    request = tree_pb2.ListEntriesRequest(repository=name, revision="main", page_size=4)
    first = api.call("TreeService/ListEntries", request, tree_pb2.ListEntriesResponse)
    git("push", "--quiet", "--force", cluster.url(2, name), "unrelated:main", cwd=oddities)
    request.page_token = first.next_page_token
    rest = [entry.path for page in pages(api, request) for entry in page.entries]
    assert [entry.path for entry in first.entries] + rest == [one[0] for one in ls_tree(oddities, "main")]
    now = api.call(
        "TreeService/ListEntries", tree_pb2.ListEntriesRequest(repository=name), tree_pb2.ListEntriesResponse
    )
    assert [entry.path for entry in now.entries] == [b"other.txt"]
    assert now.position.generation > first.position.generation


def test_page_token_of_another_listing_is_refused(api: Api, oddities: Path) -> None:
    assert oddities
    request = tree_pb2.ListEntriesRequest(repository=ODDITIES, revision="main", page_size=2)
    token = api.call("TreeService/ListEntries", request, tree_pb2.ListEntriesResponse).next_page_token
    for wrong in (
        tree_pb2.ListEntriesRequest(repository=ODDITIES, revision="main", path=b"src", page_token=token),
        tree_pb2.ListEntriesRequest(repository=ODDITIES, revision="main", recursive=True, page_token=token),
        tree_pb2.ListEntriesRequest(repository=ODDITIES, page_token="not one"),
        tree_pb2.ListEntriesRequest(repository=ODDITIES, page_token="MDphYmM6MTI="),
    ):
        assert isinstance(api.error("TreeService/ListEntries", wrong), InvalidRequest)


def test_pointers_of_lfs_are_told_apart(api: Api, oddities: Path) -> None:
    request = tree_pb2.ListEntriesRequest(repository=ODDITIES, revision="main", recursive=True, lfs=True)
    entries = [entry for page in pages(api, request) for entry in page.entries]
    assert [(one.path, one.lfs.oid, one.lfs.size) for one in entries if one.HasField("lfs")] == [
        (b"big.lfs", "ab" * 32, 12345)
    ]
    assert [one.size for one in entries] == [one[3] for one in ls_tree(oddities, "-r", "-t", "main")]


@pytest.mark.parametrize(
    ("request_", "kind", "facts"),
    [
        ({"revision": "nowhere"}, NotFound, {"revision": "nowhere"}),
        ({"revision": "main", "path": b"src/none"}, NotFound, {"path": "src/none", "revision": "main"}),
        ({"revision": "main", "path": b"link"}, InvalidRequest, {"path": "link", "kind": "symlink"}),
        (
            {"revision": "main", "path": b"vendor/module"},
            InvalidRequest,
            {"path": "vendor/module", "kind": "submodule"},
        ),
        ({"revision": "main", "path": b"LICENSE"}, InvalidRequest, {"path": "LICENSE", "kind": "file"}),
        ({"revision": "main", "path": b"LICENSE/x"}, NotFound, {"path": "LICENSE/x", "revision": "main"}),
        ({"revision": "main", "path": b"link/x"}, NotFound, {"path": "link/x", "revision": "main"}),
        ({"revision": "main:LICENSE"}, InvalidRequest, {"revision": "main:LICENSE", "kind": "blob"}),
        ({"revision": "main", "page_size": 8_001}, InvalidRequest, {"page_size": 8001, "page_size_max": 8000}),
        ({"revision": "main", "path": b"../x"}, InvalidRequest, {"path": "../x"}),
        ({"revision": "main", "path": b"src/"}, InvalidRequest, {"path": "src/"}),
        ({"revision": "main", "path": b"x" * 4_097}, InvalidRequest, {"bytes_max": 4_096}),
    ],
)
def test_what_cannot_be_listed_is_said(
    api: Api, oddities: Path, request_: dict[str, object], kind: type[MeshError], facts: dict[str, object]
) -> None:
    assert oddities
    error = api.error(
        "TreeService/ListEntries",
        tree_pb2.ListEntriesRequest(repository=ODDITIES, **request_),  # type: ignore[arg-type]
    )
    assert (type(error), error.fields) == (kind, facts)


def test_paths_are_found_as_git_has_them(api: Api, oddities: Path) -> None:
    entries = {one[0]: one for one in ls_tree(oddities, "-r", "-t", "main")}
    absent = [b"nothing", b"src/nothing", b"LICENSE/below", b"link/below", b"vendor/module/below", b"with space.txt\n"]
    asked = [*entries, *absent, *ODD_PATHS, b""]
    answer = api.call(
        "TreeService/Stat",
        tree_pb2.StatRequest(repository=ODDITIES, revision="main", paths=asked),
        tree_pb2.StatResponse,
    )
    assert [result.path for result in answer.results] == asked
    for result in answer.results[:-1]:
        one = result.entry
        found = (one.path, one.mode, one.oid, one.size, one.kind) if result.HasField("entry") else None
        assert found == entries.get(result.path), result.path
    root = answer.results[-1].entry
    assert (root.kind, root.oid) == (tree_pb2.ENTRY_KIND_DIRECTORY, answer.tree_oid)
    assert answer.tree_oid == git("rev-parse", "main^{tree}", cwd=oddities).stdout.strip()
    assert [result.path for result in answer.results if result.entry.HasField("lfs")] == [b"big.lfs"]


@pytest.mark.parametrize("paths", [[], [b"x"] * 1_001, [b"a//b"], [b"/a"], [b"./a"], [b"a\0b"]])
def test_stat_refuses_what_is_no_path(api: Api, oddities: Path, paths: list[bytes]) -> None:
    assert oddities
    error = api.error("TreeService/Stat", tree_pb2.StatRequest(repository=ODDITIES, revision="main", paths=paths))
    assert isinstance(error, InvalidRequest)


def check_attr(path: Path, index: Path, names: list[str], paths: list[bytes]) -> list[tuple[bytes, str, bytes]]:
    """`git check-attr` over a whole index of main."""
    environment = {"GIT_INDEX_FILE": str(index)}
    raw_git(path, "read-tree", "main", environment=environment)
    output = raw_git(
        path,
        *("check-attr", "--cached", "-z", "--stdin", *(names or ["--all"])),
        stdin=b"".join(one + b"\0" for one in paths),
        environment=environment,
    )
    fields = output.split(b"\0")[:-1]
    return [(fields[at], fields[at + 1].decode(), fields[at + 2]) for at in range(0, len(fields), 3)]


@pytest.mark.parametrize("names", [[], ["diff", "text", "filter", "eol", "nowhere"]])
def test_attributes_equal_check_attr(api: Api, oddities: Path, tmp_path: Path, names: list[str]) -> None:
    paths = [
        *(b"data.bin", b"src/deep/er/file.py", b"crlf.txt", b"src/crlf.txt", b"big.lfs", b"x/y/z.lfs"),
        *ODD_PATHS,
        *(b"not/there.py", b"dir/", b"src")[:1],
    ]
    answer = api.call(
        "TreeService/GetAttributes",
        tree_pb2.GetAttributesRequest(repository=ODDITIES, revision="main", paths=paths, names=names),
        tree_pb2.GetAttributesResponse,
    )
    assert [one.path for one in answer.paths] == paths
    found = [(one.path, attribute.name, attribute.value) for one in answer.paths for attribute in one.attributes]
    assert found == check_attr(oddities, tmp_path / "index", names, paths)
    assert (b"data.bin", "diff", b"unset") in found


def test_attributes_of_a_tree_without_any_and_bad_names(api: Api, oddities: Path) -> None:
    assert oddities
    request = tree_pb2.GetAttributesRequest(repository=ODDITIES, revision="unrelated", paths=[b"a.bin"])
    answer = api.call("TreeService/GetAttributes", request, tree_pb2.GetAttributesResponse)
    assert [(one.path, list(one.attributes)) for one in answer.paths] == [(b"a.bin", [])]
    for names in (["-x"], ["a b"], ["ü"], [""], ["x"] * 101):
        request.names[:] = names
        assert isinstance(api.error("TreeService/GetAttributes", request), InvalidRequest)
    request = tree_pb2.GetAttributesRequest(repository=ODDITIES, revision="main", paths=[b""])
    assert isinstance(api.error("TreeService/GetAttributes", request), InvalidRequest)


def test_repository_of_sha256_is_read_as_well(
    api: Api, cluster: Cluster, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = "api/trees-sha256"
    cluster.meshnode("repo", "create", name, "--object-format", "sha256")
    path = make_oddities(tmp_path_factory.mktemp("sha256") / "oddities.git", object_format="sha256")
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=path)
    request = tree_pb2.ListEntriesRequest(repository=name, recursive=True, sizes=True, page_size=7)
    assert listed(api, request) == ls_tree(path, "-r", "-t", "main")
    paths = [b"big.lfs", b"src/deep/er/file.py", b"none"]
    stat = api.call("TreeService/Stat", tree_pb2.StatRequest(repository=name, paths=paths), tree_pb2.StatResponse)
    assert [result.HasField("entry") for result in stat.results] == [True, True, False]
    answer = api.call(
        "TreeService/GetAttributes",
        tree_pb2.GetAttributesRequest(repository=name, paths=paths),
        tree_pb2.GetAttributesResponse,
    )
    found = [(one.path, attribute.name, attribute.value) for one in answer.paths for attribute in one.attributes]
    assert found == check_attr(path, tmp_path / "index", [], paths)
    blob = api.stream(
        "TreeService/GetBlob", tree_pb2.GetBlobRequest(repository=name, path=b"data.bin"), tree_pb2.GetBlobResponse
    )
    assert b"".join(one.data for one in blob) == raw_git(path, "cat-file", "blob", "main:data.bin")
