"""One suite for `ReplicaReader.inspect`: what the files say now, whatever this process remembers."""

from __future__ import annotations

import shutil

import pytest

from meshnode.base.errors import Corrupt
from meshnode.base.ids import Generation
from tests.contract.replica_fixtures import FORK, KEY, MAIN, SIDE, Disk, GitTestDisk, Writes, created, write


async def test_an_inspection_of_nothing_finds_no_replica(disk: Disk) -> None:
    seen = await disk.open().reader.inspect(KEY, is_deep=True)
    assert (seen.state, seen.refs_digest, seen.problems) == (None, None, ())


async def test_a_sound_replica_shows_its_state_and_no_problems(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    state = await write(stores, writes, writes.update({MAIN: objects.third}), disk.pack([objects.third]))
    seen = await stores.reader.inspect(KEY, is_deep=True)
    assert seen.state == state
    assert seen.refs_digest == state.refs_digest
    assert seen.problems == ()


async def test_an_inspection_sees_a_reference_that_memory_does_not_know(disk: Disk) -> None:
    stores = disk.open()
    writes = await created(stores)
    objects = disk.objects
    state = await write(stores, writes, writes.update({MAIN: objects.third}), disk.pack([objects.third]))
    await stores.reader.snapshot(KEY)
    disk.break_ref(KEY, MAIN, objects.first)
    seen = await stores.reader.inspect(KEY, is_deep=False)
    assert seen.state == state
    assert seen.refs_digest != state.refs_digest


async def test_an_unreadable_state_is_corrupt_although_memory_has_it(disk: Disk) -> None:
    stores = disk.open()
    await created(stores)
    disk.break_state(KEY)
    with pytest.raises(Corrupt):
        await stores.reader.inspect(KEY, is_deep=False)


async def test_files_rolled_back_under_the_process_show_their_own_position(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.first}), git_disk.pack([objects.first]))
    place = git_disk.repository(KEY)
    copy = place.with_name("copy")
    shutil.copytree(place, copy)
    await write(stores, writes, writes.update({SIDE: objects.first}))
    shutil.rmtree(place)
    copy.rename(place)
    seen = await stores.reader.inspect(KEY, is_deep=False)
    remembered = await stores.store.load(KEY)
    assert seen.state is not None
    assert remembered is not None
    assert (seen.state.generation, remembered.generation) == (2, 3)


async def test_a_flipped_byte_in_a_pack_is_a_problem_of_its_owner_and_not_of_its_fork(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.third}), git_disk.pack([objects.third]))
    fork = Writes(FORK)
    round_ = fork.create(fork_parent=KEY.repository, fork_generation=Generation(2))
    await stores.store.prepare(round_)
    await stores.store.apply(fork.publish(round_))
    pack = next((git_disk.repository(KEY) / "objects" / "pack").glob("*.pack"))
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[-1] ^= 0xFF
    pack.write_bytes(data)
    assert (await stores.reader.inspect(KEY, is_deep=True)).problems
    assert (await stores.reader.inspect(FORK, is_deep=True)).problems == ()
    assert await stores.reader.fsck(FORK)
