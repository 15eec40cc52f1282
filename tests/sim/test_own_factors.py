"""Repositories with a replication factor of their own, on production engines in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.errors import Fenced, InvalidRequest, ReplicaBehind
from meshnode.base.ids import PartitionId, RepositoryName
from meshnode.core import keys
from meshnode.core.partition import encode_partition
from meshnode.core.record import Record
from meshnode.core.write import Finish, Outcome, PublishConflict, RecordRead, VoteGranted, WriteRound
from meshnode.ports import Put
from tests.sim.memory_cluster import MAIN, PARTITIONS, MemoryCluster, play_on_five
from tests.unit.core.builders import N1, N2, N3, a_partition, a_round


async def create(cluster: MemoryCluster, name: str, factor: int = 0, at: str = "n1") -> Record:
    made = await cluster.engine(at).writes.create(
        RepositoryName(name), object_format="sha1", default_branch=MAIN, request_key="", actor="t",
        replication_factor=factor,
    )  # fmt: skip
    return made.record


def test_a_repository_created_with_a_factor_gets_a_partition_that_has_it() -> None:
    async def story(cluster: MemoryCluster) -> None:
        five = await create(cluster, "demo/five", 5)
        assert (await cluster.wait_until_replicas("demo/five", 5)).factor == 5
        again = await create(cluster, "demo/also", 5, at="n2")
        assert again.partition == five.partition, "there is one that has it"
        one = await create(cluster, "demo/one", 1, at="n3")
        assert one.partition != five.partition
        assert len((await cluster.wait_until_replicas("demo/one", 1)).replicas) == 1
        plain = [await create(cluster, f"demo/plain{number}") for number in range(12)]
        assert not {one.partition, five.partition} & {record.partition for record in plain}, "nobody else goes there"
        fork = await cluster.engine("n1").writes.fork(
            RepositoryName("demo/five"), RepositoryName("demo/fork"), request_key="", actor="t"
        )
        assert fork.record.partition == five.partition, "a family lives together"

    play_on_five(story)


def test_a_wish_that_cannot_be_had_says_why_and_creates_nothing() -> None:
    async def story(cluster: MemoryCluster) -> None:
        for factor in (6, 9, 10):
            with pytest.raises(InvalidRequest):
                await create(cluster, "demo/more", factor)
        with pytest.raises(ReplicaBehind, match="none is empty"):
            await create(cluster, "demo/elsewhere", 2, at="n5")
        for number in range(60):
            await create(cluster, f"demo/{number}")
        with pytest.raises(ReplicaBehind, match="none is empty"):
            await create(cluster, "demo/late", 5)
        for number in range(PARTITIONS):
            assert (await cluster.partition(PartitionId(number))).factor is None

    play_on_five(story)


def test_nobody_is_created_in_a_partition_whose_factor_changed_behind_the_choice() -> None:
    async def story(cluster: MemoryCluster) -> None:
        place = cluster.engine("n1").writes.places.draw()
        at = await cluster.partition(place.key.home)
        place.check(at)
        changed = replace(at, factor=1)
        with pytest.raises(Fenced, match="factor has changed"):
            place.check(changed)
        await cluster.catalog.transact([], [Put(keys.partition_key(at.partition), encode_partition(changed))])
        engine = cluster.engine("n1")
        engine.membership._partitions = dict.fromkeys(engine.membership.partitions(), at)  # it has not heard
        engine.writes.places.draw = lambda: place  # type: ignore[method-assign]
        with pytest.raises(Fenced):
            await create(cluster, "demo/late")

    play_on_five(story)


def test_a_create_is_not_published_to_a_partition_whose_factor_changed_since() -> None:
    partition = a_partition(N1, N2, N3)
    for factor, outcome in ((None, None), (5, Outcome.FENCED)):
        machine = WriteRound(round=a_round(0), own=N1, base=None, partition=partition, invited=frozenset({N1, N2, N3}))
        for node in (N1, N2, N3):
            machine.on(VoteGranted(node))
        machine.on(PublishConflict())
        effects = machine.on(RecordRead(None, replace(partition, factor=factor)))
        finish = effects[-1]
        assert (finish.outcome if isinstance(finish, Finish) else None) == outcome
