"""Serves the part of ClusterService that tells which repositories are busy: here, or over all nodes.

cluster -> every listed node is asked at once -> added up by name -> who gave no answer is named
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError, PeerUnavailable
from meshnode.base.ids import NodeId, parse_repository_name
from meshnode.core.hot import HotCounts, Load, NodeReport, hottest, plan_replicas, sum_reports
from meshnode.core.nodes import NodeState
from meshnode.engine.hot import HotCounter
from meshnode.ports import Clock, Membership, Reads
from meshnode.rpc.call import Answer, Call, forwarding_metadata
from meshnode.rpc.forward import UnaryForwarding
from meshnode.v1 import cluster_hot_pb2 as pb
from meshnode.wire.message import parse
from meshnode.wire.reads import page_size_of

WINDOW_S: Final = 600
WINDOW_S_MIN: Final = 60
WINDOW_S_MAX: Final = 3_600
LIMIT: Final = 20
LIMIT_MAX: Final = 200
ASK_MS: Final = 3_000
"""How long one node may take: it only adds up what it has in memory."""
ANSWER_RESERVE_MS: Final = 500

Asked = tuple[NodeReport | None, str]
"""What a node said, or why it said nothing."""


class ClusterHotServicer:
    """GetHotRepositories of mesh.v1.ClusterService."""

    def __init__(
        self,
        *,
        own: NodeId,
        hot: HotCounter,
        reads: Reads,
        membership: Membership,
        remote: UnaryForwarding,
        clock: Clock,
    ) -> None:
        self._own = own
        self._hot = hot
        self._reads = reads
        self._membership = membership
        self._remote = remote
        self._clock = clock

    async def get_hot_repositories(self, request: pb.GetHotRepositoriesRequest, call: Call) -> Answer:
        """The busiest repositories, of this node or of the cluster."""
        window_s = request.window_s or WINDOW_S
        if not WINDOW_S_MIN <= window_s <= WINDOW_S_MAX:
            raise InvalidRequest("window must be a minute to an hour", window_s=window_s)
        limit = page_size_of(request.limit, default=LIMIT, largest=LIMIT_MAX)
        if call.is_forwarded or not request.cluster:
            asked: dict[NodeId, Asked] = {self._own: (self._hot.report(window_s, limit), "")}
        else:
            asked = await self._ask_everyone(window_s, call)
        reports = [report for report, _ in asked.values() if report is not None]
        listed = [_message(name, counts, reports) for name, counts in hottest(sum_reports(reports), limit)]
        if not call.is_forwarded:
            for repository in listed:
                await self._describe(repository, reports, is_suggesting=request.suggest)
        return pb.GetHotRepositoriesResponse(
            repositories=listed, nodes=[_node_message(node, *said) for node, said in sorted(asked.items())]
        )

    async def _ask_everyone(self, window_s: int, call: Call) -> dict[NodeId, Asked]:
        nodes = sorted(self._membership.nodes())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(node, window_s, call), name=f"hot {node}") for node in nodes]
        return dict(zip(nodes, (task.result() for task in tasks), strict=True))

    async def _ask(self, node: NodeId, window_s: int, call: Call) -> Asked:
        if node == self._own:
            return self._hot.report(window_s, LIMIT_MAX), ""
        if node not in self._membership.online():
            return None, "offline"
        request = pb.GetHotRepositoriesRequest(window_s=window_s, limit=LIMIT_MAX)
        left_ms = call.deadline_ms - self._clock.monotonic_ms() - ANSWER_RESERVE_MS
        try:
            body = await self._remote.forward_unary(
                node,
                call.method.path,
                request.SerializeToString(),
                forwarding_metadata(call),
                timeout_ms=max(1, min(ASK_MS, left_ms)),
            )
            return _report_of(node, parse(pb.GetHotRepositoriesResponse, body)), ""
        except MeshError as error:
            return None, error.message

    async def _describe(
        self, repository: pb.HotRepository, reports: Sequence[NodeReport], *, is_suggesting: bool
    ) -> None:
        """Say how many replicas there are, and how many there should be; nothing where the catalog does not say."""
        try:
            record = await self._reads.find(parse_repository_name(repository.name))
        except MeshError:
            return
        partition = self._membership.partition(record.partition)
        repository.replicas = len(partition.replicas)
        repository.read_replicas = len(partition.read_replicas)
        repository.read_replica_reads = sum(
            share.reads for share in repository.shares if share.node in partition.read_replicas
        )
        repository.partition = partition.partition
        if not is_suggesting:
            return
        load = Load(
            counts=_counts_of(repository),
            window_s=max(report.observed_s for report in reports),
            voters=len(partition.replicas),
            read_replicas=repository.read_replicas,
            nodes=sum(1 for node in self._membership.nodes().values() if node.state is NodeState.AVAILABLE),
            cores=min(report.cores for report in reports),
        )
        plan = plan_replicas(load)
        repository.suggestion.CopyFrom(
            pb.ReplicaSuggestion(
                replicas=plan.replicas, read_replicas=plan.read_replicas, factor=plan.factor, reasons=plan.reasons
            )
        )


def _message(name: str, counts: HotCounts, reports: Sequence[NodeReport]) -> pb.HotRepository:
    shares = [(report.node, report.repositories[name]) for report in reports if name in report.repositories]
    return pb.HotRepository(
        name=name,
        reads=counts.reads,
        writes=counts.writes,
        bytes_in=counts.bytes_in,
        bytes_out=counts.bytes_out,
        git_ms=round(counts.git_ms),
        shares=[pb.HotShare(node=node, reads=part.reads, writes=part.writes) for node, part in shares],
    )


def _node_message(node: NodeId, report: NodeReport | None, reason: str) -> pb.HotNode:
    if report is None:
        return pb.HotNode(node=node, reachable=False, reason=reason)
    return pb.HotNode(
        node=node,
        reachable=True,
        observed_s=report.observed_s,
        cores=report.cores,
        missed_work_ms=round(report.missed_work),
    )


def _report_of(node: NodeId, answer: pb.GetHotRepositoriesResponse) -> NodeReport:
    if len(answer.nodes) != 1 or answer.nodes[0].node != node:
        raise PeerUnavailable("node gave a senseless answer", node=node)
    told = answer.nodes[0]
    return NodeReport(
        node=node,
        observed_s=max(1, told.observed_s),
        cores=max(1, told.cores),
        missed_work=told.missed_work_ms,
        repositories={one.name: _counts_of(one) for one in answer.repositories},
    )


def _counts_of(message: pb.HotRepository) -> HotCounts:
    return HotCounts(
        reads=message.reads,
        writes=message.writes,
        bytes_in=message.bytes_in,
        bytes_out=message.bytes_out,
        git_ms=message.git_ms,
    )
