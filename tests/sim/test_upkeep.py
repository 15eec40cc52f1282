"""Housekeeping over a whole cluster: one replica of a repository at a time, by itself, and never of one under repair."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from meshnode.base.errors import CatalogUnavailable, MeshError, Overloaded, ReplicaBehind
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall
from meshnode.core.keys import upkeep_key
from meshnode.core.round import ReplicaKey
from meshnode.core.upkeep import PackFacts
from meshnode.engine.upkeeper import TURN_MS
from meshnode.git.memory import MemoryReplicaStore
from meshnode.ports import UpkeepReport
from tests.sim.memory_cluster import MemoryCluster
from tests.sim.virtual_time import VirtualClock, run_virtual

NAME = "demo/one"


class Packs:
    """Packs that are combined slowly."""

    def __init__(self, clock: VirtualClock, count: int) -> None:
        self.clock = clock
        self.count = count
        self.combined = 0
        self.took_ms = 1_000
        self.running = 0

    async def packs(self, key: ReplicaKey) -> list[PackFacts]:
        assert key
        return [PackFacts(f"pack-{number}", 1) for number in range(self.count)]

    async def combine(self, key: ReplicaKey, packs: Sequence[PackFacts]) -> UpkeepReport:
        assert key
        self.running += 1
        await self.clock.sleep(self.took_ms)
        self.running -= 1
        before, self.count = self.count, self.count - len(packs) + 1
        self.combined += 1
        return UpkeepReport(packs_before=before, packs_after=self.count, removed=len(packs))

    async def write_commit_graph(self, key: ReplicaKey) -> None:
        assert key


Story = Callable[[MemoryCluster, dict[str, Packs]], Awaitable[None]]


def play(story: Story, *, count: int = 30) -> None:
    async def run() -> None:
        cluster = MemoryCluster(["n1", "n2", "n3"])
        await cluster.start()
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        packs = {}
        for node in ("n1", "n2", "n3"):
            packs[node] = cluster.engine(node).upkeeper.upkeep = Packs(cluster.clock, count)
        try:
            await story(cluster, packs)
        finally:
            await cluster.stop()

    run_virtual(run())


async def key_of(cluster: MemoryCluster) -> ReplicaKey:
    record = await cluster.record(NAME)
    return record.key


def test_every_replica_is_kept_by_itself() -> None:
    async def story(cluster: MemoryCluster, packs: dict[str, Packs]) -> None:
        # Nodes that look at the same moment take turns: one a pass.
        await cluster.clock.sleep(4 * cluster.engine("n1").upkeeper.settings.interval_ms)
        assert [one.count for one in packs.values()] == [1, 1, 1]

    play(story)


class MoodyStore(MemoryReplicaStore):
    """A store whose listings fail for as long as the test wants."""

    def __init__(self, like: MemoryReplicaStore) -> None:
        vars(self).update(vars(like))
        self.is_failing = True

    async def list_replicas(self) -> list[ReplicaKey]:
        if self.is_failing:
            raise MeshError("file operation failed", cause="Input/output error")
        return await super().list_replicas()


def test_listing_that_fails_does_not_end_the_upkeep() -> None:
    async def story(cluster: MemoryCluster, packs: dict[str, Packs]) -> None:
        upkeeper = cluster.engine("n1").upkeeper
        disk = upkeeper.replicas.disk
        assert isinstance(disk.store, MemoryReplicaStore)
        moody = MoodyStore(disk.store)
        upkeeper.replicas.disk = replace(disk, store=moody)
        await cluster.clock.sleep(3 * upkeeper.settings.interval_ms)
        assert packs["n1"].combined == 0
        moody.is_failing = False
        await cluster.clock.sleep(4 * upkeeper.settings.interval_ms)
        assert packs["n1"].combined == 1

    play(story)


def test_few_packs_are_left_alone_until_somebody_asks() -> None:
    async def story(cluster: MemoryCluster, packs: dict[str, Packs]) -> None:
        await cluster.clock.sleep(2 * cluster.engine("n1").upkeeper.settings.interval_ms)
        assert [one.combined for one in packs.values()] == [0, 0, 0]
        report = await cluster.engine("n2").upkeeper.optimise(await key_of(cluster))
        assert (report.packs_before, report.packs_after) == (5, 1)

    play(story, count=5)


def test_two_replicas_are_never_busy_at_once() -> None:
    async def story(cluster: MemoryCluster, packs: dict[str, Packs]) -> None:
        key = await key_of(cluster)
        for one in packs.values():
            one.took_ms = 5 * TURN_MS
        first = asyncio.ensure_future(cluster.engine("n1").upkeeper.optimise(key))
        await cluster.clock.sleep(4 * TURN_MS)  # the turn is kept for as long as the work takes
        assert packs["n1"].running == 1
        with pytest.raises(Overloaded):
            await cluster.engine("n2").upkeeper.optimise(key)
        await first
        packs["n2"].took_ms = 10
        await cluster.engine("n2").upkeeper.optimise(key)

    play(story)


def test_turn_of_a_node_that_died_comes_back() -> None:
    async def story(cluster: MemoryCluster, packs: dict[str, Packs]) -> None:
        key = await key_of(cluster)
        packs["n1"].took_ms = 10 * TURN_MS
        first = asyncio.ensure_future(cluster.engine("n1").upkeeper.optimise(key))
        await cluster.clock.sleep(1_000)

        async def cut(_call: CatalogCall) -> None:
            raise CatalogUnavailable("this node is gone")

        # The process ends without a word to the catalog.
        cluster.engine("n1").upkeeper.catalog = cluster.catalog.client(cut)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await cluster.catalog.get([upkeep_key(key.repository)]))[0] is not None
        await cluster.clock.sleep(2 * TURN_MS)
        await cluster.engine("n2").upkeeper.optimise(key)

    play(story)


def test_replica_under_repair_is_left_alone() -> None:
    async def story(cluster: MemoryCluster, packs: dict[str, Packs]) -> None:
        key = await key_of(cluster)
        cluster.engine("n1").activity.note_damaged(key)
        with pytest.raises(ReplicaBehind):
            await cluster.engine("n1").upkeeper.optimise(key)
        assert packs["n1"].combined == 0
        assert NodeId("n1") in cluster.nodes

    play(story)
