"""ClusterService's part in moves: orders in, plans and progress out."""

from __future__ import annotations

from dataclasses import replace

from meshnode.base.ids import NodeId, PartitionId
from meshnode.core.control import MoveProgress, PartitionProgress
from meshnode.ports import MoveOverview, MovePlan, PlannedMove
from meshnode.v1 import cluster_pb2
from tests.unit.rpc.harness import Site
from tests.unit.wire.samples import N2, N3


async def test_orders_about_replicas_reach_the_engine_and_plans_come_back() -> None:
    site = Site()
    site.moves.plan = MovePlan(
        moves=(PlannedMove(partition=PartitionId(7), entering=(NodeId("n4"),), leaving=(N3,), size_bytes=10),),
        blocked=("partition 3: too few",),
        warnings=("the loss of zone a",),
    )
    async with site.calling("operator") as caller:
        plan = await caller.call(
            "ClusterService/Rebalance", cluster_pb2.RebalanceRequest(dry_run=True), cluster_pb2.RebalanceResponse
        )
        paused = await caller.call(
            "ClusterService/PauseMoves", cluster_pb2.PauseMovesRequest(paused=True), cluster_pb2.PauseMovesResponse
        )
        wanted = await caller.call(
            "ClusterService/SetReplicationFactor",
            cluster_pb2.SetReplicationFactorRequest(factor=5),
            cluster_pb2.SetReplicationFactorResponse,
        )
        await caller.call(
            "ClusterService/SetReplicationFactor",
            cluster_pb2.SetReplicationFactorRequest(factor=0, partition=7),
            cluster_pb2.SetReplicationFactorResponse,
        )
        removed = await caller.call(
            "ClusterService/RemoveNode", cluster_pb2.RemoveNodeRequest(node="n2"), cluster_pb2.RemoveNodeResponse
        )
        listed = await caller.call(
            "ClusterService/ListPartitions", cluster_pb2.ListPartitionsRequest(), cluster_pb2.ListPartitionsResponse
        )
    assert site.moves.orders == [("rebalance", True), ("pause", True), ("factor", 5, None), ("factor", 0, 7)]
    assert (plan.moves[0].partition, list(plan.moves[0].entering), plan.size_bytes) == (7, ["n4"], 10)
    assert list(plan.blocked) == ["partition 3: too few"]
    assert paused.paused
    assert list(wanted.warnings) == ["beware"]
    assert (removed.node.state, removed.partitions) == (cluster_pb2.NODE_STATE_DELETING, 1)
    assert (list(listed.partitions[0].joining), listed.partitions[0].factor) == (["n4"], 5)


async def test_the_status_tells_how_far_moves_are() -> None:
    site = Site()
    move = PartitionProgress(
        partition=PartitionId(7), step="filling", node=NodeId("n4"), predecessor=None, repositories=9, left=4,
        size_bytes=1_000, since_ms=1_000,
    )  # fmt: skip
    told = MoveProgress(
        planner=N2, at_ms=61_000, waiting=2, moves=(move,), done_bytes=500, left_ms=90_500, blocked=("no room",)
    )
    site.moves.now = MoveOverview(is_paused=True, moving=3, progress=told, age_ms=2_500, warnings=("zone b",))
    async with site.calling("operator") as caller:
        request = cluster_pb2.GetStatusRequest()
        status = (await caller.call("ClusterService/GetStatus", request, cluster_pb2.GetStatusResponse)).moves
        site.moves.now = replace(site.moves.now, moving=0)
        over = (await caller.call("ClusterService/GetStatus", request, cluster_pb2.GetStatusResponse)).moves
    assert (status.paused, status.partitions, status.planner, status.age_s, status.left_s) == (True, 3, "n2", 2, 90)
    assert [(one.step, one.node, one.predecessor, one.left, one.running_s) for one in status.moves] == [
        ("filling", "n4", "", 4, 60)
    ]
    assert (list(status.blocked), list(status.warnings)) == (["no room"], ["zone b"])
    assert (len(over.moves), over.left_s) == (0, -1), "what was told last is old news"
