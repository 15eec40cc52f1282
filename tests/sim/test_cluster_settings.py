"""Nodes follow the cluster's settings by a hint, without one within the time of a refresh, and from their start."""

from __future__ import annotations

from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall
from meshnode.core.keys import SETTINGS
from meshnode.engine.membership import REFRESH_MS
from meshnode.engine.settings_orders import SettingsOrders
from meshnode.ports import Delete
from tests.sim.memory_cluster import MemoryCluster
from tests.sim.test_cluster import play

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


async def change(cluster: MemoryCluster, key: str, value: str) -> bytes:
    """Set a value through n1; the entry."""
    engine = cluster.engine("n1")
    orders = SettingsOrders(catalog=engine.world.catalog, membership=engine.membership, clock=cluster.clock)
    await orders.update({key: value}, (), expected_version=None, actor="t")
    (entry,) = await cluster.catalog.get([SETTINGS])
    assert entry is not None
    return entry.value


def test_a_change_is_followed_by_those_who_are_hinted_and_by_those_whose_hint_is_lost() -> None:
    async def story(cluster: MemoryCluster) -> None:
        async def deaf(call: CatalogCall) -> None:
            if call.operation == "event":
                await cluster.clock.sleep(86_400_000)

        cluster.hooks[N3] = deaf
        await cluster.crash("n3")
        await cluster.restart("n3")
        await cluster.clock.sleep(100)
        entry = await change(cluster, "scrub.slots", "2")
        assert cluster.settings[N1] == [entry]  # who wrote it, before the answer
        await cluster.clock.sleep(100)
        assert cluster.settings[N2] == [entry]
        assert cluster.settings[N3] == []
        await cluster.clock.sleep(REFRESH_MS)
        assert cluster.settings[N3] == [entry]
        await cluster.clock.sleep(3 * REFRESH_MS)
        assert cluster.settings[N3] == [entry]  # told once

    play(story)


def test_a_node_that_was_away_is_told_before_it_serves_and_an_entry_that_goes_is_told_too() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.crash("n3")
        await change(cluster, "scrub.slots", "2")
        newest = await change(cluster, "upkeep.slots", "2")
        await cluster.restart("n3")
        assert cluster.settings[N3] == [newest]
        await cluster.catalog.transact([], [Delete(SETTINGS)])
        await cluster.clock.sleep(100)
        assert cluster.settings[N2][-1] is None

    play(story)
