"""ClusterService's part in read replicas: orders in, nodes out, and what is no order."""

from __future__ import annotations

import pytest

from meshnode.auth.answers import CallFailed
from meshnode.core.record import consistent_nodes
from meshnode.v1 import cluster_replicas_pb2 as pb
from meshnode.v1 import repository_pb2
from meshnode.wire.records import repository_message
from tests.unit.core.builders import N1, N2, N3, N4, a_partition, a_record
from tests.unit.rpc.harness import Site


async def test_orders_by_number_and_by_name_reach_the_engine() -> None:
    site = Site()
    async with site.calling("operator") as caller:
        chosen = await caller.call(
            "ClusterService/SetReadReplicas",
            pb.SetReadReplicasRequest(repository="demo/one", count=2),
            pb.SetReadReplicasResponse,
        )
        await caller.call(
            "ClusterService/SetReadReplicas",
            pb.SetReadReplicasRequest(partition=7, nodes=["n4", "n5"]),
            pb.SetReadReplicasResponse,
        )
        await caller.call(
            "ClusterService/SetReadReplicas", pb.SetReadReplicasRequest(partition=0), pb.SetReadReplicasResponse
        )
    assert site.read_replicas.orders == [("demo/one", 2, ()), (7, None, ("n4", "n5")), (0, 0, ())]
    assert list(chosen.nodes) == ["n4"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.SetReadReplicasRequest(count=1), "name a repository or a partition"),
        (pb.SetReadReplicasRequest(partition=7, count=1, nodes=["n4"]), "not both"),
        (pb.SetReadReplicasRequest(partition=7, nodes=["no node"]), "node"),
        (pb.SetReadReplicasRequest(repository="/", count=1), "name"),
    ],
)
async def test_what_is_no_order_is_refused(request_: pb.SetReadReplicasRequest, reason: str) -> None:
    site = Site()
    async with site.calling("operator") as caller:
        with pytest.raises(CallFailed, match=reason):
            await caller.call("ClusterService/SetReadReplicas", request_, pb.SetReadReplicasResponse)
    assert site.read_replicas.orders == []


async def test_an_order_about_one_repository_and_a_wish_at_its_creation_reach_the_engine() -> None:
    site = Site()
    async with site.calling("operator") as caller:
        done = await caller.call(
            "ClusterService/SetRepositoryFactor",
            pb.SetRepositoryFactorRequest(repository="demo/one", factor=5),
            pb.SetRepositoryFactorResponse,
        )
        await caller.call(
            "RepositoryService/Create",
            repository_pb2.CreateRequest(name="demo/two", replication_factor=5, request_key="k"),
            repository_pb2.CreateResponse,
        )
    assert site.factors.orders == [("demo/one", 5)]
    assert (done.partition, done.factor, list(done.warnings)) == (7, 5, ["beware"])
    assert 5 in site.writes.calls[-1][1]


def test_a_repository_shows_them_as_what_they_are() -> None:
    partition = a_partition(N1, N2, N3)
    partition = type(partition)(
        partition=partition.partition, replicas=partition.replicas, read_replicas=(N4,), read_replicas_wanted=1
    )
    record = a_record(5)
    assert N4 not in consistent_nodes(record, partition)
    shown = repository_message(record, partition, {N1, N4})
    assert [(one.node, one.read_replica, one.consistent) for one in shown.replicas] == [
        ("n1", False, True), ("n2", False, True), ("n3", False, True), ("n4", True, False),
    ]  # fmt: skip
