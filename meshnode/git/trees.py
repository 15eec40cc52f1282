"""Reads trees: directories a page at a time, entries by path, sizes; by objects alone, no process of its own.

    page    a stack of trees, one for each level; its place is the index at each level, "3.17.250"
    find    the tree above each path by git ("<tree>:a/b"), the entry in it by its name, for the mode

Subtrees are fetched some ahead, so that a recursive listing does not wait for every directory alone. Long trees are
scanned in slices. A tree that is not well-formed is what somebody pushed, the same on every replica: no damage.

Source: git's tree-walk.c for the format.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, NoReturn

from meshnode.base.errors import Corrupt, InvalidRequest, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.base.paths import ROOT, TreePath, name_in
from meshnode.core.round import ReplicaKey
from meshnode.git.attributes import read_attributes
from meshnode.git.lfs import POINTER_BYTES_MAX, parse_lfs_pointer
from meshnode.git.queries import Queries
from meshnode.ports import Attribute, EntryKind, LfsPointer, ObjectKind, Objects, TreeEntry, TreePage

TREE_BYTES_MAX: Final = 32 << 20
"""A tree of about 800,000 files."""
PORTION_BYTES_MAX: Final = 4 << 20
"""Of trees read in one go."""
AHEAD_MAX: Final = 64
"""Directories fetched in one go: their round trip costs as much as parsing some of them."""
SCAN_AHEAD_MAX: Final = 2_000
"""Entries looked at in search of directories to fetch ahead."""
DEPTH_MAX: Final = 200
"""Levels of a recursive listing; a page token names the place in each."""
SLICE: Final = 2_000
"""Entries parsed before others get their turn: about 1 ms."""

_DIRECTORY_MODE: Final = 0o040000
_FILES: Final = frozenset({EntryKind.FILE, EntryKind.EXECUTABLE})
_ENTRIES: Final = {
    size: re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % size, re.DOTALL) for size in (20, 32)
}  # by bytes of an object id


class GitTrees:
    """Implements `ports.Trees`."""

    def __init__(self, objects: Objects, queries: Queries) -> None:
        self._objects = objects
        self._queries = queries

    async def page(
        self, key: ReplicaKey, tree: ObjectId, at: Sequence[int], *, recursive: bool, entries_max: int, bytes_max: int
    ) -> TreePage:
        """Entries in tree order from `at` on."""
        walk = _Walk(self, key, recursive=recursive)
        await walk.start(tree, at)
        if not recursive:
            return await walk.rest_of_level(entries_max, bytes_max)
        entries: list[TreeEntry] = []
        size = 0
        while (entry := await walk.next()) is not None:
            entries.append(entry)
            size += len(entry.path)
            if len(entries) % SLICE == 0:
                await asyncio.sleep(0)
            if len(entries) == entries_max or size >= bytes_max:
                place = walk.place()
                return TreePage(entries, None if await walk.next() is None else place)
        return TreePage(entries, None)

    async def find(self, key: ReplicaKey, tree: ObjectId, paths: Sequence[TreePath]) -> list[TreeEntry | None]:
        """The entry at each path."""
        wanted: dict[bytes, set[bytes]] = {}
        for path in paths:
            if path != ROOT:
                parent, _, name = path.rpartition(b"/")
                wanted.setdefault(parent, set()).add(name)
        found: dict[bytes, TreeEntry] = {ROOT: TreeEntry(ROOT, _DIRECTORY_MODE, tree)}
        parents = list(wanted)
        position = 0
        async for data in self.trees(key, [name_in(tree, parent) if parent else tree for parent in parents]):
            parent = parents[position]
            position += 1
            if data is not None:
                prefix = parent + b"/" if parent else b""
                for entry in await _named(data, wanted[parent], prefix, len(tree) // 2):
                    found.setdefault(entry.path, entry)
        return [found.get(path) for path in paths]

    async def describe(self, key: ReplicaKey, entries: Sequence[TreeEntry], *, lfs: bool) -> list[TreeEntry]:
        """The entries with sizes and pointers."""
        oids = list(dict.fromkeys(entry.oid for entry in entries if entry.kind.is_blob))
        sizes: dict[ObjectId, int] = {}
        for oid, info in zip(oids, await self._objects.look_up(key, oids), strict=True):
            if info is None:
                raise Corrupt("a file's object is missing", oid=oid)
            sizes[oid] = info.size
        pointers: dict[ObjectId, LfsPointer | None] = {}
        if lfs:
            # A link's target is never a pointer.
            files = {entry.oid for entry in entries if entry.kind in _FILES}
            small = [oid for oid in files if sizes[oid] <= POINTER_BYTES_MAX]
            contents = await self._objects.read(key, small, bytes_max=len(small) * POINTER_BYTES_MAX)
            pointers = {one.info.oid: parse_lfs_pointer(one.data) for one in contents if one is not None}
        described: list[TreeEntry] = []
        for entry in entries:
            pointer = pointers.get(entry.oid) if pointers and entry.kind in _FILES else None
            described.append(TreeEntry(entry.path, entry.mode, entry.oid, sizes.get(entry.oid, 0), pointer))
            if len(described) % SLICE == 0:
                await asyncio.sleep(0)
        return described

    async def attributes(
        self, key: ReplicaKey, tree: ObjectId, paths: Sequence[TreePath], names: Sequence[str]
    ) -> list[list[Attribute]]:
        """Attributes of each path."""
        return await read_attributes(self._queries, partial(self.find, key, tree), key, paths, names)

    async def refuse(self, key: ReplicaKey, oid: ObjectId) -> NoReturn:
        """Say what is wrong with a directory that could not be read."""
        if await self._objects.look_up(key, [oid]) == [None]:
            raise Corrupt("a directory's object is missing", oid=oid)
        raise InvalidRequest("a directory's object is no tree", oid=oid)

    async def trees(self, key: ReplicaKey, names: Sequence[str]) -> AsyncIterator[bytes | None]:
        """The content of each named tree, in order; None for what is no tree or not there."""
        try:
            found = await self._objects.read(key, names, bytes_max=PORTION_BYTES_MAX)
        except TooLarge:  # a portion at a time then, by their sizes
            async for data in self._large_trees(key, names):
                yield data
            return
        for content in found:
            yield content.data if content is not None and content.info.kind is ObjectKind.TREE else None

    async def _large_trees(self, key: ReplicaKey, names: Sequence[str]) -> AsyncIterator[bytes | None]:
        infos = await self._objects.look_up(key, names)
        start = 0
        while start < len(infos):
            end, size = start, 0
            while end < len(infos):
                info = infos[end]
                length = info.size if info is not None and info.kind is ObjectKind.TREE else 0
                if length > TREE_BYTES_MAX:
                    raise TooLarge("directory is too large to be read", size=length, bytes_max=TREE_BYTES_MAX)
                if end > start and size + length > PORTION_BYTES_MAX:
                    break
                size += length
                end += 1
            part = infos[start:end]
            oids = [info.oid for info in part if info is not None and info.kind is ObjectKind.TREE]
            contents = iter(await self._objects.read(key, oids, bytes_max=TREE_BYTES_MAX + PORTION_BYTES_MAX))
            for info in part:
                if info is None or info.kind is not ObjectKind.TREE:
                    yield None
                else:
                    content = next(contents)
                    yield None if content is None else content.data
            start = end


class _Walk:
    """A place in a listing, and the trees that lead there."""

    def __init__(self, trees: GitTrees, key: ReplicaKey, *, recursive: bool) -> None:
        self._trees = trees
        self._key = key
        self._recursive = recursive
        self._levels: list[_Level] = []
        self._ahead: dict[ObjectId, bytes] = {}
        self._entering: TreeEntry | None = None
        """The directory that was given last; what is in it comes next."""

    async def start(self, root: ObjectId, at: Sequence[int]) -> None:
        """Go to `at`."""
        entry = TreeEntry(ROOT, _DIRECTORY_MODE, root)
        *above, last = at or (0,)
        for index in above:
            await self._enter(entry)
            await self._levels[-1].skip(index)
            below = self._levels[-1].next()
            if below is None or below.kind is not EntryKind.DIRECTORY or not self._recursive:
                raise InvalidRequest("page token does not fit this directory")
            entry = below
        await self._enter(entry)
        await self._levels[-1].skip(last)

    async def next(self) -> TreeEntry | None:
        """The next entry."""
        if self._entering is not None:
            await self._enter(self._entering)
            self._entering = None
        while self._levels:
            entry = self._levels[-1].next()
            if entry is not None:
                if self._recursive and entry.kind is EntryKind.DIRECTORY:
                    self._entering = entry
                return entry
            self._levels.pop()
        return None

    async def rest_of_level(self, entries_max: int, bytes_max: int) -> TreePage:
        """A page of one directory, by slices instead of entry by entry."""
        level = self._levels[-1]
        entries: list[TreeEntry] = []
        while not level.is_over and len(entries) < entries_max and bytes_max > 0:
            bytes_max -= level.take(entries, min(SLICE, entries_max - len(entries)), bytes_max)
            await asyncio.sleep(0)
        return TreePage(entries, None if level.is_over else (level.index,))

    def place(self) -> tuple[int, ...] | None:
        """Where the next entry is."""
        levels = [level.index for level in self._levels]
        if self._entering is not None:
            levels.append(0)
        above = [index - 1 for index in levels[:-1]]
        return (*above, levels[-1])

    async def _enter(self, entry: TreeEntry) -> None:
        if len(self._levels) == DEPTH_MAX:
            raise TooLarge("directories are nested too deep to be listed at once", depth_max=DEPTH_MAX)
        if entry.oid not in self._ahead:
            await self._fetch(entry.oid)
        self._levels.append(_Level(self._ahead[entry.oid], entry.path, len(entry.oid) // 2))

    async def _fetch(self, oid: ObjectId) -> None:
        siblings = self._levels[-1].directories_ahead() if self._recursive and self._levels else []
        oids = list(dict.fromkeys([oid, *siblings]))
        self._ahead.clear()
        size = position = 0
        async for data in self._trees.trees(self._key, oids):
            if data is None:
                if position == 0:
                    await self._trees.refuse(self._key, oid)
                break
            self._ahead[oids[position]] = data
            position += 1
            size += len(data)
            if size > PORTION_BYTES_MAX:
                break


class _Level:
    """One tree and the place in it."""

    def __init__(self, data: bytes, path: TreePath, oid_bytes: int) -> None:
        self.index = 0
        """Of the next entry."""
        self._data = data
        self._offset = 0
        self._prefix = path + b"/" if path else b""
        self._oid_bytes = oid_bytes

    def next(self) -> TreeEntry | None:
        """The next entry."""
        if self._offset >= len(self._data):
            return None
        entry, self._offset = next(_scan(self._data, self._offset, self._prefix, self._oid_bytes))
        self.index += 1
        return entry

    @property
    def is_over(self) -> bool:
        """Whether there is no further entry."""
        return self._offset >= len(self._data)

    def take(self, entries: list[TreeEntry], count: int, bytes_max: int) -> int:
        """Append up to `count` entries, until their paths have `bytes_max` bytes; how many they have."""
        size = 0
        for entry, offset in islice(_scan(self._data, self._offset, self._prefix, self._oid_bytes), count):
            entries.append(entry)
            self._offset = offset
            self.index += 1
            size += len(entry.path)
            if size >= bytes_max:
                break
        return size

    async def skip(self, count: int) -> None:
        """Go on by `count` entries. Raises InvalidRequest where there are fewer."""
        match = _ENTRIES[self._oid_bytes].match
        while self.index < count:
            found = match(self._data, self._offset)
            if found is None:
                raise InvalidRequest("page token does not fit this directory")
            self._offset = found.end()
            self.index += 1
            if self.index % SLICE == 0:
                await asyncio.sleep(0)

    def directories_ahead(self) -> list[ObjectId]:
        """Some directories that come next."""
        found: list[ObjectId] = []
        for number, (entry, _) in enumerate(_scan(self._data, self._offset, b"", self._oid_bytes)):
            if entry.kind is EntryKind.DIRECTORY:
                found.append(entry.oid)
            if len(found) == AHEAD_MAX or number == SCAN_AHEAD_MAX:
                break
        return found


def _scan(data: bytes, offset: int, prefix: bytes, oid_bytes: int) -> Iterator[tuple[TreeEntry, int]]:
    """Entries from `offset` on, each with the offset after it. Raises InvalidRequest."""
    match = _ENTRIES[oid_bytes].match
    modes: dict[bytes, int] = {}
    while offset < len(data):
        found = match(data, offset)
        if found is None:
            raise InvalidRequest("malformed tree object", offset=offset)
        mode, name, oid = found.groups()
        number = modes.get(mode)
        if number is None:
            number = modes[mode] = int(mode, 8)
        offset = found.end()
        yield TreeEntry(TreePath(prefix + name), number, ObjectId(oid.hex())), offset


async def _named(data: bytes, names: set[bytes], prefix: bytes, oid_bytes: int) -> list[TreeEntry]:
    """The entries of a tree with these names."""
    match = _ENTRIES[oid_bytes].match
    found = []
    offset = count = 0
    left = set(names)
    while left and offset < len(data):
        one = match(data, offset)
        if one is None:
            raise InvalidRequest("malformed tree object", offset=offset)
        offset = one.end()
        if one[2] in left:
            left.discard(one[2])
            found.append(TreeEntry(TreePath(prefix + one[2]), int(one[1], 8), ObjectId(one[3].hex())))
        count += 1
        if count % SLICE == 0:
            await asyncio.sleep(0)
    return found
