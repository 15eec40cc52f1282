"""References in other orders, filtered, with what they lead to, are what `git for-each-ref` lists."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from meshnode.base.errors import Fenced, InvalidRequest, MeshError, NotFound
from meshnode.v1 import commit_pb2, ref_pb2
from tests.e2e.api.caller import Api
from tests.e2e.api.commits import check_as_git_shows, oid_of
from tests.e2e.api.conftest import HISTORY, ODDITIES, ODDITIES_SHA256
from tests.e2e.api.stock import raw_git
from tests.e2e.cluster import Cluster, git

Filter = ref_pb2.RefFilter
DATE = ref_pb2.REF_SORT_CREATOR_DATE
TAGGED = "api/tagged"
SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n"

FILTERS: list[tuple[Filter, list[str]]] = [
    (Filter(merged_into="main"), ["--merged=main"]),
    (Filter(not_merged_into="main"), ["--no-merged=main"]),
    (Filter(contains="main~2"), ["--contains=main~2"]),
    (Filter(not_contains="main~2"), ["--no-contains=main~2"]),
    (Filter(contains="main"), ["--contains=main"]),
    (Filter(merged_into="main", contains="main~3"), ["--merged=main", "--contains=main~3"]),
    (Filter(not_merged_into="main~1", not_contains="main"), ["--no-merged=main~1", "--no-contains=main"]),
]


def for_each_ref(path: Path, *arguments: str) -> list[str]:
    return git("for-each-ref", "--format=%(refname)", *arguments, cwd=path).stdout.split()


def listed(api: Api, repository: str, *, size: int = 0, **fields: Any) -> list[ref_pb2.ListRefsResponse]:
    found: list[ref_pb2.ListRefsResponse] = []
    token = ""
    while True:
        request = ref_pb2.ListRefsRequest(repository=repository, page_size=size, page_token=token, **fields)
        found.append(api.call("RefService/ListRefs", request, ref_pb2.ListRefsResponse))
        assert found[-1].position.generation >= 1
        token = found[-1].next_page_token
        if not token:
            return found


def names(api: Api, repository: str, **fields: Any) -> list[str]:
    return [ref.name for page in listed(api, repository, **fields) for ref in page.refs]


@pytest.fixture(params=[ODDITIES, HISTORY, ODDITIES_SHA256])
def stock(request: pytest.FixtureRequest) -> tuple[str, Path]:
    fixtures = {ODDITIES: "oddities", HISTORY: "history", ODDITIES_SHA256: "oddities_sha256"}
    return request.param, request.getfixturevalue(fixtures[request.param])


@pytest.mark.parametrize(("filter_", "options"), FILTERS)
@pytest.mark.parametrize("sort", ["refname", "-refname", "creatordate", "-creatordate"])
def test_filters_and_orders_are_git_s(
    api: Api, stock: tuple[str, Path], filter_: Filter, options: list[str], sort: str
) -> None:
    name, path = stock
    wanted = for_each_ref(path, f"--sort={sort}", *options)
    how = {"sort": DATE if "date" in sort else 0, "descending": sort.startswith("-")}
    assert names(api, name, filter=filter_, **how) == wanted
    assert names(api, name, filter=filter_, size=3, **how) == wanted
    branches = [one for one in wanted if one.startswith("refs/heads/")]
    tags = [one for one in wanted if one.startswith("refs/tags/")]
    assert [one.name for one in all_branches(api, name, filter=filter_, page_size=4, **how)] == branches
    assert [one.name for one in all_tags(api, name, filter=filter_, page_size=4, **how)] == tags


def test_the_filters_compared_let_something_through(oddities: Path, history: Path) -> None:
    for path in (oddities, history):
        everything = len(for_each_ref(path))
        sizes = [len(for_each_ref(path, *options)) for _, options in FILTERS]
        assert sum(0 < size < everything for size in sizes) >= 5


def test_patterns_and_orders_go_together(api: Api, stock: tuple[str, Path]) -> None:
    name, path = stock
    for pattern in ("refs/tags/", "refs/heads/topic-*", "refs/heads/main", "refs/heads/m*", "refs/nothing"):
        wanted = for_each_ref(path, "--sort=-creatordate", pattern)
        assert names(api, name, sort=DATE, descending=True, patterns=[pattern]) == wanted


def all_branches(api: Api, repository: str, **fields: Any) -> list[ref_pb2.Branch]:
    found: list[ref_pb2.Branch] = []
    token = ""
    while True:
        request = ref_pb2.ListBranchesRequest(repository=repository, page_token=token, **fields)
        answer = api.call("RefService/ListBranches", request, ref_pb2.ListBranchesResponse)
        found += answer.branches
        token = answer.next_page_token
        if not token:
            return found


def all_tags(api: Api, repository: str, **fields: Any) -> list[ref_pb2.Tag]:
    found: list[ref_pb2.Tag] = []
    token = ""
    while True:
        request = ref_pb2.ListTagsRequest(repository=repository, page_token=token, **fields)
        answer = api.call("RefService/ListTags", request, ref_pb2.ListTagsResponse)
        found += answer.tags
        token = answer.next_page_token
        if not token:
            return found


def test_branches_come_with_their_commits_and_divergence(api: Api, stock: tuple[str, Path]) -> None:
    name, path = stock
    branches = all_branches(api, name, divergence_base="main~1")
    assert [one.name for one in branches] == for_each_ref(path, "refs/heads/")
    assert [one.name for one in branches if one.is_default] == ["refs/heads/main"]
    for branch in branches:
        check_as_git_shows(path, branch.commit)
        assert branch.commit.oid == branch.divergence.oid == oid_of(path, branch.name)
        counts = git("rev-list", "--left-right", "--count", f"{branch.name}...main~1", cwd=path).stdout.split()
        assert [branch.divergence.ahead, branch.divergence.behind] == [int(count) for count in counts]


def test_references_come_with_their_divergence(api: Api, oddities: Path) -> None:
    pages = listed(api, ODDITIES, divergence_base="main", include_head=True, size=5)
    refs = [ref for page in pages for ref in page.refs]
    divergences = [one for page in pages for one in page.divergences]
    assert [ref.name for ref in refs] == ["HEAD", *for_each_ref(oddities)]
    for ref, one in zip(refs, divergences, strict=True):
        if ref.name == "refs/tags/tree-tag":
            assert one == commit_pb2.Divergence()
            continue
        counts = git("rev-list", "--left-right", "--count", f"{ref.name}...main", cwd=oddities).stdout.split()
        assert (one.oid, one.ahead, one.behind) == (oid_of(oddities, ref.name), int(counts[0]), int(counts[1]))


def check_tag(path: Path, tag: ref_pb2.Tag) -> None:
    fields = ("objectname", "objecttype", "*objectname", "taggername", "taggeremail:trim", "taggerdate:raw", "contents")
    shown = raw_git(path, "for-each-ref", "--format=" + "%00".join(f"%({field})" for field in fields), tag.name)
    oid, kind, _, name, email, date, contents = shown.removesuffix(b"\n").split(b"\0")
    assert (tag.oid.encode(), tag.HasField("object")) == (oid, kind == b"tag")
    assert tag.target_oid == git("rev-parse", f"{tag.name}^{{}}", cwd=path).stdout.strip()
    target_kind = git("cat-file", "-t", tag.target_oid, cwd=path).stdout.strip()
    assert tag.HasField("commit") == (target_kind == "commit")
    if tag.HasField("commit"):
        assert tag.commit.oid == tag.target_oid
    if kind == b"tag":
        one = tag.object
        assert (one.tagger.name, one.tagger.email) == (name, email)
        assert f"{one.tagger.time_s} {one.tagger.timezone}".encode() == date
        assert one.message_size == len(one.message)
        assert one.message + one.signature == contents
        lines = raw_git(path, "cat-file", "tag", tag.oid).split(b"\n")
        assert lines[0] == b"object " + one.target_oid.encode()
        assert lines[1] == b"type " + one.target_kind.encode()
        assert lines[2] == b"tag " + one.name


def test_tags_come_with_what_they_lead_to(api: Api, stock: tuple[str, Path]) -> None:
    name, path = stock
    tags = all_tags(api, name)
    assert [tag.name for tag in tags] == for_each_ref(path, "refs/tags/")
    for tag in tags:
        check_tag(path, tag)
        request = ref_pb2.GetTagRequest(repository=name, name=tag.name.removeprefix("refs/tags/"))
        answer = api.call("RefService/GetTag", request, ref_pb2.GetTagResponse)
        if not tag.object.signature_kind:
            assert answer.tag == tag
        request.name = tag.name
        assert api.call("RefService/GetTag", request, ref_pb2.GetTagResponse).tag == answer.tag


@pytest.fixture(scope="module")
def tagged(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed, long and odd tags, pushed to `TAGGED`."""
    path = tmp_path_factory.mktemp("tagged") / "tagged.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    tree = git("mktree", cwd=path, stdin="").stdout.strip()
    commit = git("commit-tree", tree, "-m", "m", cwd=path).stdout.strip()
    blob = git("hash-object", "-w", "--stdin", cwd=path, stdin="blob\n").stdout.strip()
    git("update-ref", "refs/heads/main", commit, cwd=path)
    git("update-ref", "refs/heads/same", commit, cwd=path)
    git("update-ref", "refs/tags/same", commit, cwd=path)
    git("update-ref", "refs/tags/blob", blob, cwd=path)
    head = b"object %s\ntype commit\ntag %%s\ntagger T <t@u> 1600000000 -0330\n\n" % commit.encode()
    bodies = {b"signed": b"text\n" + SIGNATURE, b"long": b"x" * 2_000 + b"\n", b"huge": b"y" * ((2 << 20) + 1) + b"\n"}
    for name, body in bodies.items():
        data = head % name + body
        oid = raw_git(path, "hash-object", "-t", "tag", "-w", "--stdin", stdin=data).decode().strip()
        git("update-ref", f"refs/tags/{name.decode()}", oid, cwd=path)
    git("push", "--quiet", "--mirror", cluster.url(1, TAGGED), cwd=path)
    return path


