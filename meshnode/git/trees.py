"""Reads trees: directories a page at a time, entries by path, sizes; by objects alone, no process of its own.

    page    a walk from a place (`git/tree_walk.py`), then the sizes of all its blobs in one question
    find    the tree above each path by git ("<tree>:a/b"), the entry in it by its name, for the mode

Long trees are scanned in slices. A tree that is not well-formed is what somebody pushed, the same on every replica: no
damage.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, NoReturn

from meshnode.base.errors import Corrupt, InvalidRequest, TooLarge
from meshnode.base.ids import ObjectId
from meshnode.base.paths import ROOT, TreePath, name_in
from meshnode.core.round import ReplicaKey
from meshnode.git.attributes import read_attributes
from meshnode.git.lfs import POINTER_BYTES_MAX, parse_lfs_pointer
from meshnode.git.object_batch import BATCH_MAX
from meshnode.git.queries import Queries
from meshnode.git.tree_walk import PORTION_BYTES_MAX, SLICE, TreeWalk, parse_slice
from meshnode.ports import (
    Attribute,
    EntryKind,
    KnownParts,
    LfsPointer,
    ObjectKind,
    Objects,
    TreeEntry,
    TreePage,
    TreeRun,
)

TREE_BYTES_MAX: Final = 32 << 20
"""A tree of about 800,000 files."""
PARENTS_A_TURN: Final = 50
"""Directories in which names are looked for before others get their turn: about 0.5 ms."""

_DIRECTORY_MODE: Final = 0o040000
_FILES: Final = frozenset({EntryKind.FILE, EntryKind.EXECUTABLE})


class GitTrees:
    """Implements `ports.Trees`."""

    def __init__(self, objects: Objects, queries: Queries) -> None:
        self._objects = objects
        self._queries = queries

    async def page(
        self,
        key: ReplicaKey,
        tree: ObjectId,
        at: Sequence[int],
        *,
        recursive: bool,
        entries_max: int,
        bytes_max: int,
        sizes: bool = False,
        lfs: bool = False,
        known: KnownParts | None = None,
    ) -> TreePage:
        """Entries in tree order from `at` on."""
        walk = TreeWalk(partial(self.trees, key), partial(self.refuse, key), is_recursive=recursive, known=known)
        await walk.start(tree, at)
        listed, next_at = await walk.page(entries_max, bytes_max)
        runs = [run for run in listed.runs if isinstance(run, TreeRun)]
        found: dict[bytes, int] = {}
        pointers: dict[bytes, LfsPointer] = {}
        if sizes or lfs:
            is_blob, is_file = _IsBlob(), _IsFile()
            found = await self._sizes(key, [oid for _, rows in runs for mode, _, oid in rows if is_blob[mode]])
            if lfs:
                files = {oid: None for _, rows in runs for mode, _, oid in rows if is_file[mode]}
                pointers = await self._pointers(key, list(files), found)
        return TreePage(listed.runs, next_at, found, pointers, listed.whole)

    async def find(self, key: ReplicaKey, tree: ObjectId, paths: Sequence[TreePath]) -> list[TreeEntry | None]:
        """The entry at each path."""
        wanted: dict[bytes, set[bytes]] = {}
        for path in paths:
            if path != ROOT:
                parent, _, name = path.rpartition(b"/")
                wanted.setdefault(parent, set()).add(name)
        found: dict[bytes, TreeEntry] = {ROOT: TreeEntry(ROOT, _DIRECTORY_MODE, tree)}
        if len(paths) > SLICE:
            await asyncio.sleep(0)
        parents = list(wanted)
        position = 0
        async with aclosing(self.trees(key, [name_in(tree, parent) if parent else tree for parent in parents])) as all_:
            async for data in all_:
                parent = parents[position]
                position += 1
                if position % PARENTS_A_TURN == 0:
                    await asyncio.sleep(0)
                if data is not None:
                    prefix = parent + b"/" if parent else b""
                    for entry in await _named(data, wanted[parent], prefix, len(tree) // 2):
                        found.setdefault(entry.path, entry)
        return [found.get(path) for path in paths]

    async def describe(self, key: ReplicaKey, entries: Sequence[TreeEntry], *, lfs: bool) -> list[TreeEntry]:
        """The entries with sizes and pointers."""
        described: list[TreeEntry] = []
        for start in range(0, len(entries), BATCH_MAX):
            part = entries[start : start + BATCH_MAX]
            ids = [(bytes.fromhex(entry.oid), entry.kind) for entry in part]
            sizes = await self._sizes(key, list(dict.fromkeys(oid for oid, kind in ids if kind.is_blob)))
            pointers: dict[bytes, LfsPointer] = {}
            if lfs:
                files = list(dict.fromkeys(oid for oid, kind in ids if kind in _FILES))
                pointers = await self._pointers(key, files, sizes)
            for entry, (oid, kind) in zip(part, ids, strict=True):
                pointer = pointers.get(oid) if pointers and kind in _FILES else None
                described.append(
                    TreeEntry(entry.path, entry.mode, entry.oid, sizes[oid] if kind.is_blob else 0, pointer)
                )
            if len(described) < len(entries):
                await asyncio.sleep(0)
        return described

    async def _sizes(self, key: ReplicaKey, blobs: Sequence[bytes]) -> dict[bytes, int]:
        """Bytes of each blob, by raw id. Raises Corrupt where one is missing."""
        sizes: dict[bytes, int] = {}
        for start in range(0, len(blobs), SLICE):
            part = blobs[start : start + SLICE]
            oids = [oid.hex() for oid in part]
            infos = await self._objects.look_up(key, oids)
            if None in infos:
                raise Corrupt("a file's object is missing", oid=oids[infos.index(None)])
            sizes.update(zip(part, [info.size for info in infos if info is not None], strict=True))
            if start + SLICE < len(blobs):
                await asyncio.sleep(0)
        return sizes

    async def _pointers(
        self, key: ReplicaKey, files: Sequence[bytes], sizes: dict[bytes, int]
    ) -> dict[bytes, LfsPointer]:
        """The pointers among files, by raw id. A link's target is never one."""
        small = [oid.hex() for oid in files if sizes[oid] <= POINTER_BYTES_MAX]
        contents = await self._objects.read(key, small, bytes_max=len(small) * POINTER_BYTES_MAX)
        return {
            bytes.fromhex(one.info.oid): pointer
            for one in contents
            if one is not None and (pointer := parse_lfs_pointer(one.data)) is not None
        }

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

    async def trees(self, key: ReplicaKey, names: Sequence[str]) -> AsyncGenerator[bytes | None, None]:
        """The content of each named tree, in order; None for what is no tree or not there."""
        try:
            found = await self._objects.read(key, names, bytes_max=PORTION_BYTES_MAX)
        except TooLarge:  # a portion at a time then, by their sizes
            async with aclosing(self._large_trees(key, names)) as large:
                async for data in large:
                    yield data
            return
        for content in found:
            yield content.data if content is not None and content.info.kind is ObjectKind.TREE else None

    async def _large_trees(self, key: ReplicaKey, names: Sequence[str]) -> AsyncGenerator[bytes | None, None]:
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


class _IsFile(dict[bytes, bool]):
    """Whether an entry of a mode, in octal digits, is a file and no link."""

    def __missing__(self, mode: bytes) -> bool:
        result = self[mode] = EntryKind.of(int(mode, 8)) in _FILES
        return result


class _IsBlob(dict[bytes, bool]):
    """Whether the object of an entry of a mode, in octal digits, is a blob."""

    def __missing__(self, mode: bytes) -> bool:
        result = self[mode] = EntryKind.of(int(mode, 8)).is_blob
        return result


async def _named(data: bytes, names: set[bytes], prefix: bytes, oid_bytes: int) -> list[TreeEntry]:
    """The entries of a tree with these names; of several with one name the first, as git takes it."""
    found: dict[bytes, TreeEntry] = {}
    offset = 0
    while len(found) < len(names) and offset < len(data):
        rows, offset = parse_slice(data, offset, oid_bytes)
        for mode, name, oid in rows:
            if name in names and name not in found:
                found[name] = TreeEntry(TreePath(prefix + name), int(mode, 8), ObjectId(oid.hex()))
        if offset < len(data):
            await asyncio.sleep(0)
    return list(found.values())
