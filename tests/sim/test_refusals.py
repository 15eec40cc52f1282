"""A catalog that refuses a node, or takes no writes, while a round is published: an answer that is true, and no storm."""

from __future__ import annotations

import pytest

from meshnode.base.errors import CatalogUnavailable, Corrupt, Forbidden, MeshError, OutcomeUnknown
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core.keys import RECORDS, partition_key
from meshnode.core.partition import encode_partition
from meshnode.core.targets import partition_with_target
from meshnode.engine.rounds import REREAD_PAUSE_MS
from meshnode.ports import Put
from tests.sim.memory_cluster import SETTINGS, MemoryCluster
from tests.sim.test_cluster import NAME, A, B, play


class Refusal:
    """What n1's catalog says of writes of records."""

    def __init__(self) -> None:
        self.error: MeshError | None = None
        self.count = 0

    async def __call__(self, call: CatalogCall) -> None:
        is_write = call.operation == "transact" and any(key.startswith(RECORDS) for key in call.keys)
        if self.error is not None and is_write and call.moment is Moment.BEFORE:
            self.count += 1
            raise self.error


async def begin(cluster: MemoryCluster) -> Refusal:
    await cluster.create("n1", NAME)
    await cluster.crash("n1")
    refusal = cluster.hooks[NodeId("n1")] = Refusal()
    await cluster.restart("n1")
    await cluster.wait_until_consistent(NAME)
    return refusal


def test_a_publish_that_the_catalog_forbids_is_a_write_that_was_not_made() -> None:
    """It was an internal error, which says nothing of what happened, and nobody was told to drop the round."""

    async def story(cluster: MemoryCluster) -> None:
        refusal = await begin(cluster)
        refusal.error = Forbidden("the catalog does not let this user do that")
        with pytest.raises(CatalogUnavailable, match="nothing was written"):
            await cluster.set_ref("n1", NAME, A)
        await cluster.clock.sleep(100)
        for node in cluster.nodes.values():
            (one,) = node.disk.replicas.values()
            assert one.state.prepared == ()
        refusal.error = None
        assert (await cluster.set_ref("n1", NAME, B)).generation == 2

    play(story)


@pytest.mark.parametrize("error", [OutcomeUnknown("the database is full"), Corrupt("a strange answer")])
def test_a_catalog_that_takes_no_writes_is_not_stormed_while_an_outcome_is_looked_for(error: MeshError) -> None:
    """One round asked again as soon as it had its refusal, for as long as it had time: thousands of times."""

    async def story(cluster: MemoryCluster) -> None:
        refusal = await begin(cluster)
        refusal.error = error
        with pytest.raises(OutcomeUnknown):
            await cluster.set_ref("n1", NAME, A)
        pauses = (SETTINGS.prepare_ms + SETTINGS.publish_ms) // REREAD_PAUSE_MS
        assert 2 < refusal.count <= 1.1 * pauses
        refusal.error = None
        await cluster.clock.sleep(SETTINGS.prepared_age_ms * 2)
        assert (await cluster.set_ref("n1", NAME, B)).generation == 2

    play(story)


def test_a_move_goes_on_after_the_catalog_has_refused_its_listings(caplog: pytest.LogCaptureFixture) -> None:
    """Several records are written at once; what one of them met tore the planner down as a defect."""

    async def story(cluster: MemoryCluster) -> None:
        refusal = Refusal()
        for name in cluster.nodes:
            cluster.hooks[name] = refusal
            await cluster.crash(name)
            await cluster.restart(name)
        await cluster.create("n1", NAME)
        record = await cluster.wait_until_consistent(NAME)
        before = await cluster.partition(record.partition)
        wanted = partition_with_target(before, (NodeId("n1"), NodeId("n2"), NodeId("n4")))
        refusal.error = Forbidden("the catalog does not let this user do that")
        await cluster.catalog.transact([], [Put(partition_key(before.partition), encode_partition(wanted))])
        await cluster.clock.sleep(20_000)
        assert refusal.count > 1
        refusal.error = None
        deadline_ms = cluster.clock.monotonic_ms() + 30_000
        while set((await cluster.partition(record.partition)).replicas) != set(wanted.target):
            assert cluster.clock.monotonic_ms() < deadline_ms
            await cluster.clock.sleep(100)

    play(story, count=4)
    assert "task_failed" not in [one.getMessage() for one in caplog.records]