def get_tag(api: Api, name: str) -> ref_pb2.Tag:
    request = ref_pb2.GetTagRequest(repository=TAGGED, name=name)
    return api.call("RefService/GetTag", request, ref_pb2.GetTagResponse).tag


def test_a_signed_tag_comes_with_what_it_signs(api: Api, tagged: Path) -> None:
    tag = get_tag(api, "signed")
    check_tag(tagged, tag)
    assert (tag.object.message, tag.object.signature) == (b"text\n", SIGNATURE)
    assert tag.object.signature_kind == commit_pb2.SIGNATURE_KIND_PGP
    assert tag.object.payload + tag.object.signature == raw_git(tagged, "cat-file", "tag", "signed")
    (listed_one,) = [one for one in all_tags(api, TAGGED) if one.name == "refs/tags/signed"]
    assert (listed_one.object.signature, listed_one.object.payload) == (b"", b"")
    assert listed_one.object.signature_kind == commit_pb2.SIGNATURE_KIND_PGP


def test_long_messages_of_tags_are_cut_in_lists_and_huge_tags_refused(api: Api, tagged: Path) -> None:
    assert len(get_tag(api, "long").object.message) == 2_001
    cut = {one.name: one.object for one in all_tags(api, TAGGED)}["refs/tags/long"]
    assert (len(cut.message), cut.message_size) == (1_024, 2_001)
    error = api.error("RefService/GetTag", ref_pb2.GetTagRequest(repository=TAGGED, name="huge"))
    assert error.code == "RESOURCE_EXHAUSTED"
    assert tagged.exists()


