"""What a node does in the background goes on after errors that nobody foresaw, and is not kept from the rest by one."""

from __future__ import annotations

from dataclasses import replace

from meshnode.base.errors import Forbidden
from meshnode.base.ids import NodeId, PartitionId
from meshnode.catalog.memory import CatalogCall
from meshnode.core import keys
from meshnode.core.nodes import NodeState
from meshnode.core.record import encode_record
from meshnode.ports import Put
from tests.sim.memory_cluster import SETTINGS, MemoryCluster
from tests.sim.test_cluster import NAME, A, play

N1, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")


def test_a_node_that_the_catalog_refused_for_a_while_is_a_whole_node_again() -> None:
    """An operator's mistake in the catalog's roles, put right after a minute, took a node's lease, its view of the cluster
    and its repairs away until somebody restarted it: each task ended, with a line in the log that looked harmless.
    """

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        is_refused = False

        async def refuse(_call: CatalogCall) -> None:
            if is_refused:
                raise Forbidden("the catalog does not let this user do that")

        cluster.hooks[N3] = refuse
        await cluster.crash("n3")
        await cluster.restart("n3")
        for other in (N1, N2):
            cluster.links.cut_both(other, N3)
        is_refused = True
        await cluster.set_ref("n1", NAME, A)
        await cluster.clock.sleep(60_000)
        assert N3 not in cluster.engine("n1").membership.online()
        cluster.links.mend_all()
        is_refused = False
        await cluster.clock.sleep(30_000)
        assert N3 in cluster.engine("n1").membership.online(), "its lease is kept"
        await cluster.engine("n1").membership.set_state(N2, NodeState.DRAINING)
        await cluster.clock.sleep(1_000)
        assert not cluster.engine("n3").membership.is_available(N2), "it hears of changes, by hints"
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == A

    play(story)


def test_a_record_that_cannot_be_read_keeps_no_other_from_the_sweep() -> None:
    """The sweep ended at the first record of a newer version, or of a partition that it had not heard of yet, for good."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        record = await cluster.wait_until_consistent(NAME)
        first = keys.record_key(record.repository)[:-1]  # both sort before the record itself
        strange = encode_record(replace(record, partition=PartitionId(40_000)))
        await cluster.catalog.transact([], [Put(first, b"{}"), Put(first + "/", strange)])
        await cluster.clock.sleep(SETTINGS.repair_sweep_ms * 3)
        for other in (N1, N2):
            cluster.links.cut_both(other, N3)
        assert (await cluster.set_ref("n1", NAME, A)).record.inconsistent == {N3}
        await cluster.clock.sleep(1_000)  # nobody tells it any more what it missed
        cluster.links.mend_all()
        await cluster.wait_until_consistent(NAME, within_ms=SETTINGS.repair_sweep_ms * 2)

    play(story)
