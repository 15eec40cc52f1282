"""Followers hear of every committed write, in order, through crashes, renames and forgotten history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from meshnode.base.errors import CatalogUnavailable, InvalidRequest, Overloaded
from meshnode.base.ids import Generation, NodeId, RepositoryId, RepositoryName
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core.keys import RECORDS
from meshnode.core.round import WriteKind
from meshnode.engine import feed as feed_module
from meshnode.ports import Change, Deleted, Event, Gap, Heartbeat, Scope, Standings
from tests.sim.memory_cluster import MemoryCluster
from tests.sim.virtual_time import run_virtual

NAME = "demo/one"
EVERYTHING = Scope()
HEARTBEAT_MS = 30_000

Story = Callable[[MemoryCluster], Awaitable[None]]


def play(story: Story) -> None:
    async def run() -> None:
        cluster = MemoryCluster(["n1", "n2", "n3", "n4"])
        await cluster.start()
        try:
            await story(cluster)
        finally:
            await cluster.stop()

    run_virtual(run())


def oid(number: int) -> str:
    return f"{number:040x}"


class Follow:
    """A follower at a node, reading one event after the other."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events

    async def next(self, *, within_s: float = 600) -> Event:
        async with asyncio.timeout(within_s):
            return await anext(self._events)

    async def generations(self, count: int) -> list[int]:
        """Generations of the next `count` events, all of which must be changes."""
        found: list[int] = []
        while len(found) < count:
            event = await self.next()
            if isinstance(event, Heartbeat):
                continue
            assert isinstance(event, Change), event
            found.append(event.round.generation)
        return found

    async def begin(self) -> Standings:
        event = await self.next()
        assert isinstance(event, Standings)
        return event


@asynccontextmanager
async def following(
    cluster: MemoryCluster, node: str, scope: Scope = EVERYTHING, resume: dict[RepositoryId, Generation] | None = None
) -> AsyncIterator[Follow]:
    async with aclosing(cluster.engine(node).feed.watch(scope, resume, HEARTBEAT_MS)) as events:  # type: ignore[type-var]
        yield Follow(events)


async def id_of(cluster: MemoryCluster, name: str = NAME) -> RepositoryId:
    return (await cluster.record(name)).repository


def test_every_node_tells_every_write_in_order_also_one_without_a_replica() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        for node in ("n1", "n2", "n4"):
            async with following(cluster, node) as follow:
                before = await follow.begin()
                assert [standing.name for standing in before.standings] == [NAME]
                base = before.standings[0].generation
                for number in range(5):
                    await cluster.set_ref("n2", NAME, oid(base * 100 + number))
                assert await follow.generations(5) == list(range(base + 1, base + 6))

    play(story)


def test_resuming_tells_what_was_missed_and_what_is_new() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        for number in range(1, 6):
            await cluster.set_ref("n1", NAME, oid(number))
        await cluster.create("n1", "demo/two")
        first, second = await id_of(cluster), await id_of(cluster, "demo/two")
        async with following(cluster, "n3", resume={first: Generation(3)}) as follow:
            told: dict[RepositoryId, list[int]] = {first: [], second: []}
            for _ in range(4):
                event = await follow.next()
                assert isinstance(event, Change)
                told[event.round.repository].append(event.round.generation)
            assert told == {first: [4, 5, 6], second: [1]}
            assert isinstance(await follow.next(), Heartbeat)

    play(story)


def test_scope_of_one_repository_and_of_a_prefix_leave_the_rest_out() -> None:
    async def story(cluster: MemoryCluster) -> None:
        for name in ("a/one", "a/two", "b/one"):
            await cluster.create("n1", name)
        one = Scope(repository=await id_of(cluster, "a/one"))
        async with following(cluster, "n2", one) as single, following(cluster, "n1", Scope(prefix="a/")) as prefixed:
            assert [standing.name for standing in (await single.begin()).standings] == ["a/one"]
            assert [standing.name for standing in (await prefixed.begin()).standings] == ["a/one", "a/two"]
            for name in ("b/one", "a/two", "a/one"):
                await cluster.set_ref("n1", name, oid(7))
            assert await names(single, 1) == ["a/one"]
            assert sorted(await names(prefixed, 2)) == ["a/one", "a/two"]
            assert isinstance(await single.next(), Heartbeat)

    play(story)