def test_a_light_tag_of_a_blob_has_neither_object_nor_commit(api: Api, tagged: Path) -> None:
    tag = get_tag(api, "blob")
    assert not tag.HasField("object")
    assert not tag.HasField("commit")
    assert tag.target_oid == tag.oid == git("rev-parse", "refs/tags/blob", cwd=tagged).stdout.strip()


def test_dates_of_all_kinds_are_ordered_as_git_does(api: Api, tagged: Path) -> None:
    for sort, descending in (("creatordate", False), ("-creatordate", True)):
        wanted = for_each_ref(tagged, f"--sort={sort}")
        assert names(api, TAGGED, sort=DATE, descending=descending, size=2) == wanted


@pytest.mark.parametrize(
    "name", ["main", "heads/main", "refs/heads/main", "HEAD", "v1.0", "tags/v1.0", "refs/tags/v1.0", "octopus"]
)
def test_a_reference_is_found_by_any_of_its_names(api: Api, oddities: Path, name: str) -> None:
    request = ref_pb2.FindRefRequest(repository=ODDITIES, name=name)
    ref = api.call("RefService/FindRef", request, ref_pb2.FindRefResponse).ref
    assert ref.oid == git("rev-parse", name, cwd=oddities).stdout.strip()
    assert ref.name == (git("rev-parse", "--symbolic-full-name", name, cwd=oddities).stdout.strip()
                        if name != "HEAD" else "HEAD")  # fmt: skip


def test_an_ambiguous_or_unknown_name_is_refused(api: Api, tagged: Path) -> None:
    assert tagged.exists()
    error = api.error("RefService/FindRef", ref_pb2.FindRefRequest(repository=TAGGED, name="same"))
    assert isinstance(error, InvalidRequest)
    assert "refs/heads/same" in str(error.fields["candidates"])
    for name in ("nobody", "", "refs/heads/nobody", "../x", "a b"):
        error = api.error("RefService/FindRef", ref_pb2.FindRefRequest(repository=TAGGED, name=name))
        assert isinstance(error, NotFound), name


