"""Nodes that come back with an empty disk while the record lists them: nothing late may make it believe in them."""

from __future__ import annotations

from asyncio import Event

from meshnode.base.errors import OutcomeUnknown
from meshnode.base.ids import NodeId
from meshnode.catalog.memory import CatalogCall, MemoryCatalog, Moment
from meshnode.core.keys import RECORDS, record_key
from meshnode.core.record import Record, decode_record, encode_record, record_excluding
from meshnode.core.round import ReplicaKey
from meshnode.ports import Compare, Put
from tests.sim.memory_cluster import MemoryCluster
from tests.sim.test_cluster import NAME, A, play


def test_a_rejoin_that_lands_after_its_disk_was_lost_does_not_make_the_record_believe_in_an_empty_one() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        await cluster.crash("n3")
        await cluster.set_ref("n1", NAME, A)
        late: list[CatalogCall] = []

        async def lose_rejoins(call: CatalogCall) -> None:
            writes = [write for write in call.writes if isinstance(write, Put) and write.key.startswith(RECORDS)]
            if call.moment is Moment.BEFORE and writes and not decode_record(writes[0].value).inconsistent:
                late.append(call)
                raise OutcomeUnknown("no answer")

        cluster.hooks[NodeId("n3")] = lose_rejoins
        await cluster.restart("n3")
        while not late:
            await cluster.clock.sleep(10)
        await cluster.crash("n3")
        del cluster.hooks[NodeId("n3")]
        cluster.nodes[NodeId("n3")].disk.replicas.clear()
        await cluster.restart("n3")
        for call in late:
            assert await cluster.catalog.transact(call.compares, call.writes) is None
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == A

    play(story)


def test_a_publish_that_lands_after_a_learner_lost_its_disk_does_not_make_the_record_believe_in_an_empty_one() -> None:
    """The learner has acknowledged the round, so the publish takes it off the list."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        (key,) = cluster.nodes[NodeId("n3")].disk.replicas
        entry = (await cluster.catalog.get([record_key(key.repository)]))[0]
        assert entry is not None
        listed = record_excluding(decode_record(entry.value), NodeId("n3"))
        engine = cluster.engine("n3")
        engine.repairer.repair = never_repair  # type: ignore[assignment]
        await cluster.catalog.transact([Compare(entry.key, entry.revision)], [Put(entry.key, encode_record(listed))])
        reached, go_on = Event(), Event()

        async def hold_publish(call: CatalogCall) -> None:
            writes = [write for write in call.writes if isinstance(write, Put) and write.key.startswith(RECORDS)]
            if call.moment is Moment.BEFORE and writes and not reached.is_set():
                assert not decode_record(writes[0].value).inconsistent
                reached.set()
                await go_on.wait()

        catalog = cluster.engine("n1").driver.catalog
        assert isinstance(catalog, MemoryCatalog)
        catalog.hook = hold_publish
        writing = cluster.engine("n1").supervisor.spawn("write", cluster.set_ref("n1", NAME, A))
        await reached.wait()
        await cluster.crash("n3")
        cluster.nodes[NodeId("n3")].disk.replicas.clear()
        await cluster.restart("n3")
        seen = (await cluster.record(NAME)).fence
        go_on.set()
        await writing
        assert seen == 1
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == A

    play(story)


def test_a_vote_of_a_replica_that_was_set_aside_and_is_back_does_not_count() -> None:
    """Listed, filled and unlisted again while the publish was on its way: the record looks as if nothing had been."""

    async def story(cluster: MemoryCluster) -> None:
        await cluster.create("n1", NAME)
        await cluster.wait_until_consistent(NAME)
        reached, go_on = Event(), Event()
        published: list[Record] = []

        async def hold_publish(call: CatalogCall) -> None:
            writes = [write for write in call.writes if isinstance(write, Put) and write.key.startswith(RECORDS)]
            if call.moment is Moment.BEFORE and writes:
                published.append(decode_record(writes[0].value))
                reached.set()
                await go_on.wait()

        catalog = cluster.engine("n1").driver.catalog
        assert isinstance(catalog, MemoryCatalog)
        catalog.hook = hold_publish
        writing = cluster.engine("n1").supervisor.spawn("write", cluster.set_ref("n1", NAME, A))
        await reached.wait()
        await cluster.crash("n3")
        (damaged,) = cluster.nodes[NodeId("n3")].disk.replicas.values()
        damaged.is_unreadable = True
        await cluster.restart("n3")
        while (await cluster.record(NAME)).returned != ("n3",):
            await cluster.clock.sleep(10)
        go_on.set()
        await writing
        assert [record.inconsistent for record in published] == [frozenset(), {"n3"}]
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == A

    play(story)


async def never_repair(_key: ReplicaKey, _reason: str) -> bool:
    """Be a repairer that has other things to do."""
    return True
