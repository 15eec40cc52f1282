"""Recursive listings of one commit after the other: what is kept of directories changes nothing about the answers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.object_pool import ObjectPool
from meshnode.git.queries import Queries
from meshnode.git.revisions import GitRevisions
from meshnode.git.trees import GitTrees
from meshnode.ports import KnownPart, WholePart
from meshnode.rpc.answer_cache import AnswerCache
from meshnode.rpc.kept_parts import PART_BYTES_MAX, KeptParts
from meshnode.rpc.object_reads import ObjectRead, ObjectReads
from meshnode.v1 import common_pb2, tree_pb2
from meshnode.wire.trees import entries_bytes
from tests.unit.git.processes import children, note_known_children
from tests.unit.git.sample import git
from tests.unit.rpc.fakes import FakeReads
from tests.unit.wire.samples import KEY, N1

_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 12345\n" % (b"f" * 64)


class Place:
    """A replica whose tree changes, and listings of it."""

    def __init__(self, data: Path) -> None:
        layout = Layout(data)
        self.path = layout.repository(KEY)
        self.path.mkdir(parents=True)
        git("init", "-q", "--bare", ".", path=self.path)
        commands = GitCommands()
        self.pool = ObjectPool(commands, layout)
        self.trees = GitTrees(self.pool, Queries(commands, layout))
        self.index = {"GIT_INDEX_FILE": str(data / "index")}

    def changed(self, files: dict[str, bytes]) -> str:
        """The tree after some files were written."""
        lines = []
        for name, content in files.items():
            oid = git("hash-object", "-w", "--stdin", path=self.path, stdin=content).decode().strip()
            lines.append(f"100644 {oid}\t{name}\n")
        git("update-index", "--index-info", path=self.path, stdin="".join(lines).encode(), environment=self.index)
        return git("write-tree", path=self.path, environment=self.index).decode().strip()

    @asynccontextmanager
    async def read(self, cache: AnswerCache) -> AsyncIterator[ObjectRead]:
        reads = ObjectReads(
            own=N1, reads=FakeReads(), objects=self.pool, revisions=GitRevisions(self.pool), cache=cache
        )
        async with reads.open("project/repo", common_pb2.Consistency()) as read:
            yield read

    async def listed(
        self, cache: AnswerCache, tree: str, request: tree_pb2.ListEntriesRequest, page_size: int
    ) -> list[tree_pb2.TreeEntry]:
        """All entries of a tree, a page after the other."""
        found: list[tree_pb2.TreeEntry] = []
        at: tuple[int, ...] | None = ()
        async with self.read(cache) as read:
            kept = KeptParts(read, request)
            oid = (await read.resolve(tree)).oid
            while at is not None:
                page = await self.trees.page(
                    KEY,
                    oid,
                    at,
                    recursive=True,
                    entries_max=page_size,
                    bytes_max=1 << 20,
                    sizes=request.sizes,
                    lfs=request.lfs,
                    known=kept.find,
                )
                pieces = list(entries_bytes(page, request.path + b"/" if request.path else b""))
                await kept.keep(page.whole, pieces)
                found += tree_pb2.ListEntriesResponse.FromString(b"".join(pieces)).entries
                at = page.next_at
        return found


async def test_answers_are_those_of_a_node_that_has_kept_nothing(tmp_path: Path) -> None:
    note_known_children()
    place = Place(tmp_path)
    cache = AnswerCache()
    chance = random.Random(3)
    for turn in range(8):
        changes = {
            "/".join(chance.choice("abc") * depth for depth in range(1, chance.randrange(2, 5))) + f"/f{number}": (
                _POINTER if chance.random() < 0.3 else b"%d %d\n" % (turn, number)
            )
            for number in range(3)
        }
        tree = place.changed(changes)
        for request in (
            tree_pb2.ListEntriesRequest(),
            tree_pb2.ListEntriesRequest(sizes=True),
            tree_pb2.ListEntriesRequest(lfs=True),
            tree_pb2.ListEntriesRequest(sizes=True, path=b"below"),
        ):
            for page_size in (1_000, 4):
                assert await place.listed(cache, tree, request, page_size) == await place.listed(
                    AnswerCache(), tree, request, 1_000
                )
    await place.pool.close()
    assert children() == []


async def test_part_is_found_under_its_own_id_path_and_options_only(tmp_path: Path) -> None:
    place = Place(tmp_path)
    cache = AnswerCache()
    async with place.read(cache) as read:
        sized = tree_pb2.ListEntriesRequest(sizes=True)
        pieces: list[bytes | memoryview] = [b"not its own", b"some ", memoryview(b"bytes")]
        await KeptParts(read, sized).keep([WholePart(b"o" * 20, b"a", 1, 3, 7, 70)], pieces)
        assert KeptParts(read, sized).find(b"o" * 20, b"a") == KnownPart(7, 70, b"some bytes")
        for request, oid, path in (
            (sized, b"p" * 20, b"a"),
            (sized, b"o" * 20, b"b"),
            (tree_pb2.ListEntriesRequest(), b"o" * 20, b"a"),
            (tree_pb2.ListEntriesRequest(sizes=True, lfs=True), b"o" * 20, b"a"),
            (tree_pb2.ListEntriesRequest(sizes=True, path=b"x"), b"o" * 20, b"a"),
        ):
            assert KeptParts(read, request).find(oid, path) is None
        long_ = [b"x" * PART_BYTES_MAX, b"x"]
        await KeptParts(read, sized).keep([WholePart(b"q" * 20, b"a", 0, 2, 1, 1)], long_)
        assert KeptParts(read, sized).find(b"q" * 20, b"a") is None
    await place.pool.close()
