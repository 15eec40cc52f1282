"""Fork families that get a partition of their own, on production engines in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from meshnode.base.errors import CatalogUnavailable, Fenced, InvalidRequest, MeshError, OutcomeUnknown
from meshnode.base.ids import NodeId, PartitionId, RepositoryName
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core import keys
from meshnode.core.families import FAMILY_MAX
from meshnode.core.partition import encode_partition
from meshnode.core.record import Record, RepositoryState, decode_record
from meshnode.ports import FactorOfRepository, Put
from tests.sim.memory_cluster import PARTITIONS, MemoryCluster, play_on_five

FAMILY = ("demo/root", "demo/fork", "demo/grandchild")


def oid(number: int) -> str:
    return f"{number:040x}"


async def fork(cluster: MemoryCluster, source: str, name: str, at: str = "n1") -> Record:
    made = await cluster.engine(at).writes.fork(RepositoryName(source), RepositoryName(name), request_key="", actor="t")
    return made.record


async def set_factor(cluster: MemoryCluster, name: str, factor: int, at: str = "n1") -> FactorOfRepository:
    return await cluster.engine(at).factors.set_factor(RepositoryName(name), factor)


async def populate(cluster: MemoryCluster) -> list[str]:
    """A family of three, and others in its partition; the names of those."""
    root = (await cluster.create("n1", FAMILY[0])).record
    await cluster.set_ref("n1", FAMILY[0], oid(1))
    await fork(cluster, FAMILY[0], FAMILY[1])
    await fork(cluster, FAMILY[1], FAMILY[2])
    neighbours = []
    for number in range(12):
        made = (await cluster.create("n1", f"demo/{number}")).record
        if made.partition == root.partition:
            neighbours.append(str(made.name))
    assert neighbours
    for name in (*FAMILY, *neighbours):
        await cluster.wait_until_consistent(name)
    return neighbours


def hold_the_next_publish(cluster: MemoryCluster, at: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Stop a node's next publish: set once it is held, and to be set to let it go."""
    is_held, is_free = asyncio.Event(), asyncio.Event()

    async def hold(call: CatalogCall) -> None:
        is_publish = any(write.key.startswith(keys.RECORDS) for write in call.writes)
        if call.moment is Moment.BEFORE and is_publish and not is_held.is_set():
            is_held.set()
            await is_free.wait()

    cluster.engine(at).world.catalog.hook = hold  # type: ignore[attr-defined]
    return is_held, is_free


def test_a_family_gets_a_partition_of_its_own_and_nobody_else_moves() -> None:
    async def story(cluster: MemoryCluster) -> None:
        neighbours = await populate(cluster)
        before = {name: await cluster.record(name) for name in (*FAMILY, *neighbours)}
        done = await set_factor(cluster, FAMILY[1], 5, at="n2")
        assert (done.partition, done.factor) == (PARTITIONS, 5)
        for name in FAMILY:
            record = await cluster.record(name)
            assert (record.partition, record.home) == (PARTITIONS, before[name].partition)
            assert record.generation == before[name].generation
            assert (await cluster.wait_until_replicas(name, 5)).factor == 5
        for name in neighbours:
            assert (await cluster.record(name)).partition == before[name].partition
            assert len((await cluster.partition(before[name].partition)).replicas) == 3
        assert await set_factor(cluster, FAMILY[0], 5, at="n4") == FactorOfRepository(
            partition=done.partition, factor=5
        )
        for number, name in enumerate((*FAMILY, *neighbours), start=20):
            await cluster.set_ref(f"n{1 + number % 3}", name, oid(number))
            await cluster.wait_until_consistent(name)
        for node in cluster.nodes:
            assert await cluster.read(node, FAMILY[2]) == oid(22)

    play_on_five(story)


def test_its_factor_is_lowered_again_online_and_copies_that_are_left_go() -> None:
    async def story(cluster: MemoryCluster) -> None:
        neighbours = await populate(cluster)
        await set_factor(cluster, FAMILY[0], 1)
        partition = await cluster.wait_until_replicas(FAMILY[0], 1)
        (holder,) = partition.replicas
        key = (await cluster.record(FAMILY[2])).key
        stays = (await cluster.record(neighbours[0])).key
        deadline = cluster.clock.monotonic_ms() + 120_000
        while (await cluster.partition(partition.partition)).leaving:
            assert cluster.clock.monotonic_ms() < deadline
            await cluster.clock.sleep(200)
        assert all(stays in cluster.nodes[NodeId(name)].disk.replicas for name in ("n1", "n2", "n3"))
        assert [name for name, node in cluster.nodes.items() if key in node.disk.replicas] == [holder]
        await cluster.set_ref(holder, FAMILY[2], oid(7))
        await set_factor(cluster, FAMILY[0], 0)
        assert (await cluster.wait_until_replicas(FAMILY[2], 3)).factor is None

    play_on_five(story)


