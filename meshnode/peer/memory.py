"""Calls other nodes' `Replication` in the same process, over links that tests and the simulator can break.

    links.cut(a, b)          what a sends b is lost, and so are a's answers to b
    links.lose_answers(a, b) a's next requests to b are carried out, and their answers lost

A request over a cut link has no effect; an answer over one is lost after the effect: to the caller both look alike.
Nothing here is random or waits: what happens depends on the calls and their order alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import TypeVar

from meshnode.base.errors import MeshError, PeerUnavailable
from meshnode.base.ids import Generation, NodeId, ObjectId, RoundId
from meshnode.core.round import ReplicaKey, Round
from meshnode.ports import (
    RefsSnapshot,
    ReplicaDescription,
    ReplicaState,
    Replication,
    StageMessage,
    StageOpen,
    StagePrepare,
    Vote,
)

T = TypeVar("T")


class Links:
    """Which ways between nodes are broken. One for a whole cluster."""

    def __init__(self) -> None:
        self._cut: set[tuple[NodeId, NodeId]] = set()
        self._answers_to_lose: Counter[tuple[NodeId, NodeId]] = Counter()

    def cut(self, source: NodeId, target: NodeId) -> None:
        """Lose what `source` sends to `target` from now on, answers included."""
        self._cut.add((source, target))

    def cut_both(self, one: NodeId, other: NodeId) -> None:
        """Lose everything between two nodes."""
        self.cut(one, other)
        self.cut(other, one)

    def mend(self, source: NodeId, target: NodeId) -> None:
        """Take a cut back; nothing happens where there is none."""
        self._cut.discard((source, target))

    def mend_all(self) -> None:
        """Take every cut and every loss to come back."""
        self._cut.clear()
        self._answers_to_lose.clear()

    def lose_answers(self, source: NodeId, target: NodeId, count: int = 1) -> None:
        """Carry out the next `count` requests of `source` to `target`, and lose their answers."""
        self._answers_to_lose[source, target] += count

    def check_request(self, source: NodeId, target: NodeId) -> None:
        """Raises PeerUnavailable where a request cannot get through."""
        if (source, target) in self._cut:
            raise PeerUnavailable("node did not answer", node=target, is_untouched=True)

    def check_answer(self, source: NodeId, target: NodeId) -> None:
        """Raises PeerUnavailable where the answer to a request of `source` does not get back."""
        if self._answers_to_lose[source, target] > 0:
            self._answers_to_lose[source, target] -= 1
            raise PeerUnavailable("node did not answer", node=target)
        if (target, source) in self._cut:
            raise PeerUnavailable("node did not answer", node=target)


class MemoryPeers:
    """Implements `ports.Peers` for the node `own`. `replications` may change while it is used: nodes come and go."""

    def __init__(
        self, replications: Mapping[NodeId, Replication], own: NodeId | None = None, links: Links | None = None
    ) -> None:
        """`own` None: a caller that is no node, whose links are never cut."""
        self.own = own or NodeId("")
        self.links = links or Links()
        self._replications = replications

    async def prepare(self, node: NodeId, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Stream objects and the round; a link that is cut on the way breaks the stream off."""
        target = self._target(node)
        return await self._answered(node, target.prepare(opening, self._over_link(node, messages)))

    async def commit(self, node: NodeId, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Tell a participant that its round is published."""
        return await self._answered(node, self._target(node).commit(key, round_id, generation))

    async def abort(self, node: NodeId, key: ReplicaKey, round_id: RoundId) -> None:
        """Tell a participant that its round will never be published."""
        await self._answered(node, self._target(node).abort(key, round_id))

    async def describe(self, node: NodeId, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """The replica's account of itself."""
        return await self._answered(node, self._target(node).describe(key, deep=deep))

    async def history(self, node: NodeId, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds of the peer after a generation."""
        return await self._answered(node, self._target(node).history(key, after))

    async def snapshot(self, node: NodeId, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references of the peer's replica."""
        return await self._answered(node, self._target(node).snapshot(key))

    async def fetch_objects(
        self, node: NodeId, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack; a link that is cut on the way breaks it off."""
        pack = self._target(node).fetch_objects(key, wants, haves)
        try:
            async for data in pack:
                self.links.check_answer(self.own, node)
                yield data
        finally:
            await _close(pack)

    def _target(self, node: NodeId) -> Replication:
        self.links.check_request(self.own, node)
        replication = self._replications.get(node)
        if replication is None:
            raise PeerUnavailable("node did not answer", node=node, is_untouched=True)
        return replication

    async def _answered(self, node: NodeId, answer: Awaitable[T]) -> T:
        try:
            result = await answer
        except MeshError:
            self.links.check_answer(self.own, node)
            raise
        self.links.check_answer(self.own, node)
        return result

    async def _over_link(self, node: NodeId, messages: AsyncIterator[StageMessage]) -> AsyncIterator[StageMessage]:
        try:
            async for message in messages:
                self.links.check_request(self.own, node)
                yield message
                if isinstance(message, StagePrepare):
                    return
        finally:
            await _close(messages)


async def _close(iterator: object) -> None:
    close = getattr(iterator, "aclose", None)
    if close is not None:
        await close()