def test_existence_is_told_for_many_names(api: Api, oddities: Path) -> None:
    asked = ["refs/heads/main", "refs/heads/nobody", "HEAD", "refs/tags/nested", "refs/heads/main"]
    request = ref_pb2.RefsExistRequest(repository=ODDITIES, names=asked)
    answer = api.call("RefService/RefsExist", request, ref_pb2.RefsExistResponse)
    assert list(answer.exist) == [True, False, True, True, True]
    assert oddities.exists()
    for wrong in ([], ["refs/heads/x"] * 1_001, ["main"], ["refs/heads/a..b"]):
        error = api.error("RefService/RefsExist", ref_pb2.RefsExistRequest(repository=ODDITIES, names=wrong))
        assert isinstance(error, InvalidRequest)


REFUSED: list[tuple[dict[str, Any], type[MeshError]]] = [
    ({"filter": Filter(merged_into="nobody")}, NotFound),
    ({"filter": Filter(contains="tree-tag")}, InvalidRequest),
    ({"filter": Filter(not_contains="a..b")}, InvalidRequest),
    ({"sort": 9}, InvalidRequest),
    ({"descending": True, "patterns": ["x" * 2_000]}, InvalidRequest),
    ({"descending": True, "page_token": "nonsense"}, InvalidRequest),
]


@pytest.mark.parametrize(("fields", "kind"), REFUSED)
def test_listings_that_make_no_sense_are_refused(
    api: Api, oddities: Path, fields: dict[str, Any], kind: type[MeshError]
) -> None:
    assert oddities.exists()
    for method, request in (
        ("ListRefs", ref_pb2.ListRefsRequest(repository=ODDITIES, **fields)),
        ("ListBranches", ref_pb2.ListBranchesRequest(repository=ODDITIES, **fields)),
        ("ListTags", ref_pb2.ListTagsRequest(repository=ODDITIES, **fields)),
    ):
        assert isinstance(api.error(f"RefService/{method}", request), kind), method


def test_other_bounds_are_refused(api: Api, oddities: Path) -> None:
    assert oddities.exists()
    for method, request, kind in (
        ("ListBranches", ref_pb2.ListBranchesRequest(repository=ODDITIES, page_size=501), InvalidRequest),
        ("ListTags", ref_pb2.ListTagsRequest(repository=ODDITIES, page_size=501), InvalidRequest),
        ("ListBranches", ref_pb2.ListBranchesRequest(repository=ODDITIES, divergence_base="nobody"), NotFound),
        ("ListRefs", ref_pb2.ListRefsRequest(repository=ODDITIES, divergence_base="nobody"), NotFound),
        ("GetTag", ref_pb2.GetTagRequest(repository=ODDITIES, name="nobody"), NotFound),
        ("GetTag", ref_pb2.GetTagRequest(repository=ODDITIES, name="a..b"), InvalidRequest),
        ("GetTag", ref_pb2.GetTagRequest(repository=ODDITIES), InvalidRequest),
    ):
        error = api.error(f"RefService/{method}", request)
        assert isinstance(error, kind), (method, error)


def test_a_token_goes_with_its_listing_and_its_generation(api: Api, cluster: Cluster, tmp_path: Path) -> None:
    name, path = "api/refs-moving", tmp_path / "moving.git"
    git("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    tree = git("mktree", cwd=path, stdin="").stdout.strip()
    commit = git("commit-tree", tree, "-m", "m", cwd=path).stdout.strip()
    git("push", "--quiet", cluster.url(1, name), *(f"{commit}:refs/heads/b{number}" for number in range(4)), cwd=path)
    request = ref_pb2.ListRefsRequest(repository=name, page_size=2, descending=True)
    first = api.call("RefService/ListRefs", request, ref_pb2.ListRefsResponse)
    assert [ref.name for ref in first.refs] == ["refs/heads/b3", "refs/heads/b2"]
    request.page_token = first.next_page_token
    for changes in ({"sort": DATE}, {"patterns": ["refs/heads/"]}, {"filter": Filter(contains="b0")}):
        other = ref_pb2.ListRefsRequest()
        other.CopyFrom(request)
        other.MergeFrom(ref_pb2.ListRefsRequest(**changes))
        assert isinstance(api.error("RefService/ListRefs", other), InvalidRequest)
    git("push", "--quiet", cluster.url(1, name), f"{commit}:refs/heads/b9", cwd=path)
    assert isinstance(api.error("RefService/ListRefs", request), Fenced)


def test_filters_of_all_pairs_are_git_s(api: Api, oddities: Path) -> None:
    for branch, other in itertools.product(
        ["octopus", "crisscross-a", "unrelated", "v1.0"], ["main~4", "crisscross-b"]
    ):
        wanted = for_each_ref(oddities, f"--merged={branch}", f"--no-contains={other}")
        assert names(api, ODDITIES, filter=Filter(merged_into=branch, not_contains=other)) == wanted
