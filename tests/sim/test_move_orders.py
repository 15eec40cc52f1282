"""Orders of operators on whole clusters: spread, pause, remove, other factors, nodes out of service. Virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from meshnode.base.errors import Draining, InvalidRequest, MeshError, NotFound, ReadOnly, ReplicaBehind
from meshnode.base.ids import NodeId, PartitionId, RepositoryName
from meshnode.core import keys
from meshnode.core.nodes import NodeState
from meshnode.core.partition import Partition
from meshnode.ports import Consistency
from tests.sim.memory_cluster import PARTITIONS, MemoryCluster
from tests.sim.moves import Clients, Watcher
from tests.sim.virtual_time import run_virtual

Story = Callable[[MemoryCluster, Watcher, Clients], Awaitable[None]]
N1, N2, N3, N4, N5 = (NodeId(f"n{number}") for number in range(1, 6))


def play(story: Story, *, count: int = 5) -> None:
    """Run a story on a cluster whose partitions are all on n1 to n3, while clients write to six repositories."""

    async def run() -> None:
        cluster = MemoryCluster([f"n{number}" for number in range(1, count + 1)])
        watcher = Watcher(cluster)
        await cluster.start()
        try:
            names = [f"demo/{number}" for number in range(6)]
            for name in names:
                await cluster.create("n1", name)
            clients = Clients(cluster, names, list(cluster.nodes), pause_ms=200)
            clients.start()
            await story(cluster, watcher, clients)
            if not clients.is_over:
                await clients.stop()
        finally:
            await cluster.stop()

    run_virtual(run())


async def placed(cluster: MemoryCluster) -> list[Partition]:
    return [await cluster.partition(PartitionId(number)) for number in range(PARTITIONS)]


async def until(
    cluster: MemoryCluster, is_true: Callable[[list[Partition]], bool], *, within_ms: int = 300_000
) -> None:
    """Wait for something to be true of the partitions."""
    deadline = cluster.clock.monotonic_ms() + within_ms
    while not is_true(await placed(cluster)):
        assert cluster.clock.monotonic_ms() < deadline, await placed(cluster)
        await cluster.clock.sleep(200)


def rests(partitions: list[Partition]) -> bool:
    return not any(one.target or one.joining or one.leaving for one in partitions)


async def check_everything(cluster: MemoryCluster, clients: Clients) -> None:
    """Nothing acknowledged is missing, wherever it is believed to be."""
    await clients.stop()
    for name in clients.names:
        record = await cluster.wait_until_consistent(name)
        replicas = (await cluster.partition(record.partition)).replicas
        await clients.check(replicas, name)


def test_an_order_spreads_replicas_over_empty_nodes_while_clients_write() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        moves = cluster.engine("n2").moves
        plan = await moves.rebalance(is_dry_run=True)
        assert {one for move in plan.moves for one in move.entering} == {N4, N5}
        await cluster.clock.sleep(5_000)
        assert watcher.switches == [], "a plan changes nothing"
        await moves.rebalance(is_dry_run=False)
        await cluster.clock.sleep(3_000)
        overview = await moves.overview()
        assert overview.moving == 0 or overview.progress is not None
        await until(cluster, rests)
        held = Counter(node for one in await placed(cluster) for node in one.replicas)
        assert max(held.values()) - min(held.values()) <= 1
        assert len(held) == 5
        await check_everything(cluster, clients)
        assert (await moves.rebalance(is_dry_run=True)).moves == ()
        assert clients.refused == []

    play(story)


def test_paused_moves_stop_between_two_steps_and_go_on_where_they_were() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        moves = cluster.engine("n1").moves
        await moves.pause(is_paused=True)
        await moves.rebalance(is_dry_run=False)
        await cluster.clock.sleep(20_000)
        assert watcher.switches == []
        overview = await moves.overview()
        assert overview.is_paused
        assert overview.moving == len([one for one in await placed(cluster) if one.target]) > 0
        await moves.pause(is_paused=False)
        await until(cluster, rests)
        assert watcher.switches
        await check_everything(cluster, clients)

    play(story)


def test_a_removed_node_gives_up_everything_and_is_forgotten() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        await cluster.engine("n1").moves.set_state(N3, NodeState.DELETING)
        await until(cluster, lambda now: rests(now) and not any(N3 in one.replicas for one in now))
        await wait_until_forgotten(cluster, N3)
        assert not cluster.nodes[N3].disk.replicas, "it dropped its copies"
        clients.via = [node for node in clients.via if node != N3]
        await check_everything(cluster, clients)
        with pytest.raises(NotFound):
            await cluster.engine("n1").moves.set_state(N3, NodeState.AVAILABLE)

    play(story)


def test_a_node_that_died_can_be_removed_and_its_copies_are_made_anew() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        await cluster.crash("n3")
        await cluster.clock.sleep(4_000)
        await cluster.engine("n2").moves.set_state(N3, NodeState.DELETING)
        await wait_until_forgotten(cluster, N3)
        assert all(N3 not in (*one.members, *one.leaving) for one in await placed(cluster))
        await check_everything(cluster, clients)

    play(story)


async def wait_until_forgotten(cluster: MemoryCluster, node: NodeId) -> None:
    deadline = cluster.clock.monotonic_ms() + 300_000
    while (await cluster.catalog.get([keys.node_key(node)]))[0] is not None:
        assert cluster.clock.monotonic_ms() < deadline, await placed(cluster)
        await cluster.clock.sleep(200)


def test_a_removal_that_leaves_too_few_nodes_is_refused_with_the_partitions_it_blocks() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher, clients
        moves = cluster.engine("n1").moves
        with pytest.raises(InvalidRequest) as refused:
            await moves.set_state(N2, NodeState.DELETING)
        assert refused.value.fields["partitions"] == "0, 1, 2, 3"
        assert "only 2 nodes" in str(refused.value)
        assert cluster.engine("n1").membership.nodes()[N2].state is NodeState.AVAILABLE
        with pytest.raises(InvalidRequest, match="too few nodes"):
            await moves.set_factor(4, None)
        with pytest.raises(InvalidRequest, match="1 to 9"):
            await moves.set_factor(0, None)
        with pytest.raises(NotFound):
            await moves.set_factor(3, PartitionId(99))

    play(story, count=3)


def test_factors_go_up_and_down_online_for_all_and_for_one() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        moves = cluster.engine("n1").moves
        assert await moves.set_factor(5, None) == ()
        await until(cluster, lambda now: rests(now) and all(len(one.replicas) == 5 for one in now))
        (warning,) = await moves.set_factor(4, PartitionId(1))
        assert "no more losses than 3" in warning
        await moves.set_factor(3, None)
        await until(cluster, lambda now: rests(now) and [len(one.replicas) for one in now] == [3, 4, 3, 3])
        await moves.set_factor(0, PartitionId(1))
        await until(cluster, lambda now: rests(now) and all(len(one.replicas) == 3 for one in now))
        await check_everything(cluster, clients)
        assert clients.refused == []

    play(story)


def test_another_node_plans_on_when_the_one_that_plans_dies() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        await cluster.engine("n1").moves.rebalance(is_dry_run=False)
        for _ in range(3):
            await until(cluster, lambda now: any(one.joining for one in now) or rests(now))
            (holder,) = await cluster.catalog.get([keys.MOVE_PLANNER])
            if holder is None:
                continue
            name = holder.value.decode()
            await cluster.crash(name)
            await cluster.clock.sleep(4_000)
            await cluster.restart(name)
        await until(cluster, rests)
        assert watcher.switches
        await check_everything(cluster, clients)

    play(story)


def test_a_drained_node_finishes_reports_it_and_leads_nothing_but_stays_current() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        await cluster.engine("n1").moves.set_state(N2, NodeState.DRAINING)
        engine = cluster.engine("n2")
        deadline = cluster.clock.monotonic_ms() + 30_000
        clients.via = [N1, N3]
        while not engine.activity.is_drained():
            assert cluster.clock.monotonic_ms() < deadline
            await cluster.clock.sleep(100)
        assert engine.activity.is_draining()
        assert not engine.activity.is_stopping()
        for name in clients.names:
            assert N2 not in await cluster.engine("n1").router.write_candidates(RepositoryName(name))
            assert N2 not in await cluster.engine("n2").router.read_candidates(RepositoryName(name), Consistency())
        await cluster.clock.sleep(3_000)
        await clients.stop()
        for name in clients.names:
            assert N2 not in (await cluster.record(name)).inconsistent, "it still votes"
        await cluster.engine("n1").moves.set_state(N2, NodeState.AVAILABLE)
        await cluster.clock.sleep(1_000)
        assert not engine.activity.is_draining()

    play(story)


def test_a_disabled_node_gets_nothing_and_is_repaired_when_it_is_enabled() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        moves = cluster.engine("n1").moves
        await moves.set_state(N3, NodeState.DISABLED)
        clients.via = [N1, N2]
        await cluster.clock.sleep(10_000)
        for name in clients.names:
            assert N3 in (await cluster.record(name)).inconsistent, "written without it, and it does not come back"
        with pytest.raises(InvalidRequest) as refused:
            await moves.set_state(N2, NodeState.DISABLED)
        assert "only 1 of 2 votes would be left" in str(refused.value)
        await moves.set_state(N2, NodeState.DRAINING)
        with pytest.raises(InvalidRequest, match="too few nodes"):
            await moves.set_state(N1, NodeState.DRAINING)
        await moves.set_state(N2, NodeState.AVAILABLE)
        await moves.set_state(N3, NodeState.AVAILABLE)
        await check_everything(cluster, clients)

    play(story)


def test_a_rolling_restart_of_drained_nodes_costs_no_read_and_no_write() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        failed: list[str] = []
        is_over = False

        async def read_forever() -> None:
            while not is_over:
                failed.extend([name for name in clients.names if not await _is_readable(cluster, name)])
                await cluster.clock.sleep(50)

        reading = asyncio.ensure_future(read_forever())
        for node in ("n1", "n2", "n3", "n4", "n5"):
            orders = cluster.engine("n2" if node == "n1" else "n1").moves
            await orders.set_state(NodeId(node), NodeState.DRAINING)
            await cluster.clock.sleep(2_000)
            await cluster.crash(node)
            await cluster.restart(node)
            await orders.set_state(NodeId(node), NodeState.AVAILABLE)
            for name in clients.names:
                await wait_until_listed_nowhere(cluster, name)
        is_over = True
        await reading
        assert failed == []
        await check_everything(cluster, clients)

    play(story)


async def _is_readable(cluster: MemoryCluster, name: str) -> bool:
    """Whether some node answers a verified read, asked as a client would: one after the other."""
    for node in cluster.running():
        with suppress(ReplicaBehind, Draining, ReadOnly, MeshError):
            await cluster.read(node, name)
            return True
    return False


async def wait_until_listed_nowhere(cluster: MemoryCluster, name: str) -> None:
    deadline = cluster.clock.monotonic_ms() + 60_000
    while (await cluster.record(name)).inconsistent:
        assert cluster.clock.monotonic_ms() < deadline, await cluster.record(name)
        await cluster.clock.sleep(100)
