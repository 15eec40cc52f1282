"""Moves of partitions on production engines: every interrupted prefix of every plan, while clients write.

After Patroni's quorum tests: a plan is a list of steps, each safe if the process dies behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshnode.base.ids import NodeId, PartitionId
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core import keys
from meshnode.core.partition import decode_partition
from meshnode.ports import Put
from tests.sim.memory_cluster import MemoryCluster
from tests.sim.moves import (
    BY_HAND,
    Clients,
    Dying,
    PlannerDiedError,
    Watcher,
    create_in,
    order,
    planner,
    run_planner,
    wait_until_dropped,
)
from tests.sim.virtual_time import run_virtual

Story = Callable[[MemoryCluster, Watcher, Clients], Awaitable[None]]
NODES = ("n1", "n2", "n3", "n4", "n5")
PARTITION = 1


def play(story: Story, *, seed: int = 0, repositories: int = 3) -> None:
    """Run a story on five nodes, partitions on the first three, with a writer on each repository of one partition."""

    async def run() -> None:
        cluster = MemoryCluster(NODES, seed=seed, rebalance=BY_HAND)
        watcher = Watcher(cluster)
        await cluster.start()
        try:
            names = await create_in(cluster, "n1", PARTITION, repositories)
            clients = Clients(cluster, names, NODES)
            clients.start()
            await cluster.clock.sleep(500)
            await story(cluster, watcher, clients)
        finally:
            await cluster.stop()

    run_virtual(run())


async def end_well(cluster: MemoryCluster, clients: Clients, *replicas: str) -> None:
    """The writers stop, everything is consistent where it is to be, and nothing acknowledged is lost."""
    await clients.stop()
    partition = await cluster.partition(PartitionId(PARTITION))
    assert set(partition.replicas) == set(replicas)
    assert not partition.joining
    assert not partition.target
    for name in clients.names:
        await cluster.wait_until_consistent(name)
    await clients.check(replicas)
    await wait_until_dropped(cluster, PARTITION, *(node for node in NODES if node not in replicas))
    await clients.check(replicas)


PLANS = {
    "swap one": ("n1", "n2", "n4"),
    "swap two": ("n1", "n4", "n5"),
    "one more": ("n1", "n2", "n3", "n4"),
    "five": NODES,
    "one less": ("n1", "n2"),
    "one less and another": ("n2", "n5"),
    "all others and fewer": ("n4", "n5"),
}


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_reaches_its_target_while_clients_write(plan: str) -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        target = PLANS[plan]
        await order(cluster, PARTITION, *target, factor=len(target))
        await run_planner(cluster, planner(cluster, "n1"), PARTITION)
        assert watcher.switches
        await end_well(cluster, clients, *target)
        assert clients.refused == [], "no client notices a move"

    play(story)


@pytest.mark.parametrize("moment", list(Moment))
@pytest.mark.parametrize("plan", PLANS)
def test_every_interrupted_prefix_of_a_plan_is_safe_and_another_planner_ends_it(plan: str, moment: Moment) -> None:
    """The planner dies before or after its k-th write, for every k; another one goes on from the catalog alone."""
    deaths = 0
    while True:
        dying = Dying(at=deaths + 1, moment=moment)

        async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients, dying: Dying = dying) -> None:
            del watcher
            target = PLANS[plan]
            await order(cluster, PARTITION, *target, factor=len(target))
            try:
                await run_planner(cluster, planner(cluster, "n1", dying.hook), PARTITION)
            except PlannerDiedError:
                await cluster.clock.sleep(1_000)
                await run_planner(cluster, planner(cluster, "n2"), PARTITION)
            await end_well(cluster, clients, *target)

        play(story, repositories=2, seed=deaths)
        if not dying.is_dead:
            break
        deaths += 1
    assert deaths >= 2, "the plan has steps"


def test_two_planners_at_once_do_no_harm() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        target = PLANS["swap two"]
        await order(cluster, PARTITION, *target)
        async with asyncio.TaskGroup() as group:
            for node in ("n1", "n2", "n5"):
                group.create_task(run_planner(cluster, planner(cluster, node), PARTITION))
        assert len(watcher.switches) == 2
        await end_well(cluster, clients, *target)

    play(story)


@pytest.mark.parametrize("victim", NODES)
@pytest.mark.parametrize("after_ms", [0, 400, 900, 2_000])
def test_a_node_that_dies_in_the_middle_costs_time_and_nothing_else(victim: str, after_ms: int) -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        target = PLANS["swap one"]
        await order(cluster, PARTITION, *target)
        planning = asyncio.ensure_future(
            run_planner(cluster, planner(cluster, "n5" if victim != "n5" else "n1"), PARTITION)
        )
        await cluster.clock.sleep(after_ms)
        await cluster.crash(victim)
        await cluster.clock.sleep(3_000)
        await cluster.restart(victim)
        await planning
        await end_well(cluster, clients, *target)

    play(story, seed=after_ms)


def test_a_replica_that_is_gone_for_good_is_replaced() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        await cluster.crash("n3")
        cluster.nodes[NodeId("n3")].disk.replicas.clear()
        await cluster.clock.sleep(5_000)
        await order(cluster, PARTITION, "n1", "n2", "n4")
        await run_planner(cluster, planner(cluster, "n1"), PARTITION)
        await clients.stop()
        for name in clients.names:
            await cluster.wait_until_consistent(name)
        await clients.check(["n1", "n2", "n4"])
        await cluster.restart("n3")
        await wait_until_dropped(cluster, PARTITION, "n3")

    play(story)


def test_a_target_that_changes_on_the_way_withdraws_the_node_that_was_being_filled() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        del watcher
        mover = planner(cluster, "n1")
        await order(cluster, PARTITION, "n1", "n2", "n4")
        await mover.run_once()
        assert (await cluster.partition(PartitionId(PARTITION))).joining == ("n4",)
        await order(cluster, PARTITION, "n1", "n2", "n5")
        await run_planner(cluster, mover, PARTITION)
        await end_well(cluster, clients, "n1", "n2", "n5")

    play(story)


def test_a_node_may_come_back_to_a_partition_it_has_just_left() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        mover = planner(cluster, "n1")
        for target in (("n1", "n2", "n4"), ("n1", "n2", "n3"), ("n1", "n3", "n4"), ("n1", "n2", "n3")):
            await order(cluster, PARTITION, *target)
            await run_planner(cluster, mover, PARTITION)
        assert len(watcher.switches) == 4
        await end_well(cluster, clients, "n1", "n2", "n3")

    play(story)


def test_fewer_replicas_wait_until_those_that_stay_are_consistent() -> None:
    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        mover = planner(cluster, "n1")
        await cluster.crash("n2")
        await cluster.clock.sleep(1_000)
        await order(cluster, PARTITION, "n1", "n2", factor=2)
        for _ in range(5):
            await mover.run_once()
        assert watcher.switches == [], "n3 must stay while n2 is behind"
        await cluster.restart("n2")
        await run_planner(cluster, mover, PARTITION)
        await end_well(cluster, clients, "n1", "n2")

    play(story)


@pytest.mark.parametrize("plan", ["swap one", "one less"])
def test_a_step_is_refused_where_a_record_came_to_list_a_node_behind_the_planners_back(plan: str) -> None:
    """All records are seen, none lists anyone; before the step is written, a node dies and a write goes on without."""
    target = PLANS[plan]
    victim = NodeId(target[-1])

    async def story(cluster: MemoryCluster, watcher: Watcher, clients: Clients) -> None:
        await clients.stop()
        name = clients.names[0]
        is_over = False

        async def hook(call: CatalogCall) -> None:
            nonlocal is_over
            is_switch = call.operation == "transact" and any(
                isinstance(write, Put)
                and write.key.startswith(keys.PARTITIONS)
                and decode_partition(write.value).replicas != ("n1", "n2", "n3")
                for write in call.writes
            )
            if is_switch and call.moment is Moment.BEFORE and not is_over:
                is_over = True
                await cluster.crash(victim)
                await cluster.set_ref("n1", name, "f" * 40)
                assert victim in (await cluster.record(name)).inconsistent

        mover = planner(cluster, "n1", hook)
        await order(cluster, PARTITION, *target, factor=len(target))
        for _ in range(20):
            await mover.run_once()
            await cluster.clock.sleep(300)
        assert is_over, "the step was tried"
        assert watcher.switches == [], "and refused"
        await cluster.restart(victim)
        await run_planner(cluster, mover, PARTITION)
        await end_well(cluster, clients, *target)

    play(story)
