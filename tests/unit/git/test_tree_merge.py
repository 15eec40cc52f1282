"""Merges of three trees in memory, rule by rule; beside git they are held in `test_merges_beside_git.py`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest

from meshnode.base.errors import Overloaded
from meshnode.base.ids import ObjectId, empty_tree
from meshnode.git.loose import object_id
from meshnode.git.tree_merge import INLINE_BYTES_MAX, LEVEL_BYTES_MAX, TREES_MAX, MergedTrees, merge_trees
from meshnode.ports import ObjectKind

Files = Mapping[str, str]
"""What lies at each path: "x" for a file of that content, "*x" an executable, "@x" a link, "#x" a submodule."""
_MODES = {"*": "100755", "@": "120000", "#": "160000"}


class Store:
    """Trees in memory."""

    def __init__(self, object_format: str) -> None:
        self.object_format = object_format
        self.trees: dict[ObjectId, bytes] = {}
        self.asked: list[list[ObjectId]] = []

    async def read(self, oids: Sequence[ObjectId], kind: ObjectKind) -> list[bytes | None]:
        """Read trees for a merge; there are no blobs."""
        if kind is not ObjectKind.TREE:
            return [None] * len(oids)
        self.asked.append(list(oids))
        return [self.trees.get(oid) for oid in oids]

    def add(self, data: bytes) -> ObjectId:
        """Keep a tree."""
        oid = object_id(self.object_format, ObjectKind.TREE, data)
        self.trees[oid] = data
        return oid

    def tree(self, files: Files) -> ObjectId:
        """The tree of these files."""
        names: dict[str, dict[str, str]] = {}
        entries: list[tuple[str, str, ObjectId]] = []
        for path, content in files.items():
            name, _, rest = path.partition("/")
            if rest:
                names.setdefault(name, {})[rest] = content
            else:
                oid = object_id(self.object_format, ObjectKind.BLOB, content.lstrip("*@#").encode())
                entries.append((name, _MODES.get(content[0], "100644"), oid))
        entries += [(name, "40000", self.tree(below)) for name, below in names.items()]
        entries.sort(key=lambda entry: entry[0] + "/" if entry[1] == "40000" else entry[0])
        return self.add(b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for name, mode, oid in entries))

    async def merge(self, base: Files | None, ours: Files, theirs: Files) -> MergedTrees | None:
        """Merge trees of files."""
        start = None if base is None else self.tree(base)
        return await merge_trees(start, self.tree(ours), self.tree(theirs), self.read, self.object_format)


@pytest.fixture(params=["sha1", "sha256"])
def store(request: pytest.FixtureRequest) -> Store:
    return Store(request.param)


BASE = {"a": "1", "b": "2", "d/x": "3", "d/y": "4", "d/e/z": "5", "f/g": "6"}


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        ({"a": "A"}, {"b": "B"}, {"a": "A", "b": "B"}),
        ({"d/x": "X"}, {"d/y": "Y"}, {"d/x": "X", "d/y": "Y"}),
        ({"d/e/z": "Z"}, {"d/x": "X", "new": "n"}, {"d/e/z": "Z", "d/x": "X", "new": "n"}),
        (
            {"d/n1": "1", "d/e/n": "2"},
            {"d/n2": "3", "d/e-": "4"},
            {"d/n1": "1", "d/e/n": "2", "d/n2": "3", "d/e-": "4"},
        ),
        ({"new/x": "1"}, {"new/y": "2"}, {"new/x": "1", "new/y": "2"}),
        ({"a": "A"}, {"a": "A", "b": "B"}, {"a": "A", "b": "B"}),
        ({"a": "*1"}, {"b": "@2"}, {"a": "*1", "b": "@2"}),
        ({"a": "#1"}, {"b": "#2"}, {"a": "#1", "b": "#2"}),
        ({"a": ""}, {"b": ""}, {"a": "", "b": ""}),
        ({"d/x": ""}, {"d/y": "Y"}, {"d/x": "", "d/y": "Y"}),
        ({"d/x": "", "d/y": ""}, {"d/e/z": ""}, {"d/x": "", "d/y": "", "d/e/z": ""}),
        ({"f/g": ""}, {"d/x": "X"}, {"f/g": "", "d/x": "X"}),
        ({"f/g": "", "h": "6"}, {"d/x": "X"}, {"f/g": "", "h": "6", "d/x": "X"}),
        ({"a": ""}, {"a": "", "b": "B"}, {"a": "", "b": "B"}),
        ({"new": "1"}, {"new": "1", "b": "B"}, {"new": "1", "b": "B"}),
        ({"d/x": "X", "d/y": "Y"}, {"d/x": "X", "d/e/z": "Z"}, {"d/x": "X", "d/y": "Y", "d/e/z": "Z"}),
    ],
)
async def test_paths_that_one_side_changed_are_taken_from_it(
    store: Store, ours: Files, theirs: Files, merged: Files
) -> None:
    def changed(changes: Files) -> Files:
        return {path: content for path, content in {**BASE, **changes}.items() if content}

    for first, second in itertools.permutations([ours, theirs]):
        found = await store.merge(BASE, changed(first), changed(second))
        assert found is not None
        known = set(store.trees)
        assert found.tree == store.tree(changed(merged))
        made = {object_id(store.object_format, *content) for content in found.contents}
        assert found.tree in made | known
        assert set(store.trees) - known <= made


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param({"a": "A"}, {"a": "B"}, id="two edits of one file that cannot be read"),
        pytest.param({"a": "A"}, {"a": "*1"}, id="an edit and a mode"),
        pytest.param({"a": "#1"}, {"a": "#2"}, id="two submodules"),
        pytest.param({"a": "A"}, {"a": ""}, id="edited and deleted"),
        pytest.param({"new": "A"}, {"new": "B"}, id="two new files"),
        pytest.param({"new": "A"}, {"new/x": "B"}, id="a new file and a new directory"),
        pytest.param({"a": "", "a/x": "1"}, {"b": "B"}, id="a file becomes a directory"),
        pytest.param({"f/g": "", "f": "6"}, {"b": "B"}, id="a directory becomes a file"),
        pytest.param({"f/g": "", "f": "6"}, {"f/g": "", "f": "6", "b": "B"}, id="becomes a file on both sides"),
        pytest.param({"a": "", "n": "1"}, {"a": "", "b": "B"}, id="deleted by both, rename/delete"),
        pytest.param({"a": "", "n": "1"}, {"a": "", "m": "1"}, id="rename/rename to two names"),
        pytest.param({"a": "", "d/x": "X"}, {"a": "", "b": "B"}, id="deleted by both, and a directory not looked into"),
        pytest.param({"a": "", "n": "1"}, {"n": "1", "b": "B"}, id="rename/add of the same"),
        pytest.param({"a": "", "n": "1"}, {"b": "", "n": "1"}, id="rename/rename to one name"),
        pytest.param({"n": "1", "d/x": "X"}, {"n": "1", "b": "B"}, id="added by both, and a directory not looked into"),
        pytest.param(
            {"d/x": "", "d/y": "", "d/e/z": "", "n/x": "3", "n/y": "4"}, {"d/new": "n"}, id="renamed directory"
        ),
        pytest.param({"d/e/z": "", "z": "5"}, {"d/e/new": "n"}, id="directory renamed to the root"),
        pytest.param({"f/g": ""}, {"f/g": "G"}, id="deleted directory, edited file in it"),
        pytest.param({"f/g": "", "f/h": "6"}, {"f/g": "", "f/h": "6", "b": "B"}, id="the same rename on both sides"),
    ],
)
async def test_what_git_might_see_otherwise_is_left_to_it(store: Store, ours: Files, theirs: Files) -> None:
    def changed(changes: Files) -> Files:
        removed = {path for path, content in changes.items() if not content}
        return {path: content for path, content in {**BASE, **changes}.items() if path not in removed}

    for first, second in itertools.permutations([ours, theirs]):
        assert await store.merge(BASE, changed(first), changed(second)) is None


async def test_directory_that_both_sides_emptied_is_gone(store: Store) -> None:
    base = {"d/e/x": "1", "d/e/y": "2", "a": "3"}
    found = await store.merge(base, {"d/e/x": "1", "a": "3"}, {"d/e/y": "2", "a": "3"})
    assert found is not None
    assert found.tree == store.tree({"a": "3"})
    nothing = await store.merge({"a": "1", "b": "2"}, {"a": "1"}, {"b": "2"})
    assert nothing == MergedTrees(empty_tree(store.object_format), [(ObjectKind.TREE, b"")], [])


async def test_side_without_changes_needs_no_reading(store: Store) -> None:
    base, other = store.tree(BASE), store.tree({"a": "1"})
    for ours, theirs in ((base, other), (other, base)):
        assert await merge_trees(base, ours, theirs, store.read, store.object_format) == MergedTrees(other)
    assert store.asked == []


async def test_no_base_is_an_empty_tree(store: Store) -> None:
    found = await store.merge(None, {"a": "1", "d/x": "2"}, {"b": "3", "d/y": "4"})
    assert found is not None
    assert found.tree == store.tree({"a": "1", "d/x": "2", "b": "3", "d/y": "4"})


async def test_only_directories_that_both_changed_are_read_a_level_at_a_time(store: Store) -> None:
    ours, theirs = {**BASE, "d/e/z": "Z", "d/x": "X", "f/g": "G"}, {**BASE, "d/e/new": "N"}
    assert await store.merge(BASE, ours, theirs) is not None
    assert [len(asked) for asked in store.asked] == [3, 3, 3]
    one = await store.merge(BASE, {**BASE, "d/x": "X"}, {**BASE, "f/g": "G"})
    assert one is not None
    assert [len(asked) for asked in store.asked] == [3, 3, 3, 3]


async def test_too_many_trees_or_one_that_is_missing_is_left_to_git(store: Store) -> None:
    def wide(count: int, *names: str) -> Files:
        return {f"d{number}/{name}": f"{number}" for number in range(count) for name in names}

    enough = TREES_MAX // 3 - 1
    assert await store.merge(wide(enough, "x"), wide(enough, "x", "y"), wide(enough, "x", "z")) is not None
    more = TREES_MAX // 3 + 1
    assert await store.merge(wide(more, "x"), wide(more, "x", "y"), wide(more, "x", "z")) is None
    base, ours, theirs = (store.tree({**BASE, name: "1"}) for name in ("x", "y", "z"))
    del store.trees[theirs]
    assert await merge_trees(base, ours, theirs, store.read, store.object_format) is None


async def test_failure_to_read_is_left_to_git(store: Store) -> None:
    async def fail(oids: Sequence[ObjectId], kind: ObjectKind) -> list[bytes | None]:
        raise Overloaded("too much", count=len(oids), kind=kind.value)

    trees = [store.tree({**BASE, name: "1"}) for name in ("x", "y", "z")]
    assert await merge_trees(trees[0], trees[1], trees[2], fail, store.object_format) is None


async def test_large_directory_is_merged_alike_up_to_a_bound(store: Store) -> None:
    many = {f"file-{number:06}": str(number) for number in range(LEVEL_BYTES_MAX // 100)}
    assert await store.merge(many, {**many, "a": "1"}, {**many, "z": "2"}) is None
    many = {f"file-{number:06}": str(number) for number in range(INLINE_BYTES_MAX // 64)}
    found = await store.merge(many, {**many, "a": "1"}, {**many, "z": "2"})
    assert found is not None
    assert found.tree == store.tree({**many, "a": "1", "z": "2"})


@pytest.mark.parametrize("what", ["old mode", "padded mode", "empty directory", "order", "twice", "cut", "no name"])
async def test_tree_that_git_would_not_write_is_left_to_it(store: Store, what: str) -> None:
    size = 32 if store.object_format == "sha256" else 20
    oid, empty = b"\1" * size, bytes.fromhex(empty_tree(store.object_format))
    odd = {
        "old mode": b"100664 m\0" + oid,
        "padded mode": b"040000 m\0" + oid,
        "empty directory": b"40000 m\0" + empty,
        "order": b"100644 n\0" + oid + b"100644 m\0" + oid,
        "twice": b"100644 m\0" + oid + b"100644 m\0" + oid,
        "cut": b"100644 m\0" + oid[:-1],
        "no name": b"100644 \0" + oid,
    }[what]
    base, ours = store.tree({"a": "1"}), store.tree({"a": "2"})
    theirs = store.add(store.trees[base] + odd)
    assert await merge_trees(base, ours, theirs, store.read, store.object_format) is None
    assert await merge_trees(theirs, ours, base, store.read, store.object_format) is None
