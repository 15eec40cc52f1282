"""Damage met by a scrub, on memory adapters: noticed, out of the record, kept aside, filled again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from meshnode.base.errors import CatalogUnavailable, Overloaded, ReplicaBehind
from meshnode.base.ids import NodeId, ObjectId, RefValue, RepositoryId
from meshnode.catalog.memory import CatalogCall
from meshnode.config import ScrubSettings
from meshnode.core import keys
from meshnode.core.record import Record, encode_record, record_excluding
from meshnode.core.round import ReplicaKey
from meshnode.core.scrub import Verdict
from meshnode.engine import scrubber
from meshnode.engine.meter import NullMeter
from meshnode.git.memory_disk import MemoryReplica
from meshnode.ports import Put, RepairProgress, ScrubReport
from tests.sim.memory_cluster import MAIN, MemoryCluster
from tests.sim.virtual_time import run_virtual

A, B, C = "a" * 40, "b" * 40, "c" * 40
NAME = "demo/one"

Story = Callable[[MemoryCluster], Awaitable[None]]


def play(story: Story) -> None:
    async def run() -> None:
        cluster = MemoryCluster(["n1", "n2", "n3"])
        await cluster.start()
        try:
            await cluster.create("n1", NAME)
            await cluster.set_ref("n1", NAME, A)
            await cluster.set_ref("n1", NAME, B)
            await cluster.wait_until_consistent(NAME)
            await story(cluster)
        finally:
            await cluster.stop()

    run_virtual(run())


async def key_of(cluster: MemoryCluster) -> ReplicaKey:
    record = await cluster.record(NAME)
    return record.key


async def replica_of(cluster: MemoryCluster, node: str) -> MemoryReplica:
    return cluster.nodes[NodeId(node)].disk.replicas[await key_of(cluster)]


async def scrub(cluster: MemoryCluster, node: str) -> ScrubReport:
    return await cluster.engine(node).scrubber.scrub(await key_of(cluster))


def edit_reference(replica: MemoryReplica) -> None:
    replica.refs[MAIN] = RefValue(C)
    replica.objects.add(ObjectId(C))


def lose_object(replica: MemoryReplica) -> None:
    replica.objects.discard(ObjectId(B))


def flip_byte(replica: MemoryReplica) -> None:
    replica.problems.append("error: packfile is damaged")


def lose_state(replica: MemoryReplica) -> None:
    replica.is_unreadable = True


@pytest.mark.parametrize("harm", [edit_reference, lose_object, flip_byte, lose_state])
def test_damage_is_found_set_aside_and_repaired(harm: Callable[[MemoryReplica], None]) -> None:
    async def story(cluster: MemoryCluster) -> None:
        harm(await replica_of(cluster, "n2"))
        report = await scrub(cluster, "n2")
        assert report.verdict is Verdict.DAMAGED
        assert report.findings
        assert report.kept
        disk = cluster.nodes[NodeId("n2")].disk
        assert len(disk.damaged) == 1
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == B
        assert (await scrub(cluster, "n2")).verdict is Verdict.SOUND
        assert (await scrub(cluster, "n1")).verdict is Verdict.SOUND

    play(story)


def test_a_directory_rolled_back_under_a_running_node_is_found() -> None:
    async def story(cluster: MemoryCluster) -> None:
        disk = cluster.nodes[NodeId("n2")].disk
        key = await key_of(cluster)
        old = deepcopy(disk.replicas[key])
        await cluster.set_ref("n1", NAME, C)
        await cluster.wait_until_consistent(NAME)
        disk.replicas[key] = old
        report = await scrub(cluster, "n2")
        assert report.verdict is Verdict.DAMAGED
        assert "rolled back" in report.findings[0]
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == C

    play(story)


def test_a_directory_rolled_back_while_the_node_was_down_is_set_aside_at_its_start() -> None:
    async def story(cluster: MemoryCluster) -> None:
        disk = cluster.nodes[NodeId("n2")].disk
        key = await key_of(cluster)
        old = deepcopy(disk.replicas[key])
        await cluster.set_ref("n1", NAME, C)
        await cluster.wait_until_consistent(NAME)
        await cluster.crash("n2")
        disk.replicas[key] = old
        await cluster.restart("n2")
        assert len(disk.damaged) == 1
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == C

    play(story)


def test_a_lost_directory_is_found_and_filled_although_nothing_can_be_kept() -> None:
    async def story(cluster: MemoryCluster) -> None:
        disk = cluster.nodes[NodeId("n3")].disk
        del disk.replicas[await key_of(cluster)]
        report = await scrub(cluster, "n3")
        assert report.verdict is Verdict.DAMAGED
        assert not report.kept
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_the_background_finds_an_edited_reference_without_being_asked() -> None:
    async def story(cluster: MemoryCluster) -> None:
        edit_reference(await replica_of(cluster, "n3"))
        await cluster.clock.sleep(61_000)
        assert len(cluster.nodes[NodeId("n3")].disk.damaged) == 1
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == B

    play(story)


def test_the_background_reads_objects_too() -> None:
    async def story(cluster: MemoryCluster) -> None:
        flip_byte(await replica_of(cluster, "n3"))
        await cluster.clock.sleep(scrubber.FIRST_DEEP_MS + 61_000)
        assert len(cluster.nodes[NodeId("n3")].disk.damaged) == 1
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_damaged_replica_serves_nothing_until_it_is_replaced() -> None:
    async def story(cluster: MemoryCluster) -> None:
        flip_byte(await replica_of(cluster, "n2"))
        down = True

        async def hook(call: CatalogCall) -> None:
            if down and call.operation == "transact":
                raise CatalogUnavailable("down")

        cluster.engine("n2").world.catalog.hook = hook  # type: ignore[attr-defined]
        asked = asyncio.ensure_future(scrub(cluster, "n2"))
        while not cluster.engine("n2").activity.is_damaged(await key_of(cluster)):
            await cluster.clock.sleep(10)
        with pytest.raises(ReplicaBehind, match="damaged"):
            await cluster.read("n2", NAME)
        down = False
        assert (await asked).verdict is Verdict.DAMAGED
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_the_last_replica_the_record_believes_in_is_left_where_it_is() -> None:
    async def story(cluster: MemoryCluster) -> None:
        for node in ("n2", "n3"):
            await cluster.crash(node)
        flip_byte(await replica_of(cluster, "n1"))
        await exclude_by_hand(cluster, "n2", "n3")
        report = await scrub(cluster, "n1")
        assert report.verdict is Verdict.DAMAGED
        assert "left in place" in report.action
        assert not (await cluster.record(NAME)).inconsistent >= {"n1"}
        assert not cluster.nodes[NodeId("n1")].disk.damaged

    play(story)


async def exclude_by_hand(cluster: MemoryCluster, *nodes: str) -> None:
    record = await cluster.record(NAME)
    for node in nodes:
        record = record_excluding(record, NodeId(node))
    await cluster.catalog.transact([], [Put(keys.record_key(record.repository), encode_record(record))])


def test_a_scrub_amid_writes_finds_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        async def write() -> None:
            for number in range(1, 60):
                await cluster.set_ref("n1", NAME, f"{number:040x}")

        writing = asyncio.ensure_future(write())
        while not writing.done():
            for node in cluster.nodes:
                assert (await scrub(cluster, node)).verdict is not Verdict.DAMAGED
            await cluster.clock.sleep(5)
        await writing
        assert not any(node.disk.damaged for node in cluster.nodes.values())

    play(story)


def test_two_who_ask_at_once_share_one_scrub_and_one_who_leaves_does_not_end_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        flip_byte(await replica_of(cluster, "n2"))
        first = asyncio.ensure_future(scrub(cluster, "n2"))
        second = asyncio.ensure_future(scrub(cluster, "n2"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).verdict is Verdict.DAMAGED
        assert len(cluster.nodes[NodeId("n2")].disk.damaged) == 1

    play(story)


def test_scrubs_beyond_the_bound_are_refused() -> None:
    async def story(cluster: MemoryCluster) -> None:
        engine = cluster.engine("n2")
        key = await key_of(cluster)
        others = [
            asyncio.ensure_future(engine.scrubber.scrub(ReplicaKey(key.home, f"{number:032x}")))  # type: ignore[arg-type]
            for number in range(scrubber.WAITING_MAX)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await engine.scrubber.scrub(key)
        for other in others:
            assert (await other).verdict is Verdict.SOUND

    play(story)


def test_a_scrub_without_the_catalog_says_so() -> None:
    async def story(cluster: MemoryCluster) -> None:
        async def hook(_call: CatalogCall) -> None:
            raise CatalogUnavailable("down")

        cluster.engine("n2").world.catalog.hook = hook  # type: ignore[attr-defined]
        with pytest.raises(CatalogUnavailable):
            await scrub(cluster, "n2")
        cluster.engine("n2").world.catalog.hook = None  # type: ignore[attr-defined]
        assert (await scrub(cluster, "n2")).verdict is Verdict.SOUND

    play(story)


def test_the_background_pauses_for_as_long_as_the_rate_wants() -> None:
    async def story(cluster: MemoryCluster) -> None:
        engine = cluster.engine("n2")
        key = await key_of(cluster)
        for number in range(10_000):
            (await replica_of(cluster, "n2")).objects.add(ObjectId(f"{number:040x}"))
        size_bytes = await engine.replicas.disk.reader.size_bytes(key)
        slow = scrubber.Scrubber(
            own=engine.own,
            records=engine.records,
            replicas=engine.replicas,
            repairs=engine.repairs,
            activity=engine.activity,
            clock=cluster.clock,
            supervisor=engine.supervisor,
            settings=ScrubSettings(bytes_per_s_max=1 << 16),
            meter=NullMeter(),
        )
        began_ms = cluster.clock.monotonic_ms()
        await slow._scrub_quietly(key, is_deep=True)
        assert cluster.clock.monotonic_ms() - began_ms >= size_bytes * 1_000 // (1 << 16)
        began_ms = cluster.clock.monotonic_ms()
        await slow._scrub_quietly(key, is_deep=False)
        await slow._scrub_quietly(ReplicaKey(key.home, RepositoryId("e" * 32)), is_deep=True)  # deleted meanwhile
        assert cluster.clock.monotonic_ms() - began_ms < 100

    play(story)


def test_a_replica_under_repair_is_left_alone() -> None:
    async def story(cluster: MemoryCluster) -> None:
        flip_byte(await replica_of(cluster, "n2"))
        key, activity = await key_of(cluster), cluster.engine("n2").activity
        activity.note_repair(RepairProgress(key=key, phase="test", percent=-1, source=None))
        report = await scrub(cluster, "n2")
        assert (report.verdict, report.action) == (Verdict.UNFINISHED, "left to repair")
        assert not cluster.nodes[NodeId("n2")].disk.damaged
        activity.note_repair_over(key)
        assert (await scrub(cluster, "n2")).verdict is Verdict.DAMAGED
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_damage_on_a_full_disk_is_set_aside_when_there_is_room() -> None:
    """Setting aside writes a note of why. Where it found no room nobody tried again: neither served nor repaired, until the
    next start.
    """

    async def story(cluster: MemoryCluster) -> None:
        disk = cluster.nodes[NodeId("n2")].disk
        disk.is_full = True
        flip_byte(await replica_of(cluster, "n2"))
        report = await scrub(cluster, "n2")
        assert (report.verdict, report.kept) == (Verdict.DAMAGED, "")
        assert report.action.startswith("out of use")
        await cluster.clock.sleep(60_000)
        assert (await cluster.record(NAME)).inconsistent == {"n2"}
        disk.is_full = False
        await cluster.wait_until_consistent(NAME)
        assert len(disk.damaged) == 1
        assert await cluster.read("n2", NAME) == B

    play(story)


@pytest.mark.parametrize("harm", [edit_reference, lose_state])
def test_a_node_starts_with_a_damaged_replica_on_a_full_disk(harm: Callable[[MemoryReplica], None]) -> None:
    async def story(cluster: MemoryCluster) -> None:
        disk = cluster.nodes[NodeId("n2")].disk
        await cluster.crash("n2")
        harm(await replica_of(cluster, "n2"))
        disk.is_full = True
        await cluster.restart("n2")
        assert (await cluster.record(NAME)).inconsistent == {"n2"}
        with pytest.raises(ReplicaBehind):
            await cluster.read("n2", NAME)
        disk.is_full = False
        await cluster.wait_until_consistent(NAME)
        assert len(disk.damaged) == 1
        assert await cluster.read("n2", NAME) == B

    play(story)


def test_a_replica_that_is_known_to_be_damaged_neither_votes_nor_leads() -> None:
    """Its vote promises what is about to be moved out of the way. Here the catalog holds its exclusion up."""

    async def story(cluster: MemoryCluster) -> None:
        is_cut = False

        async def cut(_call: CatalogCall) -> None:
            if is_cut:
                raise CatalogUnavailable("out of reach")

        cluster.hooks[NodeId("n2")] = cut
        await cluster.crash("n2")
        engine = await cluster.restart("n2")
        await cluster.wait_until_consistent(NAME)
        is_cut = True
        flip_byte(await replica_of(cluster, "n2"))
        engine.repairs.take_out(await key_of(cluster), "a test says so")
        assert (await cluster.set_ref("n1", NAME, C)).record.inconsistent == {"n2"}
        await cluster.catalog.transact([], [_believing(await cluster.record(NAME))])
        is_cut = False
        with pytest.raises(ReplicaBehind):
            await cluster.set_ref("n2", NAME, A)
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == C

    play(story)


def _believing(record: Record) -> Put:
    """As if nobody had listed anyone."""
    return Put(keys.record_key(record.repository), encode_record(replace(record, inconsistent=frozenset())))


def test_a_node_starts_with_a_replica_that_it_may_not_read_and_serves_the_others() -> None:
    """Somebody ran git there as another user. The whole node did not start for that."""

    async def story(cluster: MemoryCluster) -> None:
        other = "demo/other"
        await cluster.create("n1", other)
        await cluster.wait_until_consistent(other)
        replica = await replica_of(cluster, "n2")
        await cluster.crash("n2")
        replica.trouble = "Permission denied"
        await cluster.restart("n2")
        assert (await cluster.record(NAME)).inconsistent == {"n2"}
        assert (await cluster.record(other)).inconsistent == frozenset()
        with pytest.raises(ReplicaBehind):
            await cluster.read("n2", NAME)
        assert await cluster.read("n2", other) is None
        assert (await cluster.set_ref("n1", NAME, C)).record.inconsistent == {"n2"}
        await cluster.clock.sleep(60_000)
        assert cluster.nodes[NodeId("n2")].disk.damaged == []
        replica.trouble = ""
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == C

    play(story)
