"""References on disk: read in every shape git leaves them in, written whole whatever stands in the way."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, Overloaded
from meshnode.base.ids import HEAD, ObjectId, RefName, RefValue, symbolic
from meshnode.core.refs import RefEdit
from meshnode.git.command import GitCommands
from meshnode.git.layout import write_skeleton
from meshnode.git.refs import read_refs, remove_stale_locks, write_packed, write_symbolic
from meshnode.git.transaction import FEW_EDITS_MAX, read_disk, write_edits
from tests.contract.replica_fixtures import (
    KEY,
    MAIN,
    SIDE,
    TAG,
    GitTestDisk,
    Objects,
    Source,
    created,
    git,
    git_disk,
    source,
    write,
)

__all__ = ["git_disk", "source"]


@pytest.fixture
def repository(tmp_path: Path, source: Source) -> Path:
    """An empty bare repository with the objects of the source."""
    path = tmp_path / "repository.git"
    write_skeleton(path, "sha1", f"{source.git_dir}/objects\n")
    return path


def set_ref(repository: Path, name: str, value: str) -> None:
    git("update-ref", "--no-deref", name, value, git_dir=repository)


async def refs_of(repository: Path) -> dict[str, str]:
    """Direct references as git lists them."""
    await asyncio.sleep(0)
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", git_dir=repository).decode().splitlines()
    return {line.split(" ")[0]: line.split(" ")[1] for line in lines}


async def test_a_new_repository_has_no_references(repository: Path) -> None:
    assert read_refs(repository, "sha1").refs == {}


async def test_loose_references_hide_packed_ones(repository: Path, source: Source) -> None:
    objects = source.objects
    set_ref(repository, MAIN, objects.first)
    set_ref(repository, SIDE, objects.first)
    git("pack-refs", "--all", git_dir=repository)
    set_ref(repository, MAIN, objects.second)
    write_symbolic(repository, HEAD, symbolic(MAIN))

    disk = read_refs(repository, "sha1")

    assert disk.refs == {HEAD: symbolic(MAIN), MAIN: objects.second, SIDE: objects.first}


async def test_tags_are_peeled_whether_packed_or_loose_or_packed_by_an_old_git(
    repository: Path, source: Source
) -> None:
    objects = source.objects
    commands = GitCommands()
    set_ref(repository, TAG, objects.tag)
    set_ref(repository, "refs/tags/light", objects.first)
    expected = {TAG: objects.second}

    assert (await read_disk(commands, repository, "sha1")).peeled == expected
    git("pack-refs", "--all", git_dir=repository)
    assert read_refs(repository, "sha1").peeled == expected
    assert read_refs(repository, "sha1").unpeeled == {}
    (repository / "packed-refs").write_text(f"{objects.first} refs/tags/light\n{objects.tag} {TAG}\n")
    assert (await read_disk(commands, repository, "sha1")).peeled == expected


@pytest.mark.parametrize("content", ["", "not an object id\n", "ABCDEF0123456789ABCDEF0123456789ABCDEF01\n", "1" * 39])
async def test_a_loose_file_that_holds_no_reference_is_corrupt(repository: Path, content: str) -> None:
    (repository / MAIN).write_text(content)

    with pytest.raises(Corrupt, match="no object id"):
        read_refs(repository, "sha1")


@pytest.mark.parametrize("content", [b"garbage\n", b"1" * 40 + b"\n", b"1" * 40 + b" refs/heads/cut", b"\xff\xfe\n"])
async def test_a_damaged_packed_refs_is_corrupt(repository: Path, content: bytes) -> None:
    (repository / "packed-refs").write_bytes(content)

    with pytest.raises(Corrupt, match="packed-refs"):
        read_refs(repository, "sha1")


def test_a_reference_name_that_is_not_utf8_is_corrupt(repository: Path, source: Source) -> None:
    Path(os.fsdecode(bytes(repository / "refs" / "heads") + b"/\xff")).write_text(f"{source.objects.first}\n")

    with pytest.raises(Corrupt, match="not UTF-8"):
        read_refs(repository, "sha1")


async def test_a_repository_without_head_is_corrupt(repository: Path) -> None:
    (repository / "HEAD").unlink()

    with pytest.raises(Corrupt, match="HEAD"):
        read_refs(repository, "sha1")


async def test_a_detached_head_is_read_and_written(repository: Path, source: Source) -> None:
    write_symbolic(repository, HEAD, RefValue(source.objects.first))

    assert read_refs(repository, "sha1").refs == {HEAD: RefValue(source.objects.first)}
    write_symbolic(repository, HEAD, None)
    assert read_refs(repository, "sha1").refs == {}


async def test_what_git_packs_and_what_is_written_as_packed_read_the_same(repository: Path, source: Source) -> None:
    objects = source.objects
    refs = {MAIN: RefValue(objects.third), TAG: RefValue(objects.tag), RefName("refs/x/ü"): RefValue(objects.first)}
    write_packed(repository, refs, {TAG: objects.second}, refs)
    by_us = read_refs(repository, "sha1")
    listed = await refs_of(repository)

    git("pack-refs", "--all", git_dir=repository)

    assert listed == refs == by_us.refs == read_refs(repository, "sha1").refs
    assert by_us.peeled == read_refs(repository, "sha1").peeled == {TAG: objects.second}


def edits_to(objects: Objects, count: int) -> list[RefEdit]:
    return [RefEdit(RefName(f"refs/heads/b{number:04}"), None, RefValue(objects.first)) for number in range(count)]


@pytest.mark.parametrize("count", [1, FEW_EDITS_MAX, FEW_EDITS_MAX + 1, 3000])
async def test_a_few_or_many_references_are_created_changed_and_deleted(
    repository: Path, source: Source, count: int
) -> None:
    commands, objects = GitCommands(), source.objects
    create = edits_to(objects, count)
    change = [RefEdit(edit.name, edit.new, RefValue(objects.second)) for edit in create]
    delete = [RefEdit(edit.name, edit.new, None) for edit in change]

    for edits in (create, change, delete):
        await write_edits(commands, repository, "sha1", edits)
        assert await refs_of(repository) == {edit.name: edit.new for edit in edits if edit.new}
        await write_edits(commands, repository, "sha1", edits)
        assert read_refs(repository, "sha1").refs == {edit.name: edit.new for edit in edits if edit.new}


async def test_a_name_that_goes_makes_room_for_names_below_it(repository: Path, source: Source) -> None:
    commands, objects = GitCommands(), source.objects
    old, below = RefName("refs/heads/a"), RefName("refs/heads/a/b")
    set_ref(repository, old, objects.first)

    down = [RefEdit(old, RefValue(objects.first), None), RefEdit(below, None, RefValue(objects.second))]
    await write_edits(commands, repository, "sha1", down)
    assert await refs_of(repository) == {below: objects.second}

    up = [RefEdit(below, RefValue(objects.second), None), RefEdit(old, None, RefValue(objects.third))]
    await write_edits(commands, repository, "sha1", up)
    assert await refs_of(repository) == {old: objects.third}


async def test_half_a_transaction_is_finished(repository: Path, source: Source) -> None:
    objects = source.objects
    set_ref(repository, MAIN, objects.second)
    set_ref(repository, SIDE, objects.first)

    await write_edits(
        GitCommands(),
        repository,
        "sha1",
        [
            RefEdit(MAIN, RefValue(objects.first), RefValue(objects.second)),
            RefEdit(SIDE, RefValue(objects.first), None),
            RefEdit(TAG, None, RefValue(objects.tag)),
        ],
    )

    assert await refs_of(repository) == {MAIN: objects.second, TAG: objects.tag}


async def test_a_reference_at_neither_value_stops_the_transaction(repository: Path, source: Source) -> None:
    objects = source.objects
    set_ref(repository, MAIN, objects.third)
    edits = [
        RefEdit(SIDE, None, RefValue(objects.first)),
        RefEdit(MAIN, RefValue(objects.first), RefValue(objects.second)),
    ]

    with pytest.raises(Corrupt, match="neither") as found:
        await write_edits(GitCommands(), repository, "sha1", edits)

    assert found.value.fields == {"ref": MAIN, "expected": objects.first, "actual": objects.third}
    assert await refs_of(repository) == {MAIN: objects.third}


async def test_a_reference_to_a_missing_object_is_never_written(repository: Path) -> None:
    with pytest.raises(Corrupt, match="missing object"):
        await write_edits(GitCommands(), repository, "sha1", [RefEdit(MAIN, None, RefValue("9" * 40))])

    assert await refs_of(repository) == {}


async def test_a_lock_left_by_a_dead_git_does_not_stop_an_apply(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.first}), git_disk.pack([objects.third]))
    lock = git_disk.repository(KEY) / f"{MAIN}.lock"
    lock.touch()

    await write(stores, writes, writes.update({MAIN: objects.second}))

    assert await refs_of(git_disk.repository(KEY)) == {MAIN: objects.second}
    await git_disk.open().store.purge(KEY)
    assert not lock.exists()


async def test_locks_and_temporary_files_of_an_earlier_run_are_removed_once(git_disk: GitTestDisk) -> None:
    await created(git_disk.open())
    repository = git_disk.repository(KEY)
    left = [
        repository / name
        for name in (
            "HEAD.lock",
            "packed-refs.lock",
            "packed-refs.new",
            "refs/heads/x/y.lock",
            "objects/pack/tmp_pack_1",
        )
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    store = git_disk.open().store

    await store.purge(KEY)
    assert not any(path.exists() for path in left)
    left[0].touch()
    await store.purge(KEY)
    assert left[0].exists()
    remove_stale_locks(repository)
    assert not left[0].exists()


async def test_a_writer_waits_for_housekeeping_to_release_its_lock(repository: Path, source: Source) -> None:
    objects = source.objects
    edits = edits_to(objects, FEW_EDITS_MAX + 1)
    lock = repository / "packed-refs.lock"
    lock.touch()
    writing = asyncio.ensure_future(write_edits(GitCommands(), repository, "sha1", edits))
    done, _ = await asyncio.wait([writing], timeout=0.2)
    assert not done

    lock.unlink()
    await asyncio.wait_for(writing, 10)

    assert len(await refs_of(repository)) == len(edits)


def test_a_lock_that_is_never_released_is_told(repository: Path, source: Source) -> None:
    (repository / "packed-refs.lock").touch()

    with pytest.raises(Overloaded, match="stays locked"):
        write_packed(repository, {MAIN: RefValue(source.objects.first)}, {}, [MAIN], lock_wait_s=0.05)

    assert read_refs(repository, "sha1").refs == {}


async def test_snapshots_of_many_references_move_on_by_edits_in_name_order(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    objects = git_disk.objects
    many = {RefName(f"refs/heads/m{number:03}"): objects.first for number in range(150)}
    await write(stores, writes, writes.update({**many, TAG: objects.tag}), git_disk.pack([objects.second, objects.tag]))
    await stores.reader.snapshot(KEY)
    gone: dict[RefName, ObjectId | None] = dict.fromkeys(list(many)[10:90])
    await write(stores, writes, writes.update({**gone, RefName("refs/heads/m010/below"): objects.first}))
    await write(stores, writes, writes.update({RefName("refs/a/b"): objects.tag, TAG: objects.first}))

    snapshot = await stores.reader.snapshot(KEY)

    assert snapshot == await git_disk.open().reader.snapshot(KEY)
    assert list(snapshot.names) == sorted(name for name in writes.refs if name != HEAD)
    assert snapshot.peeled == {RefName("refs/a/b"): objects.second}
    assert replace(snapshot, generation=snapshot.generation) == snapshot
