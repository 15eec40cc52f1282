"""Packs as git makes and refuses them: what a bad one is answered with, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, Fenced, InvalidRequest, Overloaded
from meshnode.base.ids import ObjectId, RoundId
from meshnode.config import PushSettings
from meshnode.git.command import GitCommands
from meshnode.git.ingest import pack_refusal
from meshnode.git.packs import open_pack
from meshnode.git.stores import Stores
from meshnode.ports import PackFix
from tests.contract.replica_fixtures import (
    FORK,
    KEY,
    MAIN,
    TAG,
    GitTestDisk,
    Source,
    all_bytes,
    created,
    git,
    git_disk,
    ingest,
    make_source,
    source,
    write,
)

__all__ = ["git_disk", "source"]

ROUND = RoundId("d" * 32)


def incoming(disk: GitTestDisk) -> list[Path]:
    return list((disk.data / "incoming").iterdir())


async def refused(disk: GitTestDisk, stores: Stores, pack: bytes) -> str:
    """What a bad pack is answered with; checks that it leaves nothing."""
    with pytest.raises(InvalidRequest) as found:
        await ingest(stores, replace((await created(disk.open(), FORK)).update({}), round_id=ROUND), pack)
    assert incoming(disk) == []
    return found.value.message


async def test_a_truncated_pack_is_refused(git_disk: GitTestDisk) -> None:
    message = await refused(git_disk, git_disk.open(), git_disk.pack([git_disk.objects.third])[:-30])
    assert "early EOF" in message


async def test_a_pack_with_a_wrong_checksum_is_refused(git_disk: GitTestDisk) -> None:
    pack = git_disk.pack([git_disk.objects.third])
    message = await refused(git_disk, git_disk.open(), pack[:-1] + bytes([pack[-1] ^ 1]))
    assert "pack is corrupted" in message


async def test_bytes_that_are_no_pack_are_refused(git_disk: GitTestDisk) -> None:
    message = await refused(git_disk, git_disk.open(), b"GET / HTTP/1.1\r\n" * 200_000)
    assert "signature" in message


async def test_junk_after_a_pack_is_refused(git_disk: GitTestDisk) -> None:
    message = await refused(git_disk, git_disk.open(), git_disk.pack([git_disk.objects.third]) + b"junk")
    assert "junk" in message


async def test_a_thin_pack_without_its_bases_is_refused(git_disk: GitTestDisk) -> None:
    objects = git_disk.objects
    message = await refused(git_disk, git_disk.open(), git_disk.pack([objects.third], [objects.second]))
    assert "unresolved delta" in message


async def test_a_thin_pack_that_leaves_out_too_much_is_refused(git_disk: GitTestDisk) -> None:
    objects = git_disk.objects
    stores = git_disk.open()
    writes = await created(stores)
    await write(stores, writes, writes.update({MAIN: objects.second}), git_disk.pack([objects.second]))
    pack = git_disk.pack([objects.third], [objects.second])

    small = git_disk.open(push=PushSettings(pack_bytes_max=len(pack)))
    with pytest.raises(Overloaded, match="delta bases"):
        await ingest(small, writes.update({}), pack)
    assert incoming(git_disk) == []


def bad_commit(source: Source) -> tuple[bytes, ObjectId]:
    """A pack of a commit that fsck does not like: its e-mail address is missing."""
    tree = git("rev-parse", f"{source.objects.first}^{{tree}}", git_dir=source.git_dir).decode().strip()
    text = f"tree {tree}\nauthor A 1700000000 +0000\ncommitter C <c@example.com> 1700000000 +0000\n\nbad\n"
    arguments = ("hash-object", "-t", "commit", "-w", "--stdin", "--literally")
    oid = ObjectId(git(*arguments, git_dir=source.git_dir, stdin=text.encode()).decode().strip())
    return source.pack([oid]), oid


async def test_objects_are_checked_as_the_settings_say(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source.git")
    disk = GitTestDisk(tmp_path / "data", source, GitCommands())
    pack, oid = bad_commit(source)

    assert "missingEmail" in await refused(disk, disk.open(), pack)
    for push in (PushSettings(fsck_ignore=("missingEmail",)), PushSettings(is_fsck_objects=False)):
        stores = disk.open(push=push)
        writes = await created(stores, KEY)
        await write(stores, writes, writes.update({MAIN: oid}), pack)
        assert await stores.reader.fsck(KEY) == []
        strict = disk.open().reader
        assert any("missingEmail" in line for line in await strict.fsck(KEY))
        assert (await strict.inspect(KEY, is_deep=True)).problems == ()  # no damage: there is no better copy
        await stores.store.set_aside(KEY, "again")


async def test_a_branch_must_name_a_commit(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    objects = git_disk.objects
    writes = await created(stores)
    await write(stores, writes, writes.update({TAG: objects.tag}), git_disk.pack([objects.tag]))

    for oid, kind in ((objects.tag, "tag"), (objects.blob, "blob")):
        with pytest.raises(InvalidRequest, match="must name a commit") as found:
            await stores.packs.check_tips(KEY, [oid], commits=[oid])
        assert found.value.fields == {"oid": oid, "kind": kind}
    await stores.packs.check_tips(KEY, [objects.second], commits=[objects.second])
    with pytest.raises(InvalidRequest, match="missing"):
        await stores.packs.check_tips(KEY, [], commits=[ObjectId("9" * 40)])
    for pack in (git_disk.pack([objects.tag]), git_disk.pack([objects.third], [objects.second])):
        arriving = await stores.packs.open_ingest(KEY, ROUND, "sha1")
        await arriving.write(pack)
        await arriving.finish()
        await arriving.check_connected([objects.second], commits=[objects.second])
        with pytest.raises(InvalidRequest, match="must name a commit"):
            await arriving.check_connected([objects.tag], commits=[objects.tag])
        await arriving.close()
        await stores.store.discard(KEY, ROUND)


def whole_pack(source: Source, directory: Path, *options: str) -> Path:
    """A pack file with its index, of all that the source has."""
    tips = f"{source.objects.third}\n{source.objects.tag}\n".encode()
    git("pack-objects", "--revs", "-q", *options, str(directory / "all"), git_dir=source.git_dir, stdin=tips)
    (pack,) = directory.glob("*.pack")
    return pack


@pytest.mark.parametrize("option", ["--delta-base-offset", "--no-reuse-delta"])
async def test_what_a_pack_holds_is_told_without_git(source: Source, tmp_path: Path, option: str) -> None:
    pack = whole_pack(source, tmp_path, option)
    format_ = "--batch-check=%(objectname) %(objecttype)"
    listed = git("cat-file", "--batch-all-objects", format_, git_dir=source.git_dir).decode().split("\n")[:-1]
    assert b"chain length" in git("verify-pack", "-v", str(pack), git_dir=source.git_dir)

    with open_pack(pack, pack.with_suffix(".idx"), 20) as opened:
        assert [f"{line[:40]} {opened.kind_of(ObjectId(line[:40]))}" for line in listed] == listed
        assert opened.kind_of(ObjectId("0" * 40)) is None
        assert opened.kind_of(ObjectId("f" * 40)) is None


async def test_a_pack_cut_short_is_corrupt_to_its_reader(source: Source, tmp_path: Path) -> None:
    pack = whole_pack(source, tmp_path)
    index = pack.with_suffix(".idx")
    for path, data in ((index, index.read_bytes()[:1040]), (index, b"nonsense" * 200), (pack, b"")):
        before = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(data)
        with pytest.raises(Corrupt), open_pack(pack, index, 20) as opened:
            opened.kind_of(source.objects.third)
        path.write_bytes(before)


async def test_a_client_that_goes_away_leaves_no_process_and_no_files(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    arriving = await stores.packs.open_ingest(KEY, ROUND, "sha1")
    receive = await stores.packs.open_receive(FORK, ROUND, "sha1")
    pack = git_disk.pack([git_disk.objects.third])
    await arriving.write(pack[:100])
    await receive.write(pack[:100])

    await arriving.close()
    await receive.close()
    await arriving.close()
    await receive.close()

    assert incoming(git_disk) == []
    with pytest.raises(InvalidRequest, match="closed"):
        await arriving.write(pack)
    with pytest.raises(InvalidRequest, match="closed"):
        await arriving.finish()


async def test_a_second_stream_of_a_round_replaces_the_first(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    pack = git_disk.pack([git_disk.objects.third])
    round_ = replace(writes.update({MAIN: git_disk.objects.third}, has_pack=True), round_id=ROUND)
    first = await stores.packs.open_ingest(KEY, ROUND, "sha1")
    await first.write(pack)
    await first.finish()
    second = await stores.packs.open_ingest(KEY, ROUND, "sha1")
    await second.write(pack)
    await second.finish()
    await second.close()
    await first.close()

    assert len(incoming(git_disk)) == 1
    await stores.store.prepare(round_)
    assert incoming(git_disk) == []


async def test_a_pack_left_unclaimed_goes_with_its_round(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    await ingest(stores, replace(writes.update({}), round_id=ROUND), git_disk.pack([git_disk.objects.third]))
    assert len(incoming(git_disk)) == 1

    await stores.store.discard(KEY, ROUND)

    assert incoming(git_disk) == []


@pytest.mark.parametrize(
    "change",
    [
        {"pack_id": "../" * 13 + "a"},
        {"pack_id": "1" * 40},
        {"header": b"PACK"},
        {"header": b"KCAP\0\0\0\2\0\0\0\1"},
        {"header": b"PACK\0\0\0\2\0\0\0\1"},
        {"body_end": 11},
        {"body_end": 1 << 40},
        {"tail": b"short"},
    ],
)
async def test_a_fix_that_makes_no_sense_is_corrupt(git_disk: GitTestDisk, change: dict[str, object]) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    pack = git_disk.pack([git_disk.objects.third])
    fix = await ingest(stores, writes.update({}), pack)
    assert fix is not None
    receive = await stores.packs.open_receive(FORK, ROUND, "sha1")
    await receive.write(pack)

    with pytest.raises(Corrupt):
        await receive.finish(replace(fix, **change))  # type: ignore[arg-type]
    await receive.close()
    assert not list((git_disk.data / "incoming").glob(f"{FORK.repository}.*"))


async def test_messages_of_a_receive_out_of_order_are_refused(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    pack = git_disk.pack([git_disk.objects.third])
    fix = await ingest(stores, writes.update({}), pack)
    assert fix is not None
    receive = await stores.packs.open_receive(FORK, ROUND, "sha1")
    with pytest.raises(InvalidRequest):
        await receive.write_index(b"early")
    with pytest.raises(InvalidRequest):
        await receive.finish_index()
    await receive.write(pack)
    await receive.finish(fix)
    with pytest.raises(InvalidRequest):
        await receive.write(b"late")
    with pytest.raises(InvalidRequest):
        await receive.finish(fix)
    with pytest.raises(Corrupt, match="longer"):
        await receive.write_index(bytes(fix.index_bytes + 1))
    await receive.close()


@pytest.mark.parametrize("is_pack_complete", [False, True])
async def test_objects_of_a_round_that_is_aborted_meanwhile_are_refused_as_such(
    git_disk: GitTestDisk, *, is_pack_complete: bool
) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    await created(stores, FORK)
    pack = git_disk.pack([git_disk.objects.third])
    round_ = writes.update({}, has_pack=True)
    arriving = await stores.packs.open_ingest(KEY, round_.round_id, "sha1")
    await arriving.write(pack)
    fix = await arriving.finish()
    assert fix is not None
    receive = await stores.packs.open_receive(FORK, ROUND, "sha1")
    await receive.write(pack)
    if is_pack_complete:
        await receive.finish(fix)
        await receive.write_index(b"".join([chunk async for chunk in arriving.index()]))
    await arriving.close()

    await stores.store.discard(FORK, ROUND)
    with pytest.raises(Fenced, match="aborted while"):
        await (receive.finish_index() if is_pack_complete else receive.finish(fix))
    await receive.close()
    assert not list((git_disk.data / "incoming").glob(f"{FORK.repository}.*"))


async def test_large_packs_arrive_whole_in_pieces_of_any_size(tmp_path: Path, git_disk: GitTestDisk) -> None:
    source = make_source(tmp_path / "large.git")
    noise = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(100_000))
    blob = git("hash-object", "-w", "--stdin", git_dir=source.git_dir, stdin=noise).decode().strip()
    pack = source.pack([ObjectId(blob)])
    stores = git_disk.open()
    writes, copies = await created(stores, KEY), await created(stores, FORK)
    round_, copy = writes.update({}, has_pack=True), copies.update({}, has_pack=True)
    arriving = await stores.packs.open_ingest(KEY, round_.round_id, "sha1")
    receive = await stores.packs.open_receive(FORK, copy.round_id, "sha1")
    position = 0
    for size in (1, 11, 300_000, 1 << 20, 7, 1 << 21, len(pack)):
        await arriving.write(pack[position : position + size])
        await receive.write(pack[position : position + size])
        position += size
    fix = await arriving.finish()
    assert fix is not None
    await receive.finish(fix)
    async for chunk in arriving.index():
        await receive.write_index(chunk)
    await receive.finish_index()
    await receive.close()
    await arriving.close()
    await stores.store.prepare(copy)
    await stores.store.apply(copy)

    assert git("cat-file", "blob", blob, git_dir=git_disk.repository(FORK)) == noise


async def test_a_reader_that_goes_away_ends_the_packing(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    third = git_disk.objects.third
    await write(stores, writes, writes.update({MAIN: third}), git_disk.pack([third]))
    async with aclosing(stores.packs.pack_objects(KEY, [third], [])) as chunks:  # type: ignore[type-var]
        async for _ in chunks:
            break

    assert len(await all_bytes(stores, KEY, [third], [])) > 0
    assert await all_bytes(stores, KEY, [], []) == git_disk.empty_pack


async def test_a_damaged_repository_cannot_be_packed(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    writes = await created(stores)
    third = git_disk.objects.third
    await write(stores, writes, writes.update({MAIN: third}), git_disk.pack([third]))
    (pack,) = (git_disk.repository(KEY) / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    data = pack.read_bytes()
    pack.write_bytes(data[:12] + bytes(len(data) - 32) + data[-20:])

    with pytest.raises(Corrupt):
        await all_bytes(stores, KEY, [third], [])


def test_gits_last_words_tell_a_full_disk_and_a_large_pack_from_a_bad_one() -> None:
    full = pack_refusal("fatal: write error: No space left on device\n", 10)
    large = pack_refusal("remote: x\nfatal: pack exceeds maximum allowed size (10 bytes)\n", 10)
    bad = pack_refusal("Receiving 1%\rerror: object 1: bad\nfatal: fsck error in packed object\n", 10)

    assert isinstance(full, Overloaded)
    assert isinstance(large, Overloaded)
    assert large.fields == {"bytes_max": 10}
    assert (type(bad), bad.message) == (
        InvalidRequest,
        "git refused the pack: object 1: bad; fsck error in packed object",
    )


async def test_a_cancelled_ingest_leaves_nothing(git_disk: GitTestDisk) -> None:
    stores = git_disk.open()
    await created(stores)
    pack = git_disk.pack([git_disk.objects.third])
    started = asyncio.Event()

    async def push() -> PackFix | None:
        arriving = await stores.packs.open_ingest(KEY, ROUND, "sha1")
        try:
            await arriving.write(pack[:50])
            started.set()
            await asyncio.Event().wait()
            return await arriving.finish()
        finally:
            await arriving.close()

    task = asyncio.ensure_future(push())
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert incoming(git_disk) == []
