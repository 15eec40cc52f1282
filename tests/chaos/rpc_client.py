"""A client of the gRPC API: signed calls, reads at every level, updates with and without an expected value.

A write without an answer is sent again, with the same request key, to other nodes, as an application would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from meshnode.base.errors import MeshError
from meshnode.cli.client import ClusterClient
from meshnode.v1 import common_pb2, ref_pb2
from meshnode.wire.status import promises_nothing_written
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Change, Ending, Level, Read
from tests.chaos.light_client import BACK_OFF_S
from tests.chaos.workload import Wishes
from tests.e2e.raw import ZERO

_READ_MS: Final = 8_000
_WRITE_MS: Final = 15_000
_TRIES: Final = 3
THINK_S: Final = 0.2
_LEVELS: Final = {
    Level.VERIFIED: common_pb2.CONSISTENCY_LEVEL_VERIFIED,
    Level.AT_LEAST: common_pb2.CONSISTENCY_LEVEL_AT_LEAST,
    Level.ANY: common_pb2.CONSISTENCY_LEVEL_ANY,
}


class RpcClient:
    """Works through one node until cancelled; repetitions go to the others too."""

    def __init__(
        self, cluster: ChaosCluster, node: str, wishes: Wishes, calls: ClusterClient, next_value: Callable[[], str]
    ) -> None:
        """`next_value` gives a commit that every repository has and nobody has used."""
        self._cluster = cluster
        self._node = node
        self._wishes = wishes
        self._calls = calls
        self._next_value = next_value

    async def run(self) -> None:
        """Read and write, a little pause between."""
        chance = self._wishes.chance
        while True:
            repository = self._wishes.repository()
            if not await self.read(repository, self._wishes.level()):
                await asyncio.sleep(BACK_OFF_S)
            if chance.random() < 0.6:
                await self.update(repository)
            await asyncio.sleep(chance.uniform(0, 2 * THINK_S))

    async def read(self, repository: str, level: Level) -> bool:
        """List the references; whether there was an answer."""
        history = self._wishes.history
        position = self._wishes.positions.get(repository, 0) if level is Level.AT_LEAST else 0
        request = ref_pb2.ListRefsRequest(
            repository=repository,
            consistency=common_pb2.Consistency(level=_LEVELS[level], generation=position),
            page_size=50_000,
        )
        called_at = history.now()
        try:
            answer = await self._calls.call_node(
                self._cluster.endpoint(self._node),
                "/mesh.v1.RefService/ListRefs",
                request,
                ref_pb2.ListRefsResponse,
                timeout_ms=_READ_MS,
            )
        except MeshError as error:
            history.note_failed_read(f"rpc {error.code} {error.message}")
            return False
        self._wishes.remember_read(
            Read(
                client=self._wishes.name,
                way="rpc",
                node=self._node,
                repository=repository,
                level=level,
                called_at=called_at,
                answered_at=history.now(),
                refs={one.name: one.oid for one in answer.refs},
                generation=answer.position.generation,
                at_least=position,
            )
        )
        return True

    async def update(self, repository: str) -> None:
        """Move one reference or two, from what was seen or from anything, or delete one."""
        wishes = self._wishes
        refs = wishes.refs(2 if wishes.chance.random() < 0.2 else 1)
        changes = [self._change(repository, ref) for ref in refs]
        write = wishes.history.begin_write(
            client=wishes.name, way="rpc", node=self._node, repository=repository, changes=changes, is_atomic=True
        )
        request = ref_pb2.UpdateRefsRequest(
            repository=repository,
            updates=[_update(change) for change in changes],
            request_key=f"{wishes.name}-{write.number}",
        )
        ending, generation, reason = await self._send(request)
        wishes.history.end_write(
            write, {change.ref: ending for change in changes}, generation=generation, reason=reason
        )
        if ending is Ending.DONE:
            wishes.remember_written(repository, changes, generation)

    def _change(self, repository: str, ref: str) -> Change:
        seen = self._wishes.seen.get((repository, ref))
        dice = self._wishes.chance.random()
        if seen and dice < 0.1:
            return Change(ref=ref, expected=seen, value=None)
        return Change(ref=ref, expected=seen, value=self._next_value(), is_forced=dice < 0.4)

    async def _send(self, request: ref_pb2.UpdateRefsRequest) -> tuple[Ending, int, str]:
        """Refused only where no try was left open."""
        later = [name for name in self._cluster.names if name > self._node]
        earlier = [name for name in self._cluster.names if name < self._node]
        names = [self._node, *later, *earlier]
        is_open, reason = False, ""
        for number in range(_TRIES):
            endpoint = self._cluster.endpoint(names[number % len(names)])
            try:
                answer = await self._calls.call_node(
                    endpoint,
                    "/mesh.v1.RefService/UpdateRefs",
                    request,
                    ref_pb2.UpdateRefsResponse,
                    timeout_ms=_WRITE_MS,
                )
            except MeshError as error:
                reason = f"{error.code} {error}"
                if promises_nothing_written(error):
                    break
                is_open = True
                continue
            return Ending.DONE, answer.position.generation, ""
        return Ending.OPEN if is_open else Ending.REFUSED, 0, reason


def _update(change: Change) -> ref_pb2.RefUpdate:
    update = ref_pb2.RefUpdate(name=change.ref, new_oid=change.value or ZERO)
    if not change.is_forced:
        update.expected_oid = change.expected or ZERO
    return update
