"""Serves MaintenanceService: what operators ask for by hand.

    ScrubRepository   met by any node -> asked of every member at once -> each answers for its own disk
    AcceptDataLoss    met by any node -> handed to the node whose replica is to become the truth

A call that another node handed on is answered here; it is never handed on again.
"""

from __future__ import annotations

import asyncio
from typing import Final

from meshnode.base.errors import InvalidRequest, MeshError
from meshnode.base.ids import NodeId, RepositoryName, parse_node_id, parse_repository_name
from meshnode.core.round import ReplicaKey
from meshnode.ports import Clock, Losses, Membership, Reads, Scrubs, Upkeeping
from meshnode.rpc.call import Answer, Call, forwarding_metadata
from meshnode.rpc.forward import UnaryForwarding
from meshnode.rpc.patience import PATIENCE_MS, ask_patiently
from meshnode.v1 import maintenance_pb2 as pb
from meshnode.wire.maintenance import loss_message, scrub_message, upkeep_message
from meshnode.wire.message import parse

ANSWER_RESERVE_MS: Final = 500
"""Left of the deadline to report what the others said."""
STILL_RUNNING: Final = "still reading; it goes on, `repo show` and the node's log tell the rest"


class MaintenanceServicer:
    """mesh.v1.MaintenanceService."""

    def __init__(
        self,
        *,
        own: NodeId,
        reads: Reads,
        membership: Membership,
        scrubs: Scrubs,
        losses: Losses,
        upkeeper: Upkeeping,
        remote: UnaryForwarding,
        clock: Clock,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._own = own
        self._reads = reads
        self._patience_ms = patience_ms
        self._membership = membership
        self._scrubs = scrubs
        self._losses = losses
        self._upkeeper = upkeeper
        self._remote = remote
        self._clock = clock

    async def scrub_repository(self, request: pb.ScrubRepositoryRequest, call: Call) -> Answer:
        """Have every replica read everything it holds."""
        name = _name(request.name, call)
        record = await self._reads.find(name)
        key = record.key
        if call.is_forwarded:
            return pb.ScrubRepositoryResponse(name=name, replicas=[await self._scrub_here(key, call)])
        members = self._membership.partition(record.partition).members
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._scrub_at(node, key, call), name=f"scrub {node}") for node in members]
        replicas = [task.result() for task in asked]
        is_ok = all(replica.verdict == pb.ReplicaScrub.VERDICT_SOUND for replica in replicas)
        return pb.ScrubRepositoryResponse(name=name, ok=is_ok, replicas=replicas)

    async def optimize_repository(self, request: pb.OptimizeRepositoryRequest, call: Call) -> Answer:
        """Have every replica combine its packs, one after the other."""
        name = _name(request.name, call)
        record = await self._reads.find(name)
        key = record.key
        if call.is_forwarded:
            return pb.OptimizeRepositoryResponse(name=name, replicas=[await self._optimise_here(key, call)])
        response = pb.OptimizeRepositoryResponse(name=name, ok=True)
        for node in self._membership.partition(record.partition).members:
            replica = await self._optimise_at(node, key, call)
            response.replicas.append(replica)
            response.ok &= not replica.note
        return response

    async def accept_data_loss(self, request: pb.AcceptDataLossRequest, call: Call) -> Answer:
        """Make one replica the truth, or say what that would lose."""
        name = _name(request.name, call)
        chosen = parse_node_id(request.node)
        call.facts["chosen"] = chosen
        if chosen != self._own:
            if call.is_forwarded:
                raise InvalidRequest("the call was handed to another node than the chosen one", node=chosen)
            if chosen not in self._membership.nodes():
                raise InvalidRequest("the cluster has no such node", node=chosen)
            call.facts["forwarded_to"] = chosen
            return await self._remote.forward_unary(
                chosen, call.method.path, call.body, forwarding_metadata(call), timeout_ms=self._left_ms(call)
            )
        if request.dry_run:
            return loss_message(await self._losses.plan_loss(name))
        plan = await self._losses.accept_loss(name, actor=call.actor)
        call.facts["generation"] = plan.new_generation
        return loss_message(plan)

    async def _scrub_at(self, node: NodeId, key: ReplicaKey, call: Call) -> pb.ReplicaScrub:
        """One member's answer; where it gives none, why not."""
        try:
            if node == self._own:
                return await self._scrub_here(key, call)
            body = await ask_patiently(
                lambda: self._remote.forward_unary(
                    node, call.method.path, call.body, forwarding_metadata(call), timeout_ms=self._left_ms(call)
                ),
                self._patience_ms,
            )
            replicas = parse(pb.ScrubRepositoryResponse, body).replicas
            if len(replicas) == 1 and replicas[0].node == node:
                return replicas[0]
            return pb.ReplicaScrub(node=node, findings=["node gave a senseless answer"])
        except MeshError as error:
            return pb.ReplicaScrub(node=node, findings=[f"no answer: {error.message}"])

    async def _scrub_here(self, key: ReplicaKey, call: Call) -> pb.ReplicaScrub:
        try:
            async with asyncio.timeout(self._left_ms(call) / 1000):
                return scrub_message(await self._scrubs.scrub(key))
        except TimeoutError:
            return pb.ReplicaScrub(node=self._own, findings=[STILL_RUNNING])

    async def _optimise_at(self, node: NodeId, key: ReplicaKey, call: Call) -> pb.ReplicaUpkeep:
        """One member's answer; where it gives none, why not."""
        try:
            if node == self._own:
                return await self._optimise_here(key, call)
            body = await self._remote.forward_unary(
                node, call.method.path, call.body, forwarding_metadata(call), timeout_ms=self._left_ms(call)
            )
            replicas = parse(pb.OptimizeRepositoryResponse, body).replicas
            if len(replicas) == 1 and replicas[0].node == node:
                return replicas[0]
            return pb.ReplicaUpkeep(node=node, note="node gave a senseless answer")
        except MeshError as error:
            return pb.ReplicaUpkeep(node=node, note=f"no answer: {error.message}")

    async def _optimise_here(self, key: ReplicaKey, call: Call) -> pb.ReplicaUpkeep:
        try:
            async with asyncio.timeout(self._left_ms(call) / 1000):
                return upkeep_message(self._own, await self._upkeeper.optimise(key))
        except TimeoutError:
            return pb.ReplicaUpkeep(node=self._own, note="not finished in time; it will be tried again by itself")
        except MeshError as error:
            return pb.ReplicaUpkeep(node=self._own, note=str(error))

    def _left_ms(self, call: Call) -> int:
        return max(1, call.deadline_ms - self._clock.monotonic_ms() - ANSWER_RESERVE_MS)


def _name(text: str, call: Call) -> RepositoryName:
    name = parse_repository_name(text)
    call.facts["repository"] = name
    return name
