"""Branches and tags come and go by RPC: tag objects are git's, expectations hold, what must not go stays."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from meshnode.base.errors import InvalidRequest, MeshError, NotFound, RefConflict
from meshnode.v1 import operation_pb2 as pb
from tests.e2e.api.caller import Api
from tests.e2e.api.conftest import ODDITIES
from tests.e2e.api.workbench import COMMITTER, MAIN, Clone, check_everywhere, operate
from tests.e2e.cluster import Cluster, list_refs


def test_a_branch_comes_and_goes(cluster: Cluster, api: Api, odd: str, clone: Clone) -> None:
    name = "refs/heads/topic/x"
    made = operate(api, "CreateBranch", pb.CreateBranchRequest(repository=odd, branch=name, revision="v1.0~1"))
    assert (made.oid, made.previous_oid) == (clone.oid("v1.0~1"), "")
    assert list_refs(cluster.url(2, odd))[name] == made.oid
    wrong = pb.DeleteBranchRequest(repository=odd, branch=name, expected_oid="1" * 40)
    assert isinstance(api.error("OperationService/DeleteBranch", wrong), RefConflict)
    gone = operate(api, "DeleteBranch", pb.DeleteBranchRequest(repository=odd, branch=name, expected_oid=made.oid))
    assert (gone.oid, gone.previous_oid) == ("", made.oid)
    assert gone.position.generation == made.position.generation + 1
    assert name not in list_refs(cluster.url(1, odd))
    again = pb.DeleteBranchRequest(repository=odd, branch=name)
    assert isinstance(api.error("OperationService/DeleteBranch", again), NotFound)


@pytest.mark.parametrize("revision", ["main", "main^{tree}", "main:LICENSE", "v1.0", "nested"])
def test_an_annotated_tag_is_the_object_git_makes(
    cluster: Cluster, api: Api, odd: str, clone: Clone, revision: str
) -> None:
    request = pb.CreateTagRequest(
        repository=odd, tag="refs/tags/v2.0", revision=revision, tagger=COMMITTER, message="version 2\n\nwith a body\n"
    )
    made = operate(api, "CreateTag", request)
    clone.run("tag", "-a", "-m", "version 2\n\nwith a body\n", "v2.0", revision)
    assert made.oid == clone.oid("refs/tags/v2.0")
    check_everywhere(cluster, odd, "refs/tags/v2.0", made.oid)
    assert list_refs(cluster.url(1, odd))["refs/tags/v2.0^{}"] == clone.oid("v2.0^{}")


def test_a_lightweight_tag_comes_and_goes(cluster: Cluster, api: Api, odd: str, clone: Clone) -> None:
    made = operate(api, "CreateTag", pb.CreateTagRequest(repository=odd, tag="refs/tags/l", revision="v1.0"))
    assert made.oid == clone.oid("refs/tags/v1.0")
    operate(api, "DeleteTag", pb.DeleteTagRequest(repository=odd, tag="refs/tags/l", expected_oid=made.oid))
    assert "refs/tags/l" not in list_refs(cluster.url(3, odd))


def test_a_repeated_deletion_takes_effect_once(cluster: Cluster, api: Api, odd: str) -> None:
    request = pb.DeleteBranchRequest(repository=odd, branch="refs/heads/octopus", request_key="gone")
    first = operate(api, "DeleteBranch", request, node=1)
    operate(api, "CreateBranch", pb.CreateBranchRequest(repository=odd, branch="refs/heads/octopus"))
    again = operate(api, "DeleteBranch", request, node=2)
    assert again.repetition
    assert (again.oid, again.previous_oid) == ("", first.previous_oid)
    assert "refs/heads/octopus" in list_refs(cluster.url(1, odd))


@pytest.mark.usefixtures("oddities")
@pytest.mark.parametrize(
    ("method", "request_", "kind"),
    [
        ("CreateBranch", pb.CreateBranchRequest(branch=MAIN), RefConflict),
        ("CreateBranch", pb.CreateBranchRequest(branch="refs/heads/main/x"), InvalidRequest),
        ("CreateBranch", pb.CreateBranchRequest(branch="refs/heads/new", revision="main^{tree}"), InvalidRequest),
        ("CreateBranch", pb.CreateBranchRequest(branch="refs/heads/new", revision="nothing"), NotFound),
        ("CreateBranch", pb.CreateBranchRequest(branch="refs/tags/new"), InvalidRequest),
        ("DeleteBranch", pb.DeleteBranchRequest(branch=MAIN), InvalidRequest),
        ("CreateTag", pb.CreateTagRequest(tag="refs/tags/v1.0"), RefConflict),
        ("CreateTag", pb.CreateTagRequest(tag="refs/heads/v1.0"), InvalidRequest),
        ("CreateTag", pb.CreateTagRequest(tag="refs/tags/x", message="no tagger"), InvalidRequest),
        ("CreateTag", pb.CreateTagRequest(tag="refs/tags/x", tagger=COMMITTER), InvalidRequest),
        ("CreateTag", pb.CreateTagRequest(tag="refs/tags/x", tagger=pb.Person(), message="m"), InvalidRequest),
        ("DeleteTag", pb.DeleteTagRequest(tag="refs/tags/nothing"), NotFound),
    ],
)
def test_what_does_not_fit_is_refused(
    cluster: Cluster, api: Api, method: str, request_: Message, kind: type[MeshError]
) -> None:
    before = cluster.generation(ODDITIES)
    request_.repository = ODDITIES  # type: ignore[attr-defined]
    error = api.error(f"OperationService/{method}", request_)
    assert isinstance(error, kind), error
    assert cluster.generation(ODDITIES) == before