def test_writes_go_on_while_a_family_moves_out_and_none_is_lost() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        acknowledged: dict[str, int] = {}
        is_over = asyncio.Event()

        async def write(name: str, at: str, first: int) -> None:
            number = first
            while not is_over.is_set():
                number += 1
                with suppress(MeshError):
                    await cluster.set_ref(at, name, oid(number))
                    acknowledged[name] = number
                await cluster.clock.sleep(3)

        writers = [
            asyncio.ensure_future(write(name, f"n{1 + place}", 1_000 * (place + 1)))
            for place, name in enumerate(FAMILY)
        ]
        await cluster.clock.sleep(500)
        before = dict(acknowledged)
        await set_factor(cluster, FAMILY[0], 5, at="n3")
        await cluster.wait_until_replicas(FAMILY[0], 5)
        is_over.set()
        await asyncio.gather(*writers)
        for name in FAMILY:
            assert acknowledged[name] > before[name]
            await cluster.wait_until_consistent(name)
            assert await cluster.read("n4", name) == oid(acknowledged[name])

    play_on_five(story)


def test_a_round_that_meets_the_move_is_published_by_the_votes_it_has() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        is_held, is_free = hold_the_next_publish(cluster, "n1")
        generation = (await cluster.record(FAMILY[0])).generation
        writing = asyncio.ensure_future(cluster.set_ref("n1", FAMILY[0], oid(5)))
        await is_held.wait()
        await set_factor(cluster, FAMILY[0], 5, at="n2")
        is_free.set()
        done = await writing
        assert (done.generation, done.record.partition) == (generation + 1, PARTITIONS)
        await cluster.wait_until_replicas(FAMILY[0], 5)
        assert await cluster.read("n5", FAMILY[0]) == oid(5)

    play_on_five(story)


def test_a_fork_that_is_created_meanwhile_lives_with_its_family() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        is_held, is_free = hold_the_next_publish(cluster, "n1")
        forking = asyncio.ensure_future(fork(cluster, FAMILY[0], "demo/late"))
        await is_held.wait()
        await set_factor(cluster, FAMILY[0], 5, at="n2")
        is_free.set()
        late = await forking
        assert (late.partition, late.home) == (PARTITIONS, (await cluster.record(FAMILY[0])).home)
        await cluster.wait_until_replicas("demo/late", 5)
        assert await cluster.read("n5", "demo/late") == oid(1)

    play_on_five(story)


def test_a_fork_that_is_created_behind_the_look_at_the_family_is_seen() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        late: list[Record] = []

        async def fork_before(call: CatalogCall) -> None:
            is_move = any(write.key.startswith(keys.FAMILIES) for write in call.writes)
            if call.moment is Moment.BEFORE and is_move and not late:
                late.append(await fork(cluster, FAMILY[0], "demo/late", at="n1"))

        cluster.engine("n2").world.catalog.hook = fork_before  # type: ignore[attr-defined]
        await set_factor(cluster, FAMILY[0], 5, at="n2")
        assert late[0].partition != PARTITIONS
        assert {(await cluster.record(name)).partition for name in (*FAMILY, "demo/late")} == {PARTITIONS}

    play_on_five(story)


def test_many_forks_at_once_do_not_disturb_each_other() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        made = await asyncio.gather(*(fork(cluster, FAMILY[0], f"class/{number}") for number in range(8)))
        assert len({record.repository for record in made}) == 8

    play_on_five(story)


def test_deleted_members_go_along_and_a_large_family_stays() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        gone = await cluster.record(FAMILY[1])
        await cluster.engine("n1").writes.delete(RepositoryName(FAMILY[1]), request_key="", actor="t")
        await set_factor(cluster, FAMILY[2], 5)
        (entry,) = await cluster.catalog.get([keys.record_key(gone.repository)])
        assert entry is not None
        record = decode_record(entry.value)
        assert (record.state, record.partition) == (RepositoryState.DELETED, PARTITIONS)
        await cluster.wait_until_replicas(FAMILY[2], 5)
        for node in cluster.nodes:
            assert await cluster.read(node, FAMILY[2]) == oid(1)

        await cluster.create("n1", "large/root")
        for number in range(FAMILY_MAX):
            await fork(cluster, "large/root", f"large/{number}")
        with pytest.raises(InvalidRequest, match="too large") as refused:
            await set_factor(cluster, "large/0", 5)
        assert refused.value.fields["records"] == FAMILY_MAX + 1
        await cluster.engine("n1").writes.delete(RepositoryName("large/1"), request_key="", actor="t")
        with pytest.raises(InvalidRequest):  # the deleted one counts
            await set_factor(cluster, "large/0", 5)

    play_on_five(story)


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_an_outcome_that_is_not_known_is_looked_up(moment: Moment) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        lost: list[CatalogCall] = []

        async def lose_once(call: CatalogCall) -> None:
            is_move = any(write.key.startswith(keys.FAMILIES) for write in call.writes)
            if call.moment is moment and is_move and not lost:
                lost.append(call)
                raise OutcomeUnknown("no answer")

        cluster.engine("n2").world.catalog.hook = lose_once  # type: ignore[attr-defined]
        done = await set_factor(cluster, FAMILY[0], 5, at="n2")
        assert lost
        assert done.partition == PARTITIONS
        await cluster.wait_until_replicas(FAMILY[0], 5)
        others = list(range(PARTITIONS + 1, PARTITIONS + 3))
        assert await cluster.catalog.get([keys.partition_key(PartitionId(number)) for number in others]) == [None, None]

    play_on_five(story)


