"""Merges, cherry-picks, reverts and rebases give the very commits stock git makes, and conflicts as it tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, RefConflict
from meshnode.v1 import common_pb2, repository_pb2
from meshnode.v1 import operation_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import ODDITIES
from tests.e2e.api.oddities import make_oddities
from tests.e2e.api.workbench import (
    AUTHOR,
    COMMITTER,
    MAIN,
    UP_TO_DATE,
    WRITTEN,
    Clone,
    Pair,
    check_everywhere,
    commit_files,
    create,
    delete,
    operate,
    put,
)
from tests.e2e.cluster import Cluster, git, list_refs

CONFLICTS = pb.OperationResponse.OUTCOME_CONFLICTS
A = "refs/heads/conflict-a"
B = "refs/heads/conflict-b"


def merge(repository: str, branch: str, revision: str, **more: Any) -> pb.MergeRequest:
    given = {"author": AUTHOR, "committer": COMMITTER, "message": "merge it\n", **more}
    return pb.MergeRequest(repository=repository, branch=branch, revision=revision, **given)


def bench(clone: Clone, branch: str) -> Clone:
    clone.run("checkout", "--quiet", "--force", branch.removeprefix("refs/heads/"))
    return clone


@pytest.mark.parametrize(
    ("branch", "revision", "mode", "options"),
    [
        ("topic-a", "topic-b", pb.MERGE_MODE_COMMIT, ["--no-ff"]),
        ("topic-a", "main", pb.MERGE_MODE_COMMIT, ["--no-ff"]),
        ("crisscross-a", "crisscross-b", pb.MERGE_MODE_COMMIT, ["--no-ff"]),
        ("crisscross-b", "crisscross-a", pb.MERGE_MODE_FAST_FORWARD, ["--ff"]),
        ("main", "conflict-a", pb.MERGE_MODE_COMMIT, ["--no-ff"]),
        ("main", "conflict-a", pb.MERGE_MODE_FAST_FORWARD, ["--ff"]),
        ("main", "conflict-a", pb.MERGE_MODE_FAST_FORWARD_ONLY, ["--ff-only"]),
        ("main", "octopus", pb.MERGE_MODE_COMMIT, ["--no-ff"]),
        ("latin1", "topic-c", pb.MERGE_MODE_COMMIT, ["--no-ff"]),
        ("conflict-a", "latin1", pb.MERGE_MODE_SQUASH, ["--squash"]),
        ("main", "conflict-a", pb.MERGE_MODE_SQUASH, ["--squash"]),
    ],
)
def test_a_merge_is_the_commit_git_makes(pair: Pair, branch: str, revision: str, mode: int, options: list[str]) -> None:
    cluster, api, odd, clone = pair
    answer = operate(api, "Merge", merge(odd, f"refs/heads/{branch}", revision, mode=mode))
    bench(clone, branch).run("merge", "--quiet", *options, "-m", "merge it\n", revision)
    if "--squash" in options:
        clone.run("commit", "--quiet", "--cleanup=verbatim", "-m", "merge it\n")
    assert answer.outcome == WRITTEN
    assert answer.oid == clone.oid("HEAD")
    check_everywhere(cluster, odd, f"refs/heads/{branch}", answer.oid)
    again = operate(api, "Merge", merge(odd, f"refs/heads/{branch}", revision))
    assert again.outcome == (WRITTEN if "--squash" in options else UP_TO_DATE)


@pytest.mark.parametrize(("favour", "option"), [(pb.FAVOUR_OURS, "ours"), (pb.FAVOUR_THEIRS, "theirs")])
def test_a_side_is_favoured_as_git_favours_it(pair: Pair, favour: int, option: str) -> None:
    cluster, api, odd, clone = pair
    lines = b"".join(b"line %d\n" % number for number in range(60))
    texts = [
        lines.replace(b"line 7\n", b"%b 7\n" % side).replace(b"line 9\n", b"%b 9\n" % side) for side in (b"a", b"b")
    ]
    for branch, text, link in ((A, texts[0], b"there"), (B, texts[1], b"elsewhere")):
        files = [
            put("both.txt", text),
            put("data.bin", text[:10] + bytes(range(256))),
            put("link", link, mode=pb.FILE_MODE_SYMLINK),
            put("src/deep/er/file.py", text),
        ]
        commit_files(api, odd, *files, branch=branch)
    clone.run("fetch", "--quiet", cluster.url(1, odd), "+refs/heads/conflict*:refs/heads/conflict*", "--update-head-ok")
    answer = operate(api, "Merge", merge(odd, A, "conflict-b", favour=favour))
    bench(clone, A).run("merge", "--quiet", "--no-ff", "-m", "merge it\n", f"-X{option}", "conflict-b")
    assert answer.outcome == WRITTEN, answer
    assert answer.oid == clone.oid("HEAD")
    check_everywhere(cluster, odd, A, answer.oid)


def test_conflicts_are_told_and_nothing_is_written(cluster: Cluster, api: Api, odd: str, clone: Clone) -> None:
    commit_files(api, odd, delete("LICENSE"), create("new.txt", b"a\n"), branch=A)
    commit_files(api, odd, put("LICENSE", b"other\n"), create("new.txt", b"b\n"), branch=B)
    clone.run("fetch", "--quiet", cluster.url(1, odd), "+refs/heads/conflict*:refs/heads/conflict*", "--update-head-ok")
    generation = cluster.generation(odd)
    answer = operate(api, "Merge", merge(odd, A, "conflict-b"))
    assert (answer.outcome, answer.round_id) == (CONFLICTS, "")
    bench(clone, A).run("merge", "--quiet", "-m", "x", "conflict-b", check=False)
    wanted = [
        line.split("\t") for line in clone.run("-c", "core.quotePath=false", "ls-files", "--unmerged").splitlines()
    ]
    told = [
        [f"{stage.mode} {stage.oid} {stage.stage}", conflict.path.decode()]
        for conflict in answer.conflicts
        for stage in conflict.stages
    ]
    assert sorted(told) == sorted(wanted)
    assert answer.conflict_count == 3
    kinds = {note.kind for note in answer.notes}
    assert {"CONFLICT (contents)", "CONFLICT (modify/delete)"} <= kinds
    favoured = operate(api, "Merge", merge(odd, A, "conflict-b", favour=pb.FAVOUR_OURS))
    assert [conflict.path for conflict in favoured.conflicts] == [b"LICENSE"]
    assert cluster.generation(odd) == generation
    cluster.wait_quiet()


def test_a_preview_tells_the_same_and_writes_nothing(cluster: Cluster, api: Api, oddities: Path) -> None:
    generation = cluster.generation(ODDITIES)

    def preview(target: str, revision: str, **more: Any) -> pb.PreviewMergeResponse:
        request = pb.PreviewMergeRequest(repository=ODDITIES, target_revision=target, revision=revision, **more)
        return api.call("OperationService/PreviewMerge", request, pb.PreviewMergeResponse)

    kinds = pb.PreviewMergeResponse
    clean = preview("topic-a", "main")
    wanted = git("merge-tree", "--write-tree", "topic-a", "main", cwd=oddities).stdout.split()[0]
    assert (clean.relation, clean.mergeable, clean.tree_oid) == (kinds.RELATION_DIVERGED, True, wanted)
    assert clean.position.generation == generation
    ahead = preview("main", "octopus")
    assert (ahead.relation, ahead.mergeable) == (kinds.RELATION_FAST_FORWARD, True)
    assert preview("octopus", "main").relation == kinds.RELATION_UP_TO_DATE
    conflicts = preview("conflict-a", "conflict-b")
    assert not conflicts.mergeable
    assert [(one.path, len(one.stages)) for one in conflicts.conflicts] == [(b"src/numbers.txt", 3)]
    assert preview("conflict-a", "conflict-b", favour=pb.FAVOUR_THEIRS).mergeable
    unrelated = preview("main", "unrelated")
    assert (unrelated.relation, unrelated.mergeable) == (kinds.RELATION_UNRELATED, False)
    assert preview("main", "unrelated", allow_unrelated=True).mergeable
    assert cluster.generation(ODDITIES) == generation
    cluster.wait_quiet()


def test_unrelated_histories_merge_only_where_allowed(cluster: Cluster, api: Api, odd: str, clone: Clone) -> None:
    error = api.error("OperationService/Merge", merge(odd, MAIN, "unrelated"))
    assert isinstance(error, InvalidRequest)
    assert "no history" in str(error)
    answer = operate(api, "Merge", merge(odd, MAIN, "unrelated", allow_unrelated=True))
    bench(clone, MAIN).run("merge", "--quiet", "-m", "merge it\n", "--allow-unrelated-histories", "unrelated")
    assert answer.oid == clone.oid("HEAD")
    check_everywhere(cluster, odd, MAIN, answer.oid)


def test_only_a_fast_forward_where_that_was_asked_for(cluster: Cluster, api: Api, odd: str) -> None:
    generation = cluster.generation(odd)
    request = pb.MergeRequest(repository=odd, branch=A, revision="conflict-b", mode=pb.MERGE_MODE_FAST_FORWARD_ONLY)
    assert operate(api, "Merge", request).outcome == pb.OperationResponse.OUTCOME_NOT_FAST_FORWARD
    assert cluster.generation(odd) == generation


@pytest.mark.usefixtures("oddities")
@pytest.mark.parametrize(
    ("method", "request_", "kind"),
    [
        ("Merge", merge(ODDITIES, "refs/heads/none", "main"), NotFound),
        ("Merge", merge(ODDITIES, MAIN, "none"), NotFound),
        ("Merge", merge(ODDITIES, MAIN, ""), InvalidRequest),
        ("Merge", merge(ODDITIES, MAIN, "topic-a", message=""), InvalidRequest),
        ("Merge", merge(ODDITIES, MAIN, "topic-a", author=None), InvalidRequest),
        ("Merge", merge(ODDITIES, MAIN, "topic-a", expected_oid="1" * 40), RefConflict),
        ("Merge", merge(ODDITIES, MAIN, "topic-a", mode=77), InvalidRequest),
        ("CherryPick", pb.CherryPickRequest(branch=MAIN, revisions=["main"]), InvalidRequest),
        ("CherryPick", pb.CherryPickRequest(branch=MAIN, committer=COMMITTER), InvalidRequest),
        ("CherryPick", pb.CherryPickRequest(branch=MAIN, committer=COMMITTER, revisions=["octopus"]), InvalidRequest),
        (
            "CherryPick",
            pb.CherryPickRequest(branch=MAIN, committer=COMMITTER, revisions=["octopus"], mainline=5),
            InvalidRequest,
        ),
        (
            "CherryPick",
            pb.CherryPickRequest(branch=MAIN, committer=COMMITTER, revisions=["topic-a", "topic-b"], message="m"),
            InvalidRequest,
        ),
        ("Revert", pb.RevertRequest(branch=MAIN, author=AUTHOR, revisions=["nothing"]), NotFound),
        ("Rebase", pb.RebaseRequest(branch=MAIN, committer=COMMITTER, onto="nothing"), NotFound),
        ("Rebase", pb.RebaseRequest(branch=MAIN, committer=COMMITTER), InvalidRequest),
    ],
)
def test_what_does_not_fit_is_refused(api: Api, method: str, request_: Message, kind: type[MeshError]) -> None:
    request_.repository = ODDITIES  # type: ignore[attr-defined]
    error = api.error(f"OperationService/{method}", request_)
    assert isinstance(error, kind), error


@pytest.mark.parametrize(
    ("branch", "revisions", "options"),
    [
        ("topic-a", ["conflict-a"], []),
        ("topic-a", ["topic-b", "topic-c"], []),
        ("topic-a", ["latin1"], []),
        ("main", ["crisscross-a~1"], ["-m", "1"]),
        ("main", ["unrelated"], []),
        ("topic-a", ["main~1"], []),
    ],
)
def test_a_cherry_pick_is_the_commit_git_makes(
    pair: Pair, branch: str, revisions: list[str], options: list[str]
) -> None:
    cluster, api, odd, clone = pair
    request = pb.CherryPickRequest(
        repository=odd,
        branch=f"refs/heads/{branch}",
        revisions=revisions,
        committer=COMMITTER,
        mainline=int(options[1]) if options else 0,
    )
    answer = operate(api, "CherryPick", request)
    bench(clone, branch).run("cherry-pick", *options, *revisions)
    assert answer.outcome == WRITTEN
    assert answer.oid == clone.oid("HEAD"), clone.run("show", "--format=raw", "HEAD")
    check_everywhere(cluster, odd, f"refs/heads/{branch}", answer.oid)


def test_picks_that_change_nothing_end_as_asked(api: Api, odd: str, clone: Clone) -> None:
    def pick(empty: pb.EmptyPick) -> pb.OperationResponse:
        return operate(
            api,
            "CherryPick",
            pb.CherryPickRequest(
                repository=odd, branch=A, revisions=["main~2", "topic-a"], committer=COMMITTER, empty=empty
            ),
        )

    refused = pick(pb.EMPTY_PICK_UNSPECIFIED)
    assert (refused.outcome, refused.stopped_at) == (pb.OperationResponse.OUTCOME_EMPTY, clone.oid("main~2"))
    kept = pick(pb.EMPTY_PICK_KEEP)
    bench(clone, A).run("cherry-pick", "--allow-empty", "--keep-redundant-commits", "main~2", "topic-a")
    assert kept.oid == clone.oid("HEAD")
    dropped = pick(pb.EMPTY_PICK_DROP)
    assert dropped.outcome == UP_TO_DATE


def test_a_conflict_in_a_pick_names_the_commit(cluster: Cluster, api: Api, odd: str, clone: Clone) -> None:
    generation = cluster.generation(odd)
    request = pb.CherryPickRequest(
        repository=odd, branch=A, revisions=["topic-a", "conflict-b"], committer=COMMITTER, request_key="pick"
    )
    answer = operate(api, "CherryPick", request)
    assert (answer.outcome, answer.stopped_at) == (CONFLICTS, clone.oid("conflict-b"))
    assert [conflict.path for conflict in answer.conflicts] == [b"src/numbers.txt"]
    assert cluster.generation(odd) == generation
    request.favour = pb.FAVOUR_THEIRS
    bench(clone, A).run("cherry-pick", "-Xtheirs", "topic-a", "conflict-b")
    assert operate(api, "CherryPick", request).oid == clone.oid("HEAD")
    assert operate(api, "CherryPick", request).repetition


@pytest.mark.parametrize(
    ("branch", "revisions", "mainline"),
    [
        ("main", ["main~1"], 0),
        ("main", ["main", "main~2"], 0),
        ("crisscross-a", ["crisscross-a~1"], 1),
        ("unrelated", ["unrelated"], 0),
    ],
)
def test_a_revert_is_the_commit_git_makes(pair: Pair, branch: str, revisions: list[str], mainline: int) -> None:
    cluster, api, odd, clone = pair
    empty = pb.EMPTY_PICK_KEEP
    request = pb.RevertRequest(
        repository=odd,
        branch=f"refs/heads/{branch}",
        revisions=revisions,
        author=AUTHOR,
        committer=COMMITTER,
        mainline=mainline,
        empty=empty,
    )
    oids = [clone.oid(revision) for revision in revisions]
    bench(clone, branch)
    if clone.oid("main~2") in oids:
        request.empty = pb.EMPTY_PICK_DROP
        oids.remove(clone.oid("main~2"))
    done = "" if not oids else clone.run("revert", "--no-edit", *(["-m", str(mainline)] if mainline else []), *oids)
    answer = operate(api, "Revert", request)
    assert answer.oid == clone.oid("HEAD"), done
    check_everywhere(cluster, odd, f"refs/heads/{branch}", answer.oid)


@pytest.mark.parametrize(
    ("branch", "onto", "upstream"),
    [
        ("topic-a", "main", ""),
        ("topic-a", "topic-b", ""),
        ("octopus", "crisscross-a", ""),
        ("crisscross-b", "crisscross-a", ""),
        ("conflict-a", "topic-a", "main~1"),
        ("main", "topic-a", ""),
        ("main", "topic-a", "main~3"),
        ("main", "octopus", ""),
        ("latin1", "conflict-a", ""),
        ("unrelated", "main", ""),
    ],
)
def test_a_rebase_makes_the_commits_git_makes(pair: Pair, branch: str, onto: str, upstream: str) -> None:
    cluster, api, odd, clone = pair
    request = pb.RebaseRequest(
        repository=odd, branch=f"refs/heads/{branch}", onto=onto, upstream=upstream, committer=COMMITTER
    )
    answer = operate(api, "Rebase", request)
    bench(clone, branch).run("rebase", "--quiet", "--no-fork-point", "--onto", onto, upstream or onto)
    assert answer.oid == clone.oid("HEAD"), clone.run("log", "--format=raw", "-3")
    check_everywhere(cluster, odd, f"refs/heads/{branch}", answer.oid)
    assert operate(api, "Rebase", request).outcome == UP_TO_DATE


def test_a_rebase_stops_at_a_conflict_and_drops_what_is_there(api: Api, odd: str, clone: Clone) -> None:
    request = pb.RebaseRequest(repository=odd, branch=A, onto="conflict-b", committer=COMMITTER)
    answer = operate(api, "Rebase", request)
    assert (answer.outcome, answer.stopped_at) == (CONFLICTS, clone.oid("conflict-a"))
    picked = operate(
        api,
        "CherryPick",
        pb.CherryPickRequest(repository=odd, branch=MAIN, revisions=["conflict-a"], committer=COMMITTER, message="x"),
    )
    request = pb.RebaseRequest(repository=odd, branch=A, onto="main", committer=COMMITTER)
    assert operate(api, "Rebase", request).oid == picked.oid


def test_merges_in_sha256_repositories(cluster: Cluster, api: Api, name: str, tmp_path: Path) -> None:
    source = make_oddities(tmp_path / "odd.git", object_format="sha256")
    api.call(
        "RepositoryService/Create",
        repository_pb2.CreateRequest(name=name, object_format=common_pb2.OBJECT_FORMAT_SHA256),
        repository_pb2.CreateResponse,
    )
    git("push", "--quiet", "--mirror", cluster.url(1, name), cwd=source)
    clone = Clone.of(source, tmp_path / "clone")
    answer = operate(api, "Merge", merge(name, "refs/heads/crisscross-a", "crisscross-b"))
    bench(clone, "crisscross-a").run("merge", "--quiet", "-m", "merge it\n", "crisscross-b")
    assert answer.oid == clone.oid("HEAD")
    request = pb.RebaseRequest(repository=name, branch="refs/heads/topic-a", onto="main", committer=COMMITTER)
    answer = operate(api, "Rebase", request)
    bench(clone, "topic-a").run("rebase", "--quiet", "main")
    assert answer.oid == clone.oid("HEAD")
    assert list_refs(cluster.url(2, name))["refs/heads/topic-a"] == answer.oid
