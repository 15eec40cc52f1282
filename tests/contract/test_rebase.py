"""One suite for `ReplicaStore.rebase`: another position, the same references, decided by one durable step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshnode.base.errors import InvariantViolated, RepositoryNotFound
from meshnode.base.ids import Generation, RefsDigest, RoundId
from meshnode.git.stores import REBASE_STATE, Stores
from meshnode.ports import ReplicaState
from tests.contract.replica_fixtures import KEY, MAIN, SIDE, Crash, Disk, Writes, crash_at, created, write

ROUND = RoundId("f" * 32)


async def two_writes(disk: Disk, stores: Stores) -> tuple[Writes, ReplicaState]:
    """A replica at generation 2 with one more round in its journal."""
    writes = await created(stores)
    first = disk.objects.first
    state = await write(stores, writes, writes.update({MAIN: first}), disk.pack([first]))
    await stores.store.prepare(writes.update({SIDE: first}))
    return writes, state


def moved(state: ReplicaState) -> ReplicaState:
    """The same replica as generation 9."""
    return replace(state, generation=Generation(9), round_id=ROUND, prepared=())


async def test_a_rebase_keeps_references_and_forgets_the_old_line(disk: Disk) -> None:
    stores = disk.open()
    writes, state = await two_writes(disk, stores)
    await stores.store.rebase(moved(state))
    for opened in (stores, disk.open()):
        found = await opened.store.load(KEY)
        assert found == moved(state)
        snapshot = await opened.reader.snapshot(KEY)
        assert (snapshot.generation, snapshot.refs) == (9, writes.refs)
        assert await opened.reader.history(KEY, Generation(1)) == []
        assert await opened.reader.digest_on_disk(KEY) == state.refs_digest


async def test_writes_go_on_from_the_new_position(disk: Disk) -> None:
    stores = disk.open()
    writes, state = await two_writes(disk, stores)
    await stores.store.rebase(moved(state))
    round_ = replace(writes.update({SIDE: disk.objects.first}), base_generation=Generation(9), base_round_id=ROUND)
    await stores.store.prepare(round_)
    after = await stores.store.apply(round_)
    assert after.generation == 10
    assert await stores.reader.history(KEY, Generation(9)) == [round_]
    fresh = await disk.open().store.load(KEY)
    assert fresh is not None
    assert fresh.generation == 10


async def test_a_crash_behind_the_deciding_step_leaves_the_new_position_and_no_gap(disk: Disk) -> None:
    stores = disk.open()
    writes, state = await two_writes(disk, stores)
    dying = disk.open(step=crash_at(REBASE_STATE))
    with pytest.raises(Crash):
        await dying.store.rebase(moved(state))
    stores = disk.open()
    found = await stores.store.load(KEY)
    assert found is not None
    assert (found.generation, found.round_id) == (9, ROUND)
    round_ = replace(writes.update({SIDE: disk.objects.first}), base_generation=Generation(9), base_round_id=ROUND)
    await stores.store.prepare(round_)
    await stores.store.apply(round_)
    assert await stores.reader.history(KEY, Generation(1)) == []
    assert await stores.reader.history(KEY, Generation(9)) == [round_]


async def test_a_position_never_goes_back_and_references_stay(disk: Disk) -> None:
    stores = disk.open()
    _, state = await two_writes(disk, stores)
    for wrong in (
        replace(state, generation=Generation(2), round_id=ROUND),
        replace(moved(state), refs_digest=RefsDigest("e" * 64)),
    ):
        with pytest.raises(InvariantViolated, match="I4"):
            await stores.store.rebase(wrong)
    found = await stores.store.load(KEY)
    assert found is not None
    assert found.generation == state.generation


async def test_without_a_replica_there_is_nothing_to_rebase(disk: Disk) -> None:
    stores = disk.open()
    _, state = await two_writes(disk, stores)
    await stores.store.set_aside(KEY, "testing")
    with pytest.raises(RepositoryNotFound):
        await stores.store.rebase(moved(state))
