"""Objects of a replica by name: what git says of them, through processes that stay and never outlive their directory."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, InvalidRequest, MeshError, NotFound, TooLarge
from meshnode.base.ids import HEAD, ObjectId, PartitionId, RefName, RefValue, RepositoryId
from meshnode.base.paths import TreePath
from meshnode.core.round import ReplicaKey
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.object_pool import AHEAD_BYTES_MAX, IDLE_MAX, ObjectPool
from meshnode.git.revisions import GitRevisions
from meshnode.ports import Ahead, ObjectKind, RefsSnapshot, TreeAhead
from tests.unit.git.processes import children
from tests.unit.git.sample import build_repository, git, read_snapshot

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))


class Disk:
    """A replica and what reads it."""

    def __init__(self, data: Path, object_format: str = "sha1", *, idle_max: int = IDLE_MAX) -> None:
        self.layout = Layout(data)
        self.path = build_repository(self.layout.repository(KEY), object_format=object_format)
        self.snapshot = read_snapshot(self.path)
        self.pool = ObjectPool(GitCommands(), self.layout, idle_max=idle_max)
        self.revisions = GitRevisions(self.pool)

    def id_of(self, name: str) -> str:
        return git("rev-parse", name, path=self.path).decode().strip()

    def nested(self, content: bytes) -> str:
        """A tree with one file, dir/file."""
        blob = git("hash-object", "-w", "--stdin", path=self.path, stdin=content).decode().strip()
        below = git("mktree", path=self.path, stdin=f"100644 blob {blob}\tfile\n".encode()).decode().strip()
        return git("mktree", path=self.path, stdin=f"040000 tree {below}\tdir\n".encode()).decode().strip()

    def damaged_blob(self) -> str:
        """An object whose header can be read and whose content cannot."""
        oid = (
            git("hash-object", "-w", "--stdin", path=self.path, stdin=random.Random(5).randbytes(9_000))
            .decode()
            .strip()
        )
        file = self.path / "objects" / oid[:2] / oid[2:]
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:5_000])
        return oid

    async def resolve(self, revision: str, kind: ObjectKind | None = None, snapshot: RefsSnapshot | None = None) -> str:
        return (await self.revisions.resolve(KEY, snapshot or self.snapshot, revision, kind)).oid


@contextlib.asynccontextmanager
async def opened(data: Path, object_format: str = "sha1", *, idle_max: int = IDLE_MAX) -> AsyncIterator[Disk]:
    disk = Disk(data, object_format, idle_max=idle_max)
    try:
        yield disk
    finally:
        await disk.pool.close()
        assert children() == []


def two_blobs_with_one_start() -> tuple[str, tuple[bytes, bytes]]:
    """The first four digits that two blobs share, and their contents."""
    seen: dict[str, bytes] = {}
    for number in range(70_000):
        content = b"%d" % number
        start = hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()[:4]
        if start in seen:
            return start, (seen[start], content)
        seen[start] = content
    raise AssertionError("65,536 starts for 70,000 blobs")


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_revisions_lead_where_git_says(tmp_path: Path, object_format: str) -> None:
    async with opened(tmp_path, object_format) as disk:
        main = disk.id_of("main")
        for revision in (
            *(
                "main",
                "refs/heads/main",
                "heads/main",
                "topic/one",
                "topic/ünïcode",
                "v1.0",
                "nested",
                "origin",
                "HEAD",
            ),
            *(
                "main~2",
                "main^",
                "main^0",
                "main^{tree}",
                "v1.0^{}",
                "nested^{commit}",
                "main:file",
                "main^{tree}:file",
            ),
            *("main~1^{tree}", "refs/changes/01/1/1", main, main[:10], f"{main[:12]}~1"),
        ):
            assert await disk.resolve(revision) == disk.id_of(revision), revision
        assert await disk.resolve("") == await disk.resolve("@") == main
        assert await disk.resolve("nested", ObjectKind.COMMIT) == disk.id_of("nested^{commit}")
        assert await disk.resolve("v1.0", ObjectKind.TREE) == disk.id_of("v1.0^{tree}")


async def test_what_leads_nowhere_is_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        for revision in (
            "nothing",
            "main~100",
            "main:no/such/file",
            "f" * 40,
            "0123abc",
            "refs/remotes/origin/dangling",
        ):
            with pytest.raises(NotFound):
                await disk.resolve(revision)


async def test_what_is_not_asked_for_by_name_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        for revision in ("main@{1}", "--all", ":/text", ":file", "a..b", "main^!", "a b", "main\n", "m:\n", "x" * 5000):
            with pytest.raises(InvalidRequest):
                await disk.resolve(revision)
        with pytest.raises(InvalidRequest, match="not a commit"):
            await disk.resolve("main:file", ObjectKind.COMMIT)
        with pytest.raises(InvalidRequest, match="not a tree"):
            await disk.resolve("main:file", ObjectKind.TREE)


async def test_name_of_a_branch_and_a_tag_is_ambiguous(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        refs = {**disk.snapshot.refs, RefName("refs/heads/v1.0"): RefValue(disk.id_of("main"))}
        snapshot = RefsSnapshot(generation=disk.snapshot.generation, refs=refs, peeled={})
        with pytest.raises(InvalidRequest, match="ambiguous") as raised:
            await disk.resolve("v1.0", snapshot=snapshot)
        assert raised.value.fields["candidates"] == "refs/tags/v1.0, refs/heads/v1.0"
        assert await disk.resolve("heads/v1.0", snapshot=snapshot) == disk.id_of("main")


async def test_abbreviation_that_fits_two_objects_is_ambiguous(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        start, contents = two_blobs_with_one_start()
        for content in contents:
            git("hash-object", "-w", "--stdin", path=disk.path, stdin=content)
        with pytest.raises(InvalidRequest, match="several"):
            await disk.resolve(start)


async def test_head_without_a_commit_is_not_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        snapshot = RefsSnapshot(
            generation=disk.snapshot.generation, refs={HEAD: RefValue("ref:refs/heads/unborn")}, peeled={}
        )
        with pytest.raises(NotFound, match="no commit yet"):
            await disk.resolve("", snapshot=snapshot)


async def test_reference_to_a_missing_object_is_damage(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        refs = {RefName("refs/heads/lost"): RefValue("1" * 40)}
        snapshot = RefsSnapshot(generation=disk.snapshot.generation, refs=refs, peeled={})
        with pytest.raises(Corrupt):
            await disk.resolve("lost", snapshot=snapshot)


async def test_contents_are_read_in_order_by_one_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        names = [f"{disk.id_of('main')}~{back}" for back in (0, 1, 2, 99, 1)]
        for _ in range(3):
            read = await disk.pool.read(KEY, names, bytes_max=10_000)
            assert [None if one is None else one.info.oid for one in read] == [
                None if name.endswith("99") else disk.id_of(name) for name in names
            ]
            assert read[0] is not None
            assert read[0].data == git("cat-file", "commit", "main", path=disk.path)
        assert len(children()) == 1


async def test_thousands_of_names_are_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        oid = disk.id_of("main")
        infos = await disk.pool.look_up(KEY, [oid, "f" * 40] * 2_500)
        assert infos[::2] == [infos[0]] * 2_500
        assert infos[1::2] == [None] * 2_500


async def test_paths_of_any_bytes_and_length_are_names(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        odd = [
            b"a b",
            b"line\nbreak",
            b"two\n\nbreaks\n",
            b"missing",
            b"x missing",
            b"latin-\xe9",
            b"\xf0\x9f\x90\x88" * 60,
        ]
        blob = disk.id_of("main:file")
        lines = b"".join(b"100644 blob %s\t%s\0" % (blob.encode(), path) for path in odd)
        tree = git("mktree", "-z", path=disk.path, stdin=lines).decode().strip()
        names = [f"{tree}:{path.decode(errors='surrogateescape')}" for path in odd]
        absent = [f"{name}{rest}" for name in names for rest in (" ", "\n", "\nx missing", "/" + "long" * 900)]
        infos = await disk.pool.look_up(KEY, [*absent, *names, *absent])
        assert [None if info is None else info.oid for info in infos] == [
            *([None] * len(absent)),
            *([blob] * len(names)),
            *([None] * len(absent)),
        ]
        assert len(children()) == 1


async def test_more_than_was_allowed_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        with pytest.raises(TooLarge):
            await disk.pool.read(KEY, [disk.id_of("main")] * 3, bytes_max=400)


async def test_ranges_of_a_large_blob(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        data = bytes(range(256)) * 8_192
        oid = ObjectId(git("hash-object", "-w", "--stdin", path=disk.path, stdin=data).decode().strip())

        async def piece(start: int, length: int | None) -> bytes:
            return b"".join([part async for part in disk.pool.stream(KEY, oid, start=start, length=length)])

        assert await piece(0, None) == data
        assert await piece(300_000, 5) == data[300_000:300_005]
        assert await piece(len(data) - 3, 100) == data[-3:]
        assert await piece(len(data) + 3, 100) == b""
        assert await piece(0, 0) == b""
        with pytest.raises(NotFound):
            _ = [part async for part in disk.pool.stream(KEY, ObjectId("f" * 40))]


async def test_stream_that_is_left_ends_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        oid = ObjectId(git("hash-object", "-w", "--stdin", path=disk.path, stdin=bytes(3 << 20)).decode().strip())
        parts = disk.pool.stream(KEY, oid)
        await anext(parts)
        assert len(children()) == 1
        await parts.aclose()
        assert children() == []


async def test_cancelled_question_ends_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        asked = asyncio.ensure_future(disk.pool.look_up(KEY, [disk.id_of("main")] * 20_000))
        while not children():  # noqa: ASYNC110 - a process has no event to wait for
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert children() == []


async def test_replaced_directory_is_read_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        assert await disk.pool.look_up(KEY, [disk.id_of("main")]) != [None]
        old = disk.id_of("main")
        shutil.rmtree(disk.path)
        build_repository(disk.path, object_format="sha256")
        assert await disk.pool.look_up(KEY, [old]) == [None]
        assert await disk.pool.look_up(KEY, [disk.id_of("main")]) != [None]
        assert len(children()) == 1


async def test_missing_replica_is_damage_and_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        shutil.rmtree(disk.path)
        with pytest.raises(MeshError):
            await disk.pool.look_up(KEY, ["f" * 40])


async def test_idle_processes_are_few(tmp_path: Path) -> None:
    async with opened(tmp_path, idle_max=2) as disk:
        oid = disk.id_of("main")
        await asyncio.gather(*(disk.pool.look_up(KEY, [oid]) for _ in range(6)))
        assert 1 <= len(children()) <= 2


async def test_what_is_asked_ahead_is_known_when_it_is_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        start, tree = disk.id_of("main"), disk.id_of("main^{tree}")
        sub = disk.nested(b"content\n")
        ahead = Ahead([f"{sub}^{{tree}}:dir/file"], [f"{sub}^{{tree}}", f"{sub}^{{tree}}:dir"])
        found = await disk.pool.look_up(KEY, [start, f"{sub}^{{tree}}"], ahead=ahead)
        assert [info and info.oid for info in found] == [start, sub]
        (process,) = children()
        os.kill(process, signal.SIGKILL)  # whatever is asked from here on starts another one
        while children():  # noqa: ASYNC110 - a process has no event to wait for
            await asyncio.sleep(0)
        read = await disk.pool.read(KEY, [sub, f"{sub}:dir"], bytes_max=1_000)
        assert [raw and raw.data for raw in read] == [
            git("cat-file", "tree", f"{sub}{at}", path=disk.path) for at in ("", ":dir")
        ]
        (blob,) = await disk.pool.look_up(KEY, [f"{sub}:dir/file"])
        assert blob is not None
        assert (blob.oid, blob.size) == (disk.id_of(f"{sub}:dir/file"), 8)
        assert await disk.pool.look_up(KEY, [blob.oid]) == [blob]
        assert children() == []
        assert await disk.pool.look_up(KEY, [tree]) != [None]


async def test_nothing_is_asked_ahead_where_the_question_is_answered_from_memory(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        start = disk.id_of("main")
        (info,) = await disk.pool.look_up(KEY, [start])
        ahead = Ahead(contents=[f"{start}~1"])
        assert await disk.pool.look_up(KEY, [start], ahead=ahead) == [info]
        assert disk.pool.memory(KEY)(ObjectId(disk.id_of("main~1"))) is None


async def test_what_goes_wrong_ahead_is_not_the_questions_failure(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        start, contents = two_blobs_with_one_start()
        for content in contents:
            git("hash-object", "-w", "--stdin", path=disk.path, stdin=content)
        large = git("hash-object", "-w", "--stdin", path=disk.path, stdin=bytes(AHEAD_BYTES_MAX + 1)).decode().strip()
        damaged = disk.damaged_blob()
        for number, odd in enumerate(([start], ["", "a\0b", "x" * 5_000], [large], [damaged], ["f" * 40, "main:no"])):
            for ahead in (Ahead(odd, []), Ahead([], odd), Ahead(odd, [*odd, disk.id_of("main~1")])):
                name = f"{disk.id_of('main')}~{number}^{{commit}}"
                pool = ObjectPool(GitCommands(), disk.layout)
                (info,) = await pool.look_up(KEY, [name], ahead=ahead)
                assert info is not None
                assert info.oid == disk.id_of(name)
                assert [raw and raw.info.oid for raw in await pool.read(KEY, [name], bytes_max=10_000)] == [info.oid]
                await pool.close()
        with pytest.raises(InvalidRequest, match="several"):
            await disk.pool.look_up(KEY, [start])
        assert await disk.pool.look_up(KEY, ["f" * 40]) == [None]


async def test_missing_object_ahead_is_not_kept_as_missing(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        content = b"comes later\n"
        oid = hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()
        await disk.pool.look_up(KEY, [disk.id_of("main")], ahead=Ahead([oid], [oid]))
        git("hash-object", "-w", "--stdin", path=disk.path, stdin=content)
        (raw,) = await disk.pool.read(KEY, [oid], bytes_max=100)
        assert raw is not None
        assert raw.data == content


async def test_thousands_of_names_ahead_do_not_fill_the_pipe(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        oid = disk.id_of("main")
        long_ = [f"{oid}:{'a/' * 1_900}{number}" for number in range(500)]
        names = [f"{oid}:{'b' * 80}{number}" for number in range(2_000)]
        async with asyncio.timeout(30):
            assert await disk.pool.look_up(KEY, names, ahead=Ahead(long_, long_)) == [None] * 2_000
        assert len(children()) == 1


async def test_process_that_dies_in_the_middle_is_damage_and_the_next_one_answers(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        names = [f"{disk.id_of('main')}~{back}" for back in (0, 1, 2)]
        damaged = disk.damaged_blob()
        with pytest.raises(Corrupt):
            await disk.pool.read(KEY, [names[0], damaged, names[1]], bytes_max=10_000)
        assert children() == []
        read = await disk.pool.read(KEY, names, bytes_max=10_000)
        assert [raw and raw.info.oid for raw in read] == [disk.id_of(name) for name in names]


async def test_revision_brings_what_will_be_asked_of_its_tree(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        ahead = TreeAhead([TreePath(b"file")], [TreePath(b"")])
        tree = await disk.revisions.resolve(KEY, disk.snapshot, "main", ObjectKind.TREE, ahead=ahead)
        raw = disk.pool.memory(KEY)(tree.oid)
        assert raw is not None
        assert raw.data == git("cat-file", "tree", tree.oid, path=disk.path)
        blob = await disk.revisions.resolve(KEY, disk.snapshot, "main:file", ahead=ahead)
        assert blob.oid == disk.id_of("main:file")
        with pytest.raises(NotFound):
            await disk.revisions.resolve(KEY, disk.snapshot, "main~77", ObjectKind.TREE, ahead=ahead)


async def test_question_that_was_begun_finds_its_answer_in_memory(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        main = disk.id_of("main")
        assert disk.revisions.begin(KEY, main) is None  # no process waits
        await disk.pool.look_up(KEY, [disk.id_of("main~2")])
        ahead = TreeAhead([TreePath(b"file")], [TreePath(b"")])
        begun = disk.revisions.begin(KEY, main, ObjectKind.TREE, ahead=ahead)
        assert begun is not None
        assert disk.revisions.begin(KEY, main, ObjectKind.TREE) is None  # its process is at work
        await begun.finish()
        await begun.finish()
        await begun.drop()
        tree = ObjectId(disk.id_of("main^{tree}"))
        raw = disk.pool.memory(KEY)(tree)
        assert raw is not None
        assert raw.data == git("cat-file", "tree", tree, path=disk.path)
        assert disk.revisions.begin(KEY, main, ObjectKind.TREE) is None  # nothing is left to be asked
        assert await disk.resolve(main, ObjectKind.TREE) == tree
        (process,) = children()
        assert await disk.resolve(disk.id_of("main~1")) == disk.id_of("main~1")
        assert children() == [process]


async def test_only_whole_ids_are_asked_for_before_there_is_a_snapshot(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        main = disk.id_of("main")
        await disk.pool.look_up(KEY, [main])
        for revision in ("main", "", "HEAD", main[:12], f"{main}@{{1}}", f"{main}:\0", f"{main}..{main}", "--all"):
            assert disk.revisions.begin(KEY, revision) is None
        begun = disk.revisions.begin(KEY, f"{main}~1:file")
        assert begun is not None
        await begun.drop()


async def test_question_that_is_dropped_ends_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        await disk.pool.look_up(KEY, [disk.id_of("main")])
        begun = disk.revisions.begin(KEY, disk.id_of("main~1"))
        assert begun is not None
        await begun.drop()
        await begun.finish()
        assert children() == []


async def test_what_is_wrong_with_what_was_begun_is_said_by_the_question_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        damaged = disk.damaged_blob()
        for name in ("e" * 40, damaged):
            await disk.pool.look_up(KEY, [disk.id_of("main")])
            assert await disk.pool.look_up(KEY, ["e" * 40]) == [None]
            begun = disk.pool.begin(KEY, [name], ahead=Ahead(contents=[name]))
            assert begun is not None
            await begun.finish()
            assert disk.pool.memory(KEY)(ObjectId(name)) is None
        with pytest.raises(NotFound):
            await disk.resolve("e" * 40)
        with pytest.raises(Corrupt):
            await disk.pool.read(KEY, [damaged], bytes_max=1 << 20)


async def test_process_that_died_while_it_waited_is_noticed_by_the_question_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        await disk.pool.look_up(KEY, [disk.id_of("main")])
        (process,) = children()
        os.kill(process, signal.SIGKILL)  # the loop has not heard of it
        begun = disk.revisions.begin(KEY, disk.id_of("main~1"))
        if begun is not None:
            await begun.finish()
        assert await disk.resolve(disk.id_of("main~1")) == disk.id_of("main~1")


async def test_replica_that_was_replaced_is_not_asked_what_was_begun_of_another(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        old = disk.id_of("main")
        await disk.pool.look_up(KEY, [disk.id_of("main~1")])
        begun = disk.revisions.begin(KEY, old)
        assert begun is not None
        shutil.rmtree(disk.path)
        build_repository(disk.path, object_format="sha256")
        assert disk.revisions.begin(KEY, disk.id_of("main")) is None
        await begun.finish()
        assert await disk.pool.look_up(KEY, [old]) == [None]


async def test_what_git_refuses_is_told_without_its_hints_for_people_who_could_set_options(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    try:
        with pytest.raises(InvalidRequest) as refused:
            await disk.pool.look_up(KEY, [f"{disk.id_of('main')}:./file"])
        assert str(refused.value.fields["complaint"]).startswith("fatal: relative path")
    finally:
        await disk.pool.close()
