"""Trees of a replica: what ls-tree lists, in pages of any size, and trees that nobody's git would write."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from meshnode.base.errors import Corrupt, InvalidRequest, MeshError, TooLarge
from meshnode.base.ids import ObjectId, PartitionId, RepositoryId
from meshnode.base.paths import TreePath, name_in, parse_tree_path
from meshnode.core.round import ReplicaKey
from meshnode.git.attributes import format_index
from meshnode.git.command import GitCommands
from meshnode.git.layout import Layout
from meshnode.git.object_pool import ObjectPool
from meshnode.git.queries import Queries
from meshnode.git.tree_walk import AHEAD_MAX, DEPTH_MAX
from meshnode.git.trees import GitTrees
from meshnode.ports import EntryKind, KnownPart, TreeEntry
from tests.unit.git.processes import children
from tests.unit.git.sample import git

KEY = ReplicaKey(PartitionId(1), RepositoryId("0" * 32))


class Disk:
    """A replica without references, and its trees."""

    def __init__(self, data: Path, object_format: str = "sha1") -> None:
        self.layout = Layout(data)
        self.commands = GitCommands()
        self.path = self.layout.repository(KEY)
        self.path.mkdir(parents=True)
        git("init", "-q", "--bare", f"--object-format={object_format}", ".", path=self.path)
        self.pool = ObjectPool(self.commands, self.layout)
        self.trees = GitTrees(self.pool, Queries(self.commands, self.layout))

    async def forget(self) -> None:
        """Begin again with nothing in memory."""
        await self.pool.close()
        self.pool = ObjectPool(self.commands, self.layout)
        self.trees = GitTrees(self.pool, Queries(self.commands, self.layout))

    def blob(self, content: bytes = b"x\n") -> str:
        return git("hash-object", "-w", "--stdin", path=self.path, stdin=content).decode().strip()

    def tree(self, *entries: tuple[str, str, str]) -> ObjectId:
        """A tree of entries (mode, oid, name)."""
        kinds = {"40000": "tree", "160000": "commit"}
        lines = "".join(f"{mode} {kinds.get(mode, 'blob')} {oid}\t{name}\n" for mode, oid, name in entries)
        return ObjectId(git("mktree", "--missing", path=self.path, stdin=lines.encode()).decode().strip())

    def raw(self, data: bytes) -> ObjectId:
        """An object that says it is a tree."""
        done = git("hash-object", "-w", "--stdin", "-t", "tree", "--literally", path=self.path, stdin=data)
        return ObjectId(done.decode().strip())

    async def paths(
        self, tree: ObjectId, *, page: int = 10_000, recursive: bool = True, bytes_max: int = 1 << 20
    ) -> list[bytes]:
        return [entry.path for entry in await self.listed(tree, page=page, recursive=recursive, bytes_max=bytes_max)]

    async def listed(
        self, tree: ObjectId, *, page: int, recursive: bool = True, bytes_max: int = 1 << 20
    ) -> list[TreeEntry]:
        found: list[TreeEntry] = []
        at: Sequence[int] | None = ()
        while at is not None:
            answer = await self.trees.page(KEY, tree, at, recursive=recursive, entries_max=page, bytes_max=bytes_max)
            entries = answer.entries()
            assert len(entries) <= page
            assert entries or at == ()
            found += entries
            at = answer.next_at
        return found

    def ls_tree(self, tree: ObjectId) -> list[bytes]:
        return git("ls-tree", "-r", "-t", "-z", "--name-only", tree, path=self.path).split(b"\0")[:-1]


@contextlib.asynccontextmanager
async def opened(data: Path, object_format: str = "sha1") -> AsyncIterator[Disk]:
    disk = Disk(data, object_format)
    try:
        yield disk
    finally:
        await disk.pool.close()
        assert children() == []


def grow(disk: Disk, chance: random.Random, depth: int) -> ObjectId:
    blob = disk.blob()
    entries = [("100644", blob, f"file{number}") for number in range(chance.randrange(4))]
    entries += [
        ("40000", grow(disk, chance, depth - 1), f"{chance.choice(('dir', 'file'))}-{number}")
        for number in range(chance.randrange(4) if depth else 0)
    ]
    return disk.tree(*entries)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_pages_of_any_size_make_up_what_git_lists(tmp_path: Path, object_format: str) -> None:
    async with opened(tmp_path, object_format) as disk:
        for seed in range(6):
            tree = grow(disk, random.Random(seed), 3)
            wanted = disk.ls_tree(tree)
            for page in (1, 2, 5, 10_000):
                assert await disk.paths(tree, page=page) == wanted
            top = [path for path in wanted if b"/" not in path]
            assert await disk.paths(tree, page=2, recursive=False) == top


class Kept:
    """What a caller has kept of directories: their paths, below each other."""

    def __init__(self) -> None:
        self.parts: dict[tuple[bytes, bytes], KnownPart] = {}
        self.used = 0

    def find(self, oid: bytes, path: bytes) -> KnownPart | None:
        return self.parts.get((oid, path))

    async def listed(self, disk: Disk, tree: ObjectId, *, page: int, bytes_max: int = 1 << 20) -> list[bytes]:
        """All paths, by pages; every whole directory is kept."""
        paths: list[bytes] = []
        at: Sequence[int] | None = ()
        while at is not None:
            answer = await disk.trees.page(
                KEY, tree, at, recursive=True, entries_max=page, bytes_max=bytes_max, known=self.find
            )
            pieces: list[list[bytes]] = []
            for run in answer.runs:
                if isinstance(run, KnownPart):
                    self.used += 1
                    pieces.append(bytes(run.content).split(b"\0")[:-1])
                    assert len(pieces[-1]) == run.entries
                else:
                    pieces.append([run.directory + row[1] for row in run.rows])
            for part in answer.whole:
                own = [path for piece in pieces[part.start : part.end] for path in piece]
                assert (part.entries, part.path_bytes) == (len(own), sum(map(len, own)))
                assert all(path.startswith(part.path + b"/") for path in own)
                content = b"".join(path + b"\0" for path in own)
                self.parts[part.oid, part.path] = KnownPart(part.entries, part.path_bytes, content)
            found = [path for piece in pieces for path in piece]
            assert len(found) <= page
            paths += found
            at = answer.next_at
        return paths


@pytest.mark.parametrize("page", [1, 2, 5, 30, 10_000])
async def test_directories_that_are_known_are_listed_as_they_are(tmp_path: Path, page: int) -> None:
    async with opened(tmp_path) as disk:
        for seed in range(6):
            first = grow(disk, random.Random(seed), 3)
            second = disk.tree(
                ("40000", first, "again"),
                ("40000", grow(disk, random.Random(seed + 100), 2), "new"),
                ("40000", first, "z"),
            )
            kept = Kept()
            for tree in (first, first, second, first, second):
                wanted = disk.ls_tree(tree)
                assert await kept.listed(disk, tree, page=page) == wanted
                assert await kept.listed(disk, tree, page=page, bytes_max=90) == wanted
                assert await disk.paths(tree, page=page) == wanted
            if page == 10_000 and any(path.count(b"/") for path in disk.ls_tree(first)):
                assert kept.used


async def test_directory_that_is_known_is_not_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        blob = disk.blob()
        deep = disk.tree(("40000", disk.tree(("100644", blob, "leaf")), "deep"))
        kept = Kept()
        assert await kept.listed(disk, disk.tree(("40000", deep, "known")), page=50) == [
            b"known",
            b"known/deep",
            b"known/deep/leaf",
        ]
        gone = disk.path / "objects" / deep[:2] / deep[2:]
        gone.unlink()
        await disk.forget()
        changed = disk.tree(("40000", deep, "known"), ("100644", blob, "other"))
        assert len(await kept.listed(disk, changed, page=50)) == 4
        with pytest.raises(Corrupt):
            await disk.paths(changed)


async def test_more_directories_than_are_fetched_ahead(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        leaf = disk.blob()
        below = [disk.tree(("100644", leaf, f"f{number}")) for number in range(AHEAD_MAX * 2 + 3)]
        tree = disk.tree(*(("40000", oid, f"d{number:04d}") for number, oid in enumerate(below)))
        assert await disk.paths(tree) == disk.ls_tree(tree)
        assert await disk.paths(tree, page=7) == disk.ls_tree(tree)


async def test_directories_that_are_too_large_to_be_read_together_are_read_apart(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        blob = disk.blob()
        names = [f"{number:05d}{'x' * 200}" for number in range(12_000)]
        sides = [disk.tree(*(("100644", blob, f"{side}{name}") for name in names)) for side in "ab"]
        root = disk.tree(("40000", sides[0], "a"), ("40000", sides[1], "b"), ("100644", blob, "c"))
        paths = [parse_tree_path(f"{side}/{side}{names[-1]}".encode()) for side in "ba"]
        found = await disk.trees.find(KEY, root, paths)
        assert [entry and entry.path for entry in found] == paths
        assert await disk.paths(root, page=30_000, bytes_max=1 << 23) == disk.ls_tree(root)


async def test_page_ends_where_its_paths_are_long_enough(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        leaf = disk.blob()
        tree = disk.tree(*(("100644", leaf, f"{number:02d}" * 50) for number in range(10)))
        page = await disk.trees.page(KEY, tree, (), recursive=True, entries_max=100, bytes_max=250)
        assert len(page.entries()) == 3
        assert await disk.paths(tree, bytes_max=1) == disk.ls_tree(tree)


async def test_empty_tree_is_listed_and_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree()
        assert await disk.paths(tree) == []
        root, nothing = await disk.trees.find(KEY, tree, [TreePath(b""), TreePath(b"a/b")])
        assert root is not None
        assert (root.kind, root.oid, nothing) == (EntryKind.DIRECTORY, tree, None)


@pytest.mark.parametrize("at", [(1,), (0, 0), (0, 0, 0), (99_999_999,), (1, 5)])
async def test_place_that_is_none_is_refused(tmp_path: Path, at: tuple[int, ...]) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree(("100644", disk.blob(), "only"))
        if at == (1,):
            page = await disk.trees.page(KEY, tree, at, recursive=True, entries_max=5, bytes_max=100)
            assert page.entries() == []
            return
        with pytest.raises(InvalidRequest):
            await disk.trees.page(KEY, tree, at, recursive=True, entries_max=5, bytes_max=100)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"100644 name",
        b"100644 name\0short",
        b"100644 \0" + b"x" * 20,
        b"1006x4 name\0" + b"x" * 20,
        b"100644 name\0" + b"x" * 20 + b"rest",
        b"\0" * 50,
    ],
)
async def test_malformed_tree_is_a_request_that_fails_and_no_damage(tmp_path: Path, data: bytes) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.raw(data)
        outer = disk.tree(("40000", tree, "bad"))
        for ask in (
            disk.paths(tree),
            disk.paths(outer),
            disk.trees.find(KEY, tree, [TreePath(b"nothing")]),
            disk.trees.find(KEY, outer, [TreePath(b"bad/nothing")]),
        ):
            with pytest.raises(InvalidRequest) as refused:
                await ask
            assert refused.value.message == "malformed tree object"


async def test_name_is_not_found_in_the_middle_of_another_ones_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        blob = disk.blob()
        tree = disk.tree(("100644", blob, "100755 name"), ("100644", blob, "name"))
        (entry,) = await disk.trees.find(KEY, tree, [TreePath(b"name")])
        assert entry is not None
        assert entry.mode == 0o100644


async def test_missing_objects_are_damage_and_wrong_kinds_are_not(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        gone = "b" * 40
        with pytest.raises(Corrupt):
            await disk.paths(disk.tree(("40000", gone, "dir")))
        with pytest.raises(InvalidRequest):
            await disk.paths(disk.raw(b"40000 dir\0" + bytes.fromhex(disk.blob())))
        entries = await disk.listed(disk.tree(("100644", gone, "file")), page=5)
        with pytest.raises(Corrupt):
            await disk.trees.describe(KEY, entries, lfs=True)
        submodule = await disk.listed(disk.tree(("160000", gone, "module")), page=5)
        assert (await disk.trees.describe(KEY, submodule, lfs=True))[0].kind is EntryKind.SUBMODULE


async def test_directories_nested_too_deep_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree(("100644", disk.blob(), "leaf"))
        for _ in range(DEPTH_MAX - 1):
            tree = disk.tree(("40000", tree, "d"))
        assert len(await disk.paths(tree, page=50)) == DEPTH_MAX
        with pytest.raises(TooLarge):
            await disk.paths(disk.tree(("40000", tree, "d")))


async def test_modes_of_old_trees_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        blob = bytes.fromhex(disk.blob())
        tree = disk.raw(
            b"".join(b"%s %s\0%s" % (mode, name, blob) for mode, name in ((b"100664", b"a"), (b"100744", b"b")))
        )
        found = await disk.trees.find(KEY, tree, [TreePath(b"a"), TreePath(b"b")])
        assert [(one.mode, one.kind) for one in found if one] == [
            (0o100664, EntryKind.FILE),
            (0o100744, EntryKind.EXECUTABLE),
        ]


async def test_attributes_come_from_the_directories_above_and_nowhere_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        (disk.path / "info").mkdir(exist_ok=True)
        top = disk.blob(b"[attr]mine text -diff\n*.c mine\n*.h text=auto\n")
        below = disk.blob(b"*.c !diff eol=lf\n")
        linked = disk.blob(b"top")
        sub = disk.tree(("100644", below, ".gitattributes"))
        lost = disk.tree(("120000", linked, ".gitattributes"))
        strange = disk.tree(("40000", sub, ".gitattributes"))
        tree = disk.tree(
            ("100644", top, ".gitattributes"), ("40000", sub, "sub"), ("40000", lost, "link"), ("40000", strange, "odd")
        )
        paths = [parse_tree_path(raw) for raw in (b"a.c", b"sub/a.c", b"sub/deep/a.c", b"link/a.h", b"odd/a.c", b"x")]
        answers = await disk.trees.attributes(KEY, tree, [*paths, paths[0]], ["diff", "text", "eol"])
        assert [[attribute.value for attribute in answer] for answer in answers] == [
            [b"unset", b"set", b"unspecified"],
            [b"unspecified", b"set", b"lf"],
            [b"unspecified", b"set", b"lf"],
            [b"unspecified", b"auto", b"unspecified"],
            [b"unset", b"set", b"unspecified"],
            [b"unspecified"] * 3,
            [b"unset", b"set", b"unspecified"],
        ]


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_index_of_our_making_is_what_git_takes_it_for(tmp_path: Path, object_format: str) -> None:
    async with opened(tmp_path, object_format) as disk:
        oid = ObjectId(disk.blob(b"* text\n"))
        long_ = [b"d" * length + b"/.gitattributes" for length in (*range(1, 20), 4_079, 4_080, 4_081)]
        paths = sorted([b".gitattributes", b"A/.gitattributes", b"a-b/.gitattributes", b"a/.gitattributes", *long_])
        modes = (0o100644, 0o100664, 0o100755, 0o120000)
        files = [TreeEntry(TreePath(path), modes[number % 4], oid) for number, path in enumerate(paths)]
        random.Random(1).shuffle(files)
        index = tmp_path / "index"
        index.write_bytes(format_index(files))
        kept = {0o100664: 0o100644}
        assert git("ls-files", "--stage", "-z", path=disk.path, environment={"GIT_INDEX_FILE": str(index)}) == b"".join(
            b"%06o %s 0\t%s\0" % (kept.get(file.mode, file.mode), oid.encode(), file.path)
            for file in sorted(files, key=lambda file: file.path)
        )
        tree = disk.tree(("100644", oid, ".gitattributes"))
        (found,) = await disk.trees.attributes(KEY, tree, [TreePath(b"x")], ["text"])
        assert [one.value for one in found] == [b"set"]


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_where_no_file_says_anything_nothing_is_specified(tmp_path: Path, object_format: str) -> None:
    async with opened(tmp_path, object_format) as disk:
        tree = disk.tree(("100644", disk.blob(), "x"))
        paths = [TreePath(b"x"), TreePath(b"no/such"), TreePath(b"x")]
        for names in ([], ["text"], ["diff", "text", "diff"], ["builtin_nothing"]):
            answers = await disk.trees.attributes(KEY, tree, paths, names)
            assert [[(one.name, one.value) for one in answer] for answer in answers] == [
                [(name, b"unspecified") for name in dict.fromkeys(names)]
            ] * 3
        (disk.path / "info").mkdir(exist_ok=True)
        (disk.path / "info/attributes").write_text("x text\n")
        (answer, _, _) = await disk.trees.attributes(KEY, tree, paths, ["text"])
        assert [one.value for one in answer] == [b"set"]
        with pytest.raises(InvalidRequest):
            await disk.trees.attributes(KEY, tree, paths, ["-d"])


async def test_question_about_too_many_directories_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as disk:
        tree = disk.tree()
        paths = [TreePath(b"/".join([b"%d" % number, *([b"d"] * 100)])) for number in range(101)]
        with pytest.raises(TooLarge):
            await disk.trees.attributes(KEY, tree, paths, [])


@pytest.mark.parametrize("raw", [b"/", b"a/", b"/a", b"a//b", b".", b"..", b"a/./b", b"a/../b", b"a\0b", b"x" * 4_097])
def test_what_is_no_path_is_refused(raw: bytes) -> None:
    with pytest.raises(MeshError):
        parse_tree_path(raw)


@pytest.mark.parametrize("raw", [b"", b"a", b"a/b c", b"...", b"-x", b":x", b"\xff/\n", b"x" * 4_096])
def test_paths_are_bytes_as_they_are(raw: bytes) -> None:
    assert parse_tree_path(raw) == raw
    assert name_in("t", raw).encode(errors="surrogateescape") == b"t:" + raw
