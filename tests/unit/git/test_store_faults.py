"""Full disks, cancelled callers and callers at once: nothing half done is believed, nothing is left running."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, MeshError, Overloaded, ReplicaBehind
from meshnode.base.ids import HEAD, RefName, RefValue, symbolic
from meshnode.core.round import WriteKind
from meshnode.git import durable
from meshnode.git.disk import disk_errors, finish_once_begun, on_disk, write_durable
from meshnode.git.durable import Change
from meshnode.git.snapshot import SnapshotCache, snapshot_of
from meshnode.git.stores import APPLY_OBJECTS, APPLY_REFS, PREPARE_OBJECTS
from tests.contract.replica_fixtures import (
    FORK,
    KEY,
    MAIN,
    SIDE,
    Crash,
    GitTestDisk,
    Writes,
    crash_at,
    created,
    git_disk,
    ingest,
    source,
    write,
)

__all__ = ["git_disk", "source"]


def full_at(wanted: str) -> Callable[[str], None]:
    """A disk that is full from the step `wanted` on."""

    def step(name: str) -> None:
        if name == wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return step


async def test_a_full_disk_while_preparing_leaves_nothing(git_disk: GitTestDisk) -> None:
    writes = await created(git_disk.open())
    stores = git_disk.open(step=full_at(PREPARE_OBJECTS))
    round_ = writes.update({MAIN: git_disk.objects.first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([git_disk.objects.first]))

    with pytest.raises(Overloaded, match="no space left on device"):
        await stores.store.prepare(round_)

    assert list((git_disk.repository(KEY) / "mesh" / "journal").iterdir()) == []
    assert list((git_disk.data / "incoming").iterdir()) == []
    state = await stores.store.load(KEY)
    assert state is not None
    assert state.prepared == ()


async def test_a_full_disk_while_creating_leaves_nothing(git_disk: GitTestDisk) -> None:
    stores = git_disk.open(step=full_at(PREPARE_OBJECTS))

    with pytest.raises(Overloaded):
        await stores.store.prepare(Writes().create())

    assert await stores.store.list_replicas() == []
    assert list((git_disk.data / "incoming").iterdir()) == []
    assert not git_disk.repository(KEY).exists()


async def test_a_full_disk_while_setting_aside_leaves_the_replica_where_it_is(git_disk: GitTestDisk) -> None:
    """The note of why finds no room; later it does."""
    await created(git_disk.open())
    stores = git_disk.open()

    @contextmanager
    def no_room(change: Change) -> Iterator[None]:
        if change.path.name.startswith("set-aside"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield

    durable.observe(no_room)
    try:
        with pytest.raises(Overloaded):
            await stores.store.set_aside(KEY, "testing")
    finally:
        durable.observe(None)
    assert await stores.store.list_replicas() == [KEY]
    assert list((git_disk.data / "damaged").iterdir()) == []
    await stores.store.set_aside(KEY, "testing")
    assert len(list((git_disk.data / "damaged").iterdir())) == 1
    assert await stores.store.list_replicas() == []


async def test_a_replica_that_may_not_be_read_is_there_and_says_why(
    git_disk: GitTestDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Denied as by a directory of somebody else's; tests may run as a user whom nothing is denied."""
    await created(git_disk.open())
    stores = git_disk.open()

    def deny(what: Callable[[Path], object]) -> Callable[[Path], object]:
        def denied(path: Path) -> object:
            if KEY.repository in path.parts:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return what(path)

        return denied

    monkeypatch.setattr(Path, "exists", deny(Path.exists))
    monkeypatch.setattr(Path, "read_bytes", deny(Path.read_bytes))
    assert await stores.store.list_replicas() == [KEY]
    with pytest.raises(MeshError, match="file operation failed") as told:
        await stores.store.load(KEY)
    assert not isinstance(told.value, Corrupt)


