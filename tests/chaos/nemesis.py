"""Makes the plan's faults happen, ends each, and heals everything when the time is over.

Every fault is a context: what it did is undone on the way out, in whatever state its victims are by then. A
fault's begin and end are events of the history, so that what clients saw can be read beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import permutations
from typing import Final

from tests.chaos.cluster import ChaosCluster
from tests.chaos.delayer import LinkRule
from tests.chaos.etcd import MEMBERS
from tests.chaos.history import FaultEvent, History
from tests.chaos.plan import Fault, Kind

_REFILL_S: Final = 0.2
_SLOW: Final = {"delay_ms": 60.0, "jitter_ms": 80.0}
_LOSSY: Final = {"delay_ms": 2.0, "jitter_ms": 6.0, "loss": 0.15}
_NARROW: Final = {"delay_ms": 5.0, "bytes_per_s": 40_000.0}
_CATALOG_SLOW: Final = {"delay_ms": 40.0, "jitter_ms": 60.0}

Context = AbstractAsyncContextManager[None]


class Nemesis:
    """Harms one cluster by one plan."""

    def __init__(self, cluster: ChaosCluster, history: History) -> None:
        self._cluster = cluster
        self._history = history

    async def run(self, faults: Sequence[Fault]) -> None:
        """Do all faults at their times; returns when the last has ended."""
        begun = self._history.now()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._do(fault, begun))

    async def _do(self, fault: Fault, begun: float) -> None:
        await asyncio.sleep(max(0.0, begun + fault.at_s - self._history.now()))
        event = FaultEvent(kind=fault.kind.value, victims=[fault.nodes[0]], begun_at=self._history.now())
        self._history.faults.append(event)
        try:
            async with self._contexts[fault.kind](self, fault, event):
                await asyncio.sleep(max(0.0, begun + fault.until_s - self._history.now()))
        finally:
            event.ended_at = self._history.now()

    async def heal(self) -> None:
        """Whatever still is wrong, is not any more: links, disks, pauses, dead machines."""
        await self._cluster.network.heal()
        for name in self._cluster.names:
            self._cluster.free_disk(name)
        for machine in self._cluster.all_machines.values():
            machine.resume()
            machine.start()

    # ------------------------------------------------------------ nodes

    @asynccontextmanager
    async def _killed(self, names: Sequence[str], event: FaultEvent) -> AsyncIterator[None]:
        machines = [self._cluster.all_machines[name] for name in names]
        event.victims = list(names)
        await asyncio.gather(*(machine.kill() for machine in machines))
        try:
            yield
        finally:
            for machine in machines:
                machine.start()

    def _kill(self, fault: Fault, event: FaultEvent) -> Context:
        return self._killed(fault.nodes[:1], event)

    def _kill_two(self, fault: Fault, event: FaultEvent) -> Context:
        return self._killed(fault.nodes[: len(fault.nodes) // 2 + 1], event)

    def _kill_all(self, fault: Fault, event: FaultEvent) -> Context:
        return self._killed(fault.nodes, event)

    @asynccontextmanager
    async def _paused(self, name: str, event: FaultEvent) -> AsyncIterator[None]:
        event.victims = [name]
        machine = self._cluster.all_machines[name]
        machine.pause()
        try:
            yield
        finally:
            machine.resume()

    def _pause(self, fault: Fault, event: FaultEvent) -> Context:
        return self._paused(fault.nodes[0], event)

    @asynccontextmanager
    async def _stutter(self, fault: Fault, _event: FaultEvent) -> AsyncIterator[None]:
        async with _beside(self._cluster.machines[fault.nodes[0]].stutter(stopped_s=0.25, running_s=0.05)):
            yield

    @asynccontextmanager
    async def _full_disk(self, fault: Fault, _event: FaultEvent) -> AsyncIterator[None]:
        async with _beside(self._keep_full(fault.nodes[0])):
            yield

    async def _keep_full(self, node: str) -> None:
        try:
            while True:
                self._cluster.fill_disk(node)
                await asyncio.sleep(_REFILL_S)
        finally:
            self._cluster.free_disk(node)

    @asynccontextmanager
    async def _full_disk_kill(self, fault: Fault, event: FaultEvent) -> AsyncIterator[None]:
        """The node is killed at once and started while its disk is still full."""
        machine = self._cluster.machines[fault.nodes[0]]
        async with self._full_disk(fault, event):
            await asyncio.sleep((fault.until_s - fault.at_s) / 3)
            await machine.kill()
            machine.start()
            yield

    # ------------------------------------------------------------ network

    @asynccontextmanager
    async def _isolate(self, fault: Fault, _event: FaultEvent) -> AsyncIterator[None]:
        await self._cluster.network.isolate(fault.nodes[0])
        try:
            yield
        finally:
            await self._cluster.network.rejoin(fault.nodes[0])

    @asynccontextmanager
    async def _cut(self, links: Sequence[tuple[str, str]]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for link in links:
                await self._cluster.network.cut(*link)
                stack.push_async_callback(self._cluster.network.mend, *link)
            yield

    def _deaf(self, fault: Fault, _event: FaultEvent) -> Context:
        return self._cut([(other, fault.nodes[0]) for other in fault.nodes[1:]])

    def _mute(self, fault: Fault, _event: FaultEvent) -> Context:
        return self._cut([(fault.nodes[0], other) for other in fault.nodes[1:]])

    def _one_way(self, fault: Fault, event: FaultEvent) -> Context:
        event.detail = f" to {fault.nodes[1]}"
        return self._cut([(fault.nodes[0], fault.nodes[1])])

    def _netsplit(self, fault: Fault, event: FaultEvent) -> Context:
        """The smaller half of the nodes on one side, with one etcd member; the rest on the other."""
        smaller = [*fault.nodes[: len(fault.nodes) // 2], MEMBERS[fault.member]]
        event.victims = smaller
        rest = [name for name in self._cluster.network.hosts if name not in smaller]
        return self._cut([link for one in smaller for other in rest for link in ((one, other), (other, one))])

    def _catalog_cut(self, fault: Fault, _event: FaultEvent) -> Context:
        node = fault.nodes[0]
        return self._cut([link for member in MEMBERS for link in ((node, member), (member, node))])

    def _catalog_deaf(self, fault: Fault, _event: FaultEvent) -> Context:
        return self._cut([(member, fault.nodes[0]) for member in MEMBERS])

    @asynccontextmanager
    async def _slowed(self, victim: str, others: Sequence[str], rule: dict[str, float]) -> AsyncIterator[None]:
        links = [link for other in others for link in ((victim, other), (other, victim))]
        async with AsyncExitStack() as stack:
            for source, target in links:
                await self._cluster.network.slow(LinkRule(source=source, target=target, **rule))
                stack.push_async_callback(self._cluster.network.hasten, source, target)
            yield

    def _slow(self, fault: Fault, _event: FaultEvent) -> Context:
        return self._slowed(fault.nodes[0], fault.nodes[1:], _SLOW)

    def _lossy(self, fault: Fault, _event: FaultEvent) -> Context:
        return self._slowed(fault.nodes[0], fault.nodes[1:], _LOSSY)

    def _narrow(self, fault: Fault, _event: FaultEvent) -> Context:
        return self._slowed(fault.nodes[0], fault.nodes[1:], _NARROW)

    # ------------------------------------------------------------ etcd

    async def _leader(self, fault: Fault) -> str:
        return await self._cluster.etcd.leader() or MEMBERS[fault.member]

    def _member_kill(self, fault: Fault, event: FaultEvent) -> Context:
        return self._killed([MEMBERS[fault.member]], event)

    def _members_kill(self, _fault: Fault, event: FaultEvent) -> Context:
        return self._killed(MEMBERS, event)

    @asynccontextmanager
    async def _leader_kill(self, fault: Fault, event: FaultEvent) -> AsyncIterator[None]:
        async with self._killed([await self._leader(fault)], event):
            yield

    @asynccontextmanager
    async def _leader_cut(self, fault: Fault, event: FaultEvent) -> AsyncIterator[None]:
        """Nodes still reach it: it must find out by itself that it leads nobody."""
        leader = await self._leader(fault)
        event.victims = [leader]
        pairs = [pair for pair in permutations(MEMBERS, 2) if leader in pair]
        async with self._cut(pairs):
            yield

    @asynccontextmanager
    async def _leader_mute(self, fault: Fault, event: FaultEvent) -> AsyncIterator[None]:
        leader = await self._leader(fault)
        event.victims = [leader]
        async with self._cut([(leader, other) for other in MEMBERS if other != leader]):
            yield

    @asynccontextmanager
    async def _member_pause(self, fault: Fault, event: FaultEvent) -> AsyncIterator[None]:
        async with self._paused(await self._leader(fault), event):
            yield

    @asynccontextmanager
    async def _catalog_slow(self, fault: Fault, event: FaultEvent) -> AsyncIterator[None]:
        leader = await self._leader(fault)
        event.victims = [leader]
        others = [name for name in self._cluster.network.hosts if name != leader]
        async with self._slowed(leader, others, _CATALOG_SLOW):
            yield

    _contexts: Final[dict[Kind, Callable[[Nemesis, Fault, FaultEvent], Context]]] = {
        Kind.KILL: _kill,
        Kind.KILL_TWO: _kill_two,
        Kind.KILL_ALL: _kill_all,
        Kind.PAUSE: _pause,
        Kind.STUTTER: _stutter,
        Kind.FULL_DISK: _full_disk,
        Kind.FULL_DISK_KILL: _full_disk_kill,
        Kind.ISOLATE: _isolate,
        Kind.DEAF: _deaf,
        Kind.MUTE: _mute,
        Kind.ONE_WAY: _one_way,
        Kind.NETSPLIT: _netsplit,
        Kind.SLOW: _slow,
        Kind.LOSSY: _lossy,
        Kind.NARROW: _narrow,
        Kind.CATALOG_CUT: _catalog_cut,
        Kind.CATALOG_DEAF: _catalog_deaf,
        Kind.MEMBER_KILL: _member_kill,
        Kind.LEADER_KILL: _leader_kill,
        Kind.LEADER_CUT: _leader_cut,
        Kind.LEADER_MUTE: _leader_mute,
        Kind.MEMBER_PAUSE: _member_pause,
        Kind.MEMBERS_KILL: _members_kill,
        Kind.CATALOG_SLOW: _catalog_slow,
    }


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work`, which does not end by itself, until the context ends."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
