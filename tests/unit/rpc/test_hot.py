"""GetHotRepositories: one node's own view, all nodes added up, and the names of those that gave no answer."""

from __future__ import annotations

import pytest

from meshnode.auth.channel import CallFailed
from meshnode.telemetry.access import Access
from meshnode.v1 import cluster_hot_pb2 as pb
from tests.unit.rpc.harness import Site
from tests.unit.rpc.test_two_nodes import _pair
from tests.unit.wire.samples import N1, N2

PATH = "ClusterService/GetHotRepositories"


def note(site: Site, times: int, repository: str = "project/repo", **fields: float) -> None:
    for _ in range(times):
        site.hot.note(
            Access(server="grpc", method="x", kind="accessor", node=site.own, repository=repository, **fields)  # type: ignore[arg-type]
        )


async def test_all_nodes_are_added_up_and_who_is_away_is_named() -> None:
    async with _pair([N1], [N1]) as pair:
        note(pair.entry, 3, bytes_out=10)
        note(pair.other, 4, bytes_out=1, git_ms=90_000.0)
        note(pair.other, 1, "project/gone")
        async with pair.entry.connected("operator") as caller:
            answer = await caller.call(
                PATH, pb.GetHotRepositoriesRequest(cluster=True, suggest=True), pb.GetHotRepositoriesResponse
            )
            own = await caller.call(PATH, pb.GetHotRepositoriesRequest(limit=1), pb.GetHotRepositoriesResponse)
    first, second = answer.repositories
    assert (first.name, first.reads, first.bytes_out, first.git_ms) == ("project/repo", 7, 34, 360_000)
    assert [(share.node, share.reads) for share in first.shares] == [("n1", 3), ("n2", 4)]
    assert first.replicas == 3
    assert first.suggestion.reasons
    assert (second.name, second.replicas, second.HasField("suggestion")) == ("project/gone", 0, False)
    assert [(node.node, node.reachable) for node in answer.nodes] == [("n1", True), ("n2", True), ("n3", False)]
    assert answer.nodes[2].reason
    assert [(one.name, one.reads) for one in own.repositories] == [("project/repo", 3)]
    assert not own.repositories[0].HasField("suggestion")


async def test_reads_that_read_replicas_took_are_told_apart() -> None:
    async with _pair([N1], [N1]) as pair:
        pair.entry.membership.read_replicas = (N2,)
        note(pair.entry, 3)
        note(pair.other, 4)
        async with pair.entry.connected("operator") as caller:
            answer = await caller.call(PATH, pb.GetHotRepositoriesRequest(cluster=True), pb.GetHotRepositoriesResponse)
    (one,) = answer.repositories
    assert (one.reads, one.read_replicas, one.read_replica_reads) == (7, 1, 4)


@pytest.mark.parametrize(
    "bad",
    [
        pb.GetHotRepositoriesRequest(window_s=59),
        pb.GetHotRepositoriesRequest(window_s=3_601),
        pb.GetHotRepositoriesRequest(limit=201),
    ],
)
async def test_what_cannot_be_asked_is_refused(bad: pb.GetHotRepositoriesRequest) -> None:
    async with Site().calling("operator") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.call(PATH, bad, pb.GetHotRepositoriesResponse)
    assert failed.value.code.name == "INVALID_ARGUMENT"


async def test_only_administrators_may_ask() -> None:
    async with Site().calling("writer") as caller:
        with pytest.raises(CallFailed) as failed:
            await caller.call(PATH, pb.GetHotRepositoriesRequest(), pb.GetHotRepositoriesResponse)
    assert failed.value.code.name == "PERMISSION_DENIED"