@pytest.mark.parametrize("operation", ["get", "transact"])
def test_a_catalog_that_goes_away_after_an_unknown_outcome_does_not_make_it_a_refusal(operation: str) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        lost: list[CatalogCall] = []

        async def lose(call: CatalogCall) -> None:
            if call.moment is not Moment.BEFORE:
                return
            is_move = any(write.key.startswith(keys.FAMILIES) for write in call.writes)
            if is_move and not lost:
                lost.append(call)
                raise OutcomeUnknown("no answer")
            if lost and call.operation == operation and (is_move or operation == "get"):
                raise CatalogUnavailable("down")

        cluster.engine("n2").world.catalog.hook = lose  # type: ignore[attr-defined]
        with pytest.raises(OutcomeUnknown):
            await set_factor(cluster, FAMILY[0], 5, at="n2")

    play_on_five(story)


def test_two_orders_at_once_make_one_partition() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        await cluster.create("n1", "demo/other")
        orders = [set_factor(cluster, FAMILY[0], 5, at="n1"), set_factor(cluster, FAMILY[2], 5, at="n2")]
        orders.append(set_factor(cluster, "demo/other", 1, at="n3"))
        done = await asyncio.gather(*orders, return_exceptions=True)
        assert all(isinstance(one, FactorOfRepository | Fenced) for one in done), done
        own = {(await cluster.record(name)).partition for name in FAMILY}
        assert len(own) == 1
        assert own != {(await cluster.record("demo/other")).partition}

    play_on_five(story)


def test_a_wish_that_cannot_be_had_changes_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        number = (await cluster.record(FAMILY[0])).partition
        for factor in (6, 10):
            with pytest.raises(InvalidRequest):
                await set_factor(cluster, FAMILY[0], factor)
        assert (await set_factor(cluster, FAMILY[0], 0)).partition == number, "as it is"

        async def refuse(call: CatalogCall) -> None:
            if any(write.key.startswith(keys.FAMILIES) for write in call.writes):
                raise CatalogUnavailable("down")

        cluster.engine("n1").world.catalog.hook = refuse  # type: ignore[attr-defined]
        with pytest.raises(CatalogUnavailable):
            await set_factor(cluster, FAMILY[0], 5)
        assert (await cluster.record(FAMILY[0])).partition == number

    play_on_five(story)


def test_a_family_moves_out_in_the_middle_of_its_partitions_move_and_takes_it_along() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        number = (await cluster.record(FAMILY[0])).partition
        wanted = (NodeId("n1"), NodeId("n4"), NodeId("n5"))
        partition = await cluster.partition(number)
        (entry,) = await cluster.catalog.get([keys.partition_key(number)])
        assert entry is not None
        await cluster.catalog.transact([], [Put(entry.key, encode_partition(replace(partition, target=wanted)))])
        while not (await cluster.partition(number)).joining:
            await cluster.clock.sleep(50)
        await set_factor(cluster, FAMILY[0], 5)
        await cluster.wait_until_replicas(FAMILY[0], 5)
        left = await cluster.wait_until_replicas("demo/0", 3)
        for name in FAMILY:
            assert await cluster.read("n5", name) == oid(1)
        assert left.target == ()

    play_on_five(story)


def test_a_node_that_slept_through_the_move_serves_and_repairs_when_it_is_back() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        await cluster.crash("n3")
        await set_factor(cluster, FAMILY[0], 5)
        await cluster.set_ref("n1", FAMILY[2], oid(9))
        await cluster.restart("n3")
        await cluster.wait_until_replicas(FAMILY[2], 5)
        assert await cluster.read("n3", FAMILY[2]) == oid(9)
        await cluster.crash("n2")
        cluster.nodes[NodeId("n2")].disk.replicas.clear()
        await cluster.restart("n2")
        for name in FAMILY:
            await cluster.wait_until_consistent(name)

    play_on_five(story)


def test_an_order_that_is_written_is_done_although_the_catalog_goes_away_right_after_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await populate(cluster)
        ordered: list[CatalogCall] = []

        async def go_away(call: CatalogCall) -> None:
            is_move = any(write.key.startswith(keys.FAMILIES) for write in call.writes)
            if ordered and call.moment is Moment.BEFORE:
                raise CatalogUnavailable("down")
            if is_move and call.moment is Moment.AFTER:
                ordered.append(call)

        cluster.engine("n2").world.catalog.hook = go_away  # type: ignore[attr-defined]
        done = await set_factor(cluster, FAMILY[0], 5, at="n2")
        assert done.partition == PARTITIONS
        assert "it is ordered" in done.warnings[0]

    play_on_five(story)
