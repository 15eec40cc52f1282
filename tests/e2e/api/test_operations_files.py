"""Commits made of file actions: the same objects that stock git makes, on every node, and nothing where refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, RefConflict, RepositoryNotFound
from meshnode.v1 import common_pb2, repository_pb2
from meshnode.v1 import operation_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import ODDITIES
from tests.e2e.api.oddities import make_oddities
from tests.e2e.api.workbench import (
    MAIN,
    ZERO,
    Clone,
    File,
    check_everywhere,
    chmod,
    commit_files,
    create,
    delete,
    messages,
    move,
    put,
    refused,
    update,
)
from tests.e2e.cluster import Cluster, git, list_refs

EXECUTABLE = pb.FILE_MODE_EXECUTABLE
REGULAR = pb.FILE_MODE_REGULAR
SYMLINK = pb.FILE_MODE_SYMLINK


def test_a_commit_of_every_kind_of_action_is_the_commit_git_makes(
    cluster: Cluster, api: Api, odd: str, clone: Clone
) -> None:
    answer = commit_files(
        api,
        odd,
        create("docs/new.md", b"new ", b"", b"in pieces\n"),
        create("docs/link", b"new.md", mode=SYMLINK),
        create("tool", b"#!/bin/sh\n", mode=EXECUTABLE),
        update("src/numbers.txt", b"other\n"),
        put("LICENSE", b"none\n"),
        move("data.bin", "deep/er/data.bin"),
        move("src/copy.txt", "src/deep/copy.txt", b"changed\n", mode=EXECUTABLE),
        move("src/deep", "moved"),
        delete("empty.txt"),
        delete("ünï", recursive=True),
        chmod("bin/run.sh", EXECUTABLE),
        message="every kind\n\nof action\n",
    )
    clone.write("docs/new.md", b"new in pieces\n")
    (clone.path / "docs/link").symlink_to("new.md")
    clone.write("tool", b"#!/bin/sh\n")
    (clone.path / "tool").chmod(0o755)
    clone.write("src/numbers.txt", b"other\n")
    clone.write("LICENSE", b"none\n")
    clone.write("deep/er/data.bin", (clone.path / "data.bin").read_bytes())
    clone.run("mv", "src/deep", "moved")
    clone.write("moved/copy.txt", b"changed\n")
    (clone.path / "moved/copy.txt").chmod(0o755)
    clone.run("rm", "-rq", "data.bin", "src/copy.txt", "empty.txt", "ünï")
    (clone.path / "bin/run.sh").chmod(0o755)
    # the submodule has no working tree here; `add` would drop it
    clone.run("add", "--", "docs", "tool", "src", "LICENSE", "deep", "moved", "bin")
    clone.run("commit", "--quiet", "--cleanup=verbatim", "-m", "every kind\n\nof action\n")
    assert answer.oid == clone.oid("HEAD"), git("diff", "--stat", clone.oid("HEAD"), answer.oid, cwd=clone.path)
    assert answer.previous_oid == clone.oid("HEAD~1")
    assert answer.outcome == pb.OperationResponse.OUTCOME_WRITTEN
    check_everywhere(cluster, odd, MAIN, answer.oid)


def test_odd_paths_and_contents_are_kept_byte_for_byte(cluster: Cluster, api: Api, odd: str) -> None:
    paths = [b"latin1-\xe9\xe8.txt", b'quo"te.txt', b"tab\there.txt", b"line\nbreak.txt", b"*star?.txt", b":colon.txt"]
    content = bytes(range(256)) * 9
    answer = commit_files(api, odd, *(update(path, content) for path in paths), create(b"\xff\xfe/\x01", b""))
    check_everywhere(cluster, odd, MAIN, answer.oid)
    listed = subprocess.run(
        ["git", "ls-tree", "-z", answer.oid], cwd=cluster.replica_path(2, odd), check=True, stdout=subprocess.PIPE
    ).stdout.split(b"\0")
    blob = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest().encode()
    for one in paths:
        assert b"100644 blob %b\t%b" % (blob, one) in listed
    assert any(line.endswith(b"\t\xff\xfe") for line in listed)


def test_a_first_commit_makes_the_branch_and_head_follows_it(
    cluster: Cluster, api: Api, name: str, tmp_path: Path
) -> None:
    api.call("RepositoryService/Create", repository_pb2.CreateRequest(name=name), repository_pb2.CreateResponse)
    answer = commit_files(api, name, create("a/b.txt", b"x\n"), expected_oid=ZERO, message="first")
    git("init", "--quiet", "-b", "main", str(tmp_path / "w"))
    clone = Clone(tmp_path / "w")
    clone.write("a/b.txt", b"x\n")
    assert answer.oid == clone.commit_all("first\n")
    assert answer.previous_oid == ""
    assert list_refs(cluster.url(3, name)) == {"HEAD": answer.oid, MAIN: answer.oid}
    check_everywhere(cluster, name, MAIN, answer.oid)


def test_a_new_branch_starts_at_a_revision(api: Api, odd: str, clone: Clone) -> None:
    answer = commit_files(
        api, odd, put("fix.txt", b"fix\n"), branch="refs/heads/fix/1", start_revision="v1.0", expected_oid=ZERO
    )
    clone.run("checkout", "--quiet", "-b", "fix/1", "v1.0")
    clone.write("fix.txt", b"fix\n")
    clone.run("add", "fix.txt")
    clone.run("commit", "--quiet", "--cleanup=verbatim", "-m", "a change\n")
    assert answer.oid == clone.oid("HEAD")
    error = refused(api, odd, put("fix.txt", b"2\n"), branch="refs/heads/fix/1", start_revision="v1.0")
    assert isinstance(error, RefConflict)


def test_a_commit_into_a_tree_of_50000_entries(cluster: Cluster, api: Api, odd: str, clone: Clone) -> None:
    answer = commit_files(api, odd, create("many/new.txt", b"x\n"), branch="refs/heads/huge")
    clone.run("read-tree", "huge")
    blob = clone.run("hash-object", "-w", "--stdin", stdin=b"x\n")
    clone.run("update-index", "--add", "--cacheinfo", f"100644,{blob},many/new.txt")
    assert git("rev-parse", f"{answer.oid}^{{tree}}", cwd=cluster.replica_path(1, odd)).stdout.strip() == clone.run(
        "write-tree"
    )


def test_a_large_file_arrives_whole(cluster: Cluster, api: Api, odd: str) -> None:
    piece = os.urandom(1 << 20)
    answer = commit_files(api, odd, create("large.bin", *[piece] * 24), create("small.txt", b"s\n"))
    cluster.wait_consistent(odd)
    size = git("cat-file", "-s", f"{answer.oid}:large.bin", cwd=cluster.replica_path(3, odd)).stdout
    assert int(size) == 24 << 20
    check_everywhere(cluster, odd, MAIN, answer.oid)
    cluster.wait_quiet()


def test_sha256_repositories(cluster: Cluster, api: Api, name: str, tmp_path: Path) -> None:
    source = make_oddities(tmp_path / "odd.git", object_format="sha256")
    api.call(
        "RepositoryService/Create",
        repository_pb2.CreateRequest(name=name, object_format=common_pb2.OBJECT_FORMAT_SHA256),
        repository_pb2.CreateResponse,
    )
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=source)
    answer = commit_files(api, name, update("bin/run.sh", b"x\n"), delete("src", recursive=True))
    clone = Clone.of(source, tmp_path / "clone")
    clone.write("bin/run.sh", b"x\n")
    clone.run("rm", "-rq", "src")
    clone.run("add", "bin")
    clone.run("commit", "--quiet", "--cleanup=verbatim", "-m", "a change\n")
    assert answer.oid == clone.oid("HEAD")
    check_everywhere(cluster, name, MAIN, answer.oid)


def test_an_unexpected_head_is_named_and_nothing_is_written(cluster: Cluster, api: Api, odd: str) -> None:
    head = list_refs(cluster.url(1, odd))[MAIN]
    generation = cluster.generation(odd)
    error = refused(api, odd, put("a.txt", b"a"), expected_oid="1" * 40)
    assert isinstance(error, RefConflict)
    assert (error.fields["ref"], error.fields["expected"], error.fields["actual"]) == (MAIN, "1" * 40, head)
    assert isinstance(refused(api, odd, put("a.txt", b"a"), expected_oid=ZERO), RefConflict)
    assert commit_files(api, odd, put("a.txt", b"a"), expected_oid=head).previous_oid == head
    assert cluster.generation(odd) == generation + 1
    cluster.wait_quiet()


@pytest.mark.usefixtures("oddities")
@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (create("LICENSE", b"x"), RefConflict, "exists already"),
        (create("src", b"x"), RefConflict, "exists already"),
        (create("LICENSE/below", b"x"), RefConflict, "file is where a directory is needed"),
        (update("missing", b"x"), NotFound, "no such file"),
        (update("missing/below", b"x"), NotFound, "no such file"),
        (update("src", b"x"), InvalidRequest, "not a file"),
        (update("vendor/module", b"x"), InvalidRequest, "not a file"),
        (update("LICENSE", b"x", expected_blob_oid="2" * 40), RefConflict, "not the expected one"),
        (move("missing", "there"), NotFound, "no such path"),
        (move("LICENSE", "src"), RefConflict, "exists already"),
        (move("src", "src/below"), InvalidRequest, "below itself"),
        (move("src", "there", b"x"), InvalidRequest, "only a file"),
        (delete("missing"), NotFound, "no such path"),
        (delete("src"), InvalidRequest, "directory"),
        (chmod("link", EXECUTABLE), InvalidRequest, "regular file"),
        (chmod("LICENSE", SYMLINK), InvalidRequest, "regular file"),
        (chmod("missing", REGULAR), NotFound, "no such file"),
        (create("a//b", b"x"), InvalidRequest, "segment"),
        (create("/a", b"x"), InvalidRequest, "segment"),
        (create("a/../b", b"x"), InvalidRequest, "segment"),
        (create("a/.GIT/config", b"x"), InvalidRequest, "segment"),
        (create(b"a\0b", b"x"), InvalidRequest, "not a path"),
        (create(b"a" * 5_000, b"x"), InvalidRequest, "not a path"),
        (create("git~1/config", b"x"), InvalidRequest, "hasDotgit"),
        (create("no-content"), InvalidRequest, "needs a content"),
        (delete("LICENSE", content=b""), InvalidRequest, "takes no content"),
        (put("LICENSE", b"x", source_path=b"y"), InvalidRequest, "source path"),
        (put("LICENSE", b"x", recursive=True), InvalidRequest, "recursive"),
        ((pb.FileAction(path=b"x"), []), InvalidRequest, "unknown kind"),
        ((pb.FileAction(kind=pb.FileAction.KIND_DELETE, path=b"LICENSE"), [b"more"]), InvalidRequest, "needed here"),
        (chmod("LICENSE", REGULAR), InvalidRequest, "change nothing"),
    ],
)
def test_an_action_that_does_not_fit_is_refused_with_its_path(
    api: Api, wrong: File, kind: type[MeshError], words: str
) -> None:
    error = refused(api, ODDITIES, wrong)
    assert isinstance(error, kind), error
    assert words in str(error)


@pytest.mark.usefixtures("oddities")
@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"branch": "main"}, InvalidRequest),
        ({"branch": "refs/tags/x"}, InvalidRequest),
        ({"branch": "refs/heads/a..b"}, InvalidRequest),
        ({"branch": "refs/heads/main/below"}, InvalidRequest),
        ({"message": ""}, InvalidRequest),
        ({"message": "a\0b"}, InvalidRequest),
        ({"message": "m" * (1 << 20) + "m"}, InvalidRequest),
        ({"author": pb.Person(email="a@b")}, InvalidRequest),
        ({"author": pb.Person(name="A <b>", email="a@b")}, InvalidRequest),
        ({"author": pb.Person(name="A", email="a\nb")}, InvalidRequest),
        ({"author": pb.Person(name="A", email="a@b", seconds=-1)}, InvalidRequest),
        ({"author": pb.Person(name="A", email="a@b", offset_minutes=1_440)}, InvalidRequest),
        ({"author": None}, InvalidRequest),
        ({"expected_oid": "abc"}, InvalidRequest),
        ({"branch": "refs/heads/new", "start_revision": "no-such"}, NotFound),
        ({"branch": "refs/heads/new", "start_revision": "tree-tag"}, InvalidRequest),
        ({"repository": "no/such"}, RepositoryNotFound),
        ({"request_key": "k" * 200}, InvalidRequest),
    ],
)
def test_a_header_that_does_not_fit_is_refused(api: Api, header: dict[str, object], kind: type[MeshError]) -> None:
    given = {"repository": ODDITIES, **header}
    repository = str(given.pop("repository"))
    error = refused(api, repository, put("x", b"x"), **given)
    assert isinstance(error, kind), error


@pytest.mark.usefixtures("oddities")
def test_streams_without_a_header_or_with_two_are_refused(api: Api) -> None:
    whole = list(messages([put("x", b"x")], repository=ODDITIES))
    for stream in (whole[1:], [whole[0], *whole]):
        with pytest.raises(InvalidRequest):
            api.stream("OperationService/CommitFiles", stream, pb.OperationResponse)


def test_a_repetition_takes_effect_once_through_any_node(cluster: Cluster, api: Api, odd: str) -> None:
    first = commit_files(api, odd, put("once.txt", b"1\n"), request_key="once", node=1)
    later = commit_files(api, odd, put("twice.txt", b"2\n"))
    generation = cluster.generation(odd)
    for node in cluster.numbers:
        again = commit_files(api, odd, put("once.txt", b"1\n"), request_key="once", node=node)
        assert again.repetition
        assert (again.oid, again.previous_oid, again.round_id) == (first.oid, first.previous_oid, first.round_id)
    assert cluster.generation(odd) == generation
    assert list_refs(cluster.url(1, odd))[MAIN] == later.oid


def test_without_a_time_it_is_now_and_the_author_commits(cluster: Cluster, api: Api, odd: str) -> None:
    who = pb.Person(name=" Ada, ", email="<ada@example.org"[1:])
    answer = commit_files(api, odd, put("now.txt", b"1\n"), author=who, committer=None)
    cluster.wait_consistent(odd)
    shown = git("cat-file", "commit", answer.oid, cwd=cluster.replica_path(1, odd)).stdout
    lines = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in shown.splitlines() if " <" in line}
    assert lines["author"] == lines["committer"]
    assert lines["author"].startswith("Ada <ada@example.org> 1")
    assert lines["author"].endswith(" +0000")


def test_an_empty_commit_only_where_allowed(api: Api, odd: str) -> None:
    assert isinstance(refused(api, odd), InvalidRequest)
    answer = commit_files(api, odd, allow_empty=True)
    assert answer.oid != answer.previous_oid
