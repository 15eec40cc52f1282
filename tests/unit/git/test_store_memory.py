"""Faults that tests of the engine plant in memory: full disks, damage, crashes."""

from __future__ import annotations

import pytest

from meshnode.base.errors import Overloaded
from meshnode.base.ids import HEAD, symbolic
from tests.contract.replica_fixtures import KEY, MAIN, MemoryTestDisk, created, ingest, write


async def test_a_full_disk_refuses_every_write_and_loses_nothing() -> None:
    disk = MemoryTestDisk()
    stores = disk.open()
    writes = await created(stores)
    first = disk.objects.first
    pending = writes.update({MAIN: first}, has_pack=True)
    unprepared = writes.update({MAIN: first}, has_pack=True)
    await ingest(stores, pending, disk.pack([first]))
    await stores.store.prepare(pending)
    await ingest(stores, unprepared, disk.pack([first]))
    state = await stores.store.load(KEY)
    assert state is not None

    disk.disk.is_full = True
    for attempt in (
        stores.store.prepare(unprepared),
        stores.store.apply(pending),
        stores.store.replace(state, (await stores.reader.snapshot(KEY)).refs, None),
        ingest(stores, unprepared, disk.pack([first])),
    ):
        with pytest.raises(Overloaded, match="no space left"):
            await attempt
    assert await stores.store.load(KEY) == state

    disk.disk.is_full = False
    assert (await stores.store.apply(writes.publish(pending))).generation == 2


async def test_planted_damage_is_told_and_a_sync_ends_it() -> None:
    disk = MemoryTestDisk()
    stores = disk.open()
    writes = await created(stores)
    state = await write(stores, writes, writes.update({MAIN: disk.objects.first}), disk.pack([disk.objects.first]))
    disk.disk.replicas[KEY].problems.append("error: planted")
    assert await stores.reader.fsck(KEY) == ["error: planted"]

    refs = {HEAD: symbolic(MAIN), **writes.refs}
    await stores.store.replace(state, refs, None)

    assert await stores.reader.fsck(KEY) == []


async def test_a_reference_to_an_object_that_is_not_here_is_damage() -> None:
    disk = MemoryTestDisk()
    stores = disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: disk.objects.first}), disk.pack([disk.objects.first]))
    disk.disk.replicas[KEY].objects.clear()

    assert await stores.reader.fsck(KEY) == [f"error: {MAIN}: invalid sha1 pointer {disk.objects.first}"]
