"""What a push leaves out of its pack is reachable from references, or the push is refused: no replica may lack it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, InvalidRequest
from meshnode.base.ids import ObjectId, RefName, RoundId
from meshnode.git.command import GitCommands
from meshnode.git.connectivity import REFERENCES_MIN
from meshnode.git.stores import Stores
from meshnode.ports import PackFix
from tests.contract.replica_fixtures import KEY, MAIN, GitTestDisk, Writes, git, git_disk, make_source, source, write
from tests.unit.git.processes import children

__all__ = ["git_disk", "source"]

TOPIC = RefName("refs/heads/topic")
ROUND = RoundId("d" * 32)


async def replica(disk: GitTestDisk, *, references: int = 0, object_format: str = "sha1") -> tuple[Stores, Writes]:
    """A replica with the first commit on main, and `references` more branches with a commit each on top of it."""
    stores = disk.open()
    writes = Writes(KEY, object_format)
    await write(stores, writes, writes.create())
    first = disk.objects.first
    changes: dict[RefName, ObjectId | None] = {MAIN: first}
    changes |= {RefName(f"refs/heads/b{at}"): oid for at, oid in enumerate(commits_on(disk, first, references))}
    tips = [oid for oid in changes.values() if oid is not None]
    await write(stores, writes, writes.update(changes), disk.pack(tips))
    return stores, writes


def commits_on(disk: GitTestDisk, parent: ObjectId, count: int) -> list[ObjectId]:
    """Empty commits on top of one, made by one process."""
    stream = "".join(
        f"commit refs/made/{number}\nmark :{number + 1}\ncommitter T <t@example.com> {number} +0000\ndata 1\nx\n"
        f"from {parent}\nget-mark :{number + 1}\n"
        for number in range(count)
    )
    made = git(
        "fast-import", "--quiet", "--force", "--cat-blob-fd=1", git_dir=disk.source.git_dir, stdin=stream.encode()
    )
    return [ObjectId(line) for line in made.decode().split()]


async def check(
    stores: Stores, writes: Writes, pack: bytes, tip: ObjectId, *, is_for_others: bool = True
) -> PackFix | None:
    """Bring a pack in and check it; nothing is written."""
    arriving = await stores.packs.open_ingest(KEY, ROUND, writes.object_format)
    try:
        await arriving.write(pack)
        fix = await arriving.finish()
        await arriving.check_connected([tip], commits=[tip], is_for_others=is_for_others)
        return fix
    finally:
        await arriving.close()
        await stores.store.discard(KEY, ROUND)


async def leave_unreferenced(disk: GitTestDisk, stores: Stores, writes: Writes) -> None:
    """Push the second commit to a branch, then delete the branch: its objects stay, no reference leads to them."""
    await write(
        stores,
        writes,
        writes.update({TOPIC: disk.objects.second}),
        disk.pack([disk.objects.second], [disk.objects.first]),
    )
    await write(stores, writes, writes.update({TOPIC: None}))


@pytest.mark.parametrize("references", [0, REFERENCES_MIN])
async def test_pack_that_leans_on_an_object_without_a_reference_is_refused(
    git_disk: GitTestDisk, references: int
) -> None:
    stores, writes = await replica(git_disk, references=references)
    await leave_unreferenced(git_disk, stores, writes)
    objects = git_disk.objects
    with pytest.raises(InvalidRequest, match="no reference leads to") as refused:
        await check(stores, writes, git_disk.pack([objects.third], [objects.second]), objects.third)
    assert refused.value.fields["oid"]
    assert await check(stores, writes, git_disk.pack([objects.third], [objects.first]), objects.third) is not None
    assert children() == []


async def test_repair_may_lean_on_whatever_lies_here(git_disk: GitTestDisk) -> None:
    stores, writes = await replica(git_disk)
    await leave_unreferenced(git_disk, stores, writes)
    objects = git_disk.objects
    pack = git_disk.pack([objects.third], [objects.second])
    assert await check(stores, writes, pack, objects.third, is_for_others=False) is not None


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("references", [0, REFERENCES_MIN])
async def test_pack_on_top_of_a_reference_is_connected(tmp_path: Path, object_format: str, references: int) -> None:
    disk = GitTestDisk(tmp_path / "data", make_source(tmp_path / "source.git", object_format), GitCommands())
    stores, writes = await replica(disk, references=references, object_format=object_format)
    objects = disk.objects
    assert await check(stores, writes, disk.pack([objects.third], [objects.first]), objects.third) is not None


@pytest.mark.parametrize("references", [0, REFERENCES_MIN])
async def test_pack_whose_parent_is_nowhere_is_refused(git_disk: GitTestDisk, references: int) -> None:
    stores, writes = await replica(git_disk, references=references)
    objects = git_disk.objects
    lone = git("rev-parse", f"{objects.third}^{{tree}}", git_dir=git_disk.source.git_dir).decode().strip()
    commit = git("commit-tree", lone, "-p", objects.third, git_dir=git_disk.source.git_dir, stdin=b"on top\n")
    tip = ObjectId(commit.decode().strip())
    pack = git_disk.source.pack([tip], [objects.third])
    with pytest.raises(InvalidRequest):
        await check(stores, writes, pack, tip)


@pytest.mark.parametrize("references", [0, REFERENCES_MIN])
async def test_content_of_long_ago_may_be_left_out(git_disk: GitTestDisk, references: int) -> None:
    """A commit that brings an old file back: clever clients do not send what history holds."""
    stores, writes = await replica(git_disk, references=references)
    objects = git_disk.objects
    await write(stores, writes, writes.update({MAIN: objects.third}), git_disk.pack([objects.third], [objects.first]))
    source_dir = git_disk.source.git_dir
    tree = git("rev-parse", f"{objects.first}^{{tree}}", git_dir=source_dir).decode().strip()
    reverted = git("commit-tree", tree, "-p", objects.third, git_dir=source_dir, stdin=b"revert\n").decode().strip()
    only_commit = git("pack-objects", "--stdout", "-q", git_dir=source_dir, stdin=f"{reverted}\n".encode())
    fix = await check(stores, writes, only_commit, ObjectId(reverted))
    assert fix is not None


async def test_tag_of_what_no_reference_leads_to_is_refused(git_disk: GitTestDisk) -> None:
    stores, writes = await replica(git_disk, references=REFERENCES_MIN)
    await leave_unreferenced(git_disk, stores, writes)
    tag = git_disk.objects.tag  # of the second commit
    only_tag = git("pack-objects", "--stdout", "-q", git_dir=git_disk.source.git_dir, stdin=f"{tag}\n".encode())
    arriving = await stores.packs.open_ingest(KEY, ROUND, "sha1")
    await arriving.write(only_tag)
    await arriving.finish()
    with pytest.raises(InvalidRequest, match="no reference leads to"):
        await arriving.check_connected([tag])
    await arriving.close()


async def test_cancelled_check_ends_its_processes(git_disk: GitTestDisk) -> None:
    stores, writes = await replica(git_disk, references=REFERENCES_MIN)
    objects = git_disk.objects
    running = asyncio.ensure_future(
        check(stores, writes, git_disk.pack([objects.third], [objects.first]), objects.third)
    )
    while not children():  # noqa: ASYNC110 - a process has no event to wait for
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert children() == []


async def test_ancestors_are_found_in_the_replica_and_in_the_quarantine_of_a_round(git_disk: GitTestDisk) -> None:
    stores, _ = await replica(git_disk)
    first, second, third = git_disk.objects.first, git_disk.objects.second, git_disk.objects.third
    packs = stores.packs
    arriving = await packs.open_ingest(KEY, ROUND, "sha1")
    await arriving.write(git_disk.pack([third], [first]))
    await arriving.finish()
    await arriving.close()
    assert await packs.is_ancestor(KEY, first, third, round_id=ROUND)
    assert await packs.is_ancestor(KEY, second, third, round_id=ROUND)
    assert not await packs.is_ancestor(KEY, third, first, round_id=ROUND)
    assert await packs.is_ancestor(KEY, first, first)
    with pytest.raises(Corrupt):
        await packs.is_ancestor(KEY, first, third)  # not in the replica itself
    await stores.store.discard(KEY, ROUND)
    with pytest.raises(Corrupt):
        await packs.is_ancestor(KEY, first, third, round_id=ROUND)
