"""No consistent replica is left: an operator chooses one, on memory adapters, with every step interrupted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from meshnode.base.errors import Fenced, InvalidRequest, MeshError, OutcomeUnknown, ReadOnly, ReplicaBehind
from meshnode.base.ids import Generation, NodeId, RepositoryName, RoundId
from meshnode.catalog.memory import CatalogCall, Moment
from meshnode.core import keys
from meshnode.core.record import encode_record
from meshnode.core.round import ReplicaKey
from meshnode.git.stores import REBASE_STATE
from meshnode.ports import LossPlan, Put
from tests.sim.memory_cluster import MAIN, MemoryCluster
from tests.sim.virtual_time import run_virtual

A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40
NAME = "demo/one"

Story = Callable[[MemoryCluster], Awaitable[None]]


def play(story: Story) -> None:
    """A cluster where n3 has A at generation 2, and n1 and n2 had C at generation 4 and lost their disks."""

    async def run() -> None:
        cluster = MemoryCluster(["n1", "n2", "n3"])
        await cluster.start()
        try:
            await cluster.create("n1", NAME)
            await cluster.set_ref("n1", NAME, A)
            await cluster.wait_until_consistent(NAME)
            await cluster.crash("n3")
            await cluster.set_ref("n1", NAME, B)
            await cluster.set_ref("n1", NAME, C)
            await story(cluster)
        finally:
            await cluster.stop()

    run_virtual(run())


async def lose(cluster: MemoryCluster, *nodes: str) -> None:
    """Take nodes away and their disks with them; then bring n3 and them back."""
    for node in nodes:
        await cluster.crash(node)
        cluster.nodes[NodeId(node)].disk.replicas.clear()
    for node in ("n3", *nodes):
        await cluster.restart(node)


async def key_of(cluster: MemoryCluster) -> ReplicaKey:
    record = await cluster.record(NAME)
    return record.key


async def accept(cluster: MemoryCluster, node: str) -> LossPlan:
    return await cluster.engine(node).losses.accept_loss(RepositoryName(NAME), actor="application:operator")


async def plan(cluster: MemoryCluster, node: str) -> LossPlan:
    return await cluster.engine(node).losses.plan_loss(RepositoryName(NAME))


def test_the_chosen_replica_becomes_the_truth_and_the_others_are_filled_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")
        assert (await cluster.record(NAME)).inconsistent == {"n1", "n2", "n3"}
        with pytest.raises((ReadOnly, ReplicaBehind)):
            await cluster.set_ref("n3", NAME, D)
        with caplog.at_level(logging.INFO, logger="meshnode.engine"):
            done = await accept(cluster, "n3")
        assert (done.chosen_generation, done.new_generation, done.generations_lost) == (2, 5, 2)
        record = await cluster.wait_until_consistent(NAME)
        assert record.generation == 5
        for node in cluster.nodes:
            assert await cluster.read(node, NAME) == A
        assert (await cluster.set_ref("n1", NAME, D)).generation == 6
        await cluster.wait_until_consistent(NAME)

    play(story)
    audit = [record for record in caplog.records if record.message == "data_loss_accepted"]
    assert len(audit) == 1
    assert audit[0].actor == "application:operator"  # type: ignore[attr-defined]
    assert audit[0].new_generation == 5  # type: ignore[attr-defined]


def test_a_plan_names_the_rounds_that_others_still_know_and_changes_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        record = await cluster.record(NAME)
        ahead = replace(
            record, generation=Generation(9), round_id=RoundId("f" * 32), inconsistent=frozenset(cluster.nodes)
        )
        for node in ("n1", "n2"):
            await cluster.crash(node)
        await cluster.catalog.transact([], [Put(keys.record_key(record.repository), encode_record(ahead))])
        for node in ("n2", "n3"):
            await cluster.restart(node)
        found = await plan(cluster, "n3")
        assert (found.chosen_generation, found.new_generation, found.generations_lost) == (2, 10, 7)
        assert [lost.generation for lost in found.lost] == [3, 4]
        assert {lost.known_to for lost in found.lost} == {"n2"}
        assert found.lost[0].refs == (MAIN,)
        assert "no answer" in found.members[0].trouble
        assert not found.obstacle
        assert await cluster.record(NAME) == ahead

    play(story)


def test_it_is_refused_while_a_consistent_replica_answers() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.restart("n3")
        with pytest.raises(InvalidRequest, match="is consistent"):
            await accept(cluster, "n3")
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n3", NAME) == C

    play(story)


def test_one_that_comes_back_from_the_dead_with_newer_writes_is_filled_from_the_new_truth() -> None:
    async def story(cluster: MemoryCluster) -> None:
        for node in ("n1", "n2"):
            await cluster.crash(node)
        await cluster.restart("n3")
        await cluster.clock.sleep(10_000)  # their leases end
        await cluster.engine("n3").membership.refresh()
        await accept(cluster, "n3")
        await cluster.clock.sleep(5_000)
        assert await cluster.read("n3", NAME) == A
        for node in ("n1", "n2"):
            await cluster.restart(node)
        record = await cluster.wait_until_consistent(NAME)
        assert record.generation == 5
        assert await cluster.read("n1", NAME) == A

    play(story)


def test_a_believed_node_that_is_online_and_cut_off_is_an_obstacle() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await cluster.restart("n3")
        for node in ("n1", "n2"):
            cluster.links.cut(NodeId("n3"), NodeId(node))
        with pytest.raises(InvalidRequest, match="online but did not answer"):
            await accept(cluster, "n3")
        cluster.links.mend_all()
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_a_node_without_a_replica_cannot_be_chosen() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")
        with pytest.raises(InvalidRequest, match="no replica to make the truth"):
            await accept(cluster, "n1")

    play(story)


def test_a_death_between_the_record_and_the_disk_is_mended_by_asking_again() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")
        cluster.nodes[NodeId("n3")].disk.is_full = True
        with pytest.raises(MeshError, match="no space"):
            await accept(cluster, "n3")
        record = await cluster.record(NAME)
        assert record.generation == 5
        assert record.inconsistent == {"n1", "n2", "n3"}
        with pytest.raises((ReadOnly, ReplicaBehind)):
            await cluster.read("n3", NAME)
        cluster.nodes[NodeId("n3")].disk.is_full = False
        assert (await accept(cluster, "n3")).new_generation == 6
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n2", NAME) == A

    play(story)


def test_a_death_behind_the_deciding_step_on_disk_is_finished_by_the_next_start() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")
        await cluster.crash("n3")

        def die(name: str) -> None:
            if name == REBASE_STATE:
                raise MeshError("dead")

        cluster.nodes[NodeId("n3")].step = die
        await cluster.restart("n3")
        with pytest.raises(MeshError, match="dead"):
            await accept(cluster, "n3")
        cluster.nodes[NodeId("n3")].step = lambda _name: None
        await cluster.crash("n3")
        await cluster.restart("n3")
        assert (await cluster.wait_until_consistent(NAME)).generation == 5
        assert await cluster.read("n1", NAME) == A

    play(story)


@pytest.mark.parametrize("moment", list(Moment))
def test_an_unknown_outcome_is_found_out_or_told(moment: Moment) -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")

        async def hook(call: CatalogCall) -> None:
            if call.operation == "transact" and call.moment is moment:
                raise OutcomeUnknown("lost")

        cluster.engine("n3").world.catalog.hook = hook  # type: ignore[attr-defined]
        if moment is Moment.BEFORE:
            with pytest.raises(OutcomeUnknown):
                await accept(cluster, "n3")
        else:
            await accept(cluster, "n3")
        cluster.engine("n3").world.catalog.hook = None  # type: ignore[attr-defined]
        if moment is Moment.BEFORE:
            await accept(cluster, "n3")
        await cluster.wait_until_consistent(NAME)
        assert await cluster.read("n1", NAME) == A

    play(story)


def test_of_two_who_choose_at_once_one_is_told_that_the_record_changed() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")
        engine = cluster.engine("n3")
        found = await plan(cluster, "n3")
        at = await engine.records.read(await key_of(cluster))
        await accept(cluster, "n3")
        with pytest.raises(Fenced):
            await engine.losses._accept(await key_of(cluster), at, found, "second")
        await cluster.wait_until_consistent(NAME)

    play(story)


def test_rounds_of_the_old_line_are_forgotten_by_the_new_one() -> None:
    async def story(cluster: MemoryCluster) -> None:
        await lose(cluster, "n1", "n2")
        await accept(cluster, "n3")
        record = await cluster.wait_until_consistent(NAME)
        assert record.recent == (record.round_id,)
        history = await cluster.engine("n3").participant.history(await key_of(cluster), Generation(2))
        assert not history
        assert record.round_id != RoundId("")

    play(story)
