"""Combining packs loses no object, waits for checks, leaves other packs alone and survives what breaks half way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, RepositoryNotFound
from meshnode.core.upkeep import PackFacts
from meshnode.git.command import GitCommands
from meshnode.git.stores import Stores
from tests.contract.replica_fixtures import (
    KEY,
    MAIN,
    GitTestDisk,
    Writes,
    git,
    git_disk,
    make_source,
    source,
    write,
)
from tests.unit.git.processes import children

__all__ = ["git_disk", "source"]

PUSHES = 12


async def many_packs(disk: GitTestDisk, object_format: str = "sha1") -> Stores:
    """A replica with one pack of reachable objects and `PUSHES` small ones of unreachable objects."""
    stores = disk.open()
    writes = Writes(KEY, object_format)
    await write(stores, writes, writes.create())
    await write(stores, writes, writes.update({MAIN: disk.objects.third}), disk.pack([disk.objects.third]))
    for number in range(PUSHES):
        add_pack(disk.repository(KEY), f"unreachable {number}\n")
    return stores


def add_pack(repository: Path, text: str) -> str:
    """A pack of one blob; the blob's id."""
    oid = git("hash-object", "-w", "--stdin", git_dir=repository, stdin=text.encode()).decode().strip()
    git("pack-objects", "-q", str(repository / "objects/pack/pack"), git_dir=repository, stdin=f"{oid}\n".encode())
    git("prune-packed", "-q", git_dir=repository)
    return oid


def objects(repository: Path) -> set[bytes]:
    listed = git("cat-file", "--batch-all-objects", "--batch-check", "--unordered", git_dir=repository)
    return set(listed.splitlines())


def pack_files(repository: Path) -> set[str]:
    return {path.name for path in (repository / "objects" / "pack").iterdir()}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_nothing_is_lost_reachable_or_not(tmp_path: Path, object_format: str) -> None:
    disk = GitTestDisk(tmp_path / "data", make_source(tmp_path / "source.git", object_format), GitCommands())
    stores = await many_packs(disk, object_format)
    repository = disk.repository(KEY)
    before = objects(repository)
    packs = await stores.upkeep.packs(KEY)
    assert len(packs) == PUSHES + 1
    assert sum(pack.objects for pack in packs) == len(before)

    report = await stores.upkeep.combine(KEY, packs)

    assert (report.packs_before, report.packs_after, report.removed, report.note) == (PUSHES + 1, 1, PUSHES + 1, "")
    assert objects(repository) == before
    assert await stores.reader.fsck(KEY) == []
    assert len({name.partition(".")[0] for name in pack_files(repository)}) == 1
    assert children() == []


async def test_packs_that_were_not_chosen_stay_as_they_are(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    packs = await stores.upkeep.packs(KEY)
    chosen, others = packs[:5], packs[5:]
    before = objects(git_disk.repository(KEY))
    report = await stores.upkeep.combine(KEY, chosen)
    assert report.packs_after == len(others) + 1
    left = pack_files(git_disk.repository(KEY))
    assert {f"{pack.name}.pack" for pack in others} <= left
    assert not {f"{pack.name}.pack" for pack in chosen} & left
    assert objects(git_disk.repository(KEY)) == before


async def test_combining_the_same_again_changes_nothing(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    await stores.upkeep.combine(KEY, await stores.upkeep.packs(KEY))
    (only,) = await stores.upkeep.packs(KEY)
    await stores.upkeep.combine(KEY, [only])
    assert await stores.upkeep.packs(KEY) == [only]


async def test_objects_of_a_pack_that_comes_meanwhile_are_kept(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    packs = await stores.upkeep.packs(KEY)
    late = add_pack(git_disk.repository(KEY), "late\n")
    await stores.upkeep.combine(KEY, packs)
    assert git("cat-file", "-t", late, git_dir=git_disk.repository(KEY)).strip() == b"blob"
    assert len(await stores.upkeep.packs(KEY)) == 2


async def test_packs_stay_while_objects_are_checked(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    packs = await stores.upkeep.packs(KEY)
    checked = asyncio.ensure_future(stores.reader.inspect(KEY, is_deep=True))
    while not children():  # noqa: ASYNC110 - a process has no event to wait for
        await asyncio.sleep(0)
    report = await stores.upkeep.combine(KEY, packs)
    is_over = checked.done()
    assert (await checked).problems == ()
    if not is_over:
        assert report.removed == 0
        assert report.note
    assert (await stores.upkeep.combine(KEY, packs)).packs_after == 1


async def test_damaged_pack_is_not_combined_and_nothing_is_removed(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    packs = await stores.upkeep.packs(KEY)
    broken = git_disk.repository(KEY) / "objects" / "pack" / f"{packs[3].name}.pack"
    data = bytearray(broken.read_bytes())
    data[14] ^= 0xFF
    broken.chmod(0o644)
    broken.write_bytes(data)
    before = pack_files(git_disk.repository(KEY))
    with pytest.raises(Corrupt):
        await stores.upkeep.combine(KEY, packs)
    assert before <= pack_files(git_disk.repository(KEY))


async def test_damaged_index_is_found_before_anything_is_done(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    packs = await stores.upkeep.packs(KEY)
    broken = git_disk.repository(KEY) / "objects" / "pack" / f"{packs[3].name}.idx"
    broken.chmod(0o644)
    broken.write_bytes(b"junk")
    with pytest.raises(Corrupt):
        await stores.upkeep.packs(KEY)


async def test_pack_that_is_marked_to_be_kept_says_so(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    name = (await stores.upkeep.packs(KEY))[2].name
    (git_disk.repository(KEY) / "objects" / "pack" / f"{name}.keep").touch()
    assert [pack.name for pack in await stores.upkeep.packs(KEY) if pack.is_kept] == [name]


async def test_commit_graph_is_written_and_true(git_disk: GitTestDisk) -> None:
    stores = await many_packs(git_disk)
    for _ in range(2):
        await stores.upkeep.write_commit_graph(KEY)
    git("commit-graph", "verify", git_dir=git_disk.repository(KEY))
    assert (git_disk.repository(KEY) / "objects/info/commit-graphs/commit-graph-chain").exists()


async def test_replica_that_is_not_here_is_not_found(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    with pytest.raises(RepositoryNotFound):
        await stores.upkeep.packs(KEY)
    with pytest.raises(RepositoryNotFound):
        await stores.upkeep.combine(KEY, [PackFacts("pack-x", 1)])
