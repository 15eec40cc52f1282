"""Sends one round's objects to the other replicas while they still arrive, and gathers their votes.

    offer(message) --> one bounded queue a node --> Peers.prepare stream --> vote, or the reason there is none

A replica that cannot keep up slows the push down only as long as the quorum needs it, and for a minute a message at most:
where enough others are left it is let go, and publishing excludes it. A read replica is hardly waited for at all; but once its round is
published, its stream may end after the round did (`let_finish`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final, Self

from meshnode.base.errors import MeshError, PeerUnavailable
from meshnode.base.ids import NodeId, RoundId
from meshnode.core.quorum import can_reach_quorum
from meshnode.core.round import Round
from meshnode.core.write import VoteGranted, VoteMissing
from meshnode.engine.supervisor import Supervisor
from meshnode.ports import PackIngest, Peers, StageFix, StageIndex, StageMessage, StageOpen, StagePrepare, VoteKind

QUEUE_MESSAGES_MAX: Final = 16
"""Of at most 512 KiB: 8 MiB a replica is what a push may be ahead of its slowest needed replica."""
STALL_MS: Final = 2_000
"""How long a full queue is waited for while the quorum does not need the node."""
NEEDED_STALL_MS: Final = 60_000
"""How long a full queue is waited for at all: a node that takes no message in a minute has a disk that hangs."""
READ_REPLICA_STALL_MS: Final = 50
"""The same for a read replica, once a push: what it could not take it fetches later."""

LATE_STREAM: Final = "read-replica-stream"
LATE_STREAMS_MAX: Final = 32
"""Streams to read replicas that are open at once before those of ended rounds are cut: 256 MiB of queues at worst."""

OnVote = Callable[[VoteGranted | VoteMissing], None]


class Shipment:
    """The outgoing side of one round. Use as `async with`: leaving ends every stream that is still open."""

    def __init__(
        self,
        *,
        own: NodeId,
        peers: Peers,
        opening: StageOpen,
        nodes: Collection[NodeId],
        replicas: Collection[NodeId],
        believed: Collection[NodeId],
        read_replicas: Collection[NodeId] = (),
        supervisor: Supervisor,
        on_unreachable: Callable[[NodeId], None],
    ) -> None:
        self._own = own
        self._peers = peers
        self._opening = opening
        self._replicas = frozenset(replicas)
        self._believed = frozenset(believed)
        self._read_replicas = frozenset(read_replicas)
        self._supervisor = supervisor
        self._let: set[NodeId] = set()
        """Read replicas whose streams may outlive the round."""
        self._on_unreachable = on_unreachable
        self._queues: dict[NodeId, asyncio.Queue[StageMessage]] = {
            node: asyncio.Queue(QUEUE_MESSAGES_MAX) for node in nodes
        }
        self._tasks: dict[NodeId, asyncio.Task[None]] = {}
        self._lost: dict[NodeId, str] = {}
        self._votes: list[VoteGranted | VoteMissing] = []
        self._on_vote: OnVote = self._votes.append
        self._group = asyncio.TaskGroup()

    @property
    def round_id(self) -> RoundId:
        """The round the objects belong to."""
        return self._opening.round_id

    @property
    def nodes(self) -> frozenset[NodeId]:
        """Every node the round is sent to, this one not included."""
        return frozenset(self._queues)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for node in self._queues:
            if node in self._read_replicas:
                self._tasks[node] = self._supervisor.spawn(f"{LATE_STREAM}-{node}", self._stream(node))
            else:
                self._tasks[node] = self._group.create_task(self._stream(node))
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for node, task in self._tasks.items():
            if node not in self._let:
                task.cancel()
        await self._group.__aexit__(None, None, None)
        await asyncio.gather(
            *(self._tasks[node] for node in self._read_replicas & self._tasks.keys() - self._let),
            return_exceptions=True,
        )

    def let_finish(self, node: NodeId) -> None:
        """Have a read replica's stream go on beyond the round, unless too many do already."""
        if not self._tasks[node].done() and self._supervisor.count(LATE_STREAM) <= LATE_STREAMS_MAX:
            self._let.add(node)

    async def end_of(self, node: NodeId, time_ms: int) -> None:
        """Return at the end of a stream that was let finish, or when it was ended because `time_ms` are over."""
        task = self._tasks[node]
        if node in self._let:
            await asyncio.wait({task}, timeout=time_ms / 1000)
        task.cancel()

    @property
    def read_replicas(self) -> frozenset[NodeId]:
        """Those of `nodes` that the round waits for in no way."""
        return self._read_replicas & self._queues.keys()

    def deliver_votes_to(self, on_vote: OnVote) -> None:
        """Hand over what has come in so far, and everything from now on."""
        self._on_vote = on_vote
        for vote in self._votes:
            on_vote(vote)
        self._votes.clear()

    async def offer(self, message: StageMessage) -> None:
        """Queue a message for every node that is still with us."""
        for node, queue in self._queues.items():
            if node in self._lost:
                continue
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                await self._wait_for_room(node, queue, message)

    async def finish(self, round_: Round) -> None:
        """Queue the round itself: the last message of every stream."""
        await self.offer(StagePrepare(round_))

    async def ship_index(self, ingest: PackIngest, fix: StageFix) -> None:
        """Queue how the pack is completed, and its index."""
        await self.offer(fix)
        async for chunk in ingest.index():
            await self.offer(StageIndex(chunk))

    async def _wait_for_room(self, node: NodeId, queue: asyncio.Queue[StageMessage], message: StageMessage) -> None:
        task = self._tasks[node]
        stall_ms = READ_REPLICA_STALL_MS if node in self._read_replicas else STALL_MS
        waited_ms = 0
        while node not in self._lost:
            put = self._group.create_task(queue.put(message))
            await asyncio.wait({put, task}, timeout=stall_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
            if put.done():
                return
            put.cancel()
            waited_ms += stall_ms
            others = (self._believed - self._lost.keys()) - {node}
            is_needed = node in self._believed and not can_reach_quorum({self._own}, others, self._replicas)
            if task.done():
                self._lose(node, "the stream to it has ended")
            elif not is_needed or waited_ms >= NEEDED_STALL_MS:
                task.cancel()
                self._lose(node, "too slow to keep up with the push")

    async def _stream(self, node: NodeId) -> None:
        try:
            vote = await self._peers.prepare(node, self._opening, self._messages(node))
        except MeshError as error:
            if isinstance(error, PeerUnavailable):
                self._on_unreachable(node)
            self._lose(node, error.message)
            return
        except BaseException:
            self._lose(node, "the stream to it was ended")
            raise
        if vote.kind is VoteKind.GRANTED:
            self._on_vote(VoteGranted(node))
        else:
            self._lose(node, vote.reason)

    def _lose(self, node: NodeId, reason: str) -> None:
        if node not in self._lost:
            self._lost[node] = reason
            self._on_vote(VoteMissing(node, reason))

    async def _messages(self, node: NodeId) -> AsyncIterator[StageMessage]:
        queue = self._queues[node]
        while True:
            message = await queue.get()
            yield message
            if isinstance(message, StagePrepare):
                return
