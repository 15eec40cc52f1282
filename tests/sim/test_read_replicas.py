"""Read replicas on production engines in virtual time: filled, current, never waited for, and never believed blindly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from meshnode.base.errors import InvalidRequest, NotFound, QuorumLost, ReadOnly, ReplicaBehind, RepositoryNotFound
from meshnode.base.ids import NodeId, PartitionId, RepositoryName
from meshnode.catalog.memory import CatalogCall
from meshnode.core import keys
from meshnode.core.nodes import NodeState, decode_node, encode_node
from meshnode.core.partition import Partition, encode_partition
from meshnode.engine import shipping
from meshnode.engine.membership import REFRESH_MS
from meshnode.ports import Consistency, Put
from tests.sim.memory_cluster import MOVES, SETTINGS, MemoryCluster
from tests.sim.virtual_time import run_virtual

Story = Callable[[MemoryCluster], Awaitable[None]]
NAME = "demo/one"
N4, N5 = NodeId("n4"), NodeId("n5")


def play(story: Story, *, count: int = 5) -> None:
    """Run a story on a cluster whose partitions are all on n1 to n3, with one repository."""

    async def run() -> None:
        cluster = MemoryCluster([f"n{number}" for number in range(1, count + 1)])
        await cluster.start()
        try:
            await cluster.create("n1", NAME)
            await story(cluster)
        finally:
            await cluster.stop()

    run_virtual(run())


def oid(number: int) -> str:
    return f"{number:040x}"


async def want(cluster: MemoryCluster, count: int | None = None, *nodes: str, at: str = "n1") -> Partition:
    orders = cluster.engine(at).read_replicas
    return await orders.set_read_replicas(RepositoryName(NAME), count=count, nodes=[NodeId(node) for node in nodes])


async def placed(cluster: MemoryCluster) -> Partition:
    return await cluster.partition((await cluster.record(NAME)).partition)


async def until_has(cluster: MemoryCluster, node: str, value: str, *, within_ms: int = 30_000) -> None:
    """Wait until a verified read at a node shows a value of main."""
    deadline = cluster.clock.monotonic_ms() + within_ms
    while True:
        try:
            if await cluster.read(node, NAME) == value:
                return
        except (ReplicaBehind, RepositoryNotFound):
            pass
        assert cluster.clock.monotonic_ms() < deadline, f"{node} never shows {value}"
        await cluster.clock.sleep(50)


async def copies(cluster: MemoryCluster) -> set[str]:
    record = await cluster.record(NAME)
    key = record.key
    return {name for name, node in cluster.nodes.items() if key in node.disk.replicas}


async def until_copies(cluster: MemoryCluster, *names: str) -> None:
    deadline = cluster.clock.monotonic_ms() + 60_000
    while await copies(cluster) != set(names):
        assert cluster.clock.monotonic_ms() < deadline, await copies(cluster)
        await cluster.clock.sleep(200)


def test_it_is_filled_gets_every_write_and_answers_verified_reads_at_once() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.set_ref("n1", NAME, oid(1))
        chosen = await want(cluster, 2)
        assert set(chosen.read_replicas) == {"n4", "n5"}
        for node in chosen.read_replicas:
            await until_has(cluster, node, oid(1))
        for number in range(2, 12):
            done = await cluster.set_ref("n2", NAME, oid(number))
            await cluster.clock.sleep(20)
            assert done.record.inconsistent == frozenset(), "it is in no record"
            for node in chosen.read_replicas:
                assert await cluster.read(node, NAME) == oid(number), "streamed, not repaired"

    play(story)


def test_the_router_sends_reads_to_it_and_no_writes() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, None, "n4")
        await cluster.set_ref("n1", NAME, oid(1))
        router = cluster.engine("n5").router
        readers = await router.read_candidates(RepositoryName(NAME), Consistency())
        assert sorted(readers) == ["n1", "n2", "n3", "n4"]
        firsts = {(await router.read_candidates(RepositoryName(NAME), Consistency()))[0] for _ in range(60)}
        assert firsts == {"n1", "n2", "n3", "n4"}, "the default choice includes it"
        assert sorted(await router.write_candidates(RepositoryName(NAME))) == ["n1", "n2", "n3"]
        await cluster.engine("n4").membership.set_state(N4, NodeState.DRAINING)
        await cluster.clock.sleep(6_000)
        assert "n4" not in await router.read_candidates(RepositoryName(NAME), Consistency())

    play(story)


def test_writes_take_no_longer_and_need_the_same_quorum_when_all_of_them_are_gone() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, 2)
        await cluster.set_ref("n1", NAME, oid(1))
        await until_has(cluster, "n4", oid(1))
        for node in ("n4", "n5"):
            for other in ("n1", "n2", "n3"):
                cluster.links.cut(NodeId(other), NodeId(node))
        began = cluster.clock.monotonic_ms()
        done = await cluster.set_ref("n1", NAME, oid(2))
        assert cluster.clock.monotonic_ms() - began < SETTINGS.grace_ms, "nobody has waited for them"
        assert done.record.inconsistent == frozenset()
        await cluster.crash("n4")
        await cluster.crash("n5")
        assert (await cluster.set_ref("n1", NAME, oid(3))).generation == done.generation + 1

    play(story)


def test_writes_are_refused_without_a_quorum_of_replicas_although_read_replicas_are_there() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, 2)
        await cluster.set_ref("n1", NAME, oid(1))
        await until_has(cluster, "n4", oid(1))
        await until_has(cluster, "n5", oid(1))
        await cluster.crash("n2")
        await cluster.crash("n3")
        with pytest.raises(QuorumLost, match="1 of 3 replicas voted, 2 needed"):
            await cluster.set_ref("n1", NAME, oid(2))
        for node in ("n4", "n5"):
            with pytest.raises((ReplicaBehind, ReadOnly)):
                await cluster.set_ref(node, NAME, oid(2))
            assert await cluster.read(node, NAME) == oid(1), "reads go on"

    play(story)


def test_one_that_missed_writes_refuses_verified_reads_until_it_has_caught_up() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, None, "n4")
        await cluster.set_ref("n1", NAME, oid(1))
        await until_has(cluster, "n4", oid(1))
        for other in ("n1", "n2", "n3"):
            cluster.links.cut_both(NodeId(other), N4)
        await cluster.set_ref("n1", NAME, oid(2))
        with pytest.raises(ReplicaBehind):
            await cluster.read("n4", NAME)
        cluster.links.mend_all()
        await until_has(cluster, "n4", oid(2))
        await cluster.crash("n4")
        for number in range(3, 30):
            await cluster.set_ref("n2", NAME, oid(number))
        await cluster.restart("n4")
        await until_has(cluster, "n4", oid(29))
        assert (await cluster.record(NAME)).inconsistent == frozenset()
        assert not cluster.nodes[N4].disk.damaged, "late is not damaged"

    play(story)


def test_a_slow_one_gets_the_end_of_its_stream_after_the_round() -> None:
    """Its vote takes longer than the whole round; what it was sent is not thrown away."""

    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, None, "n4")
        await cluster.set_ref("n1", NAME, oid(1))
        await until_has(cluster, "n4", oid(1))
        engine = cluster.engine("n4")
        right, fetched = engine.participant.vote, []

        async def slow(round_: object) -> object:
            await cluster.clock.sleep(700)
            return await right(round_)  # type: ignore[arg-type]

        async def noted(*arguments: object) -> None:
            fetched.append(arguments)

        engine.participant.vote = slow  # type: ignore[assignment,method-assign]
        engine.repairer._fetch = noted  # type: ignore[assignment]
        began = cluster.clock.monotonic_ms()
        await cluster.set_ref("n1", NAME, oid(2))
        assert cluster.clock.monotonic_ms() - began < 500
        await cluster.clock.sleep(1_000)
        assert await cluster.read("n4", NAME) == oid(2)
        assert not fetched, "it came by the stream"
        assert not cluster.engine("n1").supervisor.count(shipping.LATE_STREAM)

    play(story)


def test_a_stuck_one_is_cut_off_after_a_while() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, None, "n4")
        engine = cluster.engine("n4")

        async def never(round_: object) -> object:
            await cluster.clock.sleep(3_600_000)
            return round_

        engine.participant.vote = never  # type: ignore[assignment,method-assign]
        for number in range(1, shipping.LATE_STREAMS_MAX + 9):
            await cluster.set_ref("n1", NAME, oid(number))
            assert cluster.engine("n1").supervisor.count(shipping.LATE_STREAM) <= shipping.LATE_STREAMS_MAX + 1
        await cluster.clock.sleep(SETTINGS.prepare_ms + 1_000)
        assert not cluster.engine("n1").supervisor.count(shipping.LATE_STREAM)

    play(story)


def test_those_taken_away_drop_their_copies() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.set_ref("n1", NAME, oid(1))
        await want(cluster, 2)
        await until_copies(cluster, "n1", "n2", "n3", "n4", "n5")
        await want(cluster, None, "n5")
        await until_copies(cluster, "n1", "n2", "n3", "n5")
        await want(cluster, 0)
        await until_copies(cluster, "n1", "n2", "n3")
        assert (await placed(cluster)).leaving == ()

    play(story)


def test_a_node_that_is_removed_is_replaced_and_one_that_becomes_a_replica_too() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.set_ref("n1", NAME, oid(1))
        await want(cluster, None, "n4")
        await until_has(cluster, "n4", oid(1))
        await cluster.engine("n1").moves.set_state(N4, NodeState.DELETING)
        deadline = cluster.clock.monotonic_ms() + 60_000
        while N4 in cluster.engine("n1").membership.nodes():
            assert cluster.clock.monotonic_ms() < deadline, await placed(cluster)
            await cluster.clock.sleep(200)
        replaced = await placed(cluster)
        assert len(replaced.read_replicas) == 1
        (reader,) = replaced.read_replicas
        await until_has(cluster, reader, oid(1))
        await cluster.engine("n1").moves.set_factor(5, replaced.partition)
        while len((await placed(cluster)).replicas) < 5:
            assert cluster.clock.monotonic_ms() < deadline + 60_000, await placed(cluster)
            await cluster.clock.sleep(200)
        end = await placed(cluster)
        assert reader in end.replicas
        assert len(end.read_replicas) == 1
        await until_has(cluster, end.read_replicas[0], oid(1))

    play(story, count=7)


def test_orders_that_cannot_be_had_change_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        before = await placed(cluster)
        with pytest.raises(InvalidRequest, match="too few nodes"):
            await want(cluster, 3)
        with pytest.raises(InvalidRequest, match="is a replica of this partition already"):
            await want(cluster, None, "n1")
        orders = cluster.engine("n1").read_replicas
        with pytest.raises(NotFound):
            await orders.set_read_replicas(PartitionId(77), count=1, nodes=())
        assert await placed(cluster) == before

    play(story)


def test_a_damaged_one_is_replaced_and_no_record_hears_of_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await want(cluster, None, "n4")
        await cluster.set_ref("n1", NAME, oid(1))
        await until_has(cluster, "n4", oid(1))
        record = await cluster.record(NAME)
        key = record.key
        cluster.nodes[N4].disk.replicas[key].is_unreadable = True
        cluster.engine("n4").repairs.take_out(key, "a test says so")
        cluster.nodes[N4].disk.replicas[key].is_unreadable = False
        await until_has(cluster, "n4", oid(1))
        assert len(cluster.nodes[N4].disk.damaged) == 1
        assert await cluster.record(NAME) == record

    play(story)


def test_a_node_that_came_and_went_unseen_does_not_keep_the_planner_from_looking_again() -> None:
    """The planner read in the catalog that the only spare node rests, found nothing to do, and noted so for what its node
    knew of the cluster. That had not heard of the rest, so it saw no change when it was over (seed 4014115).
    """

    async def story(cluster: MemoryCluster) -> None:
        async def deaf(call: CatalogCall) -> None:
            if call.operation == "event" and call.keys[0].startswith(keys.NODES):
                await cluster.clock.sleep(86_400_000)

        for name in list(cluster.nodes):
            cluster.hooks[name] = deaf
            await cluster.crash(name)
        for name in cluster.nodes:
            await cluster.restart(name)
        await cluster.clock.sleep(REFRESH_MS + 500)

        async def set_state(state: NodeState) -> None:
            (entry,) = await cluster.catalog.get([keys.node_key(N4)])
            assert entry is not None
            node = replace(decode_node(entry.value), state=state)
            await cluster.catalog.transact([], [Put(entry.key, encode_node(node))])

        await set_state(NodeState.DRAINING)
        wanted = replace(await placed(cluster), read_replicas_wanted=1)
        await cluster.catalog.transact([], [Put(keys.partition_key(wanted.partition), encode_partition(wanted))])
        await cluster.clock.sleep(MOVES.interval_ms * 3)
        assert (await placed(cluster)).read_replicas == ()
        await set_state(NodeState.AVAILABLE)
        await cluster.clock.sleep(REFRESH_MS * 2)
        assert (await placed(cluster)).read_replicas == (N4,)

    play(story, count=4)
