"""Mailboxes become the commits git am makes, and conflicts are settled by what the caller sends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from google.protobuf.message import Message

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, RefConflict
from meshnode.v1 import operation_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import ODDITIES
from tests.e2e.api.workbench import (
    AUTHOR,
    COMMITTER,
    MAIN,
    WRITTEN,
    Clone,
    File,
    Pair,
    check_everywhere,
    commit_files,
    create,
    delete,
    put,
    update,
)
from tests.e2e.cluster import Cluster

A = "refs/heads/conflict-a"
CONFLICTS = pb.OperationResponse.OUTCOME_CONFLICTS


def apply(api: Api, repository: str, mailbox: bytes, **header: Any) -> pb.OperationResponse:
    def messages() -> Iterator[Message]:
        given = {"branch": A, "committer": COMMITTER, **header}
        yield pb.ApplyPatchesRequest(header=pb.ApplyPatchesHeader(repository=repository, **given))
        for at in range(0, len(mailbox), 1_000):
            yield pb.ApplyPatchesRequest(content=mailbox[at : at + 1_000])

    (answer,) = api.stream("OperationService/ApplyPatches", messages(), pb.OperationResponse)
    return answer


def resolve(api: Api, repository: str, files: Sequence[File], **header: Any) -> pb.OperationResponse:
    def messages() -> Iterator[Message]:
        given = {"branch": A, "revision": "conflict-b", "author": AUTHOR, "committer": COMMITTER, "message": "merge\n"}
        yield pb.ResolveConflictsRequest(header=pb.MergeRequest(repository=repository, **{**given, **header}))
        for action, rest in files:
            yield pb.ResolveConflictsRequest(action=action)
            for content in rest:
                yield pb.ResolveConflictsRequest(content=content)

    (answer,) = api.stream("OperationService/ResolveConflicts", messages(), pb.OperationResponse)
    return answer


def mailbox(clone: Clone, *revisions: str) -> bytes:
    """What git format-patch writes."""
    return (clone.run("format-patch", "--stdout", "--binary", *revisions) + "\n").encode()


def test_patches_are_the_commits_git_makes(pair: Pair) -> None:
    cluster, api, name, clone = pair
    clone.run("checkout", "--quiet", "--force", "-b", "series", "topic-a")
    clone.write("src/more.txt", b"more\n")
    clone.commit_all(
        "Add more\n\nA body with [brackets] and\n\n  indented lines.\n\nSigned-off-by: Ada <ada@example.org>\n"
    )
    clone.write("blob.bin", bytes(range(256)))
    clone.write("src/numbers.txt", (clone.path / "src/numbers.txt").read_bytes().replace(b"line 3\n", b"line three\n"))
    clone.commit_all("[topic] Zażółć gęślą jaźń\n")
    series = mailbox(clone, "topic-a..series")
    answer = apply(api, name, series)
    clone.run("checkout", "--quiet", "--force", "conflict-a")
    clone.run("am", "--quiet", "--3way", stdin=series)
    assert answer.outcome == WRITTEN
    assert answer.oid == clone.oid("HEAD"), clone.run("log", "--format=raw", "-2")
    check_everywhere(cluster, name, A, answer.oid)
    cluster.wait_quiet()


def test_a_patch_that_does_not_fit_is_merged_or_told_of(pair: Pair) -> None:
    cluster, api, name, clone = pair
    lines = (clone.path / "src/numbers.txt").read_bytes()
    commit_files(api, name, update("src/numbers.txt", b"before\n" * 9 + lines), branch=A)
    clone.run("fetch", "--quiet", cluster.url(1, name), f"+{A}:{A}", "--update-head-ok")
    moved = mailbox(clone, "-1", "main~2")
    generation = cluster.generation(name)
    conflict = apply(api, name, mailbox(clone, "-1", "conflict-b"))
    clone.run("checkout", "--quiet", "--force", "conflict-a")
    told = [
        [f"{stage.mode} {stage.oid} {stage.stage}", one.path.decode()]
        for one in conflict.conflicts
        for stage in one.stages
    ]
    clone.run("am", "--quiet", "--3way", stdin=mailbox(clone, "-1", "conflict-b"), check=False)
    unmerged = [line.split("\t") for line in clone.run("ls-files", "--unmerged").splitlines()]
    if unmerged:
        assert (conflict.outcome, conflict.stopped_at) == (CONFLICTS, "1")
        assert sorted(told) == sorted(unmerged)
        assert cluster.generation(name) == generation
    else:
        assert conflict.oid == clone.oid("HEAD")
    assert moved


@pytest.mark.parametrize(
    ("mail", "words"),
    [
        (b"", "mail"),
        (b"no mailbox at all\n", "no author"),
        (
            b"From a Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nDate: Sun, 13 Sep 2020 12:26:40 +0000\nSubject: x\n\nbody\n",
            "patch",
        ),
    ],
)
@pytest.mark.usefixtures("oddities")
def test_what_is_no_patch_is_refused(api: Api, mail: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        apply(api, ODDITIES, mail)


@pytest.mark.usefixtures("oddities")
def test_a_patch_for_something_else_is_refused(api: Api) -> None:
    mail = (
        b"From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\n"
        b"Date: Sun, 13 Sep 2020 12:26:40 +0000\nSubject: [PATCH] x\n\n---\n"
        b"diff --git a/none.txt b/none.txt\nindex 1111111..2222222 100644\n--- a/none.txt\n+++ b/none.txt\n"
        b"@@ -1 +1 @@\n-a\n+b\n-- \n2.39\n"
    )
    with pytest.raises(InvalidRequest, match="does not apply"):
        apply(api, ODDITIES, mail)
    with pytest.raises(NotFound):
        apply(api, ODDITIES, mail, branch="refs/heads/none")


def test_conflicts_settled_by_the_caller_are_the_merge_git_makes(pair: Pair) -> None:
    cluster, api, name, clone = pair
    commit_files(api, name, delete("LICENSE"), create("new.txt", b"a\n"), branch=A)
    commit_files(api, name, put("LICENSE", b"other\n"), create("new.txt", b"b\n"), branch="refs/heads/conflict-b")
    clone.run(
        "fetch", "--quiet", cluster.url(1, name), "+refs/heads/conflict*:refs/heads/conflict*", "--update-head-ok"
    )
    generation = cluster.generation(name)
    partly = resolve(api, name, [update("src/numbers.txt", b"settled\n")])
    assert partly.outcome == CONFLICTS
    assert {one.path for one in partly.conflicts} == {b"LICENSE", b"new.txt"}
    assert cluster.generation(name) == generation
    answer = resolve(
        api,
        name,
        [
            update("src/numbers.txt", b"sett", b"led\n"),
            put("new.txt", b"both\n"),
            delete("LICENSE"),
            create("besides.txt", b"x\n"),
        ],
        expected_oid=clone.oid("conflict-a"),
    )
    clone.run("checkout", "--quiet", "--force", "conflict-a")
    clone.run("merge", "--quiet", "-m", "x", "conflict-b", check=False)
    clone.write("src/numbers.txt", b"settled\n")
    clone.write("new.txt", b"both\n")
    clone.write("besides.txt", b"x\n")
    clone.run("rm", "-q", "LICENSE")
    clone.run("add", "src/numbers.txt", "new.txt", "besides.txt")
    clone.run("commit", "--quiet", "--cleanup=verbatim", "-m", "merge\n")
    assert answer.outcome == WRITTEN
    assert answer.oid == clone.oid("HEAD")
    check_everywhere(cluster, name, A, answer.oid)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"mode": pb.MERGE_MODE_FAST_FORWARD}, InvalidRequest),
        ({"expected_oid": "1" * 40}, RefConflict),
        ({"revision": "unrelated"}, InvalidRequest),
        ({"branch": MAIN, "revision": "none"}, NotFound),
    ],
)
@pytest.mark.usefixtures("oddities")
def test_a_resolution_that_does_not_fit_is_refused(
    cluster: Cluster, api: Api, header: dict[str, Any], kind: type[MeshError]
) -> None:
    generation = cluster.generation(ODDITIES)
    with pytest.raises(kind):
        resolve(api, ODDITIES, [update("src/numbers.txt", b"x\n")], **header)
    assert cluster.generation(ODDITIES) == generation
