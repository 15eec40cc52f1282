"""What is configured for a repository is refused through every node right after the answer: pushes, calls, operations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshnode.base.errors import Fenced, Forbidden, InvalidRequest, TooLarge
from meshnode.v1 import operation_pb2 as pb
from meshnode.v1 import ref_pb2
from meshnode.v1 import repository_config_pb2 as config_pb
from tests.e2e.api.caller import Api
from tests.e2e.api.workbench import COMMITTER, commit_files
from tests.e2e.cluster import Cluster, git, list_refs

SET = "RepositoryService/SetConfig"
GET = "RepositoryService/GetConfig"
MAIN, TOPIC, OTHER = "refs/heads/main", "refs/heads/topic", "refs/heads/other"


@pytest.fixture
def repository(cluster: Cluster, name: str, work: Path) -> str:
    """main with two commits; topic and other beside it."""
    git("commit", "--quiet", "--allow-empty", "-m", "two", cwd=work)
    git("branch", "topic", "HEAD~1", cwd=work)
    git("checkout", "--quiet", "topic", cwd=work)
    git("commit", "--quiet", "--allow-empty", "-m", "aside", cwd=work)
    git("push", "--quiet", cluster.url(1, name), "main", "topic", "topic:other", cwd=work)
    return name


def configure(
    api: Api, name: str, *, node: int, unset: tuple[str, ...] = (), **values: str
) -> config_pb.SetConfigResponse:
    changes = {f"receive.{key}": value for key, value in values.items()}
    request = config_pb.SetConfigRequest(name=name, set=changes, unset=unset)
    return api.call(SET, request, config_pb.SetConfigResponse, node=node)


def update(name: str, ref: str, oid: str) -> ref_pb2.UpdateRefsRequest:
    return ref_pb2.UpdateRefsRequest(repository=name, updates=[ref_pb2.RefUpdate(name=ref, new_oid=oid)])


def test_deletions_are_refused_through_every_node_right_after_the_answer(
    cluster: Cluster, api: Api, repository: str, work: Path
) -> None:
    for turn in cluster.numbers:  # each node in turn is the one that is asked
        answer = configure(api, repository, node=turn, denyDeletes="true")
        assert answer.version == 2 * turn - 1
        for node in cluster.numbers:
            refused = git("push", cluster.url(node, repository), ":topic", cwd=work, check=False)
            assert refused.returncode != 0
            assert "[remote rejected] topic (deletion prohibited (receive.denyDeletes))" in refused.stderr
            error = api.error("RefService/UpdateRefs", update(repository, TOPIC, "0" * 40))
            assert isinstance(error, Forbidden)
            assert "deletion prohibited" in error.message
        deletion = pb.DeleteBranchRequest(repository=repository, branch=TOPIC)
        assert isinstance(api.error("OperationService/DeleteBranch", deletion), Forbidden)
        configure(api, repository, node=turn % 3 + 1, unset=("receive.denyDeletes",))
    mixed = git("push", cluster.url(2, repository), "HEAD:refs/heads/new", ":topic", cwd=work)
    assert mixed.returncode == 0
    configure(api, repository, node=3, denyDeletes="true")
    mixed = git("push", cluster.url(2, repository), "HEAD:refs/heads/newer", ":other", cwd=work, check=False)
    assert "deletion prohibited" in mixed.stderr
    refs = list_refs(cluster.url(1, repository))
    assert "refs/heads/newer" in refs  # what is allowed is done, as git does it
    assert OTHER in refs
    assert TOPIC not in refs
    atomic = git("push", "--atomic", cluster.url(1, repository), "HEAD:refs/heads/no", ":other", cwd=work, check=False)
    assert atomic.returncode != 0
    assert "refs/heads/no" not in list_refs(cluster.url(3, repository))


def test_branches_move_only_forward_where_that_is_configured(
    cluster: Cluster, api: Api, repository: str, work: Path
) -> None:
    tips = list_refs(cluster.url(1, repository))
    configure(api, repository, node=2, denyNonFastForwards="true")
    for node in cluster.numbers:
        refused = git("push", "--force", cluster.url(node, repository), "topic:main", cwd=work, check=False)
        assert "[remote rejected] topic -> main (non-fast-forward" in refused.stderr
        error = api.error("RefService/UpdateRefs", update(repository, MAIN, tips[TOPIC]))
        assert isinstance(error, Forbidden)
        assert "non-fast-forward" in error.message
    git("commit", "--quiet", "--allow-empty", "--amend", "-m", "rewritten", cwd=work)
    refused = git("push", "--force", cluster.url(3, repository), "topic", cwd=work, check=False)
    assert "non-fast-forward" in refused.stderr  # its objects are only in the push
    rebase = pb.RebaseRequest(repository=repository, branch=TOPIC, onto=MAIN, committer=COMMITTER)
    error = api.error("OperationService/Rebase", rebase)
    assert isinstance(error, Forbidden), error
    assert list_refs(cluster.url(2, repository)) == tips
    git("reset", "--quiet", "--hard", tips[TOPIC], cwd=work)
    git("commit", "--quiet", "--allow-empty", "-m", "forward", cwd=work)
    git("push", "--quiet", cluster.url(3, repository), "topic", cwd=work)
    git("push", "--quiet", "--force", cluster.url(1, repository), "topic:refs/tags/free", cwd=work)
    git("push", "--quiet", "--force", cluster.url(2, repository), "main:refs/tags/free", cwd=work)
    configure(api, repository, node=1, denyNonFastForwards="false")
    git("push", "--quiet", "--force", cluster.url(2, repository), "main:topic", cwd=work)
    assert cluster.json("repo", "verify", repository)["ok"]


def test_packs_larger_than_configured_are_refused_pushed_or_made(
    cluster: Cluster, api: Api, repository: str, work: Path
) -> None:
    configure(api, repository, node=3, maxInputSize="100k")
    (work / "noise").write_bytes(os.urandom(300_000))
    git("add", ".", cwd=work)
    git("commit", "--quiet", "-m", "noise", cwd=work)
    for node in cluster.numbers:
        refused = git("push", cluster.url(node, repository), "topic", cwd=work, check=False)
        assert refused.returncode != 0
        assert "maximum allowed size" in refused.stderr
    noise = pb.FileAction(kind=pb.FileAction.KIND_PUT, path=b"noise", content=os.urandom(300_000))
    with pytest.raises(TooLarge):
        commit_files(api, repository, (noise, []), branch=TOPIC)
    configure(api, repository, node=1, maxInputSize="1m")
    git("push", "--quiet", cluster.url(2, repository), "topic", cwd=work)


def test_only_allowed_keys_and_the_expected_version_are_taken(cluster: Cluster, api: Api, repository: str) -> None:
    wrong = config_pb.SetConfigRequest(
        name=repository, set={"core.hooksPath": "/tmp", "receive.denyDeletes": "perhaps"}
    )
    error = api.error(SET, wrong)
    assert isinstance(error, InvalidRequest)
    for part in ("receive.denyDeletes, receive.denyNonFastForwards, receive.maxInputSize", "true or false"):
        assert part in error.message
    configure(api, repository, node=1, denyDeletes="true")
    late = config_pb.SetConfigRequest(name=repository, unset=["receive.denyDeletes"], expected_version=0)
    assert isinstance(api.error(SET, late), Fenced)
    shown = api.call(GET, config_pb.GetConfigRequest(name=repository), config_pb.GetConfigResponse, node=3)
    assert (shown.version, {one.key: one.value for one in shown.settings}["receive.denyDeletes"]) == (1, "true")
    assert cluster.json("repo", "config", repository, "set", "receive.maxinputsize=10m") == {
        "name": repository,
        "version": 2,
        "config": {
            "receive.denyDeletes": "true",
            "receive.denyNonFastForwards": "false",
            "receive.maxInputSize": "10485760",
        },
    }
    assert cluster.json("repo", "config", repository, "get", "receive.maxInputSize")["config"] == {
        "receive.maxInputSize": "10485760"
    }