async def test_a_full_disk_while_applying_is_got_over_later(git_disk: GitTestDisk) -> None:
    writes = await created(git_disk.open())
    stores = git_disk.open(step=full_at(APPLY_OBJECTS))
    round_ = writes.update({MAIN: git_disk.objects.first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([git_disk.objects.first]))
    await stores.store.prepare(round_)

    with pytest.raises(Overloaded):
        await stores.store.apply(round_)
    assert (await stores.reader.snapshot(KEY)).refs == {HEAD: symbolic(MAIN)}

    stores = git_disk.open()
    assert (await stores.store.apply(writes.publish(round_))).generation == 2


async def test_a_replica_between_two_generations_is_behind_not_corrupt(git_disk: GitTestDisk) -> None:
    writes = await created(git_disk.open())
    stores = git_disk.open(step=crash_at(APPLY_REFS))
    round_ = writes.update({MAIN: git_disk.objects.first}, has_pack=True)
    await ingest(stores, round_, git_disk.pack([git_disk.objects.first]))
    await stores.store.prepare(round_)
    with pytest.raises(Crash):
        await stores.store.apply(round_)

    with pytest.raises(ReplicaBehind, match="between two generations"):
        await stores.reader.snapshot(KEY)
    await stores.store.apply(writes.publish(round_))
    assert (await stores.reader.snapshot(KEY)).refs == writes.refs


async def test_a_cancelled_apply_is_finished_before_its_caller_goes(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    first = git_disk.objects.first
    await write(stores, writes, writes.update({MAIN: first}), git_disk.pack([git_disk.objects.third]))
    for number in range(8):
        oid = git_disk.objects.second if number % 2 == 0 else first
        round_ = writes.update({MAIN: oid})
        await stores.store.prepare(round_)
        applying = asyncio.ensure_future(stores.store.apply(writes.publish(round_)))
        for _ in range(number * 3):
            await asyncio.sleep(0)
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying

        state = await stores.store.load(KEY)
        assert state is not None
        if number == 0:  # cancelled before it began: nothing happened
            assert state.generation == round_.base_generation
            await stores.store.apply(round_)
        else:
            assert (state.generation, state.prepared) == (round_.generation, ())
    assert await stores.reader.digest_on_disk(KEY) == writes.digest
    assert (await stores.reader.snapshot(KEY)).refs == writes.refs


async def test_readers_at_any_moment_see_one_generation_or_the_other(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.first}), git_disk.pack([objects.third]))
    seen: dict[int, Mapping[RefName, RefValue]] = {}
    is_over = False

    async def read() -> None:
        while not is_over:
            snapshot = await stores.reader.snapshot(KEY)
            assert seen.setdefault(snapshot.generation, snapshot.refs) == snapshot.refs
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(3)]
        for number in range(12):
            oid = (objects.first, objects.second, objects.third)[number % 3]
            await write(stores, writes, writes.update({MAIN: oid, SIDE: oid}))
        is_over = True
    assert all(reader.done() for reader in readers)
    assert (await stores.reader.snapshot(KEY)).generation == 14


async def test_rounds_prepared_at_once_are_all_in_the_journal(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    made = [writes.update({}) for _ in range(10)]
    async with asyncio.TaskGroup() as group:
        for round_ in made:
            group.create_task(stores.store.prepare(round_))

    state = await git_disk.open().store.load(KEY)
    assert state is not None
    assert state.prepared == tuple(made)


@pytest.mark.parametrize("is_first_touch", [True, False])
async def test_a_fork_is_made_before_its_parents_delete_or_not_at_all(
    git_disk: GitTestDisk, is_first_touch: bool
) -> None:
    stores = git_disk.open()
    parent = await created(stores)
    first = git_disk.objects.first
    await write(stores, parent, parent.update({MAIN: first}), git_disk.pack([first]))
    delete = parent.draft(WriteKind.DELETE)
    await stores.store.prepare(delete)
    if is_first_touch:
        stores = git_disk.open()
    fork = Writes(FORK).draft(WriteKind.CREATE, {HEAD: symbolic(MAIN), MAIN: first}, fork_parent=KEY.repository)

    forking = asyncio.ensure_future(stores.store.prepare(fork))
    deleting = asyncio.ensure_future(stores.store.apply(delete))
    async with asyncio.timeout(30):
        forked, deleted = await asyncio.gather(forking, deleting, return_exceptions=True)

    assert not isinstance(deleted, BaseException)
    if forked is None:
        await stores.store.apply(fork)
        assert await stores.packs.missing(FORK, [first]) == []
    else:
        assert isinstance(forked, ReplicaBehind)
        assert await stores.store.list_replicas() == []


async def test_work_on_disk_ends_before_its_cancelled_caller_does() -> None:
    started, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        await release.wait()
        ended.set()
        raise MeshError("nobody is left to hear this")

    caller = asyncio.ensure_future(finish_once_begun(work()))
    await started.wait()
    caller.cancel()
    await asyncio.sleep(0)
    caller.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, Overloaded), (errno.EDQUOT, Overloaded), (errno.EIO, Corrupt), (errno.EACCES, MeshError)],
)
async def test_errors_of_the_system_become_ours(number: int, kind: type[MeshError]) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "file")

    with pytest.raises(MeshError) as found:
        await on_disk(fail)
    assert type(found.value) is kind
    with pytest.raises(kind), disk_errors():
        fail()


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durable(path, b"old")
    (tmp_path / "file.tmp").mkdir()

    with pytest.raises(OSError, match="Is a directory"):
        write_durable(path, b"new")
    assert path.read_bytes() == b"old"


def test_snapshots_in_memory_are_bounded_by_their_references() -> None:
    cache = SnapshotCache(refs_max=5)
    keys = [replace(KEY, repository=digit * 32) for digit in "abc"]  # type: ignore[arg-type]
    two = snapshot_of(1, {HEAD: symbolic(MAIN), MAIN: "1" * 40}, {}, "sha1")  # type: ignore[arg-type,dict-item]
    cache.put(keys[0], two)
    cache.put(keys[1], two)
    assert cache.get(keys[0]) is two
    cache.put(keys[2], two)

    assert [cache.get(key) is not None for key in keys] == [True, False, True]
    cache.drop(keys[0])
    cache.drop(keys[0])
    cache.put(keys[1], two)
    assert [cache.get(key) is not None for key in keys] == [False, True, True]


async def test_opening_again_throws_quarantines_and_the_trash_away(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    await ingest(stores, writes.update({}), git_disk.pack([git_disk.objects.first]))

    stores = git_disk.open()

    assert list((git_disk.data / "incoming").iterdir()) == []
    assert list((git_disk.data / "trash").iterdir()) == []
    assert await stores.store.load(KEY) is not None
