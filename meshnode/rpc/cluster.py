"""Serves ClusterService: the nodes, their states, and what this node is doing."""

from __future__ import annotations

from meshnode.base.ids import NodeId, parse_node_id, parse_partition_id
from meshnode.core.nodes import Node, NodeState
from meshnode.ports import Activity, Membership, Moves
from meshnode.rpc.call import Answer, Call
from meshnode.rpc.census import Census
from meshnode.rpc.ways import Ways
from meshnode.v1 import cluster_pb2
from meshnode.wire.moves import move_status_message, partition_message, plan_message
from meshnode.wire.records import node_message, node_state_of


class ClusterServicer:
    """mesh.v1.ClusterService."""

    def __init__(
        self, *, own: NodeId, census: Census, membership: Membership, activity: Activity, moves: Moves, ways: Ways
    ) -> None:
        self._own = own
        self._census = census
        self._membership = membership
        self._activity = activity
        self._moves = moves
        self._ways = ways

    async def get_status(self, _: cluster_pb2.GetStatusRequest, __: Call) -> Answer:
        """The cluster at a glance."""
        counts = await self._census.counts()
        ways = await self._ways.read()
        settings = self._membership.settings()
        return cluster_pb2.GetStatusResponse(
            cluster_id=settings.cluster_id,
            format_version=settings.format_version,
            partitions=settings.partition_count,
            replication_factor=settings.replication_factor,
            nodes=self._nodes(),
            repositories=counts.repositories,
            repositories_repairing=counts.repairing,
            repositories_read_only=counts.read_only,
            complete=counts.is_complete,
            moves=move_status_message(await self._moves.overview()),
            round_trips=ways.messages,
            warnings=ways.warnings,
        )

    async def list_nodes(self, _: cluster_pb2.ListNodesRequest, __: Call) -> Answer:
        """Every node in the catalog."""
        return cluster_pb2.ListNodesResponse(nodes=self._nodes())

    async def set_node_state(self, request: cluster_pb2.SetNodeStateRequest, call: Call) -> Answer:
        """Want another state for a node."""
        node = await self._moves.set_state(parse_node_id(request.node), node_state_of(request.state))
        call.facts["node_state"] = node.state.value
        return cluster_pb2.SetNodeStateResponse(node=self._message(node))

    async def remove_node(self, request: cluster_pb2.RemoveNodeRequest, call: Call) -> Answer:
        """Take a node out for good; its replicas move elsewhere first."""
        node = await self._moves.set_state(parse_node_id(request.node), NodeState.DELETING)
        held = sum(1 for one in await self._moves.partitions() if node.node in one.members)
        call.facts["partitions"] = held
        return cluster_pb2.RemoveNodeResponse(node=self._message(node), partitions=held)

    async def rebalance(self, request: cluster_pb2.RebalanceRequest, call: Call) -> Answer:
        """Spread replicas evenly, or say what that would move."""
        plan = await self._moves.rebalance(is_dry_run=request.dry_run)
        call.facts["partitions"] = len(plan.moves)
        return plan_message(plan)

    async def pause_moves(self, request: cluster_pb2.PauseMovesRequest, call: Call) -> Answer:
        """Stop moves between two steps, or let them go on."""
        await self._moves.pause(is_paused=request.paused)
        call.facts["paused"] = int(request.paused)
        return cluster_pb2.PauseMovesResponse(paused=request.paused)

    async def set_replication_factor(self, request: cluster_pb2.SetReplicationFactorRequest, call: Call) -> Answer:
        """Want more or fewer replicas."""
        partition = parse_partition_id(request.partition) if request.HasField("partition") else None
        warnings = await self._moves.set_factor(request.factor, partition)
        call.facts["factor"] = request.factor
        return cluster_pb2.SetReplicationFactorResponse(factor=request.factor, warnings=warnings)

    async def list_partitions(self, _: cluster_pb2.ListPartitionsRequest, __: Call) -> Answer:
        """Where every partition is, and where it is to be."""
        partitions = await self._moves.partitions()
        return cluster_pb2.ListPartitionsResponse(partitions=[partition_message(one) for one in partitions])

    async def get_node_activity(self, _: cluster_pb2.GetNodeActivityRequest, __: Call) -> Answer:
        """What this node is doing."""
        return cluster_pb2.GetNodeActivityResponse(
            node=self._own,
            ready=self._activity.is_ready(),
            draining=self._activity.is_draining(),
            drained=self._activity.is_drained(),
            requests_in_flight=self._activity.requests_in_flight(),
            repairs=[
                cluster_pb2.Repair(
                    repository_id=repair.key.repository,
                    phase=repair.phase,
                    percent=repair.percent,
                    source=repair.source or "",
                )
                for repair in self._activity.repairs()
            ],
        )

    def _nodes(self) -> list[cluster_pb2.Node]:
        return [self._message(node) for _, node in sorted(self._membership.nodes().items())]

    def _message(self, node: Node) -> cluster_pb2.Node:
        return node_message(node, self._membership.online().get(node.node))
