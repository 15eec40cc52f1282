"""Messages between simulated nodes: late, lost, doubled, cut one way; a caller that goes away takes its call back.

    caller --travel--> handler (a task of the target's process) --travel--> answer, or PeerUnavailable after a while

What was sent before its sender died still arrives. Doubled are Commit, Abort and whole Prepare streams, later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from random import Random
from typing import Any, Final, TypeVar

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
from tests.sim.plan import CALM, Weather
from tests.sim.process import Process
from tests.sim.story import Story

T = TypeVar("T")

CALL_MS: Final = 3_000
"""How long a caller waits for an answer that was lost."""
STREAM_MS: Final = 60_000
CATALOG: Final = NodeId("catalog")
"""The catalog's place in the network: ways to it and from it can be cut like any other."""


class Network:
    """Ways between nodes, and the messages on them."""

    def __init__(self, chance: Random, story: Story) -> None:
        self.chance = chance
        self.story = story
        self.weather: Weather = CALM
        self.processes: dict[NodeId, Process] = {}
        self.aborted: Callable[[NodeId, RoundId], None] = lambda _node, _round: None
        """Told of every Abort that a coordinator sends."""
        self.committed: Callable[[NodeId, RoundId], None] = lambda _node, _round: None
        """Told of every Commit."""
        self.counts: dict[str, int] = {}
        self._cuts: dict[tuple[NodeId, NodeId], int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def cut(self, source: NodeId, target: NodeId) -> None:
        """Lose what `source` sends to `target`, until as many `mend`s came."""
        self._cuts[source, target] = self._cuts.get((source, target), 0) + 1

    def mend(self, source: NodeId, target: NodeId) -> None:
        """Take one cut back."""
        left = self._cuts.get((source, target), 0) - 1
        self._cuts[source, target] = max(0, left)

    def mend_all(self) -> None:
        """Take every cut back."""
        self._cuts.clear()

    def is_cut(self, source: NodeId, target: NodeId) -> bool:
        """Whether messages are lost on this way."""
        return self._cuts.get((source, target), 0) > 0

    def count(self, what: str, number: int = 1) -> None:
        """Count something that went wrong."""
        self.counts[what] = self.counts.get(what, 0) + number

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that belongs to no node."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End what is on its way."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._tasks.difference_update(tasks)

    async def settled(self, within_ms: int) -> None:
        """Return when nothing is on its way any more, or after a while."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=within_ms / 1000)

    async def travel(self, source: NodeId, target: NodeId) -> bool:
        """Take a message from one to the other; whether it arrives."""
        delay_ms = int(self.chance.random() * (self.weather.delay_ms_max + 1))
        if self.weather.straggler and self.chance.random() < self.weather.straggler:
            delay_ms += self.chance.randint(100, 2_000)
            self.count("straggler")
        await asyncio.sleep(delay_ms / 1000)
        if self.is_cut(source, target):
            self.count("lost on a cut way")
            return False
        if self.weather.loss and self.chance.random() < self.weather.loss:
            self.count("lost")
            return False
        return True

    def is_doubled(self) -> bool:
        """Whether a message comes a second time."""
        is_doubled = self.weather.duplicate > 0 and self.chance.random() < self.weather.duplicate
        if is_doubled:
            self.count("doubled")
        return is_doubled


class _Incoming:
    """A stream's messages at the handler; never ends by itself."""

    def __init__(self, queue: asyncio.Queue[StageMessage]) -> None:
        self._queue = queue

    def __aiter__(self) -> _Incoming:
        return self

    async def __anext__(self) -> StageMessage:
        return await self._queue.get()


Work = Callable[[Replication], Coroutine[Any, Any, T]]


class SimPeers:
    """Implements `ports.Peers` over the network."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process
        self._own = process.name

    async def prepare(self, node: NodeId, opening: StageOpen, messages: AsyncIterator[StageMessage]) -> Vote:
        """Stream objects and the round."""
        queue: asyncio.Queue[StageMessage] = asyncio.Queue()
        pump = self._process.spawn(self._pump(node, opening, messages, queue))
        try:
            return await self._call(
                node, lambda target: target.prepare(opening, _Incoming(queue)), timeout_ms=STREAM_MS
            )
        finally:
            pump.cancel()
            await asyncio.wait({pump})

    async def _pump(
        self,
        node: NodeId,
        opening: StageOpen,
        messages: AsyncIterator[StageMessage],
        queue: asyncio.Queue[StageMessage],
    ) -> None:
        sent: list[StageMessage] = []
        async with aclosing(messages):  # type: ignore[type-var]
            async for message in messages:
                await self._process.gate()
                if not await self._network.travel(self._own, node):
                    return
                queue.put_nowait(message)
                sent.append(message)
                if isinstance(message, StagePrepare):
                    break
        if self._network.is_doubled():
            self._network.spawn(self._prepare_again(node, opening, sent))

    async def _prepare_again(self, node: NodeId, opening: StageOpen, sent: Sequence[StageMessage]) -> None:
        queue: asyncio.Queue[StageMessage] = asyncio.Queue()
        for message in sent:
            queue.put_nowait(message)
        await asyncio.sleep(self._network.chance.randint(0, 3_000) / 1000)
        await self._deliver(node, lambda target: target.prepare(opening, _Incoming(queue)), None, [])

    async def commit(self, node: NodeId, key: ReplicaKey, round_id: RoundId, generation: Generation) -> Generation:
        """Tell a participant that its round is published."""
        self._network.story.tell(self._own, f"commit {round_id[:6]} -> {node}")
        self._network.committed(self._own, round_id)
        return await self._call_twice(node, lambda target: target.commit(key, round_id, generation))

    async def abort(self, node: NodeId, key: ReplicaKey, round_id: RoundId) -> None:
        """Tell a participant that its round will never be published."""
        self._network.story.tell(self._own, f"abort {round_id[:6]} -> {node}")
        self._network.aborted(self._own, round_id)
        await self._call_twice(node, lambda target: target.abort(key, round_id))

    async def describe(self, node: NodeId, key: ReplicaKey, *, deep: bool) -> ReplicaDescription | None:
        """The replica's account of itself."""
        return await self._call(node, lambda target: target.describe(key, deep=deep))

    async def history(self, node: NodeId, key: ReplicaKey, after: Generation) -> list[Round]:
        """Applied rounds of the peer after a generation."""
        return await self._call(node, lambda target: target.history(key, after))

    async def snapshot(self, node: NodeId, key: ReplicaKey) -> tuple[ReplicaState, RefsSnapshot]:
        """State and references of the peer's replica."""
        return await self._call(node, lambda target: target.snapshot(key))

    async def fetch_objects(
        self, node: NodeId, key: ReplicaKey, wants: Sequence[ObjectId], haves: Sequence[ObjectId]
    ) -> AsyncIterator[bytes]:
        """Stream a pack; it arrives whole or not at all."""

        async def gather(target: Replication) -> list[bytes]:
            return [chunk async for chunk in target.fetch_objects(key, wants, haves)]

        for chunk in await self._call(node, gather):
            yield chunk

    # ------------------------------------------------------------ one call

    async def _call_twice(self, node: NodeId, work: Work[T]) -> T:
        if self._network.is_doubled():
            self._network.spawn(self._again(node, work))
        return await self._call(node, work)

    async def _again(self, node: NodeId, work: Work[Any]) -> None:
        await asyncio.sleep(self._network.chance.randint(0, 5_000) / 1000)
        await self._deliver(node, work, None, [])

    async def _call(self, node: NodeId, work: Work[T], timeout_ms: int = CALL_MS) -> T:
        await self._process.gate()
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        handlers: list[asyncio.Task[T]] = []
        self._network.spawn(self._deliver(node, work, reply, handlers))
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                result = await reply
        except TimeoutError as error:
            self._network.spawn(self._take_back(node, handlers))
            raise PeerUnavailable("node did not answer", node=node) from error
        except asyncio.CancelledError:
            self._network.spawn(self._take_back(node, handlers))
            raise
        finally:
            reply.cancel()
        await self._process.gate()
        return result

    async def _take_back(self, node: NodeId, handlers: list[asyncio.Task[Any]]) -> None:
        """The handler learns that its caller is gone: soon, or when its connection is found dead."""
        if not await self._network.travel(self._own, node):
            await asyncio.sleep(CALL_MS / 1000)
        for handler in handlers:
            handler.cancel()

    async def _deliver(
        self, node: NodeId, work: Work[T], reply: asyncio.Future[T] | None, handlers: list[asyncio.Task[T]]
    ) -> None:
        if not await self._network.travel(self._own, node):
            return
        target = self._network.processes.get(node)
        if target is None or not target.is_serving:
            await self._answer(node, reply, PeerUnavailable("node did not answer", node=node, is_untouched=True))
            return
        handler = target.spawn(_handle(target, work))
        handlers.append(handler)
        await asyncio.wait({handler})
        if handler.cancelled():
            await self._answer(node, reply, PeerUnavailable("node broke off", node=node))
        elif (error := handler.exception()) is None:
            await self._answer(node, reply, handler.result())
        elif isinstance(error, MeshError):
            await self._answer(node, reply, error)
        else:
            self._network.story.defects.append(f"handler at {node}: {type(error).__name__}: {error}")
            await self._answer(node, reply, PeerUnavailable("node broke off", node=node))

    async def _answer(self, node: NodeId, reply: asyncio.Future[T] | None, answer: T | MeshError) -> None:
        if not await self._network.travel(node, self._own) or reply is None or reply.done():
            return
        if isinstance(answer, MeshError):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)


async def _handle(target: Process, work: Callable[[Replication], Awaitable[T]]) -> T:
    await target.gate()
    assert target.engine is not None
    result = await work(target.engine.participant)
    await target.gate()
    return result