async def names(follow: Follow, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        event = await follow.next()
        if isinstance(event, Change):
            found.append(event.round.name)
    return found


def test_rename_out_of_the_scope_is_told_and_then_nothing_more() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", "a/one")
        async with following(cluster, "n2", Scope(prefix="a/")) as follow:
            await follow.begin()
            await rename(cluster, "a/one", "b/one")
            event = await follow.next()
            assert isinstance(event, Change)
            assert (event.round.kind, event.round.name) == (WriteKind.RENAME, "b/one")
            await cluster.set_ref("n1", "b/one", oid(1))
            assert isinstance(await follow.next(), Heartbeat)
            await rename(cluster, "b/one", "a/again")
            assert (await names(follow, 1)) == ["a/again"]
            await cluster.set_ref("n1", "a/again", oid(2))
            assert (await names(follow, 1)) == ["a/again"]

    play(story)


async def rename(cluster: MemoryCluster, old: str, new: str) -> None:
    await cluster.engine("n1").writes.rename(RepositoryName(old), RepositoryName(new), request_key="", actor="t")


def test_repository_that_was_deleted_meanwhile_is_told_as_gone_to_those_who_knew_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        known = await id_of(cluster)
        await cluster.engine("n1").writes.delete(RepositoryName(NAME), request_key="", actor="t")
        async with following(cluster, "n2", resume={known: Generation(1)}) as follow:
            event = await follow.next()
            is_gone = isinstance(event, Deleted) or (isinstance(event, Change) and event.round.kind is WriteKind.DELETE)
            assert is_gone, event
        async with following(cluster, "n2", resume={}) as follow:
            assert isinstance(await follow.next(), Heartbeat)

    play(story)


def test_history_that_nobody_remembers_is_a_gap_and_following_goes_on() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        repository = await id_of(cluster)
        await cluster.set_ref("n1", NAME, oid(1))
        record = await cluster.wait_until_consistent(NAME)
        for node in cluster.nodes.values():
            for replica in node.disk.replicas.values():
                replica.history.clear()
        async with following(cluster, "n1", resume={repository: Generation(0)}) as follow:
            event = await follow.next()
            assert isinstance(event, Gap)
            assert (event.after, event.standing.generation) == (0, record.generation)
            await cluster.set_ref("n2", NAME, oid(2))
            assert await follow.generations(1) == [record.generation + 1]

    play(story)


def test_write_whose_replicas_cannot_be_asked_is_told_when_they_can() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        async with following(cluster, "n4") as follow:
            await follow.begin()
            for node in ("n1", "n2", "n3"):
                cluster.links.cut(NodeId("n4"), NodeId(node))
            await cluster.set_ref("n1", NAME, oid(1))
            told = asyncio.ensure_future(follow.generations(1))
            await cluster.clock.sleep(5_000)
            assert not told.done()
            for node in ("n1", "n2", "n3"):
                cluster.links.mend(NodeId("n4"), NodeId(node))
            assert await told == [2]

    play(story)


def test_catalog_that_is_out_of_reach_for_a_while_delays_and_loses_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        is_out = False

        async def hook(call: CatalogCall) -> None:
            if is_out and call.moment is Moment.BEFORE:
                raise CatalogUnavailable("out of reach")

        cluster.hooks[NodeId("n3")] = hook
        await cluster.crash("n3")
        await cluster.restart("n3")
        async with following(cluster, "n3") as follow:
            await follow.begin()
            is_out = True
            await cluster.set_ref("n1", NAME, oid(1))
            await cluster.clock.sleep(3_000)
            await cluster.set_ref("n1", NAME, oid(2))
            is_out = False
            assert await follow.generations(2) == [2, 3]

    play(story)


def test_follow_ends_when_its_node_stops_and_goes_on_elsewhere() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        repository = await id_of(cluster)
        async with following(cluster, "n2") as follow:
            await follow.begin()
            await cluster.set_ref("n1", NAME, oid(1))
            assert await follow.generations(1) == [2]
            ended = asyncio.ensure_future(follow.next())
            await cluster.clock.sleep(10)
            cluster.engine("n2").feed.close()
            with pytest.raises(StopAsyncIteration):
                await ended
        await cluster.set_ref("n1", NAME, oid(2))
        async with following(cluster, "n3", resume={repository: Generation(2)}) as follow:
            assert await follow.generations(1) == [3]

    play(story)


def test_followers_are_bounded() -> None:
    async def story(cluster: MemoryCluster) -> None:
        feed = cluster.engine("n1").feed
        watches = [feed.watch(EVERYTHING, None, HEARTBEAT_MS) for _ in range(feed_module.FOLLOWERS_MAX)]
        for watch in watches:
            assert isinstance(await anext(watch), Standings)
        with pytest.raises(Overloaded):
            await anext(feed.watch(EVERYTHING, None, HEARTBEAT_MS))
        for watch in watches:
            await watch.aclose()  # type: ignore[attr-defined]
        async with following(cluster, "n1") as follow:
            await follow.begin()

    play(story)


def test_table_that_cannot_be_kept_is_said_and_not_waited_for() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        is_bad = False

        async def hook(call: CatalogCall) -> None:
            if is_bad and call.operation == "range" and RECORDS in call.keys:
                raise InvalidRequest("not what a catalog says of a range")

        await cluster.crash("n4")
        cluster.hooks[NodeId("n4")] = hook
        await cluster.restart("n4")
        is_bad = True
        with pytest.raises(CatalogUnavailable):
            async with following(cluster, "n4") as follow:
                await follow.next(within_s=60)

    play(story)


def test_a_hint_that_comes_while_its_record_is_read_is_not_lost() -> None:
    """The answer may be older than the hint; forgetting both after it made the follower wait for the next full look."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        asked, go_on = asyncio.Event(), asyncio.Event()
        is_holding = False

        async def hook(call: CatalogCall) -> None:
            is_record = call.operation == "get" and any(key.startswith(RECORDS) for key in call.keys)
            if is_holding and is_record and len(call.keys) == 1 and call.moment is Moment.AFTER:
                asked.set()
                await go_on.wait()

        cluster.hooks[NodeId("n4")] = hook
        await cluster.crash("n4")
        await cluster.restart("n4")
        async with following(cluster, "n4") as follow:
            await follow.begin()
            is_holding = True
            await cluster.set_ref("n1", NAME, oid(1))
            await asked.wait()
            await cluster.engine("n1").writes.delete(RepositoryName(NAME), request_key="", actor="t")
            await cluster.clock.sleep(1_000)
            is_holding = False
            go_on.set()
            assert isinstance(await follow.next(within_s=5), Deleted)

    play(story)
